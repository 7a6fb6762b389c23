// Streams one after another on a thread of its own, where nothing but their first bytes is waited for: how long each
// of them took, in milliseconds.
import { Agent, request } from 'node:http';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

// `readers` at once read `count` streams of `model`.
export function firstBytes(told) {
  return new Promise((done, fail) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: told });
    worker.on('message', done);
    worker.on('error', fail);
  });
}

async function measure({ base, key, model, readers, count }) {
  const agent = new Agent({ keepAlive: true });
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Say something' }], max_tokens: 16 });
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const one = () => new Promise((done, fail) => {
    const began = performance.now();
    let first = 0;
    const asked = request(`${base}/v1/chat/completions`, { method: 'POST', agent, headers }, (answer) => {
      if (answer.statusCode !== 200) fail(new Error(`a stream was answered with ${answer.statusCode}`));
      answer.on('data', () => { first ||= performance.now() - began; });
      answer.on('end', () => done(first));
    });
    asked.on('error', fail);
    asked.end(body);
  });
  const times = [];
  let left = count;
  await Promise.all(Array.from({ length: readers }, async () => {
    while (left > 0) {
      left -= 1;
      times.push(await one());
    }
  }));
  agent.destroy();
  return times;
}

if (!isMainThread) parentPort.postMessage(await measure(workerData));
