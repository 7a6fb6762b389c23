// The official Anthropic SDK for Node against the gateway, onto each upstream dialect.

import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.OPTIMUX_BASE,
  apiKey: process.env.OPTIMUX_KEY,
  maxRetries: 0,
});
const tools = [
  { name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } } } },
];

for (const model of ["via-chat", "via-responses", "via-anthropic", "via-gemini"]) {
  test(`${model}: message and stream`, async () => {
    const messages = [{ role: "user", content: "Repeat after me: one two" }];
    const reply = await client.messages.create({ model, max_tokens: 50, messages });
    assert.equal(reply.content[0].text, "one two");
    const final = await client.messages.stream({ model, max_tokens: 50, messages }).finalMessage();
    assert.equal(final.content[0].text, "one two");
    assert.equal(final.stop_reason, "end_turn");
  });

  test(`${model}: tools`, async () => {
    const messages = [{ role: "user", content: "weather in Lima" }];
    const first = await client.messages.stream({ model, max_tokens: 50, messages, tools }).finalMessage();
    const call = first.content.at(-1);
    assert.deepEqual(call.input, { city: "Lima" });
    messages.push(
      { role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "grey" }] },
    );
    const last = await client.messages.create({ model, max_tokens: 50, messages, tools });
    assert.match(last.content[0].text, /grey/);
  });
}

test("errors are the SDK's own", async () => {
  const messages = [{ role: "user", content: "x" }];
  await assert.rejects(client.messages.create({ model: "nope", max_tokens: 5, messages }), Anthropic.NotFoundError);
});
