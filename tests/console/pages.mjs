// Every page, and the way to it: walked once, so that there is something on each of them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

export const PASSWORD = 'correct horse battery';

export function browser(more = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
    ...more,
  });
}

// The first administrator, by the link that was printed; leaves the browser on the welcome page.
export async function setUp(page, gateway) {
  await page.goto(gateway.setup);
  await page.fill('#email', 'admin@example.com');
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await page.waitForSelector('#secret');
  return (await page.textContent('#secret')).trim();
}

export async function ask(gateway, key, model, said, more = {}) {
  const answer = await fetch(`${gateway.base}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: said }], ...more }),
  });
  await answer.text();
  return answer;
}

// Waits for something that comes true by itself, and says what did not.
export async function eventually(what, holds) {
  const until = Date.now() + 20_000;
  while (Date.now() < until) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`never came true: ${what}`);
}

// A call of the interface: its status, and what it said.
export async function call(gateway, method, path, body, bearer = '', more = {}) {
  const answer = await fetch(gateway.base + path, {
    method, body: body && JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }), ...more },
  });
  const text = await answer.text();
  return { status: answer.status, json: text.startsWith('{') ? JSON.parse(text) : {} };
}

// What a line answers that is typed in a shell with these variables, which has to be 200.
export function typed(line, variables = {}) {
  const said = execFileSync('/bin/sh', ['-c', `${line} -sS -w '\n%{http_code}'`], { encoding: 'utf8', env: { PATH: process.env.PATH, ...variables } });
  const at = said.lastIndexOf('\n');
  assert.equal(said.slice(at + 1), '200', `${line}: ${said}`);
  return JSON.parse(said.slice(0, at));
}

// What a person is known by who signs in by the interface.
export async function access(gateway, email = 'admin@example.com') {
  const entered = await call(gateway, 'POST', '/api/auth/login', { email, password: PASSWORD });
  return entered.json.access_token;
}

// The administrator is invited to an account of somebody else, joins it, and goes back to their own: every
// page has the way to another account in its head from then on.
export async function joinAnother(page, gateway) {
  const made = await call(gateway, 'POST', '/api/auth/register', { email: 'cy@example.com', password: PASSWORD, organisation: 'The other house' });
  const { link } = (await call(gateway, 'POST', '/v1/account/invitations', { email: 'admin@example.com' }, made.json.access_token)).json;
  await page.goto(link);
  await page.click('main form button.primary');
  await page.waitForURL('**/console');
  await goElsewhere(page);
}

// To the first of the other accounts, by the head of the page.
export async function goElsewhere(page) {
  await page.click('.switch summary');
  await Promise.all([page.waitForNavigation(), page.click('.switch button:not([disabled])')]);
}

// A member who has joined by an invitation.
export async function joined(gateway, email) {
  const { link } = (await call(gateway, 'POST', '/v1/account/invitations', { email }, await access(gateway))).json;
  const token = new URL(link).pathname.split('/').pop();
  return call(gateway, 'POST', `/api/auth/invitations/${token}`, { password: PASSWORD });
}

// Traffic, a key with limits, members and an invitation, an agent, memories: then the addresses of all pages.
export async function furnish(page, gateway, key) {
  for (const [model, said] of [['auto', 'Hello'], ['auto', 'Prove that there are infinitely many primes.'], ['claude-haiku-4-5', 'A haiku'], ['auto:best', 'Explain quantum computing'], ['no-such-model', 'x']]) {
    await ask(gateway, key, model, said);
  }
  const go = (path) => page.goto(gateway.base + path);
  await go('/console/keys/new');
  await page.fill('#name', 'ci');
  await page.fill('#monthly_budget_usd', '10');
  await page.fill('#requests_per_minute', '60');
  await page.click('main button.primary');
  await page.waitForSelector('#secret');
  const ci = (await page.textContent('#secret')).trim();
  await ask(gateway, ci, 'auto', 'From the build');
  await go('/console/team');
  await page.fill('#email', 'bob@example.com');
  await page.click('main form[action="/console/team/invitations"] button.primary');
  await page.waitForSelector('#link');
  const invite = new URL((await page.textContent('#link')).trim()).pathname;
  await joined(gateway, 'dee@example.com');
  await joinAnother(page, gateway);
  const agent = await call(gateway, 'POST', '/v1/agents', {
    name: 'Helper', description: 'Helps', instructions: 'Be brief.', model: 'auto', temperature: 0.5,
    tools: [{ type: 'memory' }], limits: { max_turns: 4 },
  }, key);
  // Of the person, as the page shows them.
  const person = await access(gateway);
  await call(gateway, 'POST', '/v1/memory/store', { text: 'Ann works at Acme', tags: ['work', 'people'] }, person);
  await call(gateway, 'POST', '/v1/memory/store', { text: 'Prefers short answers', ttl_seconds: 86_400 }, person);
  let request = '';
  await eventually('the requests are in the list', async () => {
    await go('/console/requests');
    const rows = await page.$$('tbody th a');
    if (rows.length < 5) return false;
    request = await rows[0].getAttribute('href');
    return true;
  });
  await go('/console/keys');
  const own = await page.getAttribute('tbody th a', 'href');
  await go('/admin/accounts');
  const account = await page.getAttribute('tbody th a', 'href');
  await go('/console/team');
  const member = await page.getAttribute('tbody a[href^="/console/team/"]', 'href');
  return {
    inside: [
      '/console', '/console/keys', '/console/keys/new', own, `${own}/rotate`, `${own}/revoke`,
      '/console/usage', '/console/requests', request, '/console/playground', '/console/models',
      '/console/models/claude-haiku-4-5', '/console/features', '/console/memory', '/console/agents', '/console/agents/new',
      `/console/agents/${agent.json.id}`, `/console/agents/${agent.json.id}/delete`, '/console/connect', '/console/team', member, '/console/settings', '/welcome', '/admin', '/admin/accounts',
      account, invite, '/admin/plans', '/admin/providers', '/admin/nodes', '/admin/audit', '/admin/outbox', '/admin/refunds', `/admin/refunds?request=${request.split('/').pop()}`,
    ],
    outside: ['/', '/status', '/docs', '/signin', '/signup', '/forgot', '/nowhere', invite],
  };
}
