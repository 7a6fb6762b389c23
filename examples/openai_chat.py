"""OpenAI's SDK: swap the base URL and the key, say "auto"."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["OPTIMUX_URL"] + "/v1", api_key=os.environ["OPTIMUX_KEY"])
stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Explain quantum computing in one sentence."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="")
    if chunk.usage:
        print(f"\n{chunk.model}: {chunk.usage.total_tokens} tokens")
