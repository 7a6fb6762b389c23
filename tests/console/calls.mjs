// "The same by API", as every page ends in it: each line is run in a shell, with a real key, and answers what the page
// shows.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { access, browser, furnish, setUp, typed } from './pages.mjs';

let gateway;
let chromium;
let context;
let page;
let first;
let all;
let variables;

before(async () => {
  gateway = await start();
  chromium = await browser();
  context = await chromium.newContext();
  page = await context.newPage();
  first = await setUp(page, gateway);
  all = await furnish(page, gateway, first);
  const { secret: key } = await made('by hand');
  variables = { BASE: gateway.base, KEY: key, ACCESS: await access(gateway) };
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

// A key that the page makes for whoever is signed in: its secret, and its id.
async function made(name) {
  await page.goto(`${gateway.base}/console/keys/new`);
  await page.fill('#name', name);
  await page.click('main button.primary');
  const secret = (await page.textContent('#secret')).trim();
  const lines = await linesHere();
  await page.goto(`${gateway.base}/console/keys`);
  return { secret, lines, id: (await page.getAttribute(`tbody th a:text-is("${name}")`, 'href')).split('/').pop() };
}

// The lines of the page that is open, without the one that says what the variables are.
async function linesHere() {
  const text = await page.textContent('#the-same-by-api');
  assert.ok(text.startsWith(`BASE=${gateway.base} `), text);
  return text.slice(text.indexOf('\n') + 1).split(/^(?=curl )/m).map((line) => line.trimEnd());
}

async function linesOf(path) {
  await page.goto(gateway.base + path);
  return linesHere();
}

const run = (line) => typed(line, variables);

// A table: its rows, each with its name and its cells by theirs.
const table = (where = 'main .scroll') => page.$eval(where, (one) => [...one.querySelectorAll('tbody tr, tfoot tr')].map((row) => ({
  name: row.querySelector('th').innerText.trim(),
  ...Object.fromEntries([...row.querySelectorAll('td')].map((cell) => [cell.dataset.name, cell.innerText.trim()])),
})));
const tiles = async () => Object.fromEntries(await page.$$eval('.tiles .tile', (found) => found.map((one) => [one.querySelector('dt').innerText, [...one.querySelectorAll('dd, .note')].map((part) => part.innerText.split('\n')[0])])));

const number = (text) => Number(text.replace(/[,$]/g, ''));
// As it is shown: three digits that say something, and at least cents.
function money(text, nanos, what) {
  const usd = nanos / 1e9;
  assert.ok(Math.abs(number(text) - usd) <= Math.max(0.005 * Math.min(Math.abs(usd), 1), 1e-9), `${what}: ${text} for ${usd}`);
}
// `–` where there is none.
const dollars = (text, usd, what) => (usd === undefined ? assert.equal(text, '–', what) : money(text, usd * 1e9, what));
const lasting = (text, ms, what) => assert.equal(text.endsWith(' ms') ? number(text.slice(0, -3)) : Math.round(number(text.slice(0, -2)) * 10) * 100, text.endsWith(' ms') ? ms : Math.round(ms / 100) * 100, what);

// A row of the usage page against the same of the interface.
function used(row, told, what) {
  assert.deepEqual(
    [row.Requests, row.Failed, row.Tokens, row.Credits].map(number),
    [told.requests, told.failed_requests, told.total_tokens, told.credits], what,
  );
  assert.equal(row.Cached, told.input_tokens > 0 ? `${Math.floor(told.cached_tokens * 100 / told.input_tokens)} %` : '–', what);
  money(row.Cost, told.cost_nano_usd, what);
  dollars(row.Saved, told.saved_usd, what);
  lasting(row.Mean, told.average_latency_ms, what);
}

test('the usage page has the numbers of its line, by whatever it groups', async () => {
  for (const query of ['', '?group_by=key', '?group_by=provider', '?group_by=tier', '?group_by=day', '?group_by=hour', '?group_by=model&baseline=gpt-5.6', '?start=2020-01-01&end=2020-01-02']) {
    const lines = await linesOf(`/console/usage${query}`);
    assert.equal(lines.length, 1);
    const told = run(lines[0]);
    const sums = told.usage;
    const top = await tiles();
    money(top.Cost[0], sums.cost_nano_usd, query);
    dollars(top.Saved[0], sums.saved_usd, query);
    assert.equal(number(top.Requests[0]), sums.requests, query);
    assert.equal(top.Requests[1], `${sums.failed_requests} failed`, query);
    assert.equal(number(top.Credits[0]), sums.credits, query);
    if (told.data.length === 0) {
      assert.ok(query.includes('2020'), 'the rest has something');
      continue;
    }
    const rows = await table();
    used(rows.pop(), sums, `total of ${query}`);
    assert.equal(rows.length, told.data.length, query);
    // Keys are shown by their names.
    const names = Object.fromEntries(run('curl "$BASE/v1/keys" -H "Authorization: Bearer $KEY"').data.map((one) => [one.id, one.name]));
    for (const row of rows) {
      const same = told.data.find((one) => row.name === (names[one[told.group_by]] ?? one[told.group_by]));
      assert.ok(same, `${query}: ${row.name} of ${JSON.stringify(told.data)}`);
      used(row, same, `${query} ${row.name}`);
    }
    const added = (member) => told.data.reduce((sum, one) => sum + one[member], 0);
    for (const member of ['requests', 'failed_requests', 'total_tokens', 'credits', 'cost_nano_usd']) assert.equal(added(member), sums[member], `${query} ${member}`);
  }
});

test('the overview and the requests have the numbers of their lines', async () => {
  const asked = (row, told) => {
    const models = [told.model_requested, ...(told.model && told.model !== told.model_requested ? [told.model] : [])];
    assert.equal(row.Model, models.join(' → '));
    assert.equal(row.name, new Date(told.at_ms).toISOString().slice(0, 16).replace('T', ' '));
    assert.equal(number(row.Tokens), told.total_tokens, told.id);
    money(row.Cost, told.cost_nano_usd, told.id);
    lasting(row.Took, told.latency_ms, told.id);
    assert.equal(row.Outcome, told.status, told.id);
  };
  const [sums, latest] = (await linesOf('/console')).map(run);
  const top = await tiles();
  money(top.Cost[0], sums.usage.cost_nano_usd);
  assert.equal(number(top.Requests[0]), sums.usage.requests);
  assert.equal(top.Requests[1], `${sums.usage.failed_requests} failed`);
  assert.equal(number(top.Tokens[0]), sums.usage.total_tokens);
  assert.equal(number(top['Credits this month'][0]), sums.credits_used);
  for (const [at, row] of (await table()).entries()) asked(row, latest.data[at]);
  for (const query of ['', '?status=complete', '?model=auto', '?status=failed']) {
    const [told] = (await linesOf(`/console/requests${query}`)).map(run);
    const rows = told.data.length > 0 ? await table() : [];
    assert.equal(rows.length, told.data.length, query);
    for (const [at, row] of rows.entries()) asked(row, told.data[at]);
  }
  const [one] = (await linesOf(all.inside.find((path) => path.includes('/requests/req_')))).map(run);
  const facts = await tiles();
  money(facts.Cost[0], one.cost_nano_usd);
  lasting(facts.Took[0], one.latency_ms);
  assert.equal(number(facts.Read[0]), one.usage.input_tokens);
  assert.equal(number(facts.Written[0]), one.usage.output_tokens);
  assert.equal((await table('main .scroll:has-text("Attempts")')).length, one.attempts.length);
});

test('the keys have the numbers of their line', async () => {
  const [told] = (await linesOf('/console/keys')).map(run);
  const rows = await table();
  assert.deepEqual(rows.map((row) => row.name), told.data.map((one) => one.name).reverse());
  for (const [at, row] of rows.reverse().entries()) {
    const one = told.data[at];
    assert.equal(row.Hint, `…${one.hint.split('…')[1]}`);
    assert.equal(row['Last used'], one.last_used_at ? one.last_used_at.slice(0, 16).replace('T', ' ') : 'never', one.name);
    assert.equal(row['Speaks for'], one.user ? 'admin@example.com' : 'the account', one.name);
    const budget = row.Limits.match(/\$([\d.,]+) a month/)?.[1];
    assert.equal(budget && number(budget), one.monthly_budget_usd && Number(one.monthly_budget_usd), one.name);
    assert.equal(row.Limits.includes('own rates'), Boolean(one.requests_per_minute), one.name);
  }
  assert.ok(rows.some((row) => row.Limits.includes('$10')), 'one has a budget');
});

// The keys that are good, by their names.
const keys = () => run('curl "$BASE/v1/keys" -H "Authorization: Bearer $KEY"').data.filter((one) => !one.revoked);

test('every line that does something does it', async () => {
  const did = new Set();
  const doing = async (path, at = 0) => {
    const line = (await linesOf(path))[at];
    did.add(path.replace(/(key|agent|req)_\w+/, '{id}'));
    return run(line);
  };
  // A key, as the page suggests it and as the form that was sent says it.
  const before = keys().length;
  assert.match((await doing('/console/keys/new')).key, /^sk-optimux-/);
  const sent = await made('sent by the page');
  assert.equal(sent.lines.length, 1);
  run(sent.lines[0]);
  assert.equal(keys().length, before + 3);
  assert.equal(keys().filter((one) => one.name === 'sent by the page').length, 2);
  // Put another in its place, by the line that the answer of the form shows: of the one that came of the line.
  const another = keys().findLast((one) => one.name === 'sent by the page').id;
  await page.goto(`${gateway.base}/console/keys/${sent.id}/rotate`);
  await page.click('main button.primary');
  const [rotate] = await linesHere();
  assert.ok(rotate.includes(sent.id), rotate);
  assert.match(run(rotate.replace(sent.id, another)).key, /^sk-optimux-/);
  assert.equal((await doing(`/console/keys/${another}/revoke`)).id ?? another, another);
  assert.ok(!keys().some((one) => one.id === another));
  // What is asked, and what would be.
  assert.ok((await doing('/console/playground')).choices[0].message.content);
  assert.ok((await doing('/console/playground', 1)).model);
  const agent = await doing('/console/agents/new');
  assert.equal((await doing(`/console/agents/${agent.id}`)).name, 'helper');
  // What the administrator does.
  const [, plan] = await linesOf('/admin/plans');
  run(plan);
  const [plans] = (await linesOf('/admin/plans')).map((line) => line.startsWith('curl "$BASE') && run(line));
  assert.ok(JSON.stringify(plans).includes('120'), JSON.stringify(plans));
  const refund = all.inside.find((path) => path.startsWith('/admin/refunds?'));
  await doing(refund);
  assert.equal(did.size, 6, [...did].join(' '));
});

test('every line that reads answers what its page lists', async () => {
  const lists = {
    '/console/memory': (told) => told.data.length, '/console/agents': (told) => told.data.length,
    '/admin/accounts': (told) => told.data.length, '/admin/audit': (told) => Math.min(told.data.length, 50),
  };
  const seen = new Set();
  const without = [];
  for (const path of all.inside) {
    await page.goto(gateway.base + path);
    if (!await page.$('#the-same-by-api')) {
      without.push(path.replace(/(key|member)_\w+|invite\/\S+/, '{id}'));
      continue;
    }
    const lines = await linesHere();
    const answers = lines.filter((line) => line.startsWith('curl "$BASE')).map((line) => { seen.add(path); return run(line); });
    if (lists[path]) assert.equal((await table()).length, lists[path](answers[0]), path);
    if (path === '/console/team') assert.equal((await table()).length, answers[0].data.length + answers[1].data.length);
    if (path === '/console/settings') assert.equal((await table()).length, answers[1].data.length);
  }
  assert.ok(seen.size >= 20, [...seen].join(' '));
  // What was shown once is no call any more; an invitation is for people alone.
  assert.deepEqual(without, ['/console/keys/{id}/rotate', '/console/team/{id}', '/welcome', '/{id}']);
});
