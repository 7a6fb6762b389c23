// What takes more than one browser, or more than one site: two who edit an agent at once, an app whose account is lent
// by its own server, a code for the camera of a phone.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { access, browser, call, joined, setUp } from './pages.mjs';

const VAULT = { OPTIMUX_VAULT_KEY: '0123456789abcdef0123456789abcdef' };
let granting;
let gateway;
let chromium;
let inside;

// An authorization server that lets everybody in at once, and says what it was asked.
async function authorizing() {
  const asked = [];
  const server = createServer((request, answer) => {
    const url = new URL(request.url, 'http://here');
    let body = '';
    request.on('data', (piece) => { body += piece; });
    request.on('end', () => {
      asked.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), body });
      if (url.pathname === '/authorize') {
        const back = new URL(url.searchParams.get('redirect_uri'));
        back.searchParams.set('state', url.searchParams.get('state'));
        back.searchParams.set('code', 'a-code');
        answer.writeHead(302, { location: String(back) }).end();
      } else {
        answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ access_token: 'lent', expires_in: 3600 }));
      }
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { base: `http://127.0.0.1:${server.address().port}`, asked, stop: () => server.close() };
}

before(async () => {
  granting = await authorizing();
  const document = join(tmpdir(), `optimux-doing-${process.pid}.json`);
  writeFileSync(document, JSON.stringify({ openapi: '3.1.0', servers: [{ url: granting.base }], paths: { '/me': { get: { operationId: 'me' } } } }));
  const auth = `{ kind = "oauth", authorize_url = "${granting.base}/authorize", token_url = "${granting.base}/token", client_id = "c", scopes = ["read"] }`;
  gateway = await start(`[connect.apps.me]\nopenapi = "${document}"\nallow_private = true\nauth = ${auth}\n`, '', VAULT);
  chromium = await browser();
  inside = await chromium.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await inside.newPage();
  await setUp(page, gateway);
  await page.close();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  granting?.stop();
});

// A page of whoever is signed in, and all that the browser complained of there.
async function opened(path, context = inside) {
  const page = await context.newPage();
  const complained = [];
  page.on('console', (said) => { if (said.type() === 'error') complained.push(said.text()); });
  page.on('pageerror', (why) => complained.push(String(why)));
  await page.goto(gateway.base + path);
  return { page, complained };
}

test('two edit an agent at once: the second sees both, side by side', async () => {
  const made = await call(gateway, 'POST', '/v1/agents', { name: 'helper', model: 'auto', instructions: 'As it was.' }, await access(gateway));
  await joined(gateway, 'bob@example.com');
  const path = `/console/agents/${made.json.id}`;
  // The other editor is in a browser of their own.
  const elsewhere = await chromium.newContext({ storageState: await inside.storageState() });
  const [one, other] = [await opened(path), await opened(path, elsewhere)];
  const save = async ({ page }, said) => {
    await page.fill('#instructions', said);
    const [answer] = await Promise.all([page.waitForNavigation(), page.click('main form button.primary')]);
    return answer.status();
  };
  assert.equal(await save(one, 'Of the first.'), 200);
  assert.equal(await save(other, 'Of the second.'), 412);
  const { page } = other;
  assert.match(await page.textContent('[role=alert]'), /\S/);
  assert.equal(await page.inputValue('#instructions'), 'Of the second.');
  assert.match(await page.textContent('#now'), /Of the first\./);
  const boxes = async () => [await page.locator('.two > form').boundingBox(), await page.locator('.two > section').boundingBox()];
  const [typed, now] = await boxes();
  assert.ok(now.x >= typed.x + typed.width && Math.abs(now.y - typed.y) < 2, `side by side: ${JSON.stringify([typed, now])}`);
  await page.setViewportSize({ width: 360, height: 800 });
  const [above, below] = await boxes();
  assert.ok(below.y >= above.y + above.height, 'one under the other where there is no room');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'and nothing to scroll to');
  // Saved again, it takes the place of the first.
  assert.equal(await save(other, 'Of both.'), 200);
  await one.page.goto(gateway.base + path);
  assert.equal(await one.page.inputValue('#instructions'), 'Of both.');
  await elsewhere.close();
  await one.page.close();
});

test('an account of an app is lent by its own server, and the way ends on a page', async () => {
  const { page, complained } = await opened('/console/connect');
  await page.waitForSelector('text=not connected');
  await Promise.all([page.waitForNavigation(), page.click('main form button.primary')]);
  await Promise.all([page.waitForNavigation(), page.click('main a.primary')]);
  // Who is to be let in is said before the browser leaves.
  await page.waitForSelector('form button');
  const [last] = await Promise.all([
    page.waitForResponse((answer) => answer.url().includes('/oauth/callback')),
    page.click('form button'),
  ]);
  assert.equal(last.status(), 200);
  assert.match(last.headers()['content-type'], /^text\/html/);
  assert.deepEqual(granting.asked.map((one) => one.path), ['/authorize', '/token']);
  assert.ok(granting.asked[0].query.code_challenge && granting.asked[1].body.includes('code=a-code'));
  await Promise.all([page.waitForNavigation(), page.click('text=Back to the console')]);
  assert.equal(page.url(), `${gateway.base}/console/connect`);
  await page.waitForSelector('.tag.good:has-text("connected")');
  assert.ok(!(await page.content()).includes('a-code'));
  assert.deepEqual(complained, []);
  await page.close();
});

test('a second factor is set up by a code for the camera', async () => {
  const { page, complained } = await opened('/console/settings');
  await Promise.all([page.waitForNavigation(), page.click('form[action="/console/settings/factor"] button')]);
  const drawn = page.getByRole('img', { name: /QR code/ });
  const { width, height } = await drawn.boundingBox();
  assert.ok(width >= 150 && Math.abs(width - height) < 1, `${width} by ${height}`);
  // Dark on light, in either scheme.
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const fills = await drawn.evaluate((svg) => ['rect', 'path'].map((part) => getComputedStyle(svg.querySelector(part)).fill));
    assert.deepEqual(fills, ['rgb(255, 255, 255)', 'rgb(0, 0, 0)'], colorScheme);
  }
  assert.equal(await page.locator('[style]').count(), 0);
  assert.deepEqual(complained, []);
  await page.close();
});
