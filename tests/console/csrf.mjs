// What a page of another origin can do with the session of somebody who looks at it: nothing. It sends forms,
// fetches, pictures and frames, from another port of the same address, whose requests carry the cookie, and from
// another site, with every kind of token.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { elsewhere, start } from './gateway.mjs';
import { PASSWORD, ask, browser, eventually, setUp } from './pages.mjs';

let gateway;
let chromium;
let context;
let key;
let site;
// One that the configuration lets ask with keys, and one whose pages have no origin.
let named;
let boxed;
// Tokens by what is wrong with them; `right` is that of the session itself, should it ever be learned.
const tokens = { none: '' };
const JSON_BODY = JSON.stringify({ model: 'auto', messages: [{ role: 'user', content: 'By a stranger' }] });

const tokenOf = (page) => page.getAttribute('input[name=csrf]', 'value');

async function signIn(page, email) {
  await page.goto(`${gateway.base}/signin`);
  await page.fill('#email', email);
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForURL('**/console');
}

before(async () => {
  site = await elsewhere();
  named = await elsewhere();
  boxed = await elsewhere({ 'content-security-policy': 'sandbox allow-forms allow-scripts' });
  gateway = await start(`[server]\ncors_origins = ["${named.base}"]\n`);
  chromium = await browser();
  context = await chromium.newContext();
  const page = await context.newPage();
  key = await setUp(page, gateway);
  await page.goto(`${gateway.base}/console/keys/new`);
  tokens.old = await tokenOf(page);
  await page.click('text=Sign out');
  await page.waitForURL('**/signin**');
  await signIn(page, 'admin@example.com');
  await page.goto(`${gateway.base}/console/keys/new`);
  tokens.right = await tokenOf(page);
  await page.close();
  const others = await chromium.newContext();
  const theirs = await others.newPage();
  await theirs.goto(`${gateway.base}/signup`);
  await theirs.fill('#email', 'mallory@example.com');
  await theirs.fill('#password', PASSWORD);
  await theirs.click('main button.primary');
  await theirs.waitForSelector('#secret');
  await theirs.goto(`${gateway.base}/console/keys/new`);
  tokens.another = await tokenOf(theirs);
  await others.close();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  for (const one of [site, named, boxed]) one?.stop();
});

async function told(path) {
  const answer = await fetch(gateway.base + path, { headers: { authorization: `Bearer ${key}` } });
  return (await answer.json()).data;
}
const keys = async () => (await told('/v1/keys')).map((one) => one.name).sort();

let sent = 0;
const fields = (token) => {
  sent += 1;
  return { csrf: token, once: `sent-${sent}-by-a-stranger`, name: `stranger ${sent}`, scopes: 'chat', expiry: '' };
};

// A form of a page, sent by the page itself into the window or a frame of it.
const submit = ([action, all, target]) => {
  if (target) {
    const frame = document.createElement('iframe');
    frame.name = target;
    document.body.append(frame);
  }
  const form = document.createElement('form');
  Object.assign(form, { method: 'post', action, target });
  for (const [name, value] of Object.entries(all)) {
    const field = document.createElement('input');
    Object.assign(field, { type: 'hidden', name, value });
    form.append(field);
  }
  document.body.append(form);
  form.submit();
};

// What the gateway answered to the one request that `act` sends to `path`, and what went along.
async function answered(page, path, act, leads = false) {
  const [answer] = await Promise.all([
    page.waitForResponse((one) => new URL(one.url()).pathname === path && one.request().method() === 'POST'),
    leads && page.waitForEvent('framenavigated', (frame) => frame.url().startsWith('chrome-error:') || frame.url().endsWith(path)),
    act(),
  ]);
  const headers = await answer.request().allHeaders();
  return { status: answer.status(), cookie: /(^|; )optimux=/.test(headers.cookie ?? ''), site: headers['sec-fetch-site'], origin: headers.origin };
}

test('a form of our own page is taken, and only with the token of its session', async () => {
  const page = await context.newPage();
  await page.goto(`${gateway.base}/console/keys`);
  const send = ([all, body, token]) => Promise.all([
    fetch('/console/keys/new', { method: 'POST', body: new URLSearchParams(all) }),
    fetch('/console/playground/run', { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-csrf': token } }),
  ]).then((answers) => answers.map((one) => one.status));
  for (const [kind, token] of Object.entries(tokens)) {
    const before = await keys();
    const wanted = kind === 'right' ? 200 : 403;
    assert.deepEqual(await page.evaluate(send, [fields(token), JSON_BODY.replace('a stranger', `ourselves, ${kind}`), token]), [wanted, wanted], kind);
    assert.equal((await keys()).length, before.length + (kind === 'right' ? 1 : 0), kind);
  }
  await page.close();
});

for (const [where, origin, label] of [['another port', () => site.base, 'same-site'], ['another site', () => site.named, 'cross-site'], ['an origin that may ask with keys', () => named.base, 'same-site']]) {
  test(`a page of ${where} does nothing with the session`, async () => {
    const before = await keys();
    const page = await context.newPage();
    const refused = (told, what) => assert.deepEqual(told, { status: 403, cookie: label === 'same-site', site: label, origin: origin() }, what);
    for (const [kind, token] of Object.entries(tokens)) {
      for (const target of ['', 'frame']) {
        await page.goto(origin());
        refused(await answered(page, '/console/keys/new', () => page.evaluate(submit, [`${gateway.base}/console/keys/new`, fields(token), target]), true), `a form, ${kind} ${target}`);
      }
      await page.goto(origin());
      const fetched = (path, body, headers, mode) => page.evaluate(([to, said, all, how]) => fetch(to, {
        method: 'POST', mode: how, credentials: 'include', body: said, headers: all,
      }).then(async (answer) => ({ type: answer.type, text: await answer.text() }), (why) => ({ refused: why.name })), [gateway.base + path, body, headers, mode]);
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      let came;
      for (const [path, body] of [['/console/keys/new', `${new URLSearchParams(fields(token))}`], ['/console/playground/run', JSON_BODY]]) {
        const heard = await answered(page, path, async () => { came = await fetched(path, body, form, 'no-cors'); });
        assert.equal(heard.status, 403, `fetch of ${path}, ${kind}`);
        assert.deepEqual(came, { type: 'opaque', text: '' });
      }
      // A header of its own needs leave, which nobody gets.
      const asked = await fetched('/console/playground/run', JSON_BODY, { 'content-type': 'application/json', 'x-csrf': token }, 'cors');
      assert.deepEqual(asked, { refused: 'TypeError' }, kind);
    }
    assert.deepEqual(await keys(), before);
    await page.close();
  });

  test(`a page of ${where} neither frames ours nor reads them`, async () => {
    const before = await keys();
    const page = await context.newPage();
    const said = [];
    page.on('console', (one) => said.push(one.text()));
    for (const path of ['/console/keys', '/console/keys/new', '/console/playground', '/signin', '/']) {
      await page.goto(origin());
      const [picture, frames] = await page.evaluate(async (url) => {
        const loaded = (one) => new Promise((done) => { one.onload = () => done('loaded'); one.onerror = () => done('refused'); });
        const image = new Image();
        image.src = url;
        const frame = document.createElement('iframe');
        frame.src = url;
        const shown = loaded(frame);
        document.body.append(image, frame);
        return Promise.all([loaded(image), shown.then(() => frame.contentDocument === null)]);
      }, gateway.base + path);
      assert.equal(picture, 'refused', path);
      assert.equal(frames, true, path);
      const refused = 'chrome-error://chromewebdata/';
      await eventually(`${path} is not framed`, () => page.frames().length === 2 && page.frames()[1].url() === refused);
      assert.ok(said.splice(0).some((text) => /frame-ancestors|X-Frame-Options/.test(text)), path);
      const read = await page.evaluate((url) => fetch(url, { credentials: 'include' }).then((answer) => answer.text(), (why) => why.name), gateway.base + path);
      assert.equal(read, 'TypeError', path);
    }
    // Nor does a window that it opens know who opened it.
    await page.goto(origin());
    const [window] = await Promise.all([context.waitForEvent('page'), page.evaluate((url) => { globalThis.opened = open(url); }, `${gateway.base}/console/keys`)]);
    await window.waitForLoadState();
    assert.equal(await window.evaluate(() => globalThis.opener), null);
    assert.equal(await page.evaluate(() => globalThis.opened.closed), true);
    await window.close();
    assert.deepEqual(await keys(), before);
    await page.close();
  });
}

test('a page without an origin does nothing with the session', async () => {
  const before = await keys();
  const page = await context.newPage();
  await page.goto(boxed.base);
  const heard = await answered(page, '/console/keys/new', () => page.evaluate(submit, [`${gateway.base}/console/keys/new`, fields(tokens.right), '']), true);
  assert.deepEqual(heard, { status: 403, cookie: false, site: 'cross-site', origin: 'null' });
  assert.deepEqual(await keys(), before);
  await page.close();
});

test('what strangers asked is in no list', async () => {
  await ask(gateway, key, 'claude-haiku-4-5', 'The last');
  await eventually('the last request is in the list', async () => (await told('/v1/requests')).some((one) => one.model_requested === 'claude-haiku-4-5'));
  // Ours, by the page and by the key.
  assert.equal((await told('/v1/requests')).length, 2);
});
