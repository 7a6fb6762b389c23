"""Google's official SDK against the gateway, onto each upstream dialect."""

import enum
import json
import os

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

BASE = os.environ["OPTIMUX_BASE"]
KEY = os.environ["OPTIMUX_KEY"]
MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]


@pytest.fixture(params=["", "/api"], scope="module")
def client(request):
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE + request.param))


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather in a city",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
            ),
        )
    ]
)


def test_generate(client, model):
    reply = client.models.generate_content(
        model=model,
        contents="Repeat after me: Grüße 🌍",
        config=types.GenerateContentConfig(system_instruction="Be brief.", temperature=0.3, max_output_tokens=100),
    )
    assert reply.text == "Grüße 🌍"
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert reply.usage_metadata.total_token_count > 0
    assert reply.model_version == model


def test_stream(client, model):
    chunks = list(client.models.generate_content_stream(model=model, contents="Repeat after me: one two three"))
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count > 0


def test_tool_loop(client, model):
    config = types.GenerateContentConfig(tools=[WEATHER])
    contents = [types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])]
    first = client.models.generate_content(model=model, contents=contents, config=config)
    call = first.function_calls[0]
    assert call.name == "get_weather" and call.args == {"city": "Paris"}
    contents.append(first.candidates[0].content)
    contents.append(
        types.Content(
            role="user",
            parts=[
                types.Part(
                    function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "sunny"})
                )
            ],
        )
    )
    last = client.models.generate_content(model=model, contents=contents, config=config)
    assert "sunny" in last.text


def test_streamed_tools(client, model):
    calls = [
        call
        for chunk in client.models.generate_content_stream(
            model=model, contents="weather in Oslo", config=types.GenerateContentConfig(tools=[WEATHER])
        )
        for call in chunk.function_calls or []
    ]
    assert [(call.name, call.args) for call in calls] == [("get_weather", {"city": "Oslo"})]


def test_structured_output(client, model):
    reply = client.models.generate_content(
        model=model,
        contents="What is 8 + 7?",
        config=types.GenerateContentConfig(
            response_mime_type="application/json",
            response_schema={"type": "OBJECT", "properties": {"sum": {"type": "INTEGER"}}, "required": ["sum"]},
        ),
    )
    assert json.loads(reply.text) == {"sum": 8}


class Recipe(BaseModel):
    recipe_name: str
    ingredients: list[str]


class Instrument(enum.Enum):
    PERCUSSION = "Percussion"
    STRING = "String"


def test_a_list_and_a_word_as_structured_output(client, model):
    """As Google's pages have them; some makers take the schemas of objects alone."""
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=list[Recipe])
    reply = client.models.generate_content(model=model, contents="List a few cookie recipes.", config=config)
    assert reply.parsed and all(isinstance(one, Recipe) for one in reply.parsed)
    chunks = client.models.generate_content_stream(model=model, contents="List a few recipes.", config=config)
    assert isinstance(json.loads("".join(chunk.text or "" for chunk in chunks)), list)
    config = types.GenerateContentConfig(response_mime_type="text/x.enum", response_schema=Instrument)
    reply = client.models.generate_content(model=model, contents="What is a violin?", config=config)
    assert reply.parsed in list(Instrument) and reply.text == reply.parsed.value
    chunks = client.models.generate_content_stream(model=model, contents="A drum?", config=config)
    assert "".join(chunk.text or "" for chunk in chunks) in [one.value for one in Instrument]


def test_vision(client, model):
    reply = client.models.generate_content(
        model=model,
        contents=[
            types.Part.from_bytes(data=b"\x89PNG\r\n", mime_type="image/png"),
            types.Part.from_uri(file_uri="https://example.com/cat.jpg", mime_type="image/jpeg"),
            "What is this?",
        ],
    )
    assert "an image of type image/png" in reply.text
    assert "an image at https://example.com/cat.jpg" in reply.text


def test_chat_session(client, model):
    chat = client.chats.create(model=model)
    assert "first" in chat.send_message("the first").text
    assert "second" in chat.send_message("the second").text


def test_count_tokens(client, model):
    assert client.models.count_tokens(model=model, contents="Hello there").total_tokens > 0


def test_errors(client):
    with pytest.raises(errors.ClientError) as unknown:
        client.models.generate_content(model="nope", contents="x")
    assert unknown.value.code == 404 and unknown.value.status == "NOT_FOUND"
    stranger = genai.Client(api_key="sk-wrong", http_options=types.HttpOptions(base_url=BASE))
    with pytest.raises(errors.ClientError) as wrong:
        stranger.models.generate_content(model="via-chat", contents="x")
    assert wrong.value.code == 401


def test_models(client):
    names = [model.name for model in client.models.list()]
    assert "models/auto" in names and "models/via-chat" in names


def test_auto(client):
    assert client.models.generate_content(model="auto", contents="Hello").model_version in MODELS
