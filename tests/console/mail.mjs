// Sign-up where mail is sent, in a browser: the code of the mail, guesses at it, another one, the key, and the first
// request, which shows up by itself.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailbox, start } from './gateway.mjs';
import { PASSWORD, ask, browser, call, eventually } from './pages.mjs';

let post;
let gateway;
let chromium;

before(async () => {
  post = await mailbox();
  const mailing = (base) => `[server]\npublic_url = "${base}"\n[mail]\nfrom = "Us <us@mail.test>"\n[signin]\nregister = "pro"\n`;
  gateway = await start(mailing, '', { OPTIMUX_SMTP_URL: post.url, OPTIMUX_VAULT_KEY: '0123456789abcdef0123456789abcdef' });
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  post?.stop();
});

// The code of the last letter that somebody got, other than this one.
async function code(to, than = '') {
  let found = '';
  await eventually('the code has come', () => {
    found = post.last(to)?.match(/Your code is (\d{6})/)?.[1] ?? '';
    return found && found !== than;
  });
  return found;
}

async function apply(page, email) {
  await page.goto(`${gateway.base}/signup`);
  await page.fill('#email', email);
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForSelector('#code');
}

// Types a code: what the page says of it, or nothing where it was right.
async function type(page, said) {
  await page.fill('#code', said);
  await Promise.all([page.waitForNavigation(), page.click('form[action="/signup/code"] button')]);
  return (await page.$('[role=alert]')) ? page.textContent('[role=alert]') : '';
}

test('a sign-up by mail: the code, the key, and the first request by itself', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  await apply(page, 'ann@example.com');
  assert.match(await page.textContent('main'), /We sent six digits to ann@example.com/);
  const sent = await code('ann@example.com');
  // Nobody is signed in before the code has come.
  assert.equal((await context.request.get(`${gateway.base}/console`)).url(), `${gateway.base}/signin?next=/console`);
  assert.equal(await type(page, sent), '');
  await page.waitForSelector('h1:has-text("Your key")');
  const key = (await page.textContent('#secret')).trim();
  await page.click('text=I have saved it');
  await page.waitForURL('**/console');
  await page.waitForSelector('text=Waiting for your first request');
  await page.waitForResponse((answer) => answer.url().endsWith('/console/first') && answer.status() === 204);
  assert.equal((await ask(gateway, key, 'auto', 'Hello')).status, 200);
  await page.waitForSelector('text=Last requests', { timeout: 15_000 });
  assert.equal(await page.locator('tbody tr').filter({ hasText: 'auto' }).count(), 1);
  assert.ok(!(await page.content()).includes('Waiting for your first request'));
  await context.close();
});

test('five wrong codes use it up, and another one is sent', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  await apply(page, 'bob@example.com');
  const sent = await code('bob@example.com');
  const wrong = sent === '000000' ? '000001' : '000000';
  for (let guess = 0; guess < 5; guess += 1) {
    assert.match(await type(page, wrong), /That is not the code/);
  }
  // The right one does nothing any more, and opens nothing.
  const told = await type(page, sent);
  assert.match(told, /The code has expired, or too many were wrong/);
  assert.equal((await call(gateway, 'POST', '/api/auth/login', { email: 'bob@example.com', password: PASSWORD })).status, 401);
  await Promise.all([page.waitForNavigation(), page.click('text=Send again')]);
  const next = await code('bob@example.com', sent);
  assert.equal(await type(page, next), '');
  await page.waitForSelector('#secret');
  const key = (await page.textContent('#secret')).trim();
  assert.equal((await ask(gateway, key, 'auto', 'Hello')).status, 200);
  await context.close();
});
