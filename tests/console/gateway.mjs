// A gateway of its own for a browser: an empty folder, a free port, and what it printed.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createSite } from 'node:http';
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

const emptyFolder = () => mkdtempSync(join(tmpdir(), 'optimux-console-'));

// In an empty folder, or in one where a gateway has run before, which it leaves as it is. A configuration may need to
// know its address.
export async function start(config = '', before = '', more = {}) {
  const folder = before || emptyFolder();
  const port = await freePort();
  const text = typeof config === 'string' ? config : config(`http://127.0.0.1:${port}`);
  if (text) writeFileSync(join(folder, 'optimux.toml'), text);
  // No provider's key of this machine's: answers are made up.
  const variables = { PATH: process.env.PATH, HOME: folder, RUST_LOG: 'warn', ...more };
  const child = spawn(process.env.OPTIMUX, ['serve', '--listen', `127.0.0.1:${port}`], {
    cwd: folder, env: variables, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let log = '';
  child.stderr.on('data', (piece) => { log += piece; });
  await new Promise((done, fail) => {
    child.stdout.on('data', (piece) => {
      said += piece;
      if (said.includes('listening on') && (before || said.includes('setup?code='))) done();
    });
    child.on('exit', (code) => fail(new Error(`the gateway ended with ${code}: ${log}${said}`)));
  });
  return {
    base: `http://127.0.0.1:${port}`,
    folder,
    setup: said.match(/http:\S+\/setup\?code=\S+/)?.[0],
    pid: child.pid,
    log: () => log,
    stop(keep = false) {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      if (!keep) rmSync(folder, { recursive: true, force: true });
    },
  };
}

// A site of its own on a port of its own: an empty page, with the headers that are named.
export async function elsewhere(headers = {}) {
  const server = createSite((_, answer) => answer.writeHead(200, { 'content-type': 'text/html', ...headers }).end('<!doctype html><title>Shop</title>'));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  return { base: `http://127.0.0.1:${port}`, named: `http://localhost:${port}`, stop: () => server.close() };
}

// A mail server (RFC 5321, as far as one client needs it), and the last letter that somebody got.
export async function mailbox() {
  const letters = [];
  const server = createServer((socket) => {
    let [to, text, heard] = ['', null, ''];
    const say = (line) => socket.write(`${line}\r\n`);
    say('220 mail.example');
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      const lines = (heard + piece).split('\r\n');
      heard = lines.pop();
      for (const line of lines) {
        if (text !== null && line !== '.') text += `${line}\r\n`;
        else if (text !== null) {
          letters.push({ to, text: text.replaceAll('=\r\n', '').replaceAll('=3D', '=') });
          text = null;
          say('250 taken');
        } else if (/^EHLO/i.test(line)) say('250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN');
        else if (/^AUTH/i.test(line)) say('235 welcome');
        else if (/^DATA/i.test(line)) { text = ''; say('354 go on'); }
        else { if (/^RCPT/i.test(line)) to = line.split(/[<>]/)[1]; say('250 yes'); }
      }
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `smtp://ann:secret@127.0.0.1:${server.address().port}`,
    last: (to) => letters.findLast((one) => one.to === to)?.text,
    stop: () => server.close(),
  };
}

// The simulated provider as a process of its own, which does as it is told by scripts.
export async function simulator() {
  const base = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(process.env.OPTIMUX, ['sim', '--lenient', '--listen', base.slice('http://'.length)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((done, fail) => {
    child.stdout.on('data', (piece) => { if (String(piece).includes('any, as one')) done(); });
    child.on('exit', (code) => fail(new Error(`the simulated provider ended with ${code}`)));
  });
  return {
    base,
    script: (said) => fetch(`${base}/sim/scripts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(said) }),
    stop() {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
    },
  };
}

// A PostgreSQL server of its own, which does not run as root.
export async function postgres() {
  const installed = '/usr/lib/postgresql';
  const found = existsSync(installed) ? readdirSync(installed).map((version) => join(installed, version, 'bin')) : [];
  const tools = [...found, ...process.env.PATH.split(':')].find((folder) => existsSync(join(folder, 'initdb')));
  const folder = emptyFolder();
  const port = await freePort();
  const root = process.getuid() === 0;
  if (root) execFileSync('chown', ['postgres', folder]);
  const line = (tool, words) => (root ? ['runuser', ['-u', 'postgres', '--', join(tools, tool), ...words]] : [join(tools, tool), words]);
  const data = join(folder, 'data');
  execFileSync(...line('initdb', ['-U', 'optimux', '-A', 'trust', '-N', '-D', data]), { cwd: folder, stdio: 'ignore' });
  const child = spawn(...line('postgres', ['-D', data, '-p', port, '-c', 'listen_addresses=127.0.0.1', '-k', folder]), { cwd: folder, stdio: 'ignore' });
  const url = `postgres://optimux@127.0.0.1:${port}/postgres`;
  const answers = () => {
    try {
      execFileSync(join(tools, 'psql'), [url, '-c', 'SELECT 1'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  for (let tries = 0; !answers(); tries += 1) {
    if (tries === 200) throw new Error('PostgreSQL does not answer');
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    url,
    stop() {
      child.kill('SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
