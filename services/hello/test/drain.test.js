'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const test = require('node:test');
const { Drain } = require('../drain');

const LIMITS = { quietMs: 60, patienceMs: 400, cutMs: 300, tickMs: 5 };

async function serve(t, answer, limits = {}) {
  const server = http.createServer({ keepAliveTimeout: 60_000 });
  const drain = new Drain(server, { ...LIMITS, ...limits });
  server.on('request', answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, drain, port: server.address().port };
}

function get(port, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode, connection: response.headers.connection }));
    });
    request.on('error', reject);
  });
}

const hello = (_request, response) => response.end('hello');

test('before the drain connections are kept', async (t) => {
  const { port } = await serve(t, hello);
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  assert.equal((await get(port, agent)).connection, 'keep-alive');
});

test('while draining it goes on answering, and tells each client to leave', async (t) => {
  const { drain, port } = await serve(t, hello);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  await get(port, agent);
  const drained = drain.run();
  const kept = await get(port, agent);
  const fresh = await get(port, new http.Agent());
  assert.deepEqual(kept, { status: 200, connection: 'close' });
  assert.deepEqual(fresh, { status: 200, connection: 'close' });
  assert.equal((await drained).cut, 0);
  await assert.rejects(get(port), { code: 'ECONNREFUSED' });
});

test('an answer that was under way when the drain began is finished, and closes', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const { server, drain, port } = await serve(t, async (_request, response) => {
    await held;
    response.end('late');
  });
  const arrived = once(server, 'request');
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const answer = get(port, agent);
  await arrived;
  const drained = drain.run();
  release();
  assert.deepEqual(await answer, { status: 200, connection: 'close' });
  assert.equal((await drained).cut, 0);
});

test('an idle connection is left to its client first, then half-closed: an end, no reset', async (t) => {
  const { drain, port } = await serve(t, hello);
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const failures = [];
  socket.on('error', (error) => failures.push(error));
  socket.write('GET / HTTP/1.1\r\nHost: hello\r\n\r\n');
  await once(socket, 'data');
  const start = performance.now();
  const drained = drain.run();
  await once(socket, 'end');
  assert.ok(performance.now() - start >= LIMITS.patienceMs - 1, 'closed before its time');
  assert.equal((await drained).cut, 0);
  assert.deepEqual(failures, []);
});

test('a client that holds on is cut, and counted', async (t) => {
  const { drain, port } = await serve(t, hello);
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: hello\r\n');
  while (drain.connections === 0) await new Promise(setImmediate);
  assert.equal((await drain.run()).cut, 1);
});

test('20 busy keep-alive clients lose nothing', async (t) => {
  const { drain, port } = await serve(t, hello);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
  t.after(() => agent.destroy());
  let stop = false;
  const statuses = [];
  // Each client ends by the refusal that only a closed port gives: everything before it must have been answered.
  const client = async () => {
    while (!stop) {
      statuses.push((await get(port, agent)).status);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const clients = Array.from({ length: 20 }, client);
  while (statuses.length < 100) await new Promise(setImmediate);
  const before = statuses.length;
  const drained = drain.run();
  while (statuses.length < before + 200) await new Promise(setImmediate);
  stop = true;
  await Promise.all(clients);
  assert.equal((await drained).cut, 0);
  assert.ok(statuses.every((status) => status === 200));
});
