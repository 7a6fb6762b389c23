#!/usr/bin/env python3
"""CPU per request of an upstream, nginx `proxy_pass` and Optimux, side by side in one run.

The proxy under test has core 0 to itself; the upstream and wrk share core 1. CPU is what the
kernel counted for the proxy's processes (/proc/PID/stat), divided by the requests that wrk
completed. Needs nginx, wrk and a release build:

    cargo build --release && benches/load/run.py

`--against BINARY` measures another build beside it, in turns, and prints the ratio of the two.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "sk-optimux-loadloadloadloadloadloadloadloadloadloadload"
TICK = os.sysconf("SC_CLK_TCK")
WORDS = 100
STREAMED = {
    "messages": [{"role": "user", "content": "Repeat after me: " + " ".join(["word"] * WORDS)}],
    "stream": True, "stream_options": {"include_usage": True},
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


def start(core, command, folder):
    log = open(folder / "log", "ab")
    env = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")} | {"LOAD_KEY": KEY}
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], cwd=folder, stdout=log, stderr=log, env=env)


def family(pid):
    """The process and its children."""
    pids = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat[1]) == pid:
                pids.append(int(entry))
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        stat = open(f"/proc/{one}/stat").read().rsplit(")", 1)[1].split()
        total += int(stat[11]) + int(stat[12])
    return total / TICK


def memory_mb(pid):
    return sum(
        int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{one}/status").read()).group(1)) for one in family(pid)
    ) / 1024


def wrk(url, body, folder, connections, seconds, key=KEY):
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        f"wrk.body = {json.dumps(json.dumps(body))}\n"
        'wrk.headers["Content-Type"] = "application/json"\n'
        f'wrk.headers["Authorization"] = "Bearer {key}"\n'
    )
    out = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    ).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    if bad or errors:
        sys.exit(f"{url}: {out}")
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    number, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
    p50 = float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
    return requests, rate, p50


def measure(name, pid, url, body, folder, seconds, key=KEY):
    wrk(url, body, folder, 32, 1, key)
    before = cpu_seconds(pid)
    requests, rate, _ = wrk(url, body, folder, 32, seconds, key)
    per_request = (cpu_seconds(pid) - before) / requests * 1e6
    _, _, p50 = wrk(url, body, folder, 1, max(2, seconds // 3), key)
    return {"name": name, "cpu": per_request, "rate": rate, "p50": p50, "rss": memory_mb(pid)}


def table(title, rows, base, per=1, unit="request"):
    print(f"\n{title}\n")
    print(f"| | CPU per {unit} | × nginx | requests/s | p50 at 1 connection | memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        ratio = f"{row['cpu'] / base['cpu']:.1f}" if row.get("proxy", True) else "-"
        print(
            f"| {row['name']} | {row['cpu'] / per:.1f} µs | {ratio} | {row['rate']:,.0f} "
            f"| {row['p50']:.0f} µs | {row['rss']:.0f} MB |"
        )


def customer(binary, folder):
    """A key of an account whose limits and credits are counted and never met."""
    run = lambda *words: subprocess.run([binary, *words], cwd=folder, capture_output=True, text=True, check=True).stdout
    run("account", "create", "load", "--plan", "load")
    return json.loads(run("key", "create", "--account", "load", "--json"))["key"]


def beside(options, folder, processes):
    """Another build beside the one under test, with the same configuration: its process, port and a key."""
    other, port = folder / "other", free_port()
    other.mkdir()
    (other / "optimux.toml").write_text((folder / "optimux.toml").read_text())
    key = customer(options.against, other)
    process = start(0, [options.against, "serve", "--listen", f"127.0.0.1:{port}"], other)
    processes.append(process)
    wait(port)
    return process, port, key


def compare(options, folder, optimux, gateway, key, processes):
    """Two builds in turns, so that what else the machine does falls on both."""
    against, port, theirs = beside(options, folder, processes)
    turns = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Explain quantum computing in one sentence. " * 10}]
    whole = {"messages": turns, "temperature": 0.7}
    kinds = [("m", whole, 1, "request"), ("auto", whole, 1, "request"),
             ("stream", STREAMED, WORDS, "chunk"), ("stream-translated", STREAMED, WORDS, "chunk")]
    for model, said, per, unit in kinds:
        body = said | {"model": model}
        cpu = {"this": [], "other": []}
        for _ in range(4):
            for name, process, at, secret in (("this", optimux, gateway, key), ("other", against, port, theirs)):
                url = f"http://127.0.0.1:{at}/v1/chat/completions"
                cpu[name].append(measure(name, process.pid, url, body, folder, options.seconds, secret)["cpu"] / per)
        this, that = (sorted(cpu[name])[1] for name in ("this", "other"))
        print(f"{model}: {this:.1f} µs of CPU per {unit}, {that:.1f} of the other: {this / that:.2f}  {cpu}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/optimux")
    parser.add_argument("--against", help="another build, measured beside it")
    options = parser.parse_args()
    work = tempfile.TemporaryDirectory()
    folder = pathlib.Path(work.name)
    upstream, proxy, gateway, sim, streams = (free_port() for _ in range(5))

    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 140, "refusal": None}, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 140, "total_tokens": 160},
    }
    anthropic = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "word " * 150}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 140},
    }
    (folder / "upstream.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/upstream.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{upstream} reuseport; default_type application/json;
    location /v1/chat/completions {{ return 200 '{json.dumps(answer)}'; }}
    location /v1/messages {{ return 200 '{json.dumps(anthropic)}'; }} }} }}
""")
    (folder / "proxy.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/proxy.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; proxy_http_version 1.1; proxy_set_header Connection "";
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  upstream s {{ server 127.0.0.1:{sim}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://u; }} }}
  server {{ listen 127.0.0.1:{streams}; location / {{ proxy_buffering off; proxy_pass http://s; }} }} }}
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
[providers.u]
base_url = "http://127.0.0.1:{upstream}/v1"
[providers.a]
base_url = "http://127.0.0.1:{upstream}/v1"
dialect = "anthropic"
[providers.s]
base_url = "http://127.0.0.1:{sim}/v1"
[providers.sa]
base_url = "http://127.0.0.1:{sim}/v1"
dialect = "anthropic"
[[models]]
id = "m"
deployments = [{{ provider = "u" }}]
[[models]]
id = "translated"
tier = "ultra"
deployments = [{{ provider = "a", model = "m", usd_per_million = {{ input = 15.0, output = 75.0 }} }}]
[[models]]
id = "stream"
tier = "ultra"
deployments = [{{ provider = "s", usd_per_million = {{ input = 15.0, output = 75.0 }} }}]
[[models]]
id = "stream-translated"
tier = "ultra"
deployments = [{{ provider = "sa", usd_per_million = {{ input = 15.0, output = 75.0 }} }}]
""")
    processes = []
    try:
        up = start(1, ["nginx", "-p", folder, "-c", folder / "upstream.conf"], folder)
        nginx = start(0, ["nginx", "-p", folder, "-c", folder / "proxy.conf"], folder)
        simulated = start(1, [options.binary, "sim", "--lenient", "--listen", f"127.0.0.1:{sim}"], folder)
        key = customer(options.binary, folder)
        optimux = start(0, [options.binary, "serve", "--listen", f"127.0.0.1:{gateway}"], folder)
        processes = [up, nginx, simulated, optimux]
        for port in (upstream, proxy, sim, gateway, streams):
            wait(port)
        time.sleep(0.5)
        if options.against:
            compare(options, folder, optimux, gateway, key, processes)
            return
        turns = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Explain quantum computing in one sentence. " * 10}]
        body = {"model": "m", "messages": turns, "temperature": 0.7}
        path = "/v1/chat/completions"
        at = lambda port: f"http://127.0.0.1:{port}{path}"
        s = options.seconds
        rows = [
            measure("upstream alone", up.pid, at(upstream), body, folder, s) | {"proxy": False},
            measure("nginx `proxy_pass`", nginx.pid, at(proxy), body, folder, s),
            measure("Optimux, named model", optimux.pid, at(gateway), body, folder, s, key),
            measure("Optimux, `auto`", optimux.pid, at(gateway), body | {"model": "auto"}, folder, s, key),
            measure("Optimux, translated to Anthropic", optimux.pid, at(gateway), body | {"model": "translated"}, folder, s, key),
        ]
        flows = [
            measure("nginx `proxy_pass`, unbuffered", nginx.pid, at(streams), STREAMED | {"model": "stream"}, folder, s),
            measure("Optimux, same dialect", optimux.pid, at(gateway), STREAMED | {"model": "stream"}, folder, s, key),
            measure("Optimux, translated from Anthropic", optimux.pid, at(gateway), STREAMED | {"model": "stream-translated"}, folder, s, key),
        ]
        model = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read()).group(1)
        print(f"{datetime.date.today()}, {model}, Linux {platform.release()}, one core for the proxy, {s} s each")
        table("Whole answers of 1 KB, 32 connections", rows, rows[1])
        table(f"Streams of {WORDS} chunks, 32 connections", flows, flows[0], WORDS, "chunk")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        work.cleanup()


if __name__ == "__main__":
    main()
