"""LiteLLM as a client, through each surface onto each upstream dialect."""

import json

import litellm
import pytest
from pydantic import BaseModel

litellm.num_retries = 0
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Sum(BaseModel):
    total: int
    note: str


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def to(request, model, base, key):
    if request.param == "openai":
        return {"model": f"openai/{model}", "api_base": f"{base}/v1", "api_key": key}
    if request.param == "anthropic":
        return {"model": f"anthropic/{model}", "api_base": base, "api_key": key}
    return {"model": f"gemini/{model}", "api_base": f"{base}/v1beta", "api_key": key}


def user(content):
    return {"role": "user", "content": content}


def test_plain(to):
    reply = litellm.completion(messages=[user("Repeat after me: Grüße")], max_tokens=100, **to)
    assert reply.choices[0].message.content == "Grüße" and reply.usage.total_tokens > 0


def test_stream(to):
    chunks = litellm.completion(messages=[user("Repeat after me: one two three")], stream=True, max_tokens=100, **to)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"


def test_tool_loop(to):
    messages = [user("What is the weather in Paris?")]
    first = litellm.completion(messages=messages, tools=[WEATHER], max_tokens=500, **to).choices[0].message
    call = first.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    messages += [first, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = litellm.completion(messages=messages, tools=[WEATHER], max_tokens=500, **to)
    assert "sunny" in last.choices[0].message.content


def test_structured_output(to):
    reply = litellm.completion(messages=[user("What is 8 + 7?")], response_format=Sum, max_tokens=500, **to)
    answer = json.loads(reply.choices[0].message.content)
    # To a Gemini model that it does not know, LiteLLM tells the schema in prose.
    assert to["model"].startswith("gemini/") or answer["total"] == 8


def test_vision(to, pixel):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
    ]
    reply = litellm.completion(messages=[user(content)], max_tokens=500, **to)
    assert "an image of type image/png" in reply.choices[0].message.content


def test_error(base, key):
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="openai/nope", api_base=f"{base}/v1", api_key=key, messages=[user("x")])
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(model="anthropic/via-chat", api_base=base, api_key="sk-wrong", messages=[user("x")])


def test_embedding(base, key):
    reply = litellm.embedding(model="openai/embed-gemini", input=["a", "b"], api_base=f"{base}/v1", api_key=key)
    assert len(reply.data) == 2
