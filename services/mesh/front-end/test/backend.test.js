'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const test = require('node:test');
const { BackEndError, createBackEnd } = require('../backend');

async function backEnd(t, server, timeoutMs = 2000) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return createBackEnd({ backEnd: new URL(`http://127.0.0.1:${server.address().port}`), timeoutMs });
}

test('an answer is its text, and its connection is not kept', async (t) => {
  const seen = [];
  const ask = await backEnd(t, http.createServer((request, response) => {
    seen.push([request.url, request.headers.connection]);
    response.end('grüß dich');
  }));
  assert.equal(await ask('/slow-endpoint'), 'grüß dich');
  assert.deepEqual(seen, [['/slow-endpoint', 'close']]);
});

test('every way to fail is a BackEndError that says which', async (t) => {
  const cases = [
    [http.createServer((_request, response) => response.writeHead(500).end('no')), /answered 500/],
    [http.createServer((_request, response) => response.writeHead(302, { location: '/' }).end()), /answered 302/],
    [http.createServer((_request, response) => response.end(Buffer.alloc(70_000))), /more than 65536 bytes/],
    [http.createServer((request) => request.socket.destroy()), /cannot be reached: ECONNRESET/],
    [http.createServer((_request, response) => response.write('half', () => response.destroy())), /cannot be reached/],
    [net.createServer((socket) => socket.end('this is not HTTP\r\n\r\n')), /cannot be reached: HPE_/],
    [http.createServer(() => {}), /gave no answer within 200 ms/, 200],
    [http.createServer((_request, response) => response.write('half')), /gave no answer within 200 ms/, 200],
  ];
  for (const [server, reason, timeoutMs] of cases) {
    const ask = await backEnd(t, server, timeoutMs);
    await assert.rejects(ask('/'), (error) => error instanceof BackEndError && reason.test(error.message), String(reason));
  }
});

test('nobody at the address', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const ask = createBackEnd({ backEnd: new URL(`http://127.0.0.1:${port}`), timeoutMs: 2000 });
  await assert.rejects(ask('/'), /cannot be reached: ECONNREFUSED/);
});
