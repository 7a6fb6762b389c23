#!/usr/bin/env python3
"""How long a search takes among 100,000 memories of one user. Needs a release build:

    cargo build --release && benches/memory.py
"""

import http.client
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEY = "sk-optimux-memorymemorymemorymemorymemorymemorymemory1"
PORT = 18_101
ENTRIES, SEARCHES = 100_000, 60


def main():
    random.seed(1)
    words = [word.strip(".,`|()*") for word in (ROOT / "README.md").read_text().split()]
    words = [word for word in words if len(word) > 2]
    with tempfile.TemporaryDirectory() as work:
        pathlib.Path(work, "optimux.toml").write_text('[admin]\nkey_env = "MEMORY_KEY"\n')
        command = [ROOT / "target/release/optimux", "serve", "--listen", f"127.0.0.1:{PORT}"]
        gateway = subprocess.Popen(
            command, cwd=work, env={**os.environ, "MEMORY_KEY": KEY}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            measure(gateway, words)
        finally:
            gateway.kill()
            gateway.wait()


def measure(gateway, words):
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            connection.connect()
            break
        except OSError:
            time.sleep(0.05)

    def post(path, body):
        began = time.perf_counter()
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200, told
        return told, (time.perf_counter() - began) * 1000

    began = time.perf_counter()
    for page in range(0, ENTRIES, 1_000):
        entries = [{"text": f"{' '.join(random.choices(words, k=14))} item{page + number}"} for number in range(1_000)]
        post("/v1/memory/store", {"user_id": "big", "entries": entries})
    print(f"{ENTRIES} stored in {time.perf_counter() - began:.1f} s")
    _, first = post("/v1/memory/search", {"user_id": "big", "query": "anything"})
    took = sorted(
        post("/v1/memory/search", {"user_id": "big", "query": " ".join(random.choices(words, k=5))})[1]
        for _ in range(SEARCHES))
    status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    print(f"first search {first:.0f} ms; then p50 {took[SEARCHES // 2]:.1f} ms, slowest of {SEARCHES} {took[-1]:.1f} ms")
    print(f"resident {int(resident) // 1024} MB")


main()
