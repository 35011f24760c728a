'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const test = require('node:test');

/** The program itself, as the container starts it. */
function start(t, env) {
  const child = spawn(process.execPath, [path.join(__dirname, '..', 'server.js')], {
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return { child, lines: readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

async function port(lines) {
  const { value } = await lines.next();
  return Number(/listens on (\d+)/.exec(value)[1]);
}

test('serves, drains on SIGTERM and exits with 0', async (t) => {
  const { child, lines } = start(t, { HELLO_DELAY_RATIO: '0', HELLO_UNHEALTHY_RATIO: '0' });
  const url = `http://127.0.0.1:${await port(lines)}`;
  // Connections that fetch would keep for later are what a drain waits for.
  const single = { headers: { connection: 'close' } };
  assert.deepEqual(await (await fetch(`${url}/`, single)).json(), { message: 'hello world' });
  assert.equal(await (await fetch(`${url}/healthz`, single)).text(), 'OK');
  child.kill('SIGTERM');
  assert.match(JSON.parse((await lines.next()).value).message, /^SIGTERM: draining/);
  const during = await fetch(`${url}/`);
  assert.deepEqual([await during.json(), during.headers.get('connection')], [{ message: 'hello world' }, 'close']);
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
});

test('without credentials the routes of the table answer 500 fast', { timeout: 10_000 }, async (t) => {
  const { lines } = start(t, { AWS_CONFIG_FILE: '/nonexistent', AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' });
  const response = await fetch(`http://127.0.0.1:${await port(lines)}/read/1`);
  assert.deepEqual([response.status, await response.json()], [500, { error: 'Could not read from DynamoDB' }]);
});

test('a setting that makes no sense ends it, named', async (t) => {
  const { child } = start(t, { HELLO_DELAY_RATIO: '2' });
  let text = '';
  child.stderr.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(JSON.parse(text).message, /^hello cannot start: HELLO_DELAY_RATIO/);
});

test('a port in use ends it with the reason', async (t) => {
  const first = start(t, {});
  const taken = await port(first.lines);
  const { child } = start(t, { PORT: String(taken) });
  let text = '';
  child.stderr.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(text, /EADDRINUSE/);
});
