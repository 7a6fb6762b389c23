"""The OpenAI Agents SDK, over Responses and over chat completions, onto each upstream dialect."""

import asyncio

import openai
import pytest
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

set_tracing_disabled(True)


class Sum(BaseModel):
    total: int
    note: str


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.fixture(params=[OpenAIResponsesModel, OpenAIChatCompletionsModel])
def llm(request, model, base, key):
    client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    return request.param(model=model, openai_client=client)


def run(agent, text, **more):
    return asyncio.run(Runner.run(agent, text, **more))


def test_plain(llm):
    agent = Agent(name="a", instructions="Be brief.", model=llm)
    assert run(agent, "Repeat after me: Grüße").final_output == "Grüße"


def test_stream(llm):
    async def streamed():
        result = Runner.run_streamed(Agent(name="a", model=llm), "Repeat after me: one two three")
        events = [event async for event in result.stream_events()]
        return result.final_output, events

    output, events = asyncio.run(streamed())
    assert output == "one two three" and len(events) > 4


def test_tool_loop(llm):
    agent = Agent(name="a", model=llm, tools=[get_weather])
    assert "sunny in Paris" in run(agent, "What is the weather in Paris?").final_output


def test_structured_output(llm):
    agent = Agent(name="a", model=llm, output_type=Sum)
    assert run(agent, "What is 8 + 7?").final_output.total == 8


def test_vision(llm, pixel):
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{pixel}", "detail": "auto"},
    ]
    output = run(Agent(name="a", model=llm), [{"role": "user", "content": content}]).final_output
    assert "an image of type image/png" in output


def test_chain(base, key, model):
    client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    agent = Agent(name="a", model=OpenAIResponsesModel(model=model, openai_client=client), tools=[get_weather])

    async def chained():
        first = await Runner.run(agent, "What is the weather in Rome?")
        return await Runner.run(agent, "Repeat after me: and on", previous_response_id=first.last_response_id)

    assert asyncio.run(chained()).final_output == "and on"


def test_error(base, key):
    client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    with pytest.raises(openai.NotFoundError):
        run(Agent(name="a", model=OpenAIResponsesModel(model="nope", openai_client=client)), "x")
