// The console over a million requests, 20,000 accounts and 100,000 keys, while two hundred requests a second
// go through the same node: what a page takes of the server's time, and what thousands of them leave in memory.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { browser, goElsewhere, setUp } from './pages.mjs';

// What a page may take of the server, in milliseconds at the 95th percentile, when it is built for release. The
// binary of the tests is not optimised, and its neighbours are tests: twice as much.
const SLOWER = Number(process.env.SLOWER || 2);
const PAGE = 20 * SLOWER;
const ADMIN = 50 * SLOWER;
const SEARCH = 220 * SLOWER;
const TIMES = 40;
// How many pages are looked at for what they leave in memory: 10,000 by hand.
const VIEWS = Number(process.env.VIEWS || 3_000);
let gateway;
let chromium;
let inside;
let key;

// Requests at an even rate, until told to stop; those that fail are counted.
function load(perSecond) {
  const told = { sent: 0, failed: 0, under: 0 };
  const began = Date.now();
  const timer = setInterval(() => {
    const due = Math.floor((Date.now() - began) * perSecond / 1_000);
    for (; told.sent < due; told.sent += 1) {
      // What the machine cannot keep up with is not heaped up.
      if (told.under >= 64) { told.sent = due; break; }
      told.under += 1;
      fetch(`${gateway.base}/v1/chat/completions`, {
        method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'claude-haiku-4-5', messages: [{ role: 'user', content: `Hello ${told.sent}` }], max_tokens: 16 }),
      }).then(async (answer) => { await answer.text(); if (answer.status !== 200) told.failed += 1; }, () => { told.failed += 1; })
        .finally(() => { told.under -= 1; });
    }
  }, 10);
  return { told, stop: () => clearInterval(timer) };
}

const resident = () => Number(readFileSync(`/proc/${gateway.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1_024;

before(async () => {
  chromium = await browser();
  inside = await chromium.newContext();
  const page = await inside.newPage();
  const config = '[plans.enterprise]\nrequests_per_minute = 1000000\n';
  gateway = await start(config);
  await setUp(page, gateway);
  gateway.stop(true);
  // The administrator becomes an owner of the busiest account, too.
  key = execFileSync('python3', ['tests/console/reference.py', `${gateway.folder}/optimux.db`, '1', 'admin@example.com'], { encoding: 'utf8' }).trim();
  gateway = await start(config, gateway.folder);
  await page.close();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

test('a page costs no more with a million requests in the store, and beside two hundred a second', async () => {
  const slow = [];
  const beside = load(200);
  const took = async (path) => {
    const answer = await inside.request.get(gateway.base + path);
    assert.equal(answer.status(), 200, path);
    await answer.body();
    return Number(answer.headers()['server-timing'].match(/dur=([\d.]+)/)[1]);
  };
  const look = async (path, most) => {
    const times = [];
    for (let n = 0; n < TIMES; n += 1) times.push(await took(path));
    const p95 = times.sort((a, b) => a - b)[Math.floor(TIMES * 0.95) - 1];
    process.stdout.write(`${path}: ${p95} ms\n`);
    if (p95 > most) slow.push(`${path}: ${p95} ms of ${most}`);
  };
  for (const path of ['/admin', '/admin/accounts', '/admin/accounts/acct_00000000', '/admin/plans', '/admin/providers', '/admin/nodes', '/admin/audit', '/admin/outbox']) {
    await look(path, ADMIN);
  }
  await look('/admin/accounts?search=account+1999', SEARCH);
  const page = await inside.newPage();
  await page.goto(`${gateway.base}/console`);
  await goElsewhere(page);
  assert.ok((await page.textContent('.account')).includes('account 0'));
  await page.goto(`${gateway.base}/console/requests`);
  const request = await page.getAttribute('tbody th a', 'href');
  await page.goto(`${gateway.base}/console/keys`);
  const own = await page.getAttribute('tbody th a', 'href');
  for (const path of ['/console', '/console/keys', own, '/console/usage', '/console/requests', request, '/console/playground', '/console/models', '/console/features', '/console/memory', '/console/agents', '/console/connect', '/console/team', '/console/settings']) {
    await look(path, PAGE);
  }
  await look('/console/requests?model=no-such-model', SEARCH);
  await page.close();
  beside.stop();
  process.stdout.write(`${JSON.stringify(beside.told)}\n`);
  assert.equal(beside.told.failed, 0);
  assert.deepEqual(slow, []);
});

test('thousands of views leave the memory as it was', async () => {
  const paths = ['/console', '/console/keys', '/console/usage', '/console/requests', '/console/models', '/console/team'];
  const [{ name, value }] = (await inside.cookies()).filter((kept) => kept.name === 'optimux');
  const views = async (count) => {
    let next = 0;
    await Promise.all(Array.from({ length: 4 }, async () => {
      while (next < count) {
        const path = paths[next % paths.length];
        next += 1;
        const answer = await fetch(gateway.base + path, { headers: { cookie: `${name}=${value}` } });
        assert.equal(answer.status, 200);
        await answer.text();
      }
    }));
  };
  await views(600);
  const before = resident();
  await views(VIEWS);
  const after = resident();
  process.stdout.write(`${before.toFixed(1)} MB before, ${after.toFixed(1)} after\n`);
  assert.ok(after < before + 12, `${before.toFixed(1)} MB before, ${after.toFixed(1)} after`);
});
