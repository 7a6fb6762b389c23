"""The Responses API of the official OpenAI SDK, onto each upstream dialect."""

import json
import os
import time

import openai
import pytest
from pydantic import BaseModel

BASE = os.environ["OPTIMUX_BASE"]
KEY = os.environ["OPTIMUX_KEY"]
MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(params=["/v1", "/api/v1"], scope="module")
def client(request):
    return openai.OpenAI(base_url=BASE + request.param, api_key=KEY, max_retries=0)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def test_create(client, model):
    reply = client.responses.create(
        model=model,
        instructions="Be brief.",
        input="Repeat after me: Gr\u00fc\u00dfe",
        temperature=0.4,
        max_output_tokens=100,
        metadata={"a": "b"},
    )
    assert reply.object == "response" and reply.id.startswith("resp")
    assert reply.status == "completed" and reply.model == model
    assert reply.output_text == "Gr\u00fc\u00dfe"
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    assert reply.temperature == 0.4 and reply.instructions == "Be brief."
    assert reply.tools == [] and reply.tool_choice == "auto"


def test_stream(client, model):
    with client.responses.stream(model=model, input="Repeat after me: one two three") as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "one two three"
    assert final.output_text == "one two three" and final.usage.output_tokens > 0


def test_length(client, model):
    reply = client.responses.create(model=model, input="Repeat after me: a b c d e f", max_output_tokens=2)
    assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"


def test_tool_loop(client, model):
    items = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.responses.create(model=model, input=items, tools=[WEATHER])
    call = next(item for item in first.output if item.type == "function_call")
    assert call.name == "get_weather" and json.loads(call.arguments) == {"city": "Paris"}
    items += first.output
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    last = client.responses.create(model=model, input=items, tools=[WEATHER])
    assert "sunny" in last.output_text


def test_streamed_tools(client, model):
    with client.responses.stream(model=model, input="weather in Oslo", tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    call = final.output[-1]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Oslo"})


def test_structured_output(client, model):
    class Sum(BaseModel):
        total: int
        note: str

    reply = client.responses.parse(model=model, input="What is 8 + 7?", text_format=Sum)
    assert reply.output_parsed.total == 8


def test_reasoning(client, model):
    reply = client.responses.create(
        model=model, input="Hello", reasoning={"effort": "low", "summary": "auto"}, max_output_tokens=4000
    )
    thought = next(item for item in reply.output if item.type == "reasoning")
    assert "The user says" in thought.summary[0].text


def test_vision(client, model):
    reply = client.responses.create(
        model=model,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
                ],
            }
        ],
    )
    assert "an image of type image/png" in reply.output_text


def test_errors(client):
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nope", input="x")
    with pytest.raises(openai.BadRequestError) as bad:
        client.responses.create(model="via-chat", input=[{"type": "message", "role": "user", "content": 5}])
    assert "input[0].content" in bad.value.message
    with pytest.raises(openai.BadRequestError) as state:
        client.responses.create(model="via-chat", input="x", previous_response_id="resp_1")
    assert state.value.param == "previous_response_id"


def test_auto(client):
    assert client.responses.create(model="auto", input="Hello").model in MODELS


def test_chain_across_providers(client):
    first = client.responses.create(model="via-anthropic", input="What is the weather in Rome?", tools=[WEATHER])
    call = next(item for item in first.output if item.type == "function_call")
    assert first.store is True
    last = client.responses.create(
        model="via-gemini",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "cloudy"}],
        tools=[WEATHER],
    )
    assert "cloudy" in last.output_text and last.previous_response_id == first.id
    items = client.responses.input_items.list(last.id, order="asc").data
    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]
    assert client.responses.retrieve(last.id).output_text == last.output_text
    client.responses.delete(last.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(last.id)


def test_background(client, model):
    queued = client.responses.create(model=model, input="Repeat after me: in good time", background=True)
    assert queued.status == "queued"
    for _ in range(200):
        done = client.responses.retrieve(queued.id)
        if done.status not in ("queued", "in_progress"):
            break
        time.sleep(0.02)
    assert done.output_text == "in good time" and done.id == queued.id
    assert client.responses.cancel(queued.id).status == "completed"


def test_conversation(client, model):
    conversation = client.conversations.create(metadata={"a": "b"})
    client.responses.create(model=model, input="Repeat after me: yes", conversation=conversation.id)
    with client.responses.stream(model=model, input="Repeat after me: no", conversation=conversation.id) as stream:
        assert stream.get_final_response().output_text == "no"
    items = client.conversations.items.list(conversation.id, order="asc").data
    assert [item.role for item in items] == ["user", "assistant", "user", "assistant"]
    assert client.conversations.delete(conversation.id).deleted
