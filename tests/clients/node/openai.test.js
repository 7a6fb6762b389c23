// The official OpenAI SDK for Node against the gateway, onto each upstream dialect.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({
  baseURL: `${process.env.OPTIMUX_BASE}/v1`,
  apiKey: process.env.OPTIMUX_KEY,
  maxRetries: 0,
});
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
    strict: true,
  },
};
const user = (content) => ({ role: "user", content });

for (const model of ["via-chat", "via-responses", "via-anthropic", "via-gemini"]) {
  test(`${model}: chat`, async () => {
    const reply = await client.chat.completions.create({
      model,
      messages: [{ role: "developer", content: "Be brief." }, user("Repeat after me: äöü")],
    });
    assert.equal(reply.choices[0].message.content, "äöü");
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.ok(reply.usage.total_tokens > 0);
  });

  test(`${model}: stream`, async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [user("Repeat after me: one two three")],
      stream: true,
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content || "";
    assert.equal(text, "one two three");
  });

  test(`${model}: tools, streamed, and their results`, async () => {
    const messages = [user("weather in Lima")];
    const stream = client.chat.completions.stream({ model, messages, tools: [weather] });
    const message = await stream.finalMessage();
    assert.equal(message.tool_calls[0].function.name, "get_weather");
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Lima" });
    messages.push(message, {
      role: "tool",
      tool_call_id: message.tool_calls[0].id,
      content: JSON.stringify({ sky: "grey" }),
    });
    const last = await client.chat.completions.create({ model, messages, tools: [weather] });
    assert.match(last.choices[0].message.content, /grey/);
  });

  test(`${model}: JSON schema`, async () => {
    const Event = z.object({ name: z.string(), guests: z.array(z.string()), count: z.number() });
    const reply = await client.chat.completions.parse({
      model,
      messages: [user("Alice and Bob meet 2 times")],
      response_format: zodResponseFormat(Event, "event"),
    });
    assert.equal(reply.choices[0].message.parsed.count, 2);
  });

  test(`${model}: vision`, async () => {
    const reply = await client.chat.completions.create({
      model,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
          ],
        },
      ],
    });
    assert.match(reply.choices[0].message.content, /an image of type image\/png/);
  });
}

test("errors are the SDK's own", async () => {
  await assert.rejects(client.chat.completions.create({ model: "nope", messages: [user("x")] }), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model: "auto", messages: [] }), OpenAI.BadRequestError);
  const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test("auto", async () => {
  const { data, response } = await client.chat.completions
    .create({ model: "auto", messages: [user("Write a haiku about AI.")] })
    .withResponse();
  assert.equal(data.model, response.headers.get("x-optimux-model"));
});
