// What people, programs, providers and models say, as pages show it: as text, in its place, and never run.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { PASSWORD, ask, browser, setUp } from './pages.mjs';

let gateway;
let chromium;
let inside;

before(async () => {
  gateway = await start();
  chromium = await browser();
  inside = await chromium.newContext();
  await setUp(await inside.newPage(), gateway);
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

test('what people type is shown, and never run', async () => {
  const payloads = [
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
  assert.ok(payloads.length >= 40);
  const email = '"><img/src=x/onerror=alert(1)>@example.com';
  const call = async (method, path, body, access, more = {}) => {
    const answer = await fetch(gateway.base + path, {
      method, body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...(access ? { authorization: `Bearer ${access}` } : {}), ...more },
    });
    return { status: answer.status, json: await answer.json() };
  };
  const made = await call('POST', '/api/auth/register', { email, password: PASSWORD });
  assert.equal(made.status, 200);
  const access = made.json.access_token;
  for (const payload of payloads) {
    const named = [
      await call('POST', '/v1/keys', { name: payload }, access),
      await call('POST', '/v1/agents', { name: payload, description: payload, instructions: payload }, access),
      await call('POST', '/v1/memory/store', { text: payload, tags: [payload.slice(0, 40)] }, access),
      await call('PATCH', '/v1/me', { name: payload }, access),
      await call('PATCH', '/v1/account', { name: payload }, access),
    ];
    assert.deepEqual(named.map((one) => one.status), [200, 200, 200, 200, 200], payload);
    await ask(gateway, access, payload.slice(0, 100), payload);
    // What a browser says it is.
    const agent = /^[\x20-\x7e]+$/.test(payload) ? { 'user-agent': payload } : {};
    await call('POST', '/api/auth/login', { email, password: PASSWORD }, '', agent);
  }
  await call('POST', '/v1/account/invitations', { email: '<script>alert(1)</script>@example.com' }, access);
  const long = await call('POST', '/v1/keys', { name: '<script>alert(1)</script>'.repeat(400) }, access);
  assert.equal(long.status, 400, 'a name has an end');
  const ran = [];
  const watched = async (context) => {
    const page = await context.newPage();
    page.on('dialog', (dialog) => { ran.push(dialog.message()); dialog.dismiss(); });
    page.on('console', (said) => { if (said.type() === 'error' && !said.text().includes('status of')) ran.push(said.text()); });
    return page;
  };
  const theirs = await chromium.newContext();
  const page = await watched(theirs);
  await page.goto(`${gateway.base}/signin`);
  // The field takes addresses alone, and this is one that only the server reads as such.
  await page.evaluate(() => { document.querySelector('#email').type = 'text'; });
  await page.fill('#email', email);
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForURL('**/console');
  for (const path of ['keys', 'agents']) {
    await page.goto(`${gateway.base}/console/${path}`);
    const text = (await page.textContent('main')).replace(/\s+/g, ' ');
    for (const payload of payloads) assert.ok(text.includes(payload.trim().replace(/\s+/g, ' ')), `${path}: ${payload}`);
  }
  for (const path of ['', '/memory', '/team', '/settings', '/requests', '/usage', '/playground', '/features', '/connect', '/models']) {
    await page.goto(`${gateway.base}/console${path}`);
  }
  const administrators = await chromium.newContext({ storageState: await inside.storageState() });
  const admin = await watched(administrators);
  await admin.goto(`${gateway.base}/admin/accounts`);
  await admin.goto(`${gateway.base}/admin/audit`);
  for (const payload of payloads) {
    for (const path of ['/console/memory?search=', '/console/requests?model=', '/console/models?search=', '/console/playground?message=', '/console/usage?baseline=']) {
      await page.goto(gateway.base + path + encodeURIComponent(payload));
    }
    await admin.goto(`${gateway.base}/admin/accounts?search=${encodeURIComponent(payload)}`);
  }
  assert.deepEqual(ran, []);
  await theirs.close();
  await administrators.close();
});

