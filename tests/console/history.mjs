// What is left in a browser of a page that was shown once, or to somebody who has signed out since: nothing. The
// browser keeps pages as people's browsers do, to show them again at a step back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { browser, eventually, setUp } from './pages.mjs';

let gateway;
let chromium;
let context;

before(async () => {
  gateway = await start();
  chromium = await browser({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  context = await chromium.newContext();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

// Follows a page about: every address that it is at or asks for, what it says of where it came from, and the source of
// each page but the one that may show the secret.
function followed(page) {
  const seen = [];
  page.on('framenavigated', (frame) => seen.push(['address', frame.url()]));
  page.on('request', (one) => seen.push(['request', one.url()], ['referer', one.headers().referer ?? '']));
  page.on('response', async (one) => {
    const may = one.request().method() === 'POST' && one.status() === 200;
    if (!may && one.request().resourceType() === 'document') seen.push(['source', await one.text().catch(() => '')]);
  });
  return seen;
}

// A step back or on; a page that is kept is shown without being loaded, and one that cannot be shown is none.
const step = (page, by) => page.evaluate((far) => { history.go(far); }, by).catch(() => {});
const shows = async (page) => [page.url(), await page.content().catch(() => '')];

test('a page that showed a key is not shown again, and nothing else has it', async () => {
  const page = await context.newPage();
  const seen = followed(page);
  const secrets = [];
  const made = {
    first: () => setUp(page, gateway),
    created: async () => {
      await page.goto(`${gateway.base}/console/keys/new`);
      await page.fill('#name', 'once');
      await page.click('main button.primary');
    },
    rotated: async () => {
      await page.goto(`${gateway.base}/console/keys`);
      await page.click('tr:has-text("once") >> text=Rotate');
      await page.click('main button.primary');
    },
  };
  for (const [how, make] of Object.entries(made)) {
    await make();
    await page.waitForSelector('#secret');
    const secret = (await page.textContent('#secret')).trim();
    secrets.push(secret);
    const shown = page.url();
    await page.click('text=I have saved it');
    await page.waitForURL((url) => url.href !== shown && ['/console', '/console/keys'].includes(url.pathname));
    const went = page.url();
    assert.ok(!(await page.content()).includes(secret), how);
    await step(page, -1);
    await eventually(`${how}: a step back leads away`, async () => page.url() !== went);
    await eventually(`${how}: it is no page`, async () => (await shows(page))[0].startsWith('chrome-error:'));
    assert.ok(!(await shows(page))[1].includes(secret), how);
    // Typed anew, its address leads to a page without the key.
    await page.goto(shown);
    assert.ok(!(await page.content()).includes(secret), how);
  }
  assert.equal(new Set(secrets).size, 3);
  for (const path of ['', '/keys', '/keys?show=all', '/requests', '/settings', '/playground']) await page.goto(`${gateway.base}/console${path}`);
  await page.goto(`${gateway.base}/console/keys?show=all`);
  for (const href of await page.$$eval('tbody th a', (all) => all.map((one) => one.href))) await page.goto(href);
  await page.goto(`${gateway.base}/welcome`);
  assert.ok(seen.filter(([kind]) => kind === 'source').length > 10, 'sources were read');
  for (const secret of secrets) {
    assert.deepEqual(seen.filter(([, text]) => text.includes(secret)).map(([kind]) => kind), [], secret);
  }
  assert.ok(!JSON.stringify(await context.storageState()).includes('sk-optimux'));
  await page.close();
});

test('whoever signs out leaves no page behind', async () => {
  const page = await context.newPage();
  await page.goto(`${gateway.base}/console/keys`);
  await page.evaluate(() => { globalThis.kept = true; });
  await page.click('nav >> text=Settings');
  await page.waitForURL('**/settings');
  // While they are in, the page is shown as it was.
  await step(page, -1);
  await eventually('a step back', async () => page.url().endsWith('/console/keys') && page.evaluate(() => globalThis.kept === true));
  await page.click('text=Sign out');
  await page.waitForURL('**/signin**');
  await step(page, -1);
  await page.waitForURL('**/signin?next=**');
  assert.ok(!(await shows(page))[1].includes('admin@example.com'));
  await page.close();
});
