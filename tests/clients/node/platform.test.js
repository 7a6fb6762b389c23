// The endpoints of seeds 000 and 001 from JavaScript, as a new user tries them.
import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";

const bases = [process.env.OPTIMUX_PLAIN, process.env.OPTIMUX_CLUSTER].filter(Boolean);
const key = process.env.OPTIMUX_KEY;

async function call(base, method, path, body, token = key) {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, told: await answer.json() };
}

for (const [number, base] of bases.entries()) {
  test(`node ${number}: sign in, remember, save, run, sign out`, async () => {
    const name = `js-${number}-${Date.now()}`;
    const account = (await call(base, "POST", "/v1/admin/accounts", { name, plan: "enterprise" })).told.id;
    const credentials = { email: `${name}@example.com`, password: "correct horse battery staple" };
    await call(base, "POST", `/v1/admin/accounts/${account}/members`, { ...credentials, role: "owner" });
    const session = (await call(base, "POST", "/api/auth/login", credentials, "")).told;
    const token = session.access_token;
    const mine = (method, path, body) => call(base, method, path, body, token);

    assert.equal((await mine("POST", "/v1/memory/store", { text: "Bob likes tea" })).status, 200);
    const found = await mine("POST", "/v1/memory/search", { query: "tea" });
    assert.equal(found.told.data[0].text, "Bob likes tea");
    const saved = await mine("PUT", "/optima/v1/conversations", { messages: [{ role: "user", content: "Hi" }] });
    assert.equal(saved.told.title, "Hi");
    const agent = await mine("POST", "/v1/agents", { name: "helper", instructions: "Help." });
    const run = await mine("POST", `/v1/agents/${agent.told.id}/runs`, { input: "Hello" });
    assert.equal(run.told.status, "completed");
    assert.equal((await mine("GET", "/v1/features")).told.data.length, 10);

    // A browser's socket can set no header but its protocols.
    const socket = new WebSocket(`${base.replace("http", "ws")}/v1/connect/events?after=evt_0`, [
      "optimux",
      `openai-insecure-api-key.${token}`,
    ]);
    const first = await new Promise((resolve, reject) => {
      socket.onmessage = (message) => resolve(JSON.parse(message.data));
      socket.onerror = reject;
    });
    assert.equal(first.type, "agent.run.started");
    socket.close();

    assert.equal((await mine("POST", "/api/auth/logout")).status, 200);
    assert.equal((await mine("GET", "/v1/features")).status, 401);
  });
}
