// The console as people use it, in a browser: from an empty folder to a first answer, every page
// checked for whoever cannot see it, and forms without a script.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { PASSWORD, ask, browser, eventually, furnish, goElsewhere, setUp } from './pages.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
let gateway;
let chromium;
let inside;
let key;

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

// A line as it is printed, run in a shell: what the gateway answered.
function typed(line) {
  const said = execFileSync('/bin/sh', ['-c', `${line} -sS -w '\n%{http_code}'`], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  const [body, status] = [said.slice(0, said.lastIndexOf('\n')), said.slice(said.lastIndexOf('\n') + 1)];
  assert.equal(status, '200', said);
  return { answer: JSON.parse(body) };
}

test('from an empty folder to a first answer', async () => {
  const page = await inside.newPage();
  key = await setUp(page, gateway);
  const { answer } = typed(await page.textContent('#first-text-0'));
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

// What Tab does not reach in the order of the page, or reaches without showing where it is. Of radio
// buttons one of each group is a stop; what is folded away is none.
async function byTab(page) {
  const count = await page.evaluate(() => {
    const groups = new Set();
    const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
    const stops = [...document.querySelectorAll(wanted)].filter((one) => {
      if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true })) return false;
      if (one.type !== 'radio') return true;
      const group = `${one.form?.action} ${one.name}`;
      const mine = one.checked || (!groups.has(group) && !document.querySelector(`input[name="${one.name}"]:checked`));
      if (mine) groups.add(group);
      return mine;
    });
    window.visited = [];
    document.addEventListener('focusin', ({ target }) => {
      const look = getComputedStyle(target);
      const at = stops.indexOf(target);
      if (at >= 0) window.visited.push([at, look.outlineStyle !== 'none' || look.boxShadow !== 'none']);
    });
    window.stops = stops;
    stops[0]?.focus();
    // A date is entered in parts, each of which is a stop.
    return stops.length + 4 * stops.filter((one) => one.type === 'date').length;
  });
  for (let more = 1; more < count; more += 1) await page.keyboard.press('Tab');
  return page.evaluate(() => {
    const named = (at) => window.stops[at].outerHTML.slice(0, 120);
    const faults = window.stops.flatMap((one, at) => (one.tabIndex > 0 ? [`a tabindex of its own: ${named(at)}`] : []));
    const order = window.visited.map(([at]) => at);
    const strayed = window.stops.findIndex((_, at) => order[at] !== at);
    if (strayed >= 0) faults.push(`Tab does not reach ${named(strayed)} at its place`);
    // The first was put in focus by a script, which need not show it.
    window.visited.slice(1).forEach(([at, shown]) => { if (!shown) faults.push(`no focus to be seen: ${named(at)}`); });
    return faults;
  });
}

test('every page can be read by everybody', async () => {
  const page = await inside.newPage();
  const all = await furnish(page, gateway, key);
  await page.close();
  const state = await inside.storageState();
  const faults = [];
  for (const [colorScheme, width] of [['light', 1280], ['dark', 360]]) {
    for (const [kind, paths] of Object.entries(all)) {
      const context = await chromium.newContext({
        colorScheme, viewport: { width, height: 900 },
        ...(kind === 'inside' ? { storageState: state } : {}),
      });
      const one = await context.newPage();
      let here = '';
      one.on('console', (said) => {
        if (said.type() === 'error' && !said.text().includes('404')) faults.push(`${here}: ${said.text()}`);
      });
      one.on('pageerror', (why) => faults.push(`${here}: ${why}`));
      for (const path of paths) {
        here = `${path} ${colorScheme} ${width}`;
        const answer = await one.goto(gateway.base + path);
        const size = (await answer.body()).length;
        if (size > 60_000) faults.push(`${here}: ${size} bytes`);
        // What is folded away is looked at, too.
        for (const unfold of [false, true]) {
          if (unfold) await one.evaluate(() => document.querySelectorAll('main details, .switch').forEach((fold) => { fold.open = true; }));
          const wide = await one.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (wide > 0) faults.push(`${here}: ${wide} px too wide${unfold ? ', unfolded' : ''}`);
        }
        if (width === 1280) faults.push(...(await byTab(one)).map((fault) => `${here}: ${fault}`));
        await one.evaluate(axe);
        const found = await one.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), WCAG);
        for (const fault of found.violations) {
          faults.push(`${here}: ${fault.id}: ${fault.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
        }
      }
      await context.close();
    }
  }
  assert.deepEqual(faults, []);
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
  const context = await chromium.newContext({ viewport: { width: 360, height: 900 } });
  const page = await context.newPage();
  const faults = [];
  page.on('console', (said) => { if (said.type() === 'error') faults.push(said.text()); });
  const look = async (step) => {
    await page.evaluate(axe);
    const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), WCAG);
    faults.push(...found.violations.map((fault) => `${step}: ${fault.id}: ${fault.nodes[0].html.slice(0, 160)}`));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) faults.push(`${step}: ${wide} px too wide`);
  };
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
  const stranger = await context.browser().newContext({ viewport: { width: 360, height: 900 } });
  const door = await stranger.newPage();
  await door.goto(`${gateway.base}/signin`);
  await door.fill('#email', 'careful@example.com');
  await door.fill('#password', PASSWORD);
  await door.click('main button.primary');
  await door.waitForSelector('#otp');
  await door.fill('#otp', codes[0]);
  await door.click('main button.primary');
  await door.waitForURL('**/console');
  await stranger.close();
  await context.close();
  assert.deepEqual(faults, []);
});

test('each page says how its call is typed, and the line runs', async () => {
  const page = await inside.newPage();
  const entered = await fetch(`${gateway.base}/api/auth/login`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'admin@example.com', password: PASSWORD }),
  });
  const { access_token: access } = await entered.json();
  await page.goto(`${gateway.base}/console/requests`);
  const request = await page.getAttribute('tbody th a', 'href');
  const lines = new Set();
  for (const path of ['/console', '/console/keys', '/console/usage', '/console/requests', request, '/console/models', '/console/features', '/console/memory', '/console/agents', '/console/connect', '/console/team', '/console/settings', '/admin', '/admin/accounts', '/admin/plans', '/admin/audit', '/admin/outbox']) {
    await page.goto(gateway.base + path);
    const text = await page.textContent('#the-same-by-api');
    const own = text.split('\n').filter((line) => line.startsWith('curl "$BASE'));
    assert.ok(own.length > 0, `no line on ${path}`);
    own.forEach((line) => lines.add(line));
  }
  for (const line of lines) {
    const typed = line.replace('curl ', 'curl -s -o /dev/null -w "%{http_code}" ');
    const said = execFileSync('/bin/sh', ['-c', typed], { env: { PATH: process.env.PATH, BASE: gateway.base, KEY: access, ACCESS: access } });
    assert.equal(String(said), '200', line);
  }
  await page.close();
});

test('two tabs, one goes to another account, and nobody is signed out', async () => {
  const context = await chromium.newContext({ storageState: await inside.storageState() });
  const [one, other] = [await context.newPage(), await context.newPage()];
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
