#!/usr/bin/env python3
"""Fills a store that the gateway has made with a million requests of thirty days, 20,000 accounts and people,
100,000 keys and 100,000 conversations, and says which key is the busiest account's. `reference.py STORE [SHARE
[EMAIL]]`: STORE is a file of SQLite or an address of PostgreSQL (`postgres://…`, by psql); a share of 0.1 makes a
tenth of it, to compare with. Whoever has signed up with that address becomes an owner of the busiest account."""
import hashlib
import glob
import random
import shutil
import sqlite3
import subprocess
import sys
import time

MODELS = [("gpt-5-mini", "openai", "budget"), ("claude-haiku-4-5", "anthropic", "mid"), ("gpt-5", "openai", "premium")]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
KEY = "sk-optimux-" + "R" * 43


class File:
    """SQLite."""

    def __init__(self, name):
        self.store = sqlite3.connect(name)

    def insert(self, table, columns, rows):
        places = ", ".join("?" for _ in columns)
        self.store.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)

    def person(self, email):
        (person,) = self.store.execute("SELECT id FROM people WHERE email = ?", (email,)).fetchone()
        return person

    def done(self):
        self.store.commit()


class Server:
    """PostgreSQL, by its own client."""

    def __init__(self, url):
        found = shutil.which("psql") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"))), None)
        self.line = [found or sys.exit("there is no psql"), "-q", "-v", "ON_ERROR_STOP=1", url]

    def insert(self, table, columns, rows):
        copying = subprocess.Popen(
            self.line + ["-c", f"COPY {table} ({', '.join(columns)}) FROM STDIN"], stdin=subprocess.PIPE, text=True)
        escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
        for row in rows:
            copying.stdin.write("\t".join(str(one).translate(escapes) for one in row) + "\n")
        copying.stdin.close()
        if copying.wait() != 0:
            sys.exit(f"{table} was not filled")

    def person(self, email):
        # Only on standard input does psql put values in.
        told = subprocess.run(self.line + ["-A", "-t", "-v", f"email={email}"], input="SELECT id FROM people WHERE email = :'email'",
                              capture_output=True, text=True, check=True)
        return told.stdout.strip()

    def done(self):
        subprocess.run(self.line + ["-c", "ANALYZE"], check=True)


def main():
    name, share = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    draw = random.Random(7)
    store = Server(name) if name.startswith("postgres") else File(name)
    now = int(time.time() * 1000)
    accounts, keys, requests = int(20_000 * share), int(100_000 * share), int(1_000_000 * share)
    store.insert("accounts", ("id", "name", "plan", "created_ms"),
                 ((f"acct_{n:08}", f"account {n}", "enterprise", now) for n in range(accounts)))
    store.insert("people", ("id", "email", "name", "password", "totp_step", "created_ms"),
                 ((f"person_{n:08}", f"p{n}@example.com", "", "none", 0, now) for n in range(accounts)))
    store.insert("members", ("id", "account_id", "email", "role", "created_ms", "key_id", "person_id"),
                 ((f"member_{n:08}", f"acct_{n:08}", f"p{n}@example.com", "owner", now, f"key_m{n:08}", f"person_{n:08}")
                  for n in range(accounts)))
    columns = ("id", "account_id", "name", "hash", "hint", "created_ms")
    store.insert("api_keys", columns, (
        (f"key_{n:08}", f"acct_{n % accounts:08}", f"key {n}",
         hashlib.sha256((KEY if n == 0 else f"{n}").encode()).hexdigest(), f"sk-optimux-…{n:04}"[-16:], now)
        for n in range(keys)))
    # Nine in ten requests are of one account, by eight keys of its own.
    store.insert("api_keys", columns, (
        (f"key_busy{n}", "acct_00000000", f"busy {n}", hashlib.sha256(f"busy{n}".encode()).hexdigest(), "…", now)
        for n in range(8)))
    store.insert("conversations", ("account_id", "id", "created_ms", "metadata", "user_id", "title", "model", "updated_ms"), (
        ("acct_00000000", f"conv_{n:08}", now - n * 1_000, "{}", "acct_00000000", f"conversation {n}", "auto", now - n * 1_000)
        for n in range(int(100_000 * share))))
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
            row = table.setdefault(place, [0] * 5)
            for i, more in enumerate((1, tokens, 1, nanos, ms)):
                row[i] += more
        head = f"req_{at:012x}{n:020x}\t{key}\tauto\t{model}\t{provider}\tcomplete\t1\t{tokens}\t1\t{nanos}\t{ms}\t{ms // 3}\t{at}\n"
        heads.setdefault((account, at // 20_000), []).append((at, head))
    for table, start, all in zip(("usage_minutes", "usage_hours", "usage_days"), ("minute_ms", "hour_ms", "day_ms"), sums):
        counted = ("requests", "input_tokens", "credits", "nanos", "latency_ms")
        nothing = ("failures", "estimated", "cache_read_tokens", "cache_write_tokens", "output_tokens", "thought_tokens",
                   "images", "first_byte_ms", "above_nanos")
        store.insert(table, ("account_id", start, "key_id", "model", "provider", "tier") + counted + nothing,
                     (place + tuple(row) + (0,) * len(nothing) for place, row in all.items()))
    store.insert("request_heads", ("account_id", "at_ms", "segment", "first_line", "lines", "body"), (
        (account, rows[-1][0], "reference", n, len(rows), "".join(text for _, text in rows))
        for n, ((account, _), rows) in enumerate(heads.items())))
    if len(sys.argv) > 3:
        store.insert("members", ("id", "account_id", "email", "role", "created_ms", "key_id", "person_id"),
                     [("member_reader", "acct_00000000", sys.argv[3], "owner", now, "key_reader", store.person(sys.argv[3]))])
    store.done()
    print(KEY)


main()
