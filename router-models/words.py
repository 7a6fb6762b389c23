#!/usr/bin/env python3
"""The table of word vectors for `optimux router train --words`: `router-models/words.py OUT FOLDER`
with the folder of the routing data. Needs numpy, safetensors, tokenizers, wordfreq, and an unpacked
`wordllama` 0.4.0 package (MIT) in the folder that WORDLLAMA names.

A word's vector is the mean of its tokens' vectors in wordllama's l2_supercat_256, without the mean
of all and turned to its 64 main directions. Words are those of the routing data and the usual ones
of 14 languages (by wordfreq); where two fall on one row, the more frequent has it. Made once: the
table is carried inside weights.bin, and training takes it from there.
"""

import collections
import gzip
import json
import os
import pathlib
import re
import sys

import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from wordfreq import top_n_list

ROWS, WIDTH, MASK = 1 << 16, 64, (1 << 64) - 1
LANGUAGES = {"en": 40_000, "de": 6_000, "es": 6_000, "fr": 6_000, "pt": 5_000, "it": 5_000, "ru": 5_000,
             "nl": 4_000, "pl": 4_000, "ar": 3_000, "zh": 4_000, "ja": 3_000, "tr": 1_500, "sv": 1_500}
IDEOGRAPH = "\u2e80-\u2fff\u3040-\u9fff\uf900-\ufaff"
WORD = re.compile(f"[{IDEOGRAPH}]|[^\\W\\d_{IDEOGRAPH}]+")


def row(word):
    """As src/router/neural/text.rs does it."""
    spelled = 0
    for letter in word:
        spelled = ((((spelled << 5) | (spelled >> 59)) & MASK) ^ ord(letter)) * 0x517CC1B727220A95 & MASK
    mixed = (spelled ^ 0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD & MASK
    mixed ^= mixed >> 32
    mixed = mixed * 0xC4CEB9FE1A85EC53 & MASK
    return (mixed >> 20) % ROWS


def main():
    out, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    home = pathlib.Path(os.environ["WORDLLAMA"]) / "wordllama"
    tokens = load_file(home / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(numpy.float32)
    tokenizer = Tokenizer.from_file(str(home / "tokenizers/l2_supercat_tokenizer_config.json"))
    counts = collections.Counter()
    for file in ("train.jsonl.gz", "extra/train.jsonl.gz", "everyday/everyday.jsonl.gz"):
        for line in gzip.open(folder / file, "rt"):
            one = json.loads(line)
            weight = 20 if file.startswith("everyday") else 1
            for word in set(WORD.findall((one["prompt"] + " " + one.get("system", "")).lower())):
                counts[word] += weight
    usual = {}
    for language, most in LANGUAGES.items():
        share = 0.1 if language == "en" else 0.02
        for rank, word in enumerate(top_n_list(language, most), 1):
            for part in WORD.findall(word.lower()):
                # Frequencies fall with the rank.
                usual[part] = max(usual.get(part, 0.0), share / rank)
    # One of the data weighs like a word of ten a million.
    weight = {word: usual.get(word, 0.0) + 1e-6 * min(counts[word], 1000) for word in set(usual) | set(counts)}
    words = sorted(weight, key=lambda word: (-weight[word], word))
    vectors = numpy.zeros((len(words), tokens.shape[1]), numpy.float32)
    for place, word in enumerate(words):
        ids = tokenizer.encode(word, add_special_tokens=False).ids
        if ids:
            vectors[place] = tokens[ids].mean(0)
    main_part = vectors[:20_000]
    mean = main_part.mean(0)
    _, _, turn = numpy.linalg.svd(main_part - mean, full_matrices=False)
    turned = (vectors - mean) @ turn[:WIDTH].T
    step = turned[:20_000].std() * 5 / 127
    table = numpy.zeros((ROWS, WIDTH), numpy.int8)
    taken, kept = set(), 0
    for place, word in enumerate(words):
        at = row(word)
        if at not in taken:
            taken.add(at)
            kept += 1
            table[at] = numpy.clip(numpy.round(turned[place] / step), -127, 127)
    out.write_bytes(b"OPTXWRD1" + table.tobytes())
    print(f"{len(words)} words, {kept} rows")


main()
