// A gateway of its own for a browser: an empty folder, a free port, and what it printed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const freePort = () => new Promise((done, fail) => {
  const socket = createServer();
  socket.on('error', fail);
  socket.listen(0, '127.0.0.1', () => {
    const { port } = socket.address();
    socket.close(() => done(port));
  });
});

export async function start(config = '') {
  const folder = mkdtempSync(join(tmpdir(), 'optimux-console-'));
  const port = await freePort();
  writeFileSync(join(folder, 'optimux.toml'), config);
  // No provider's key of this machine's: answers are made up.
  const variables = { PATH: process.env.PATH, HOME: folder, RUST_LOG: 'warn' };
  const child = spawn(process.env.OPTIMUX, ['serve', '--listen', `127.0.0.1:${port}`], {
    cwd: folder, env: variables, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let log = '';
  child.stderr.on('data', (piece) => { log += piece; });
  await new Promise((done, fail) => {
    child.stdout.on('data', (piece) => {
      said += piece;
      if (said.includes('setup?code=') && said.includes('first key')) done();
    });
    child.on('exit', (code) => fail(new Error(`the gateway ended with ${code}: ${log}${said}`)));
  });
  return {
    base: `http://127.0.0.1:${port}`,
    setup: said.match(/http:\S+\/setup\?code=\S+/)[0],
    key: said.match(/sk-optimux-\w+/)[0],
    log: () => log,
    stop() {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
