#!/usr/bin/env python3
"""Fills an SQLite store that the gateway has made with a million requests of thirty days, 20,000
accounts and 100,000 keys, and says which key is the busiest account's. `reference.py FILE [SHARE]`: a
share of 0.1 makes a tenth of it, to compare with."""
import hashlib
import random
import sqlite3
import sys
import time

MODELS = [("gpt-5-mini", "openai", "budget"), ("claude-haiku-4-5", "anthropic", "mid"), ("gpt-5", "openai", "premium")]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
KEY = "sk-optimux-" + "R" * 43


def main():
    file, share = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    draw = random.Random(7)
    store = sqlite3.connect(file)
    now = int(time.time() * 1000)
    accounts, keys, requests = int(20_000 * share), int(100_000 * share), int(1_000_000 * share)
    store.executemany(
        "INSERT INTO accounts (id, name, plan, created_ms) VALUES (?, ?, 'enterprise', ?)",
        ((f"acct_{n:08}", f"account {n}", now) for n in range(accounts)),
    )
    store.executemany(
        "INSERT INTO api_keys (id, account_id, name, hash, hint, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (f"key_{n:08}", f"acct_{n % accounts:08}", f"key {n}",
             hashlib.sha256((KEY if n == 0 else f"{n}").encode()).hexdigest(), f"sk-optimux-…{n:04}"[-16:], now)
            for n in range(keys)
        ),
    )
    # Nine in ten requests are of one account, by eight keys of its own.
    store.executemany(
        "INSERT INTO api_keys (id, account_id, name, hash, hint, created_ms) VALUES (?, 'acct_00000000', ?, ?, '…', ?)",
        ((f"key_busy{n}", f"busy {n}", hashlib.sha256(f"busy{n}".encode()).hexdigest(), now) for n in range(8)),
    )
    sums, heads = [{}, {}, {}], {}
    for n in range(requests):
        at = now - 30 * DAY + n * (30 * DAY // requests)
        busy = draw.random() < 0.9
        account = "acct_00000000" if busy else f"acct_{draw.randrange(1, 20):08}"
        key = f"key_busy{draw.randrange(8)}" if busy else f"key_{account[5:]}"
        model, provider, tier = draw.choice(MODELS)
        tokens, nanos, ms = draw.randrange(50, 5_000), draw.randrange(10_000, 9_000_000), draw.randrange(100, 4_000)
        for table, width in zip(sums, (MINUTE, HOUR, DAY)):
            place = (account, at - at % width, key, model, provider, tier)
            row = table.setdefault(place, [0, 0, 0, 0, 0])
            for i, more in enumerate((1, tokens, 1, nanos, ms)):
                row[i] += more
        head = f"req_{at:012x}{n:020x}\t{key}\tauto\t{model}\t{provider}\tcomplete\t1\t{tokens}\t1\t{nanos}\t{ms}\t{ms // 3}\t{at}\n"
        heads.setdefault((account, at // 20_000), []).append((at, head))
    for table, start, all in zip(("usage_minutes", "usage_hours", "usage_days"), ("minute_ms", "hour_ms", "day_ms"), sums):
        store.executemany(
            f"INSERT INTO {table} (account_id, {start}, key_id, model, provider, tier, requests, failures, estimated, "
            "input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, thought_tokens, images, credits, nanos, "
            "latency_ms, first_byte_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, 0, 0, 0, 0, 0, ?, ?, ?, 0)",
            (place + tuple(row) for place, row in all.items()),
        )
    store.executemany(
        "INSERT INTO request_heads (account_id, at_ms, segment, first_line, lines, body) VALUES (?, ?, 'reference', ?, ?, ?)",
        ((account, rows[-1][0], n, len(rows), "".join(text for _, text in rows)) for n, ((account, _), rows) in enumerate(heads.items())),
    )
    store.commit()
    print(KEY)


main()
