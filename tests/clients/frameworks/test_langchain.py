"""LangChain's three integrations, each through its own surface onto each upstream dialect."""

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Sum(BaseModel):
    """A sum and a remark."""

    total: int
    note: str


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.fixture(params=["chat", "responses", "anthropic", "gemini"])
def llm(request, model, base, key):
    if request.param == "chat":
        return ChatOpenAI(model=model, base_url=f"{base}/v1", api_key=key, max_retries=0)
    if request.param == "responses":
        return ChatOpenAI(model=model, base_url=f"{base}/v1", api_key=key, max_retries=0, use_responses_api=True)
    if request.param == "anthropic":
        return ChatAnthropic(model=model, base_url=base, api_key=key, max_retries=0, max_tokens=4000)
    return ChatGoogleGenerativeAI(model=model, base_url=base, google_api_key=key, max_retries=0)


def text(message):
    return message.text if isinstance(message.text, str) else message.text()


def test_plain(llm):
    reply = llm.invoke([SystemMessage("Be brief."), HumanMessage("Repeat after me: Grüße")])
    assert text(reply) == "Grüße"
    assert reply.usage_metadata["total_tokens"] > 0


def test_stream(llm):
    whole = None
    count = 0
    for chunk in llm.stream("Repeat after me: one two three four"):
        whole = chunk if whole is None else whole + chunk
        count += 1
    assert text(whole) == "one two three four" and count > 2


def test_tool_loop(llm):
    bound = llm.bind_tools([get_weather])
    messages = [HumanMessage("What is the weather in Paris?")]
    first = bound.invoke(messages)
    assert [call["name"] for call in first.tool_calls] == ["get_weather"]
    messages.append(first)
    for call in first.tool_calls:
        messages.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
    assert "sunny in Paris" in text(bound.invoke(messages))


def test_structured_output(llm):
    assert llm.with_structured_output(Sum).invoke("What is 8 + 7?").total == 8


def test_vision(llm, pixel):
    image = {"type": "image", "base64": pixel, "mime_type": "image/png"}
    message = HumanMessage([{"type": "text", "text": "What is this?"}, image])
    assert "an image of type image/png" in text(llm.invoke([message]))


def test_error(base, key):
    with pytest.raises(Exception, match="nope"):
        ChatOpenAI(model="nope", base_url=f"{base}/v1", api_key=key, max_retries=0).invoke("x")
    with pytest.raises(Exception, match="(?i)invalid api key"):
        ChatAnthropic(model="via-chat", base_url=base, api_key="sk-wrong", max_retries=0).invoke("x")


@pytest.mark.parametrize("name", ["embed-chat", "embed-gemini"])
def test_embeddings(name, base, key):
    # Tokens are OpenAI's own, which only its own models understand.
    vectors = OpenAIEmbeddings(model=name, base_url=f"{base}/v1", api_key=key, check_embedding_ctx_length=False)
    assert len(vectors.embed_documents(["a", "b"])) == 2
