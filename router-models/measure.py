#!/usr/bin/env python3
"""The tables of a card, measured anew: `router-models/measure.py FOLDER` with the folder of the
routing data (train.jsonl.gz and dev.jsonl.gz, the same under extra/, and everyday/everyday.jsonl.gz).
Needs a release build.

Trains three seeds on the training rows and judges them on the others; then leaves out a fifth of the
questions at a time, by three seeds, and a fifth of the domains, and each source, by as many seeds as
SEEDS_LEFT_OUT says (1).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = ROOT / "target/release/optimux"
PAIRS = ("gsm8k", "mmlu")


def run(*words):
    done = subprocess.run([BINARY, "router", *map(str, words)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) if "--json" in words else done.stdout


def whole(pools):
    """By source and by what chose, without the domains."""
    return {(one["source"], one["by"]): one for one in pools if one["domain"] is None}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def shares(reports, name):
    return "/".join(f"{100 * mean(one[name][place] for one in reports):.0f}" for place in range(3))


def table(title, columns, rows):
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


COLUMNS = ["source", "prompts", "models", "APGR", "saved at 95/98/100%", "mixed", "above the line",
           "its hull", "levels known", "explained", "ECE", "kept at 65/79/98%"]


def line(source, own):
    of = lambda name: mean(one[name] for one in own)
    return [source, str(own[0]["prompts"]), str(own[0]["models"]), f"{of('apgr'):.3f}",
            shares(own, "savings"), shares(own, "mixed"), f"{of('above'):+.4f}", f"{of('hull_above'):+.4f}",
            f"{of('levelled_above'):+.4f}", f"{of('explained'):+.3f}", f"{of('calibration'):.3f}", shares(own, "kept")]


def tell(title, seeds):
    """A table of the router's pools, means of the seeds, and what they come to."""
    sources = [source for source, by in seeds[0] if by == "router"]
    own = {source: [seed[source, "router"] for seed in seeds] for source in sources}
    table(title, COLUMNS, [line(source, reports) for source, reports in own.items()])
    many = [source for source in sources if source not in PAIRS]
    of = lambda name, source: mean(one[name] for one in own[source])
    print(f"\nPairs: APGR {mean(of('apgr', source) for source in PAIRS):.3f}.", end=" ")
    for name, words in (("above", "above the line"), ("hull_above", "hull"), ("levelled_above", "levels known"),
                        ("explained", "explained")):
        values = [of(name, source) for source in many]
        print(f"Pools of many, {words}: mean {mean(values):+.4f}, worst {min(values):+.4f}.", end=" ")
    print(flush=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    parts = {part: [folder / f"{part}.jsonl.gz", folder / f"extra/{part}.jsonl.gz"] for part in ("train", "dev")}
    everyday = ["--everyday", folder / "everyday/everyday.jsonl.gz"]
    seeds = []
    with tempfile.TemporaryDirectory() as work:
        for seed in (1, 2, 3):
            out = pathlib.Path(work) / f"{seed}.bin"
            run("train", "--data", *parts["train"], *everyday, "--out", out, "--seed", seed)
            seeds.append(whole(run("eval", "--weights", out, "--data", *parts["dev"], "--json")))
        first = pathlib.Path(work) / "1.bin"
        known = whole(run("eval", "--weights", first, "--data", *parts["dev"], "--known", *parts["train"], "--json"))
    tell("Rows that were not trained on, mean of three seeds", seeds)
    table("The same prompts, chosen otherwise (APGR)", ["source", "best model", "oracle", "neighbours", "price"], [
        [source, f"{one['best']:.3f}", f"{one['oracle']:.3f}", f"{known[source, 'neighbours']['apgr']:.3f}",
         f"{known[source, 'price']['apgr']:.3f}"]
        for (source, by), one in known.items() if by == "router"])
    everything = parts["train"] + parts["dev"]
    left_out = int(os.environ.get("SEEDS_LEFT_OUT", "1"))
    for left, count in (("groups", 3), ("domains", left_out), ("sources", left_out)):
        judged, agreed = [], []
        for seed in range(1, count + 1):
            said = run("eval", "--data", *everything, *everyday, "--leave-out", left, "--seed", seed, "--json")
            judged.append(whole(said["pools"]))
            agreed.append(said["everyday"])
        tell(f"Trained without the {'questions' if left == 'groups' else left} judged on, mean of {count} seed(s)", judged)
        if left == "groups":
            of = lambda name: mean(one[name] for one in agreed)
            print(f"\nEveryday prompts, a fifth left out at a time ({agreed[0]['prompts']}): rank correlation of need "
                  f"{of('need'):.3f}, of length {of('length'):.3f}, of thinking {of('think'):.3f}; need off by "
                  f"{of('off'):.2f} on average, within one step on {100 * of('within_one'):.0f}%.", flush=True)


main()
