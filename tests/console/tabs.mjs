// Two tabs of one browser for a minute, each asking for twenty pages at a time, while one of them goes
// from account to account: nobody is signed out. Runs beside the walk, as it mostly waits.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './gateway.mjs';
import { browser, goElsewhere, joinAnother, setUp } from './pages.mjs';

const MINUTE = 60_000;
const EVERY = 1_500;
let gateway;
let chromium;

before(async () => {
  gateway = await start();
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
});

test('two tabs are busy for a minute, one goes to other accounts, and nobody is signed out', async () => {
  const context = await chromium.newContext();
  const [one, other] = [await context.newPage(), await context.newPage()];
  await setUp(one, gateway);
  await joinAnother(one, gateway);
  await other.goto(`${gateway.base}/console/keys`);
  const cookie = async () => (await context.cookies()).find((kept) => kept.name === 'optimux').value;
  const kept = await cookie();
  // Twenty at once, as the tab itself asks; each has to end on a page of the console.
  const burst = (tab) => tab.evaluate(() => Promise.all(Array.from({ length: 20 }, async (_, at) => {
    const answer = await fetch(`/console/${['keys', 'usage', 'team', 'settings'][at % 4]}`);
    await answer.text();
    return `${answer.status} ${new URL(answer.url).pathname}`;
  })));
  const until = Date.now() + MINUTE;
  let turns = 0;
  while (Date.now() < until) {
    const next = Date.now() + EVERY;
    // A page that is left takes its requests with it: the tab switches between two bursts, while the other asks on.
    const busy = burst(other);
    if (turns % 5 === 4) await goElsewhere(one);
    const asked = (await Promise.all([busy, burst(one)])).flat();
    assert.deepEqual([...new Set(asked)].sort(), ['200 /console/keys', '200 /console/settings', '200 /console/team', '200 /console/usage']);
    turns += 1;
    await new Promise((done) => setTimeout(done, Math.max(0, next - Date.now())));
  }
  assert.ok(turns >= 10, `${turns} turns`);
  assert.equal(await cookie(), kept, 'one session all along');
  for (const tab of [one, other]) {
    await tab.goto(`${gateway.base}/console/keys`);
    assert.ok(await tab.isVisible('text=Create key'));
  }
});
