#!/usr/bin/env python3
"""What the busiest account of the reference store is answered, in milliseconds: of six tries the third fastest.
`figures.py BASE KEY`."""
import json
import sys
import time
import urllib.error
import urllib.request

DAY = 86_400


def day(ago):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago * DAY))


def main():
    base, key = sys.argv[1], sys.argv[2]

    def took(path, body):
        request = urllib.request.Request(base + path, data=body and json.dumps(body).encode())
        request.add_header("authorization", f"Bearer {key}")
        request.add_header("content-type", "application/json")
        began = time.perf_counter()
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as why:
            if why.code != 401:
                raise
        return (time.perf_counter() - began) * 1e3

    for name, path, body in [
        ("GET /v1/keys", "/v1/keys", None),
        ("GET /v1/requests", "/v1/requests", None),
        ("GET /v1/requests?model=… that finds nothing", "/v1/requests?model=nobody", None),
        ("GET /v1/usage of thirty days by model", f"/v1/usage?group_by=model&start={day(29)}&end={day(-1)}", None),
        ("GET /v1/usage of three days by hour", f"/v1/usage?group_by=hour&start={day(2)}&end={day(-1)}", None),
        ("GET /optima/v1/conversations", "/optima/v1/conversations", None),
        ("GET /v1/account", "/v1/account", None),
        ("POST /api/auth/login of whom there is, before the password is compared", "/api/auth/login", {"email": "p7@example.com", "password": "no"}),
    ]:
        print(f"{name}: {sorted(took(path, body) for _ in range(6))[2]:.1f}")


main()
