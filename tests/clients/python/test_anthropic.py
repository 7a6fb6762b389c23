"""The official Anthropic SDK against the gateway, onto each upstream dialect."""

import os

import anthropic
import pytest

BASE = os.environ["OPTIMUX_BASE"]
KEY = os.environ["OPTIMUX_KEY"]
MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(params=["", "/api"], scope="module")
def client(request):
    return anthropic.Anthropic(base_url=BASE + request.param, api_key=KEY, max_retries=0)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def user(content):
    return {"role": "user", "content": content}


def test_message(client, model):
    reply = client.messages.create(
        model=model, max_tokens=100, system="Be brief.", messages=[user("Repeat after me: Grüße 🌍")]
    )
    assert reply.type == "message" and reply.role == "assistant" and reply.model == model
    assert [block.text for block in reply.content] == ["Grüße 🌍"]
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0
    assert reply._request_id.startswith("req_")


def test_stream(client, model):
    kinds = []
    with client.messages.stream(
        model=model, max_tokens=100, messages=[user("Repeat after me: one two three")]
    ) as stream:
        for event in stream:
            kinds.append(event.type)
        final = stream.get_final_message()
    assert final.content[0].text == "one two three"
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"


def test_stop_and_length(client, model):
    short = client.messages.create(model=model, max_tokens=2, messages=[user("Repeat after me: a b c d")])
    assert short.stop_reason == "max_tokens"
    if model == "via-responses":
        # That dialect has no stop sequences, and an answer without them would be another one.
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(model=model, max_tokens=9, messages=[user("x")], stop_sequences=["c"])
        return
    stopped = client.messages.create(
        model=model, max_tokens=50, messages=[user("Repeat after me: a b c d")], stop_sequences=["c"]
    )
    assert stopped.content[0].text.strip() == "a b"


def test_tool_loop(client, model):
    messages = [user("What is the weather in Paris?")]
    with client.messages.stream(model=model, max_tokens=500, messages=messages, tools=[WEATHER]) as stream:
        first = stream.get_final_message()
    call = first.content[-1]
    assert first.stop_reason == "tool_use" and call.type == "tool_use"
    assert call.name == "get_weather" and call.input == {"city": "Paris"}
    messages += [
        {"role": "assistant", "content": first.content},
        user([{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]),
    ]
    last = client.messages.create(model=model, max_tokens=500, messages=messages, tools=[WEATHER])
    assert "sunny" in last.content[0].text


@pytest.mark.parametrize(
    "choice, calls", [("auto", 0), ("none", 0), ("any", 1), ("tool", 1)]
)
def test_tool_choice(client, model, choice, calls):
    wanted = {"type": choice} | ({"name": "get_weather"} if choice == "tool" else {})
    reply = client.messages.create(
        model=model, max_tokens=100, messages=[user("Hello")], tools=[WEATHER], tool_choice=wanted
    )
    assert sum(block.type == "tool_use" for block in reply.content) == calls


def test_thinking_survives_a_round_trip(client, model):
    if model == "via-chat":
        pytest.skip("chat's own dialect hides its reasoning unless the provider adds a member")
    asked = dict(model=model, max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1024}, tools=[WEATHER])
    messages = [user("What is the weather in Rome?")]
    first = client.messages.create(messages=messages, **asked)
    assert first.content[0].type == "thinking" and "The user says" in first.content[0].thinking
    messages += [
        {"role": "assistant", "content": first.content},
        user([{"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "fair"}]),
    ]
    last = client.messages.create(messages=messages, **asked)
    assert any("fair" in block.text for block in last.content if block.type == "text")


def test_vision(client, model):
    reply = client.messages.create(
        model=model,
        max_tokens=100,
        messages=[
            user(
                [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.jpg"}},
                    {"type": "text", "text": "What is this?"},
                ]
            )
        ],
    )
    assert "an image of type image/png" in reply.content[0].text
    assert "an image at https://example.com/cat.jpg" in reply.content[0].text


def test_count_tokens(client, model):
    assert client.messages.count_tokens(model=model, messages=[user("Hello there")]).input_tokens > 0


def test_errors(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nope", max_tokens=10, messages=[user("x")])
    with pytest.raises(anthropic.BadRequestError) as bad:
        client.messages.create(model="via-chat", max_tokens=10, messages=[{"role": "alien", "content": "x"}])
    assert bad.value.body["error"]["type"] == "invalid_request_error"
    stranger = anthropic.Anthropic(base_url=BASE, api_key="sk-wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model="via-chat", max_tokens=10, messages=[user("x")])


def test_models(client):
    models = [model.id for model in client.models.list()]
    assert models[0] == "auto" and "via-gemini" in models
    assert client.models.retrieve("via-chat").type == "model"


def test_auto(client):
    reply = client.messages.create(model="auto", max_tokens=100, messages=[user("Hello")])
    assert reply.model in MODELS
