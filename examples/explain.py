"""What "auto" would do, and why, without asking anybody and without charge."""

import json
import os
import urllib.request

question = {
    "model": "auto",
    "messages": [{"role": "user", "content": "Prove that there are infinitely many primes."}],
}
request = urllib.request.Request(
    os.environ["OPTIMUX_URL"] + "/v1/route",
    json.dumps(question).encode(),
    {"Authorization": "Bearer " + os.environ["OPTIMUX_KEY"], "Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    route = json.load(answer)
print(json.dumps(route, indent=2)[:2000])
