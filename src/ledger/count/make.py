#!/usr/bin/env python3
"""Packs a published tiktoken vocabulary for `vocabulary.rs`: `make.py o200k_base.tiktoken[.gz]`.

Writes `o200k.zst` beside this file: for every token, in the order of its rank, a byte with its length
and its bytes, compressed. Source: OpenAI's tiktoken (MIT), o200k_base. Needs `pip install zstandard`.
"""

import base64
import gzip
import pathlib
import sys

import zstandard

source = pathlib.Path(sys.argv[1])
opened = gzip.open if source.suffix == ".gz" else open
packed = bytearray()
for expected, line in enumerate(opened(source, "rb").read().splitlines()):
    token, rank = line.split()
    token = base64.b64decode(token)
    # Ranks are the order of merging: none may be missing, and no token is longer than a byte can say.
    assert int(rank) == expected and len(token) < 256, line
    packed += bytes([len(token)]) + token
target = pathlib.Path(__file__).with_name("o200k.zst")
target.write_bytes(zstandard.ZstdCompressor(level=19).compress(bytes(packed)))
print(target, len(packed), target.stat().st_size)
