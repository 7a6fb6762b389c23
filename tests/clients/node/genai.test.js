// Google's official SDK for Node against the gateway, onto each upstream dialect.

import assert from "node:assert/strict";
import test from "node:test";
import { GoogleGenAI } from "@google/genai";

const client = new GoogleGenAI({
  apiKey: process.env.OPTIMUX_KEY,
  httpOptions: { baseUrl: process.env.OPTIMUX_BASE },
});

for (const model of ["via-chat", "via-responses", "via-anthropic", "via-gemini"]) {
  test(`${model}: generate and stream`, async () => {
    const contents = "Repeat after me: one two";
    assert.equal((await client.models.generateContent({ model, contents })).text, "one two");
    let text = "";
    for await (const chunk of await client.models.generateContentStream({ model, contents })) text += chunk.text ?? "";
    assert.equal(text, "one two");
  });

  test(`${model}: tools`, async () => {
    const reply = await client.models.generateContent({
      model,
      contents: "weather in Lima",
      config: {
        tools: [
          {
            functionDeclarations: [
              {
                name: "get_weather",
                parametersJsonSchema: { type: "object", properties: { city: { type: "string" } } },
              },
            ],
          },
        ],
      },
    });
    assert.deepEqual(reply.functionCalls[0].args, { city: "Lima" });
  });
}

test("errors carry the status", async () => {
  await assert.rejects(client.models.generateContent({ model: "nope", contents: "x" }), (why) => why.status === 404);
});
