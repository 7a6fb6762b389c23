"""The examples of the API documents, as printed, with only the base URL and the key replaced."""

import contextlib
import io
import json
import os
import subprocess

import pytest

BASE = os.environ["OPTIMUX_PLAIN"]
KEY = os.environ["OPTIMUX_KEY"]
HOSTS = [
    "https://optima.yourcompany.com",
    "https://api.optima-forge.com",
    "https://your-api-host.com",
    "https://api.optamil.com",
    "https://your-domain.com",
]
KEYS = ["your-optima-api-key", "$FORGE_API_KEY", "YOUR_API_KEY"]


def ours(text):
    for host in HOSTS:
        text = text.replace(host, BASE)
    for key in KEYS:
        text = text.replace(key, KEY)
    return text


CURL = {
    "chat (auto)": (
        r"""curl -X POST https://api.optima-forge.com/v1/chat/completions \
-H "Authorization: Bearer $FORGE_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"model": "auto",
"messages": [{"role": "user", "content": "Hello"}]
}'""",
        lambda told: told["choices"][0]["message"]["content"],
    ),
    "models": (
        r"""curl https://your-api-host.com/v1/models \
-H "Authorization: Bearer YOUR_API_KEY" """,
        lambda told: told["object"] == "list" and told["data"][0]["id"] == "auto",
    ),
    "chat": (
        r"""curl https://your-api-host.com/v1/chat/completions \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"model": "gpt-4o",
"messages": [
{"role": "user", "content": "Hello!"}
]
}'""",
        lambda told: told["choices"][0]["finish_reason"] == "stop",
    ),
    "embeddings": (
        r"""curl https://your-api-host.com/v1/embeddings \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"model": "text-embedding-3-small",
"input": "Hello world"
}'""",
        lambda told: told["data"][0]["embedding"],
    ),
    "responses": (
        r"""curl https://your-api-host.com/v1/responses \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"model": "gpt-4o",
"input": "Explain quantum computing."
}'""",
        lambda told: told["output"][0]["content"][0]["type"] == "output_text",
    ),
    "chat under /api": (
        r"""curl https://your-domain.com/api/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer YOUR_API_KEY" \
-d '{
"model": "gpt-4o",
"messages": [
{ "role": "system", "content": "You are a helpful assistant." },
{ "role": "user", "content": "What is the capital of France?" }
],
"temperature": 0.7,
"max_tokens": 512,
"stream": false
}'""",
        lambda told: told["usage"]["total_tokens"] > 0,
    ),
    "images": (
        r"""curl https://your-domain.com/api/v1/images/generations \
-H "Content-Type: application/json" \
-H "Authorization: Bearer YOUR_API_KEY" \
-d '{
"model": "dall-e-3",
"prompt": "A photorealistic cat sitting on a rooftop at sunset",
"size": "1024x1024",
"quality": "standard",
"n": 1
}'""",
        lambda told: told["data"][0]["url"] and told["data"][0]["revised_prompt"],
    ),
    "models under /api": (
        r"""curl https://your-domain.com/api/v1/models \
-H "Authorization: Bearer YOUR_API_KEY" """,
        lambda told: {"gpt-4o", "claude-sonnet-4", "dall-e-3"} <= {model["id"] for model in told["data"]},
    ),
    "gemini": (
        r"""curl "https://your-domain.com/api/v1beta/models/gemini-2.5-pro:generateContent" \
-H "Content-Type: application/json" \
-H "x-goog-api-key: YOUR_API_KEY" \
-d '{
"contents": [
{
"parts": [{ "text": "Explain quantum entanglement simply." }]
}
]
}'""",
        lambda told: told["candidates"][0]["finishReason"] == "STOP" and told["usageMetadata"]["totalTokenCount"],
    ),
}

PYTHON = {
    "requests": r"""
import requests
api_key = "YOUR_API_KEY"
response = requests.post(
"https://api.optima-forge.com/v1/chat/completions",
headers={"Authorization": f"Bearer {api_key}"},
json={
"model": "auto",
"messages": [{"role": "user", "content": "Hello"}],
},
)
print(response.json()["choices"][0]["message"]["content"])
""",
    "openai": r"""
from openai import OpenAI
client = OpenAI(
base_url="https://your-api-host.com/v1",
api_key="YOUR_API_KEY", # from Settings > API Keys
)
response = client.chat.completions.create(
model="gpt-4o",
messages=[{"role": "user", "content": "Hello!"}],
)
print(response.choices[0].message.content)
""",
    "auto": r"""
from openai import OpenAI
client = OpenAI(
base_url="https://api.optamil.com/v1",
api_key="YOUR_API_KEY"
)
response = client.chat.completions.create(
model="auto", # Neural Router picks the best model
messages=[
{"role": "user", "content": "Explain quantum computing in one sentence."}
]
)
print(response.choices[0].message.content)
""",
    "stream": r"""
from openai import OpenAI
client = OpenAI(
base_url="https://api.optamil.com/v1",
api_key="YOUR_API_KEY"
)
stream = client.chat.completions.create(
model="auto",
messages=[{"role": "user", "content": "Write a haiku about AI."}],
stream=True
)
for chunk in stream:
    if chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="")
""",
    "JSON mode": r"""
from openai import OpenAI
client = OpenAI(base_url="https://api.optamil.com/v1", api_key="YOUR_API_KEY")
response = client.chat.completions.create(
model="auto",
response_format={"type": "json_object"},
messages=[
{"role": "system", "content": "Respond in JSON."},
{"role": "user", "content": "List 3 programming languages with their year of creation."}
]
)
import json
print(json.loads(response.choices[0].message.content))
""",
    "a model directly": r"""
from openai import OpenAI
client = OpenAI(base_url="https://api.optamil.com/v1", api_key="YOUR_API_KEY")
response = client.chat.completions.create(
model="claude-sonnet-4", # Direct model access
messages=[
{"role": "user", "content": "Analyze the implications of quantum error correction."}
],
max_tokens=2000,
temperature=0.7
)
print(response.choices[0].message.content)
""",
    "under /api": r"""
import openai
client = openai.OpenAI(
api_key="YOUR_API_KEY",
base_url="https://your-domain.com/api/v1",
)
response = client.chat.completions.create(
model="gpt-4o",
messages=[
{"role": "system", "content": "You are a helpful assistant."},
{"role": "user", "content": "What is the capital of France?"},
],
temperature=0.7,
max_tokens=512,
)
print(response.choices[0].message.content)
""",
    "image": r"""
import openai
client = openai.OpenAI(
api_key="YOUR_API_KEY",
base_url="https://your-domain.com/api/v1",
)
response = client.images.generate(
model="dall-e-3",
prompt="A photorealistic cat sitting on a rooftop at sunset",
size="1024x1024",
quality="standard",
n=1,
)
print(response.data[0].url)
""",
}

NODE = {
    "auto": r"""
import OpenAI from "openai";
const client = new OpenAI({
baseURL: "https://api.optamil.com/v1",
apiKey: "YOUR_API_KEY",
});
const response = await client.chat.completions.create({
model: "auto", // Neural Router picks the best model
messages: [
{ role: "user", content: "Explain quantum computing in one sentence." }
],
});
console.log(response.choices[0].message.content);
""",
    "stream": r"""
import OpenAI from "openai";
const client = new OpenAI({
baseURL: "https://api.optamil.com/v1",
apiKey: "YOUR_API_KEY",
});
const stream = await client.chat.completions.create({
model: "auto",
messages: [{ role: "user", content: "Write a haiku about AI." }],
stream: true,
});
for await (const chunk of stream) {
process.stdout.write(chunk.choices[0]?.delta?.content || "");
}
""",
    "chat": r"""
import OpenAI from "openai";
const client = new OpenAI({
apiKey: "YOUR_API_KEY",
baseURL: "https://your-domain.com/api/v1",
});
const response = await client.chat.completions.create({
model: "gpt-4o",
messages: [
{ role: "system", content: "You are a helpful assistant." },
{ role: "user", content: "What is the capital of France?" },
],
temperature: 0.7,
max_tokens: 512,
});
console.log(response.choices[0].message.content);
""",
    "image": r"""
import OpenAI from "openai";
const client = new OpenAI({
apiKey: "YOUR_API_KEY",
baseURL: "https://your-domain.com/api/v1",
});
const response = await client.images.generate({
model: "dall-e-3",
prompt: "A photorealistic cat sitting on a rooftop at sunset",
size: "1024x1024",
quality: "standard",
n: 1,
});
console.log(response.data[0].url);
""",
}


@pytest.mark.parametrize("name", CURL)
def test_curl(name):
    command, holds = CURL[name]
    command = ours(command).replace("curl ", "curl -sS ", 1)
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert holds(json.loads(told.stdout)), told.stdout


def test_curl_stream():
    command = ours(
        r"""curl -sSN https://api.optamil.com/v1/chat/completions \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"model": "auto",
"messages": [{"role": "user", "content": "Write a haiku about AI."}],
"stream": true
}'"""
    )
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert told.startswith("data: {") and told.rstrip().endswith("data: [DONE]")


@pytest.mark.parametrize("name", PYTHON)
def test_python(name):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(ours(PYTHON[name]), name, "exec"), {})
    assert out.getvalue().strip()


@pytest.mark.parametrize("name", NODE)
def test_node(name, tmp_path):
    (tmp_path / "node_modules").symlink_to(os.environ["NODE_MODULES"])
    file = tmp_path / "example.mjs"
    file.write_text(ours(NODE[name]))
    told = subprocess.run(["node", file], capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.strip(), told.stderr


def test_error_as_documented():
    command = f"curl -sS {BASE}/api/v1/models -H 'Authorization: Bearer nonsense'"
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    error = json.loads(told.stdout)["error"]
    assert error["message"] == "Invalid API key provided."
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
