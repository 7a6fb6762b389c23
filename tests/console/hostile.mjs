// What people, programs, providers and models say, as pages show it: as text, in its place, and never run.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { PASSWORD, browser, call, eventually, setUp, typed } from './pages.mjs';

const PAYLOADS = [
  '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'-alert(1)-'", '<svg/onload=alert(1)>',
  'javascript:alert(1)', '</title><script>alert(1)</script>', '</textarea><script>alert(1)</script>',
  '{{7*7}}', 'x\u2028alert(1)', '\u202Eevil', '<iframe srcdoc="<script>alert(1)</script>">', '&lt;b&gt;',
  '<a href=javascript:alert(1)>x</a>', '<ScRiPt>alert(1)</sCrIpT>', '<script src=//evil.example/x.js></script>',
  '<img src=x onerror="alert(1)">', "<img src='x' onerror='alert(1)'>", '<body onload=alert(1)>', '<details open ontoggle=alert(1)>',
  '<input autofocus onfocus=alert(1)>', '<select autofocus onfocus=alert(1)>', '<video><source onerror=alert(1)></video>',
  '<math><mi xlink:href="javascript:alert(1)">x</mi></math>', '<object data=javascript:alert(1)>', '<embed src=javascript:alert(1)>',
  '<form action=javascript:alert(1)><button>x</button></form>', '<base href=//evil.example/>', '<link rel=stylesheet href=//evil.example/x.css>',
  '<meta http-equiv=refresh content="0;url=javascript:alert(1)">', '<style>*{background:url(javascript:alert(1))}</style>',
  '" onmouseover="alert(1)', "' onmouseover='alert(1)", '` onmouseover=`alert(1)', '"></option></select><script>alert(1)</script>',
  '--><script>alert(1)</script>', ']]><script>alert(1)</script>', '${alert(1)}', '#{7*7}', '<%= 7*7 %>',
  '\u2066<b>\u2069', '<svg><animate onbegin=alert(1) attributeName=x dur=1s>', '%3Cscript%3Ealert(1)%3C/script%3E',
];
// Several in one name of 200 letters at most, for what has a page of its own; an address of a script only does
// anything at the beginning.
const NAMES = PAYLOADS.reduce((all, text) => {
  const last = all.at(-1);
  const alone = [text, last].includes('javascript:alert(1)');
  return !last || alone || last.length + text.length > 190 ? [...all, text] : [...all.slice(0, -1), `${last} ${text}`];
}, []);
const EMAIL = '"><img/src=x/onerror=alert(1)>@example.com';
const MEMBER = '<svg/onload=alert(1)>@example.com';
// Spaces are shown as one.
const plain = (text) => text.replace(/\s+/g, ' ').trim();

let provider;
let gateway;
let chromium;
let bearer;
// A window of the person, and one of the administrator.
let theirs;
let admin;
const ran = [];

// A provider whose model answers with the payload of the number that it is asked for, or fails with it.
async function parrot() {
  const server = createServer(async (asked, answer) => {
    let body = '';
    for await (const piece of asked) body += piece;
    const said = JSON.parse(body);
    const [, how, at] = said.messages.at(-1).content.match(/(say|fail) (\d+)/);
    const text = PAYLOADS[at];
    if (how === 'fail') {
      answer.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: `Refused: ${text}`, type: 'invalid_request_error' } }));
      return;
    }
    const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
    const one = (object, choice) => JSON.stringify({ id: 'c', object, created: 1, model: said.model, choices: [{ index: 0, ...choice }], usage });
    if (said.stream) {
      answer.writeHead(200, { 'content-type': 'text/event-stream' });
      answer.write(`data: ${one('chat.completion.chunk', { delta: { role: 'assistant', content: text } })}\n\n`);
      answer.end(`data: ${one('chat.completion.chunk', { delta: {}, finish_reason: 'stop' })}\n\ndata: [DONE]\n\n`);
    } else {
      answer.writeHead(200, { 'content-type': 'application/json' }).end(one('chat.completion', { message: { role: 'assistant', content: text }, finish_reason: 'stop' }));
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { base: `http://127.0.0.1:${server.address().port}/v1`, stop: () => server.close() };
}

async function watched(context) {
  const page = await context.newPage();
  page.on('dialog', (dialog) => { ran.push(dialog.message()); dialog.dismiss(); });
  page.on('console', (said) => { if (said.type() === 'error' && !said.text().includes('status of')) ran.push(`${page.url()}: ${said.text()}`); });
  return page;
}

async function entered(email, password = PASSWORD) {
  const page = await watched(await chromium.newContext());
  await page.goto(`${gateway.base}/signin`);
  // The field takes addresses alone, and this is one that only the server reads as such.
  await page.evaluate(() => { document.querySelector('#email').type = 'text'; });
  await page.fill('#email', email);
  await page.fill('#password', password);
  await page.click('main button.primary');
  await page.waitForURL('**/console');
  return page;
}

before(async () => {
  provider = await parrot();
  const apps = PAYLOADS.map((text, at) => `[connect.apps.app${at}]\nurl = "https://mcp.example.com/mcp"\nname = ${JSON.stringify(text)}\ndescription = ${JSON.stringify(`of ${text}`)}\n`).join('');
  gateway = await start(`[signin]\nregister = "enterprise"\n[providers.here]\nbase_url = "${provider.base}"\ndialect = "openai-chat"\n`
    + `[[models]]\nid = "parrot"\ntier = "budget"\ncontext_tokens = 128000\nmax_output_tokens = 16000\ndeployments = [{ provider = "here", usd_per_million = { input = 1.0, output = 2.0 } }]\n${apps}`);
  chromium = await browser();
  await setUp(await (await chromium.newContext()).newPage(), gateway);
  const made = await call(gateway, 'POST', '/api/auth/register', { email: EMAIL, password: PASSWORD });
  assert.equal(made.status, 200);
  bearer = made.json.access_token;
  theirs = await entered(EMAIL);
  admin = await entered('admin@example.com');
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  provider?.stop();
});

const ok = async (...all) => {
  const answer = await call(gateway, ...all);
  assert.equal(answer.status, 200, JSON.stringify([all, answer.json]));
  return answer.json;
};
const go = (page, path) => page.goto(gateway.base + path);
// All of `texts` stand in what `selector` finds, as text or as the value of a field.
async function shows(page, selector, texts) {
  const found = (await page.$$eval(selector, (all) => all.map((one) => one.value || one.textContent))).map(plain);
  for (const text of texts) assert.ok(found.some((one) => one.includes(plain(text))), `${page.url()} ${selector}: ${text} of ${found.slice(0, 5).join(' | ').slice(0, 800)}`);
}
const none = () => assert.deepEqual(ran, []);

test('names are shown where they stand', async () => {
  assert.ok(PAYLOADS.length >= 40);
  const [{ id: account }] = (await ok('GET', '/v1/me', undefined, bearer)).accounts;
  for (const payload of PAYLOADS) {
    await ok('POST', '/v1/keys', { name: payload }, bearer);
    await ok('POST', '/v1/agents', { name: payload }, bearer);
    await ok('POST', '/v1/memory/store', { text: payload, tags: [payload.slice(0, 40)] }, bearer);
    // What a browser says it is.
    const agent = /^[\x20-\x7e]+$/.test(payload) ? { 'user-agent': payload } : {};
    await ok('POST', '/api/auth/login', { email: EMAIL, password: PASSWORD }, '', agent);
  }
  const long = await call(gateway, 'POST', '/v1/keys', { name: '<script>alert(1)</script>'.repeat(400) }, bearer);
  assert.equal(long.status, 400, 'a name has an end');
  await go(theirs, '/console/keys');
  await shows(theirs, 'tbody th', PAYLOADS);
  await go(theirs, '/console/agents');
  await shows(theirs, 'tbody th', PAYLOADS);
  await go(theirs, '/console/memory');
  await shows(theirs, 'tbody th', PAYLOADS);
  await shows(theirs, 'td[data-name=Tags]', PAYLOADS.map((one) => one.slice(0, 40)));
  await go(theirs, '/console/connect');
  await shows(theirs, 'main .card h2', PAYLOADS);
  await shows(theirs, 'main .card p', PAYLOADS.map((one) => `of ${one}`));
  // The pages of a key and an agent, the person, and the account as its administrator sees it.
  for (const name of NAMES) {
    const key = await ok('POST', '/v1/keys', { name }, bearer);
    const agent = await ok('POST', '/v1/agents', { name, description: name, instructions: name }, bearer);
    await ok('PATCH', '/v1/me', { name }, bearer);
    await ok('PATCH', '/v1/account', { name }, bearer);
    await Promise.all([(async () => {
      await go(theirs, `/console/keys/${key.id}`);
      for (const where of ['main h1', '#name', '.account']) await shows(theirs, where, [name]);
      await go(theirs, `/console/keys/${key.id}/revoke`);
      await shows(theirs, 'label[for=name]', [name]);
      await go(theirs, `/console/agents/${agent.id}`);
      for (const where of ['main h1', '#name', '#description', '#instructions']) await shows(theirs, where, [name]);
    })(), (async () => {
      await go(admin, `/admin/accounts/${account}`);
      await shows(admin, 'main h1', [name]);
      await shows(admin, 'main', [EMAIL]);
      await go(admin, `/admin/accounts?search=${encodeURIComponent(EMAIL)}`);
      await shows(admin, 'main input', [EMAIL]);
      await shows(admin, 'main', [name]);
    })()]);
  }
  none();
});

test('what is asked for is shown in its field, and in no other way', async () => {
  const places = [[theirs, '/console/memory?search=', '#search'], [theirs, '/console/memory?user=', 'label[for=name]'], [theirs, '/console/requests?model=', '#model'], [admin, '/console/models?search=', '#search'], [admin, '/console/playground?message=', '#message'], [admin, '/console/usage?baseline=', 'main']];
  for (const payload of NAMES) {
    const of = (page) => places.filter(([whose]) => whose === page);
    await Promise.all([theirs, admin].map(async (page) => {
      for (const [, path, where] of of(page)) {
        await go(page, path + encodeURIComponent(payload));
        if (where !== 'main') await shows(page, where, [payload]);
      }
    }));
  }
  none();
});

test('people are shown by what they call themselves', async () => {
  const last = NAMES.at(-1);
  const { link } = await ok('POST', '/v1/account/invitations', { email: MEMBER }, bearer);
  const stranger = await watched(await chromium.newContext());
  await stranger.goto(link);
  await shows(stranger, 'main h1', [last]);
  await shows(stranger, 'main .lede', [MEMBER]);
  await stranger.context().close();
  await go(theirs, '/console/team');
  await shows(theirs, 'tbody th', [EMAIL, MEMBER, last]);
  await ok('POST', `/api/auth/invitations/${link.split('/').pop()}`, { password: PASSWORD, name: PAYLOADS[0] });
  await go(theirs, '/console/team');
  await shows(theirs, 'tbody th', [MEMBER, PAYLOADS[0]]);
  await theirs.click(`tr:has-text("${MEMBER}") >> text=Change`);
  await theirs.waitForURL('**/console/team/member_*');
  await shows(theirs, 'main h1', [MEMBER]);
  await shows(theirs, 'main button.danger', [`Remove ${MEMBER}`]);
  await go(theirs, '/console/settings');
  await shows(theirs, '#my-name', [last]);
  await shows(theirs, 'main dd', [EMAIL, last]);
  for (const path of ['', '/usage', '/features', '/models']) await go(theirs, `/console${path}`);
  for (const path of ['', '/accounts', '/audit', '/outbox']) await go(admin, `/admin${path}`);
  none();
});

test('what models and providers say is shown where it was asked', async () => {
  const me = await ok('GET', '/v1/me', undefined, bearer);
  await ok('POST', `/v1/features/${me.member}/content_logging`, { enabled: true }, bearer);
  const ids = new Map();
  for (const [at, payload] of PAYLOADS.entries()) {
    const asked = { model: 'parrot', messages: [{ role: 'user', content: `say ${at} of ${payload}` }], user: payload };
    const answer = await fetch(`${gateway.base}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, body: JSON.stringify(asked) });
    assert.equal((await answer.json()).choices[0].message.content, payload);
    ids.set(at, answer.headers.get('x-request-id'));
  }
  const unscripted = await (await chromium.newContext({ javaScriptEnabled: false, storageState: await theirs.context().storageState() })).newPage();
  await eventually('the last is in the books', async () => (await call(gateway, 'GET', `/v1/requests/${ids.get(PAYLOADS.length - 1)}`, undefined, bearer)).status === 200);
  await go(admin, '/console/playground');
  await admin.selectOption('#model', 'parrot');
  for (const [at, payload] of PAYLOADS.entries()) {
    await Promise.all([(async () => {
      await go(theirs, `/console/requests/${ids.get(at)}`);
      await shows(theirs, 'pre.answer', [`say ${at} of`, JSON.stringify(payload).slice(1, -1)]);
      assert.equal(await theirs.locator('pre.answer').count(), 2);
    })(), (async () => {
      for (const [how, said] of [['say', payload], ['fail', `Refused: ${payload}`]]) {
        await admin.fill('#message', `${how} ${at}`);
        await admin.click('button[value=send]');
        await admin.waitForFunction(([text]) => [...document.querySelectorAll('[data-answers] section')].some((one) => one.textContent.replace(/\s+/g, ' ').includes(text)), [plain(said)]);
      }
    })()]);
  }
  // Without a script: a model that there is not, an answer and a fault, each on a page of its own.
  for (const at of [0, 1, 6, 33]) {
    for (const [model, said] of [['parrot', `say ${at}`], ['parrot', `fail ${at}`]]) {
      await unscripted.goto(`${gateway.base}/console/playground?model=${model}`);
      await unscripted.fill('#message', said);
      await unscripted.click('button[value=send]');
      await shows(unscripted, said.startsWith('say') ? 'main .answer' : '[role=alert]', [said.startsWith('say') ? PAYLOADS[at] : `Refused: ${PAYLOADS[at]}`]);
    }
  }
  await unscripted.context().close();
  none();
});

test('a line with what people typed is typed as it is shown', async () => {
  const shell = ["it's", '$(exit 1)', '`exit 1`', '"; exit 1; "', '\\', "'\\''$BASE"];
  for (const name of [...shell, ...PAYLOADS.slice(0, 3)]) {
    await go(theirs, '/console/keys/new');
    await theirs.fill('#name', name);
    await theirs.click('main button.primary');
    await shows(theirs, 'main h1', [name]);
    const text = await theirs.textContent('#the-same-by-api');
    const made = typed(text.slice(text.indexOf('\n') + 1), { BASE: gateway.base, KEY: bearer });
    assert.equal(made.name, name);
  }
  none();
});
