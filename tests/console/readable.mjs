// Every page, and every page that a form can lead to, looked at as in `looks.mjs`.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { mailbox, start } from './gateway.mjs';
import { complaints, looks } from './looks.mjs';
import { PASSWORD, browser, eventually, furnish, setUp } from './pages.mjs';

let gateway;
let chromium;
let inside;
let all;

before(async () => {
  gateway = await start();
  chromium = await browser();
  inside = await chromium.newContext();
  const page = await inside.newPage();
  all = await furnish(page, gateway, await setUp(page, gateway));
  await page.close();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

// The form of a page that goes to `action`, sent as a browser without a script, which checks nothing, would send it.
async function send(page, action, fields) {
  const [answer] = await Promise.all([
    page.waitForResponse((one) => one.request().method() === 'POST'),
    page.waitForNavigation(),
    page.evaluate(([to, values]) => {
      const form = document.querySelector(`main form[method=post][action$="${to}"]`);
      for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
      form.submit();
    }, [action, fields]),
  ]);
  return answer.status();
}

// Each of `all`, in two windows at once: what was found wrong.
async function inTwo(all, each) {
  const faults = [];
  const rest = [...all];
  await Promise.all([1, 2].map(async () => {
    for (let one = rest.shift(); one; one = rest.shift()) faults.push(...await each(one));
  }));
  return faults;
}

// A refused form as it is answered: the summary above it, in focus, with a way to the field.
async function refusal(page, name, status) {
  const faults = status >= 400 && status < 500 ? [] : [`${name}: ${status}`];
  const [said, focused, link] = await page.evaluate(() => {
    const alert = document.querySelector('main [role=alert]');
    return [alert?.textContent ?? '', alert === document.activeElement, alert?.querySelector('a')?.getAttribute('href')];
  });
  if (!said.startsWith('Not done. ') || !focused) faults.push(`${name}: the focus is not on what is wrong: '${said}'`);
  if (link && !await page.$(link)) faults.push(`${name}: ${link} leads nowhere`);
  return faults;
}

test('every page can be read by everybody', async () => {
  const outside = await chromium.newContext();
  const paths = [...all.inside.map((path) => [inside, path]), ...all.outside.map((path) => [outside, path])];
  const faults = await inTwo(paths, async ([context, path]) => {
    const page = await context.newPage();
    const complained = complaints(page);
    const answer = await page.goto(gateway.base + path);
    const found = answer.status() === (path === '/nowhere' ? 404 : 200) ? [] : [`${path}: ${answer.status()}`];
    const size = (await answer.body()).length;
    if (size > 60_000) found.push(`${path}: ${size} bytes`);
    found.push(...await looks(page, path), ...complained);
    await page.close();
    return found;
  });
  await outside.close();
  assert.deepEqual(faults, []);
});

test('a form that is refused says why, in focus, and keeps what was typed', async () => {
  const outside = await chromium.newContext();
  const own = all.inside.find((path) => /keys\/key_\w+$/.test(path));
  const deletion = all.inside.find((path) => path.endsWith('/delete'));
  const listed = await inside.newPage();
  await listed.goto(`${gateway.base}/admin/accounts`);
  const erased = await listed.getAttribute('tbody th a:text-is("The other house")', 'href');
  await listed.close();
  const long = 'x'.repeat(201);
  const faults = await inTwo([
    [inside, '/console/keys/new', '/console/keys/new', { name: 'kept', models: 'no-such-model' }],
    [inside, own, own, { models: 'no-such-model', monthly_budget_usd: '7' }],
    [inside, `${own}/revoke`, `${own}/revoke`, { name: 'another' }],
    [inside, '/console/agents/new', '/console/agents/new', { name: 'kept', tools: '[{' }],
    [inside, deletion, deletion, { name: 'another' }],
    [inside, erased, `${erased}/erase`, { name: 'another' }],
    [inside, erased, `${erased}/credits`, { credits: 'many', reason: 'a gift' }],
    [inside, '/console/memory', '/console/memory', { text: ' ' }],
    [inside, '/console/team', '/console/team/invitations', { email: 'nobody' }],
    [inside, '/console/settings', '/console/settings/password', { old: 'wrong', new: PASSWORD }],
    [inside, '/console/settings', '/console/settings/me', { name: long }],
    [inside, '/console/settings', '/console/settings/name', { name: long }],
    [inside, '/console/settings', '/console/settings/email', { email: 'nobody' }],
    [inside, '/console/playground', '/console/playground', { message: 'Hello', max_tokens: 'many' }],
    [inside, '/admin/accounts', '/admin/accounts', { name: '' }],
    [outside, '/signin', '/signin', { email: 'admin@example.com', password: 'wrong' }],
    [outside, '/signup', '/signup', { email: 'new@example.com', password: 'short' }],
    [outside, all.outside.at(-1), all.outside.at(-1), { name: 'kept', password: 'short' }],
  ], async ([context, path, action, fields]) => {
    const page = await context.newPage();
    const complained = complaints(page);
    await page.goto(gateway.base + path);
    const name = `${action} refused`;
    const found = await refusal(page, name, await send(page, action, fields));
    for (const [field, value] of Object.entries(fields)) {
      const [here] = await page.$$eval(`main form[action$="${action}"] [name="${field}"]`, (all) => all.map((one) => [one.type, one.value]));
      if (!here) { found.push(`${name}: no ${field} on ${page.url()}: ${await page.textContent('main')}`); continue; }
      const [type, now] = here;
      if (type !== 'password' && now.trim() !== value.trim()) found.push(`${name}: ${field} was '${value}', and is '${now}'`);
    }
    found.push(...await looks(page, name), ...complained);
    await page.close();
    return found;
  });
  await outside.close();
  assert.deepEqual(faults, []);
});

test('what a form leads to can be read by everybody', async () => {
  const own = all.inside.find((path) => /keys\/key_\w+$/.test(path));
  const agent = all.inside.find((path) => path.startsWith('/console/agents/agent_'));
  const plain = await chromium.newContext();
  const member = await plain.newPage();
  await member.goto(`${gateway.base}/signin`);
  await member.fill('#email', 'dee@example.com');
  await member.fill('#password', PASSWORD);
  await member.click('main button.primary');
  await member.waitForURL('**/console');
  const faults = await inTwo([
    [inside, '/console/keys/new', '/console/keys/new', { name: 'shown', once: 'the same twice' }, 200],
    [inside, '/console/team', '/console/team/invitations', { email: 'eve@example.com' }, 200],
    [inside, `${own}/rotate`, `${own}/rotate`, { overlap: '3600' }, 200],
    [inside, `${own}/revoke`, `${own}/revoke`, { name: 'not its name' }, 400],
    [inside, '/console/playground', '/console/playground', { message: 'Hello' }, 200],
    [inside, '/console/keys/new', '/console/keys/new', { name: 'forged', csrf: '0'.repeat(64) }, 403],
    [inside, agent, agent, { name: 'Of two editors', version: '"stale"' }, 412],
    [plain, '/admin', '', {}, 403],
    [plain, own, '', {}, 404],
    [plain, '/console/team', '', {}, 200],
    [plain, '/console/memory', '', {}, 200],
    [inside, '/console/keys/new', '/console/keys/new', { name: 'shown', once: 'the same twice' }, 409],
  ], async ([context, path, action, fields, wanted]) => {
    const page = await context.newPage();
    const complained = complaints(page);
    const opened = await page.goto(gateway.base + path);
    const status = action ? await send(page, action, fields) : opened.status();
    const name = `${path} ${wanted}`;
    const found = status === wanted ? [] : [`${name}: ${status}`];
    if (wanted === 412) {
      found.push(...await refusal(page, name, status));
      // Both versions: what is kept, and what was typed.
      if (!(await page.textContent('#now')).includes('"Helper"')) found.push(`${name}: not what is kept`);
      if (await page.inputValue('#name') !== 'Of two editors') found.push(`${name}: not what was typed`);
    }
    found.push(...await looks(page, name), ...complained);
    await page.close();
    return found;
  });
  await plain.close();
  assert.deepEqual(faults, []);
});

test('the pages that links and mails lead to can be read by everybody', async () => {
  const post = await mailbox();
  const mailing = await start((base) => `[server]\npublic_url = "${base}"\n[mail]\nfrom = "Us <us@mail.test>"\n`, '', { OPTIMUX_SMTP_URL: post.url, OPTIMUX_VAULT_KEY: '0123456789abcdef0123456789abcdef' });
  const contexts = [await chromium.newContext(), await chromium.newContext()];
  const [admin, stranger] = await Promise.all(contexts.map((one) => one.newPage()));
  const faults = [];
  const [complained, theirs] = [complaints(admin), complaints(stranger)];
  const refused = async (page, action, fields) => {
    const name = `${action} refused`;
    faults.push(...await refusal(page, name, await send(page, action, fields)), ...await looks(page, name));
  };
  // A link of a mail to somebody, once it has come.
  const link = async (to, kind) => {
    const found = () => post.last(to)?.match(new RegExp(`${mailing.base}/${kind}/\\S+`))?.[0];
    await eventually(`a mail to ${to}`, async () => found());
    return found();
  };
  try {
    await admin.goto(mailing.setup);
    faults.push(...await looks(admin, '/setup'));
    await refused(admin, '/setup', { email: 'admin@example.com', password: 'short' });
    await setUp(admin, mailing);
    faults.push(...await looks(admin, '/welcome with a key'));
    await admin.goto(`${mailing.base}/console/settings`);
    await send(admin, '/console/settings/email', { email: 'moved@example.com' });
    await admin.goto(await link('moved@example.com', 'verify'));
    faults.push(...await looks(admin, '/verify'));

    await stranger.goto(`${mailing.base}/signup`);
    assert.equal(await send(stranger, '/signup', { email: 'new@example.com', password: PASSWORD }), 200);
    faults.push(...await looks(stranger, '/signup/code'));
    await refused(stranger, '/signup/code', { code: '000000' });
    await stranger.goto(`${mailing.base}/forgot`);
    assert.equal(await send(stranger, '/forgot', { email: 'admin@example.com' }), 200);
    faults.push(...await looks(stranger, '/forgot, mailed'));
    const reset = await link('admin@example.com', 'reset');
    await stranger.goto(reset);
    faults.push(...await looks(stranger, '/reset'));
    await refused(stranger, new URL(reset).pathname, { password: 'short' });
    assert.equal((await stranger.goto(`${mailing.base}/reset/used`)).status(), 404);
    faults.push(...await looks(stranger, '/reset, used'));
  } finally {
    await Promise.all(contexts.map((one) => one.close()));
    mailing.stop();
    post.stop();
  }
  assert.deepEqual([...faults, ...complained, ...theirs], []);
});

// What an app shows (RFC 6238), so many steps of thirty seconds from now.
function shown(secret, steps) {
  const bits = [...secret].map((one) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(one).toString(2).padStart(5, '0')).join('');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((one) => parseInt(one, 2)));
  const step = Buffer.alloc(8);
  step.writeBigInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const digest = createHmac('sha1', bytes).update(step).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

test('a second factor is set up and asked for, and each step can be read by everybody', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  const faults = [];
  const complained = complaints(page);
  const look = async (step) => faults.push(...await looks(page, step));
  await page.goto(`${gateway.base}/signup`);
  await page.fill('#email', 'careful@example.com');
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForSelector('#secret');
  await page.goto(`${gateway.base}/console/settings`);
  await page.click('text=Set it up');
  await page.waitForSelector('#secret');
  const secret = (await page.textContent('#secret')).trim();
  await look('the secret');
  await page.fill('#code', shown(secret, 0));
  await page.click('main button.primary');
  await page.waitForSelector('#codes');
  const codes = (await page.textContent('#codes')).trim().split('\n');
  assert.equal(codes.length, 10);
  await look('the recovery codes');
  await page.goto(`${gateway.base}/console/settings`);
  await look('the settings with it');
  const stranger = await chromium.newContext();
  const door = await stranger.newPage();
  await door.goto(`${gateway.base}/signin`);
  await door.fill('#email', 'careful@example.com');
  await door.fill('#password', PASSWORD);
  await door.click('main button.primary');
  await door.waitForSelector('#otp');
  faults.push(...await looks(door, '/signin/code'));
  faults.push(...await refusal(door, '/signin/code refused', await send(door, '/signin/code', { otp: '000000' })));
  await door.fill('#otp', codes[0]);
  await door.click('main button.primary');
  await door.waitForURL('**/console');
  await stranger.close();
  await context.close();
  assert.deepEqual([...faults, ...complained], []);
});

