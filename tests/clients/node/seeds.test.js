// What the API documents show of a browser, with the base URL and the key replaced.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket as Ws } from "ws";

const base = process.env.OPTIMUX_PLAIN;
const apiKey = process.env.OPTIMUX_KEY;
// Browsers and later Nodes have one.
const WebSocket = globalThis.WebSocket ?? Ws;

test("fetch", async () => {
  const response = await fetch(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
    body: JSON.stringify({ model: "auto", messages: [{ role: "user", content: "Hello" }] }),
  });
  const data = await response.json();
  assert.ok(data.choices[0].message.content);
});

test("realtime", async () => {
  const ws = new WebSocket(`${base.replace("http", "ws")}/v1/realtime?model=gpt-4o-realtime`, [
    "realtime",
    `openai-insecure-api-key.${apiKey}`,
  ]);
  ws.onopen = () => {
    ws.send(JSON.stringify({ type: "session.update", session: { modalities: ["text"] } }));
  };
  const seen = await new Promise((resolve, reject) => {
    const types = [];
    ws.onerror = reject;
    ws.onmessage = (event) => {
      const data = JSON.parse(event.data);
      types.push(data.type);
      if (data.type === "session.updated") resolve(types);
    };
  });
  assert.deepEqual(seen, ["session.created", "session.updated"]);
  assert.equal(ws.protocol, "realtime");
  ws.close();
});
