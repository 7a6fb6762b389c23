"""A tool call, and its result on the way back. The model that answers may speak another dialect."""

import json
import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["OPTIMUX_URL"] + "/v1", api_key=os.environ["OPTIMUX_KEY"])
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
messages = [{"role": "user", "content": "What is the weather in Paris?"}]
asked = client.chat.completions.create(
    model="claude-sonnet-5", messages=messages, tools=[weather], tool_choice="required"
)
call = asked.choices[0].message.tool_calls[0]
print(call.function.name, json.loads(call.function.arguments))
messages += [
    asked.choices[0].message,
    {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"celsius": 21})},
]
answer = client.chat.completions.create(model="claude-sonnet-5", messages=messages, tools=[weather])
print(answer.choices[0].message.content)
