// The playground with its script: columns beside each other, one that fails, and one that is stopped.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { simulator, start } from './gateway.mjs';
import { browser, eventually, setUp } from './pages.mjs';

let provider;
let gateway;
let chromium;
let inside;

before(async () => {
  provider = await simulator();
  const model = (id) => `[[models]]\nid = "${id}"\ntier = "budget"\ncontext_tokens = 128000\nmax_output_tokens = 16000\ndeployments = [{ provider = "here", usd_per_million = { input = 1.0, output = 2.0 } }]\n`;
  gateway = await start(`[providers.here]\nbase_url = "${provider.base}/v1"\ndialect = "openai-chat"\n${model('swift')}${model('slow')}`);
  chromium = await browser();
  inside = await chromium.newContext();
  const page = await inside.newPage();
  await setUp(page, gateway);
  await page.close();
});
after(async () => {
  await chromium?.close();
  gateway?.stop();
  provider?.stop();
});

test('the playground streams into columns', async () => {
  const page = await inside.newPage();
  const faults = [];
  page.on('console', (said) => { if (said.type() === 'error') faults.push(said.text()); });
  await page.goto(`${gateway.base}/console/playground`);
  await page.fill('#message', 'Say something');
  await page.click('[data-compare]');
  await page.selectOption('#compare-0', 'swift');
  await page.click('button[value=send]');
  await page.waitForFunction(() => document.querySelectorAll('[data-answers] section a').length === 2);
  await page.waitForFunction(() => [...document.querySelectorAll('[data-answers] section')].every((one) => one.textContent.includes('tokens')), null, { timeout: 15_000 });
  assert.ok((await page.textContent('[data-answers]')).includes('swift'));
  assert.deepEqual(faults, []);
  await page.close();
});

test('two columns go on beside one that fails', async () => {
  const page = await inside.newPage();
  await page.goto(`${gateway.base}/console/playground`);
  await page.fill('#message', 'Write a long story about a lighthouse');
  for (const [at, model] of [[0, 'swift'], [1, 'no-such-model']]) {
    await page.click('[data-compare]');
    await page.evaluate(([id, value]) => {
      const select = document.getElementById(id);
      const option = document.createElement('option');
      option.value = value;
      option.textContent = value;
      select.append(option);
      select.value = value;
    }, [`compare-${at}`, model]);
  }
  await page.click('button[value=send]');
  const sections = '[data-answers] section';
  await page.waitForFunction((all) => {
    const texts = [...document.querySelectorAll(all)].map((one) => one.textContent);
    return texts.length === 3 && texts.filter((text) => text.includes('tokens')).length === 2;
  }, sections, { timeout: 20_000 });
  const failed = await page.$$eval(sections, (all) => all.map((one) => one.textContent).filter((text) => text.includes('no-such-model')));
  assert.equal(failed.length, 1);
  assert.ok(!failed[0].includes('tokens'), failed[0]);
  await page.close();
});

test('a stream that is stopped is charged for what was produced', async () => {
  await provider.script({ model: 'slow', chunk_gap_ms: 150 });
  const page = await inside.newPage();
  await page.goto(`${gateway.base}/console/playground`);
  await page.selectOption('#model', 'slow');
  await page.fill('#message', 'Write a long story about a lighthouse');
  await page.click('button[value=send]');
  await page.waitForFunction(() => (document.querySelector('[data-answers] .answer')?.textContent ?? '').split(' ').length > 3);
  await page.click('[data-stop]');
  await page.waitForSelector('text=Stopped. What was produced is charged.');
  const shown = (await page.textContent('[data-answers] .answer')).trim();
  let told;
  await eventually('the request is in the list', async () => {
    const list = await (await inside.request.get(`${gateway.base}/console/requests?model=slow`)).text();
    const id = list.match(/\/console\/requests\/(req_\w+)/)?.[1];
    if (!id) return false;
    const answer = await inside.request.get(`${gateway.base}/console/playground/requests/${id}`);
    if (!answer.ok()) return false;
    told = await answer.json();
    return true;
  });
  const whole = await page.evaluate(async () => {
    const form = document.querySelector('[data-playground]');
    const answer = await fetch('/console/playground/run', {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf': form.dataset.token },
      body: JSON.stringify({ model: 'swift', messages: [{ role: 'user', content: document.querySelector('#message').value }] }),
    });
    return answer.json();
  });
  const [out, all] = [told.usage.completion_tokens ?? told.usage.output_tokens, whole.usage.completion_tokens];
  assert.ok(out > 0 && out < all, `${out} of ${all} tokens: ${JSON.stringify(told)}`);
  // A word is a token, more or less; a few more may have been under way.
  const words = shown.split(/\s+/).length;
  assert.ok(out >= words / 2 && out <= words * 2 + 12, `${out} tokens for ${words} words: ${shown}`);
  assert.ok(told.cost_nano_usd > 0, JSON.stringify(told));
  await page.close();
});
