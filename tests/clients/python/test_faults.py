"""A stream with one event of broken JSON in it (S10 of failoverbench): the official SDKs read it to its end."""

import json
import os

import anthropic
import openai
import pytest
import requests
from google import genai
from google.genai import types

BASE = os.environ["OPTIMUX_BASE"]
KEY = os.environ["OPTIMUX_KEY"]
SIM = os.environ["OPTIMUX_SIM"]
MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]
WORDS = "one two three four five six seven eight nine ten"
ASKED = f"Repeat after me: {WORDS}"


@pytest.fixture(params=MODELS)
def model(request):
    """Its next answer has such an event after the fourth."""
    script = {"model": request.param, "fault": {"kind": "garble", "after": 4}, "times": 1}
    requests.post(f"{SIM}/sim/scripts", json=script, timeout=10).raise_for_status()
    yield request.param
    requests.delete(f"{SIM}/sim/scripts", timeout=10).raise_for_status()


def chat(base, model):
    client = openai.OpenAI(base_url=base, api_key=KEY, max_retries=0)
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": ASKED}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[-1].usage.completion_tokens > 0
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_the_sdk_alone_raises():
    script = {"model": "via-chat", "fault": {"kind": "garble", "after": 4}, "times": 1}
    requests.post(f"{SIM}/sim/scripts", json=script, timeout=10).raise_for_status()
    with pytest.raises(json.JSONDecodeError):
        chat(f"{SIM}/v1", "via-chat")


def test_chat(model):
    assert chat(f"{BASE}/v1", model) == WORDS


def test_responses(model):
    client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
    with client.responses.stream(model=model, input=ASKED) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert (final.output_text, final.status) == (WORDS, "completed")


def test_messages(model):
    client = anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=0)
    with client.messages.stream(
        model=model, max_tokens=100, messages=[{"role": "user", "content": ASKED}]
    ) as stream:
        final = stream.get_final_message()
    assert (final.content[0].text, final.stop_reason) == (WORDS, "end_turn")


def test_gemini(model):
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE))
    chunks = list(client.models.generate_content_stream(model=model, contents=ASKED))
    assert "".join(chunk.text or "" for chunk in chunks) == WORDS
