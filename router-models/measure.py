#!/usr/bin/env python3
"""The tables of a card, measured anew: `router-models/measure.py FOLDER` with the folder of the
routing data (train.jsonl.gz, dev.jsonl.gz and the same under extra/). Needs a release build.

Trains three seeds on the training rows and judges them on the others; then trains without each
source, and without a fifth of the domains at a time, and judges on what was left out.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = ROOT / "target/release/optimux"


def run(*words):
    done = subprocess.run([BINARY, "router", *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout


def whole(text):
    """By source and by what chose, without the domains."""
    return {(one["source"], one["by"]): one for one in json.loads(text) if one["domain"] is None}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def shares(reports, name):
    return "/".join(f"{100 * mean(one[name][place] for one in reports):.0f}" for place in range(3))


def table(title, columns, rows):
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main():
    folder = pathlib.Path(sys.argv[1])
    parts = {part: [folder / f"{part}.jsonl.gz", folder / f"extra/{part}.jsonl.gz"] for part in ("train", "dev")}
    seeds = []
    with tempfile.TemporaryDirectory() as work:
        for seed in (1, 2, 3):
            out = pathlib.Path(work) / f"{seed}.bin"
            run("train", "--data", *parts["train"], "--out", out, "--seed", seed)
            seeds.append(whole(run("eval", "--weights", out, "--data", *parts["dev"], "--json")))
        first = pathlib.Path(work) / "1.bin"
        known = whole(run("eval", "--weights", first, "--data", *parts["dev"], "--known", *parts["train"], "--json"))
    sources = [source for source, by in seeds[0] if by == "router"]
    rows = []
    for source in sources:
        own = [seed[source, "router"] for seed in seeds]
        rows.append([
            source, str(own[0]["prompts"]), str(own[0]["models"]), f"{own[0]['best']:.3f}", f"{own[0]['oracle']:.3f}",
            f"{mean(one['apgr'] for one in own):.3f}",
            f"{known[source, 'neighbours']['apgr']:.3f}", f"{known[source, 'price']['apgr']:.3f}",
            shares(own, "savings"), shares(own, "mixed"),
            f"{mean(one['above'] for one in own):+.4f}", f"{mean(one['calibration'] for one in own):.3f}",
            shares(own, "kept"),
        ])
    table("Rows that were not trained on, mean of three seeds", [
        "source", "prompts", "models", "best model", "oracle", "APGR", "neighbours", "price",
        "saved at 95/98/100%", "mixed", "above the line", "ECE", "kept at 65/79/98%"], rows)
    everything = parts["train"] + parts["dev"]
    for left in ("sources", "domains"):
        judged = whole(run("eval", "--data", *everything, "--leave-out", left, "--json"))
        rows = [
            [source, str(one["prompts"]), str(one["models"]), f"{one['apgr']:.3f}", shares([one], "savings"),
             shares([one], "mixed"), f"{one['above']:+.4f}", f"{one['calibration']:.3f}", shares([one], "kept")]
            for (source, by), one in judged.items() if by == "router"
        ]
        table(f"Trained without the {left} judged on", [
            "source", "prompts", "models", "APGR", "saved at 95/98/100%", "mixed", "above the line", "ECE", "kept at 65/79/98%"], rows)


main()
