"""The official OpenAI SDK against the gateway, onto each upstream dialect."""

import json
import os

import openai
import pytest

BASE = os.environ["OPTIMUX_BASE"]
KEY = os.environ["OPTIMUX_KEY"]
MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(params=["/v1", "/api/v1"], scope="module")
def client(request):
    return openai.OpenAI(base_url=BASE + request.param, api_key=KEY, max_retries=0)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def user(text):
    return {"role": "user", "content": text}


def test_chat(client, model):
    raw = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[
            {"role": "system", "content": "You are brief."},
            user("Repeat after me: Grüße, 世界 🌍"),
        ],
        temperature=0.5,
        max_tokens=100,
    )
    reply = raw.parse()
    assert reply.object == "chat.completion"
    assert reply.model == model == raw.headers["x-optimux-model"]
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].message.content == "Grüße, 世界 🌍"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_stream(client, model):
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=[user("Repeat after me: one two three — vier")],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three — vier"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert len({c.id for c in chunks}) == 1
    usage = [c.usage for c in chunks if c.usage]
    assert len(usage) == 1 and chunks[-1].usage and not chunks[-1].choices
    assert usage[0].completion_tokens > 0


def test_stream_without_usage_has_choices_on_every_chunk(client, model):
    for chunk in client.chat.completions.create(model=model, messages=[user("Hello")], stream=True):
        assert len(chunk.choices) == 1


def test_length_and_stop(client, model):
    short = client.chat.completions.create(
        model=model, messages=[user("Repeat after me: a b c d e f")], max_completion_tokens=2
    )
    assert short.choices[0].finish_reason == "length"
    if model == "via-responses":
        # That dialect has no stop sequences, and an answer without them would be another one.
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=model, messages=[user("x")], stop=["c"])
        return
    stopped = client.chat.completions.create(
        model=model, messages=[user("Repeat after me: a b c d")], stop=["c"]
    )
    assert stopped.choices[0].message.content.strip() == "a b"
    assert stopped.choices[0].finish_reason == "stop"


def test_tool_loop(client, model):
    messages = [user("What is the weather in Paris for 3 days, and what does the clock say?")]
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER, CLOCK])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "clock"]
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris", "days": 3}
    assert json.loads(message.tool_calls[1].function.arguments) == {}
    assert len({call.id for call in message.tool_calls}) == 2
    messages.append(message)
    messages += [
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"},
        {"role": "tool", "tool_call_id": message.tool_calls[1].id, "content": "12:00"},
    ]
    last = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER, CLOCK])
    assert "sunny" in last.choices[0].message.content
    assert "12:00" in last.choices[0].message.content


def test_functions(client, model):
    """Calls as they were before there were tools."""
    functions = [WEATHER["function"]]
    messages = [user("What is the weather in Paris for 3 days?")]
    first = client.chat.completions.create(model=model, messages=messages, functions=functions)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "function_call"
    assert message.tool_calls is None and message.function_call.name == "get_weather"
    assert json.loads(message.function_call.arguments) == {"city": "Paris", "days": 3}
    messages += [message, {"role": "function", "name": "get_weather", "content": "sunny"}]
    last = client.chat.completions.create(model=model, messages=messages, functions=functions)
    assert "sunny" in last.choices[0].message.content
    name, arguments, ends = "", "", []
    stream = client.chat.completions.create(
        model=model, messages=[user("weather in Oslo for 2 days")], functions=functions, stream=True
    )
    for chunk in stream:
        for choice in chunk.choices:
            assert choice.delta.tool_calls is None
            if choice.delta.function_call:
                name += choice.delta.function_call.name or ""
                arguments += choice.delta.function_call.arguments or ""
            ends += [choice.finish_reason] if choice.finish_reason else []
    assert (name, json.loads(arguments), ends) == ("get_weather", {"city": "Oslo", "days": 2}, ["function_call"])


def test_streamed_tools(client, model):
    with client.chat.completions.stream(
        model=model, messages=[user("weather in Oslo for 2 days")], tools=[WEATHER]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo", "days": 2}
    assert final.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "choice, calls",
    [
        ("auto", 0),
        ("none", 0),
        ("required", 1),
        ({"type": "function", "function": {"name": "clock"}}, 1),
    ],
)
def test_tool_choice(client, model, choice, calls):
    reply = client.chat.completions.create(
        model=model, messages=[user("Hello")], tools=[WEATHER, CLOCK], tool_choice=choice
    )
    assert len(reply.choices[0].message.tool_calls or []) == calls
    if isinstance(choice, dict):
        assert reply.choices[0].message.tool_calls[0].function.name == "clock"


def test_json_mode(client, model):
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": "Respond in JSON."}, user("List 3 languages.")],
        response_format={"type": "json_object"},
    )
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


def test_json_schema(client, model):
    from pydantic import BaseModel

    class Step(BaseModel):
        explanation: str
        output: str

    class Answer(BaseModel):
        steps: list[Step]
        final: int
        sure: bool

    reply = client.chat.completions.parse(
        model=model, messages=[user("What is 8 + 7?")], response_format=Answer
    )
    assert isinstance(reply.choices[0].message.parsed, Answer)
    assert reply.choices[0].message.parsed.final == 8


def test_vision(client, model):
    reply = client.chat.completions.create(
        model=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
                ],
            }
        ],
    )
    text = reply.choices[0].message.content
    assert "an image of type image/png" in text
    assert "an image at https://example.com/cat.jpg" in text


def test_files(client, model):
    reply = client.chat.completions.create(
        model=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
                    {"type": "text", "text": "Summarize"},
                ],
            }
        ],
    )
    assert "a document of type application/pdf" in reply.choices[0].message.content


def test_reasoning_survives_a_round_trip(client, model):
    messages = [user("What is the weather in Rome for 1 days?")]
    first = client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], reasoning_effort="low", max_completion_tokens=4000
    )
    message = first.choices[0].message
    assert "The user says" in message.reasoning_content
    if model == "via-anthropic":
        assert message.reasoning_details[0]["signature"] == "c2ltdWxhdGVk"
    assert first.usage.completion_tokens_details.reasoning_tokens > 0
    messages.append(message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "fair"})
    last = client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], reasoning_effort="low", max_completion_tokens=4000
    )
    # Still thinking: the signed thought came back to its maker.
    assert last.choices[0].message.reasoning_content
    assert "fair" in last.choices[0].message.content


def test_refusal(client, model):
    reply = client.chat.completions.create(model=model, messages=[user("please refuse")])
    message = reply.choices[0].message
    assert "can't help" in (message.refusal or message.content)


def test_errors(client):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nope", messages=[user("x")])
    assert unknown.value.type == "not_found_error"
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="via-chat", messages=[user("x")], temperature=9)
    assert bad.value.param == "temperature"
    stranger = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_models(client):
    models = list(client.models.list())
    assert models[0].id == "auto"
    assert client.models.retrieve("via-gemini").owned_by == "g"


@pytest.mark.parametrize("model", ["embed-chat", "embed-gemini"])
def test_embeddings(client, model):
    one = client.embeddings.create(model=model, input="The quick brown fox")
    assert one.object == "list" and one.usage.total_tokens > 0
    assert abs(sum(x * x for x in one.data[0].embedding) - 1) < 1e-4
    many = client.embeddings.create(
        model=model, input=["The quick brown fox", "jumps"], dimensions=16, encoding_format="float"
    )
    assert [item.index for item in many.data] == [0, 1]
    assert len(many.data[1].embedding) == 16
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="via-chat", input="x")
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=model, input=[])
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, messages=[user("x")])


def test_auto(client):
    reply = client.chat.completions.with_raw_response.create(
        model="auto", messages=[user("Explain quantum computing in one sentence.")]
    )
    assert reply.headers["x-optimux-decision"].startswith("auto:balanced -> ")
    assert reply.parse().model == reply.headers["x-optimux-model"]


def test_async():
    import asyncio

    async def run():
        client = openai.AsyncOpenAI(base_url=BASE + "/v1", api_key=KEY)
        replies = await asyncio.gather(
            *(
                client.chat.completions.create(model=MODELS[n % 3], messages=[user(f"Repeat after me: {n}")])
                for n in range(30)
            )
        )
        return [reply.choices[0].message.content for reply in replies]

    assert asyncio.run(run()) == [str(n) for n in range(30)]
