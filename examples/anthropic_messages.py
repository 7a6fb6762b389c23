"""Anthropic's SDK: any model answers, in Anthropic's form."""

import os

from anthropic import Anthropic

client = Anthropic(base_url=os.environ["OPTIMUX_URL"], api_key=os.environ["OPTIMUX_KEY"])
message = client.messages.create(
    model="auto",
    max_tokens=200,
    messages=[{"role": "user", "content": "Explain quantum computing in one sentence."}],
)
# A model that thinks first says so in blocks of their own.
print(message.model, *(block.text for block in message.content if block.type == "text"))
