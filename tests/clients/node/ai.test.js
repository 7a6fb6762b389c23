// The Vercel AI SDK with its three providers, each through its own surface onto each upstream dialect.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const base = process.env.OPTIMUX_BASE;
const apiKey = process.env.OPTIMUX_KEY;
const openai = createOpenAI({ baseURL: `${base}/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${base}/v1`, apiKey });
const google = createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey });
const compatible = createOpenAICompatible({ name: "optimux", baseURL: `${base}/v1`, apiKey, supportsStructuredOutputs: true });
const surfaces = {
  chat: (name) => openai.chat(name),
  responses: (name) => openai.responses(name),
  compatible: (name) => compatible(name),
  anthropic: (name) => anthropic(name),
  google: (name) => google(name),
};
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const getWeather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const [surface, made] of Object.entries(surfaces)) {
  for (const name of ["via-chat", "via-responses", "via-anthropic", "via-gemini"]) {
    const model = made(name);
    const more = { model, maxRetries: 0 };
    test(`ai ${surface} onto ${name}: plain`, async () => {
      const reply = await generateText({ ...more, prompt: "Repeat after me: Grüße" });
      assert.equal(reply.text, "Grüße");
      assert.ok(reply.usage.totalTokens > 0);
    });
    test(`ai ${surface} onto ${name}: stream`, async () => {
      const { textStream } = streamText({ ...more, prompt: "Repeat after me: one two three" });
      const pieces = [];
      for await (const piece of textStream) pieces.push(piece);
      assert.equal(pieces.join(""), "one two three");
      assert.ok(pieces.length > 1);
    });
    test(`ai ${surface} onto ${name}: tool loop`, async () => {
      const reply = await generateText({
        ...more,
        prompt: "What is the weather in Paris?",
        tools: { get_weather: getWeather },
        stopWhen: stepCountIs(3),
      });
      assert.match(reply.text, /sunny in Paris/);
      assert.equal(reply.steps.length, 2);
    });
    test(`ai ${surface} onto ${name}: structured output`, async () => {
      const reply = await generateText({
        ...more,
        prompt: "What is 8 + 7?",
        output: Output.object({ schema: z.object({ total: z.number().int(), note: z.string() }) }),
      });
      assert.equal(reply.output.total, 8);
    });
    test(`ai ${surface} onto ${name}: vision`, async () => {
      const content = [
        { type: "text", text: "What is this?" },
        { type: "file", data: pixel, mediaType: "image/png" },
      ];
      const reply = await generateText({ ...more, messages: [{ role: "user", content }] });
      assert.match(reply.text, /an image of type image\/png/);
    });
  }
  test(`ai ${surface}: error`, async () => {
    await assert.rejects(generateText({ model: made("nope"), maxRetries: 0, prompt: "x" }), (why) => {
      return why.statusCode === 404 && /nope/.test(why.message);
    });
  });
}

test("ai: embeddings", async () => {
  const { embeddings } = await embedMany({ model: openai.embedding("embed-gemini"), values: ["a", "b"] });
  assert.equal(embeddings.length, 2);
});
