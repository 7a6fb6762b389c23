"""pydantic-ai's model classes, each through its own surface onto each upstream dialect."""

import asyncio

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Sum(BaseModel):
    total: int
    note: str


def made(kind, name, base, key):
    if kind == "chat":
        return OpenAIChatModel(name, provider=OpenAIProvider(base_url=f"{base}/v1", api_key=key))
    if kind == "responses":
        return OpenAIResponsesModel(name, provider=OpenAIProvider(base_url=f"{base}/v1", api_key=key))
    if kind == "anthropic":
        return AnthropicModel(name, provider=AnthropicProvider(base_url=base, api_key=key))
    return GoogleModel(name, provider=GoogleProvider(base_url=base, api_key=key))


@pytest.fixture(params=["chat", "responses", "anthropic", "gemini"])
def llm(request, model, base, key):
    return made(request.param, model, base, key)


def test_plain(llm):
    reply = Agent(llm, instructions="Be brief.").run_sync("Repeat after me: Grüße")
    assert reply.output == "Grüße"


def test_stream(llm):
    async def streamed():
        async with Agent(llm).run_stream("Repeat after me: one two three four") as run:
            return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(streamed())
    assert "".join(pieces) == "one two three four" and len(pieces) > 1


def test_tool_loop(llm):
    agent = Agent(llm)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    assert "sunny in Paris" in agent.run_sync("What is the weather in Paris?").output


def test_structured_output(llm):
    from pydantic_ai import NativeOutput

    try:
        agent = Agent(llm, output_type=NativeOutput(Sum))
        reply = agent.run_sync("What is 8 + 7?")
    except Exception as why:  # the class decides by the model's name whether it dares
        if "not supported" not in str(why):
            raise
        pytest.skip("pydantic-ai does not know that this model can")
    assert reply.output.total == 8


def test_vision(llm, pixel):
    import base64

    image = BinaryContent(data=base64.b64decode(pixel), media_type="image/png")
    assert "an image of type image/png" in Agent(llm).run_sync(["What is this?", image]).output


@pytest.mark.parametrize("kind", ["chat", "responses", "anthropic", "gemini"])
def test_error(kind, base, key):
    with pytest.raises(ModelHTTPError) as refused:
        Agent(made(kind, "nope", base, key)).run_sync("x")
    assert refused.value.status_code == 404
