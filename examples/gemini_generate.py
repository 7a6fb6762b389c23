"""Google's SDK: any model answers, in Gemini's form."""

import os

from google import genai

client = genai.Client(
    api_key=os.environ["OPTIMUX_KEY"],
    http_options={"base_url": os.environ["OPTIMUX_URL"]},
)
answer = client.models.generate_content(model="auto", contents="Explain quantum computing in one sentence.")
print(answer.model_version, answer.text)
