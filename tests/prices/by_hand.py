#!/usr/bin/env python3
"""Works out what requests cost from models.json alone, and compares it with what was booked.

Usage: by_hand.py ROWS, a file with a JSON object a line:

    id        names the row
    provider, model, name   which deployment of models.json
    at_ms     when the request completed, in milliseconds since 1970, UTC
    class     the class of service as answered
    regional  it was answered in a region that costs more
    tokens    {kind: count}; every token is of one kind
    searches  of the web
    pictures  {count, size, quality}, or null
    booked    nano-USD

Knows nothing of the gateway's code. All arithmetic is exact. Ends with an error, and a line for
each row that differs.
"""

import datetime
import gzip
import json
import math
import pathlib
import sys
from fractions import Fraction

PROMPT = ("input", "cache_read", "cache_write", "cache_write_long", "audio_in", "image_in",
          "video_in", "cache_read_audio", "cache_read_image")

# What a kind of token is charged at: the first of these that has a price.
CHARGED_AT = {
    "input": ("input",),
    "output": ("output",),
    "thought": ("reasoning_out", "output"),
    "cache_read": ("cache_read", "input"),
    "cache_write": ("cache_write_5m", "cache_write_30m", "cache_write", "input"),
    "cache_write_long": ("cache_write_1h", "cache_write_12h", "cache_write", "input"),
    "audio_in": ("audio_in", "input"),
    "image_in": ("image_in", "input"),
    "video_in": ("video_in", "input"),
    "audio_out": ("audio_out", "output"),
    "image_out": ("image_out", "output"),
    # A missing cache kind is charged as what is read fresh; media without a price are text.
    "cache_read_audio": ("cache_read_audio", "audio_in", "cache_read", "input"),
    "cache_read_image": ("cache_read_image", "image_in", "cache_read", "input"),
}


def clock(text):
    hours, minutes = text.split(":")
    return int(hours) * 3_600_000 + int(minutes) * 60_000


class Moment:
    """A moment, to be asked for its day, weekday and time of day in UTC."""

    def __init__(self, at_ms):
        days, self.of_day_ms = divmod(at_ms, 86_400_000)
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=days)
        self.day, self.weekday = date.isoformat(), date.isoweekday()

    def within(self, price):
        after = price["from"] is None or self.day >= price["from"]
        return after and (price["until"] is None or self.day < price["until"])

    def busy(self, hours, holidays):
        if hours["tz"] != "UTC":
            raise ValueError(f"a zone that is not read here: {hours['tz']}")
        calendar = hours.get("except_holidays")
        return (
            self.weekday in hours.get("weekdays", range(1, 8))
            and not (calendar and self.day in holidays[calendar]["dates"])
            and any(clock(start) <= self.of_day_ms < clock(end)
                    for start, end in hours["windows"])
        )


def narrowed(prices, holds):
    """Those for which it holds, or all if there is none."""
    found = [price for price in prices if holds(price)]
    return found or prices


def holding(prices, moment, service, thought, holidays):
    """The one price that holds."""
    prices = [price for price in prices if moment.within(price)]
    own = [price for price in prices if price["class"] == service]
    prices = own or [price for price in prices if price["class"] == "standard"]
    if thought:
        prices = narrowed(prices, lambda price: price.get("when") == "thinking")
    else:
        prices = [price for price in prices if price.get("when") != "thinking"]

    def in_hours(price, kind):
        return price.get("hours", {}).get("kind") == kind

    peak = [price for price in prices
            if in_hours(price, "peak") and moment.busy(price["hours"], holidays)]
    prices = peak or [price for price in prices if not in_hours(price, "peak")]
    # Of two that overlap, the later.
    return max(prices, key=lambda price: price["from"] or "", default=None)


def picture(price, pictures):
    """What one picture costs by the piece, or None."""
    lines = price.get("per_image", [])
    for quality in (pictures["quality"], None):
        for line in lines:
            if line["size"] == pictures["size"] and line.get("quality") == quality:
                return line["usd"]
    single = price.get("per", {}).get("image")
    if single is None and lines:
        return max(line["usd"] for line in lines)
    return single


def cost(deployment, row, holidays):
    """Nano-USD, rounded up once; None where no price holds."""
    tokens = dict(row["tokens"])
    moment = Moment(row["at_ms"])
    thought = tokens.get("thought", 0) > 0
    price = holding(deployment["prices"], moment, row["class"], thought, holidays)
    if price is None:
        return None
    rates = dict(price.get("per_mtok", {}))
    prompt = sum(tokens.get(kind, 0) for kind in PROMPT)
    passed = [tier for tier in price.get("tiers", []) if prompt > tier["above_tokens"]]
    if passed:
        rates.update(max(passed, key=lambda tier: tier["above_tokens"])["per_mtok"])

    usd = Fraction(0)
    if row["pictures"] and row["pictures"]["count"]:
        each = picture(price, row["pictures"])
        if each is not None:
            usd += each * row["pictures"]["count"]
            # What was written is in the picture's price.
            tokens["output"] = tokens["image_out"] = 0
    if row["searches"]:
        # A price that says nothing of searches leaves them as they are.
        standard = holding(deployment["prices"], moment, "standard", False, holidays)
        each = price.get("per", {}).get("search")
        if each is None and standard is not None:
            each = standard.get("per", {}).get("search")
        usd += (each or 0) * row["searches"]
    uplift = Fraction(1)
    if row["regional"]:
        uplift = max(deployment["region_uplift"].values())
    for kind, count in tokens.items():
        named = [rates[name] for name in CHARGED_AT[kind] if name in rates]
        usd += uplift * (named[0] if named else 0) * count / 1_000_000
    return math.ceil(usd * 1_000_000_000)


def main():
    models = pathlib.Path(__file__).parent.parent / "lists" / "models.json.gz"
    with gzip.open(models, "rt", encoding="utf-8") as file:
        # Decimals as they are written, not as floating point has them.
        known = json.load(file, parse_float=Fraction)
    deployments = {
        (deployment["provider"], model["id"], deployment["name"]): deployment
        for model in known["models"]
        for deployment in model["deployments"]
    }
    compared, unpriced, wrong = 0, 0, 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            deployment = deployments[row["provider"], row["model"], row["name"]]
            expected = cost(deployment, row, known["holidays"])
            if expected is None:
                unpriced += 1
            elif expected == row["booked"]:
                compared += 1
            else:
                wrong += 1
                print(f"{row['id']}: booked {row['booked']}, by hand {expected}: {line.strip()}",
                      file=sys.stderr)
    print(json.dumps({"agree": compared, "differ": wrong, "no price holds": unpriced}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
