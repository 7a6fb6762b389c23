"""The official OpenAI SDK's realtime connection."""

import asyncio

import openai


def test_session(base, key):
    async def talk():
        client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key)
        said = []
        async with client.realtime.connect(model="talk") as connection:
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Repeat after me: hello there"}]}
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            async for event in connection:
                if event.type == "response.output_text.delta":
                    said.append(event.delta)
                if event.type == "response.done":
                    return "".join(said), event.response.usage.total_tokens

    said, tokens = asyncio.run(talk())
    assert said == "hello there" and tokens > 0
