// Pages of other origins: the one that the configuration names asks with a key that was lent to it, and reads the
// answer, its headers and its stream; any other is kept from it by the browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { elsewhere, start } from './gateway.mjs';
import { browser, setUp } from './pages.mjs';

let gateway;
let chromium;
let shop;
let stranger;
before(async () => {
  shop = await elsewhere();
  stranger = await elsewhere();
  gateway = await start(`[server]\ncors_origins = ["${shop.base}"]\n`);
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  for (const site of [shop, stranger]) site?.stop();
});

test('a page of a named origin asks with a lent key, and a stranger does not', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  const key = await setUp(page, gateway);
  const lent = await fetch(`${gateway.base}/v1/keys/browser`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ expires_in_seconds: 60, budget_usd: 0.5 }),
  });
  const { value: secret } = await lent.json();
  const asking = ([base, bearer, stream]) => fetch(`${base}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', 'idempotency-key': `${stream}` },
    body: JSON.stringify({ model: 'auto', stream, messages: [{ role: 'user', content: 'Hello' }] }),
  }).then(async (answer) => ({ status: answer.status, id: answer.headers.get('x-request-id'), text: await answer.text() }), (why) => ({ refused: why.name }));
  await page.goto(shop.base);
  for (const stream of [false, true]) {
    const heard = await page.evaluate(asking, [gateway.base, secret, stream]);
    assert.equal(heard.status, 200, JSON.stringify(heard));
    assert.match(heard.id, /^req_/);
    assert.ok(stream ? heard.text.includes('[DONE]') : heard.text.includes('"choices"'), heard.text);
  }
  await page.goto(stranger.base);
  assert.deepEqual(await page.evaluate(asking, [gateway.base, secret, false]), { refused: 'TypeError' });
  await context.close();
});
