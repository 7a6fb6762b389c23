#!/usr/bin/env python3
"""Streams as models send them, a chunk every 20 ms: CPU per chunk and the time to the first chunk, of the
simulated provider alone, behind nginx `proxy_pass` and behind Optimux, in one run.

    cargo build --release && benches/load/paced.py [--streams 64] [--turns 8]

The proxy under test has core 0 to itself; the simulated provider and the callers share core 1. Each caller reads
one stream after another; the time to the first chunk is from the request's last byte to the first byte of an event
with content. What a proxy adds is its percentile less the provider's own.
"""

import argparse
import asyncio
import json
import os
import pathlib
import tempfile
import time
import urllib.request

from run import ROOT, beside, cpu_seconds, customer, free_port, memory_mb, start, wait

GAP_MS = 20
WORDS = 50


async def stream(port, request, first):
    """Reads one stream; how many events it had."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    began = time.perf_counter()
    text, told = b"", False
    while piece := await reader.read(65536):
        text += piece
        if not told and b'"content":"' in text.replace(b'"content":""', b""):
            first.append(time.perf_counter() - began)
            told = True
    writer.close()
    if not text.startswith(b"HTTP/1.1 200") or b"[DONE]" not in text:
        raise SystemExit(text[:400])
    return text.count(b"data: {")


async def callers(port, request, streams, turns):
    first, chunks = [], 0

    async def one(place):
        nonlocal chunks
        # Not all at the same moment.
        await asyncio.sleep(place / streams * WORDS * GAP_MS / 1e3)
        for _ in range(turns):
            read = await stream(port, request, first)
            chunks += read

    await asyncio.gather(*(one(place) for place in range(streams)))
    return sorted(first), chunks


def compare(options, folder, processes, request, gateway, pid):
    """Two builds in turns, so that what else the machine does falls on both."""
    against, port, key = beside(options, folder, processes)
    ours = request.split(b"Bearer ")[1].split(b"\r")[0]
    builds = {"this": (gateway, pid, request), "other": (port, against.pid, request.replace(ours, key.encode()))}
    cpu, late = {"this": [], "other": []}, {"this": [], "other": []}
    for turn in range(5):
        for name, (at, process, asked) in builds.items():
            before = cpu_seconds(process)
            first, chunks = asyncio.run(callers(at, asked, options.streams, options.turns))
            if turn:  # The first is for warming up.
                cpu[name].append(round((cpu_seconds(process) - before) / chunks * 1e6, 1))
                late[name].append(round(first[int(len(first) * 0.99)] * 1e3, 2))
    this, that = (sorted(cpu[name])[1] for name in ("this", "other"))
    print(f"{this} µs of CPU per chunk, {that} of the other: {this / that:.2f}  {cpu}; first chunk, p99 in ms: {late}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--turns", type=int, default=8, help="streams that each caller reads")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/optimux")
    parser.add_argument("--against", type=pathlib.Path, help="another build, measured in turns with this one")
    options = parser.parse_args()
    work = tempfile.TemporaryDirectory()
    folder = pathlib.Path(work.name)
    sim, proxy, gateway = (free_port() for _ in range(3))
    (folder / "proxy.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/proxy.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{ access_log off; proxy_http_version 1.1; proxy_set_header Connection "";
  upstream s {{ server 127.0.0.1:{sim}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_buffering off; proxy_pass http://s; }} }} }}
""")
    (folder / "optimux.toml").write_text(f"""
[server]
workers = 1
[admin]
key_env = "LOAD_KEY"
[plans.load]
requests_per_minute = 100000000
requests_per_day = 1000000000
tokens_per_minute = 1000000000
credits_per_month = 1000000000
[providers.s]
base_url = "http://127.0.0.1:{sim}/v1"
[[models]]
id = "stream"
tier = "ultra"
deployments = [{{ provider = "s", usd_per_million = {{ input = 15.0, output = 75.0 }} }}]
""")
    processes = []
    try:
        processes.append(start(1, [options.binary, "sim", "--lenient", "--listen", f"127.0.0.1:{sim}"], folder))
        nginx = start(0, ["nginx", "-p", folder, "-c", folder / "proxy.conf"], folder)
        key = customer(options.binary, folder)
        optimux = start(0, [options.binary, "serve", "--listen", f"127.0.0.1:{gateway}"], folder)
        processes += [nginx, optimux]
        for port in (sim, proxy, gateway):
            wait(port)
        script = json.dumps({"model": "*", "chunk_gap_ms": GAP_MS}).encode()
        urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{sim}/sim/scripts", data=script, headers={"content-type": "application/json"}))
        said = {"model": "stream", "stream": True, "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": "Repeat after me: " + " ".join(["word"] * WORDS)}]}
        body = json.dumps(said).encode()
        request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n"
                   f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
        os.sched_setaffinity(0, {1})
        if options.against:
            compare(options, folder, processes, request, gateway, optimux.pid)
            return
        print("| | CPU per chunk | × nginx | first chunk p50 | p99 | added at p99 | memory |\n| --- | --- | --- | --- | --- | --- | --- |")
        nginx_cpu = alone = None
        for name, port, pid in (("the provider alone", sim, None), ("nginx `proxy_pass`, unbuffered", proxy, nginx.pid), ("Optimux", gateway, optimux.pid)):
            asyncio.run(callers(port, request, options.streams, 1))
            before = cpu_seconds(pid) if pid else 0
            first, chunks = asyncio.run(callers(port, request, options.streams, options.turns))
            p50, p99 = (first[int(len(first) * share)] * 1e3 for share in (0.5, 0.99))
            if pid is None:
                alone = p99
                print(f"| {name} | - | - | {p50:.2f} ms | {p99:.2f} ms | - | - |")
                continue
            cpu = (cpu_seconds(pid) - before) / chunks * 1e6
            nginx_cpu = nginx_cpu or cpu
            print(f"| {name} | {cpu:.1f} µs | {cpu / nginx_cpu:.2f} | {p50:.2f} ms | {p99:.2f} ms | {p99 - alone:.2f} ms | {memory_mb(pid):.0f} MB |")
    finally:
        for one in processes:
            one.terminate()
        for one in processes:
            one.wait()


main()
