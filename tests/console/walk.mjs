// The console as people use it, in a browser: from an empty folder to a first answer, in two tabs, and forms without a
// script.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { PASSWORD, ask, browser, eventually, goElsewhere, joinAnother, setUp, typed } from './pages.mjs';

let gateway;
let chromium;
let inside;
let began;

before(async () => {
  chromium = await browser();
  began = Date.now();
  gateway = await start();
  inside = await chromium.newContext();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

test('from an empty folder to a first answer', async () => {
  const page = await inside.newPage();
  await setUp(page, gateway);
  const answer = typed(await page.textContent('#first-text-0'));
  assert.ok(answer.choices[0].message.content.length > 0, JSON.stringify(answer));
  await page.click('[data-run]');
  await page.waitForFunction(() => document.querySelector('[data-ran]').textContent.includes(' ms: '));
  await page.click('text=I have saved it');
  await page.waitForURL('**/console');
  assert.ok(Date.now() - began < 60_000, 'within a minute');
  await page.close();
});

test('with the key of a provider, too', async () => {
  const real = await start('', '', { OPENAI_API_KEY: 'sk-x' });
  const context = await chromium.newContext();
  try {
    const page = await context.newPage();
    const first = await setUp(page, real);
    const told = async (path) => (await fetch(real.base + path, { headers: { authorization: `Bearer ${first}` } })).json();
    const { data } = await told('/v1/models');
    assert.ok(data.some((one) => one.id.startsWith('gpt-')), 'what the provider has');
    assert.ok(!data.some((one) => one.id.startsWith('claude-')), 'and nothing made up');
    await page.click('text=I have saved it');
    await page.waitForSelector('text=Waiting for your first request');
  } finally {
    await context.close();
    real.stop();
  }
});

test('the first request shows up by itself', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  await page.goto(`${gateway.base}/signup`);
  await page.fill('#email', 'ann@example.com');
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForSelector('#secret');
  const own = (await page.textContent('#secret')).trim();
  await page.goto(`${gateway.base}/console`);
  await page.waitForSelector('text=Waiting for your first request');
  await ask(gateway, own, 'auto', 'Hello');
  await page.waitForSelector('text=Last requests', { timeout: 15_000 });
  // Two tabs, one session: neither signs the other out.
  const other = await context.newPage();
  await Promise.all(Array.from({ length: 20 }, (_, at) => context.request.get(`${gateway.base}/console/${at % 2 ? 'keys' : 'usage'}`)));
  for (const tab of [page, other]) {
    await tab.goto(`${gateway.base}/console/keys`);
    assert.ok(await tab.isVisible('text=Create key'));
  }
  await context.close();
});

test('two tabs, one goes to another account, and nobody is signed out', async () => {
  const context = await chromium.newContext({ storageState: await inside.storageState() });
  const [one, other] = [await context.newPage(), await context.newPage()];
  await joinAnother(one, gateway);
  await other.goto(`${gateway.base}/console/keys/new`);
  await other.fill('#name', 'of the account before');
  await one.goto(`${gateway.base}/console`);
  const before = await one.textContent('.account');
  const cookie = async () => (await context.cookies()).find((kept) => kept.name === 'optimux').value;
  const kept = await cookie();
  const asked = Array.from({ length: 40 }, (_, at) => context.request.get(`${gateway.base}/console/${['keys', 'usage', 'team', 'settings'][at % 4]}`));
  await goElsewhere(one);
  for (const answer of await Promise.all(asked)) {
    assert.equal(answer.status(), 200);
    assert.ok(answer.url().includes('/console/'), answer.url());
  }
  const after = await one.textContent('.account');
  assert.notEqual(after, before);
  assert.equal(await cookie(), kept);
  // The form of the tab that was in the other account does nothing here.
  await other.click('main button.primary');
  assert.ok((await other.textContent('main')).includes('another session'), await other.textContent('main'));
  for (const tab of [one, other]) {
    await tab.goto(`${gateway.base}/console/keys`);
    assert.equal(await tab.textContent('.account'), after);
    assert.ok(!(await tab.textContent('main')).includes('of the account before'));
  }
  await goElsewhere(one);
  assert.equal(await one.textContent('.account'), before);
  await context.close();
});

test('forms work without a script', async () => {
  const context = await chromium.newContext({ javaScriptEnabled: false, storageState: await inside.storageState() });
  const page = await context.newPage();
  await page.goto(`${gateway.base}/console/keys/new`);
  await page.fill('#name', 'without');
  await page.click('main button.primary');
  const made = (await page.textContent('#secret')).trim();
  assert.equal((await ask(gateway, made, 'auto', 'Hello')).status, 200);
  await page.goto(`${gateway.base}/console/keys`);
  await page.click('tr:has-text("without") >> text=Rotate');
  await page.click('main button.primary');
  const next = (await page.textContent('#secret')).trim();
  assert.equal((await ask(gateway, next, 'auto', 'Hello')).status, 200);
  await page.reload().catch(() => {});
  assert.ok(!(await page.content()).includes(next), 'a reload shows no key');
  await context.close();
});

test('what is sent small stays small', async () => {
  const sizes = { css: 0, js: 0 };
  const page = await inside.newPage();
  page.on('response', async (answer) => {
    const kind = answer.url().match(/\/assets\/.*\.(css|js)$/)?.[1];
    if (kind) sizes[kind] += (await answer.body()).length;
  });
  await page.goto(`${gateway.base}/console/playground`);
  await eventually('all has come', async () => sizes.css > 0 && sizes.js > 0);
  assert.ok(sizes.css <= 20_480, `${sizes.css} bytes of style`);
  assert.ok(sizes.js <= 16_384, `${sizes.js} bytes of script`);
  await page.close();
});
