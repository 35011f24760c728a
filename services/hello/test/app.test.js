'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { createApp } = require('../app');

/** Serves the app with the given parts replaced, and returns a function that requests a path. */
async function serve(t, parts = {}) {
  const unused = () => assert.fail('the store was not meant to be used');
  const app = createApp({
    health: { healthy: true },
    store: { read: unused, write: unused },
    delayRatio: 0,
    wait: () => assert.fail('no delay was meant'),
    ...parts,
  });
  const server = http.createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  return (path, options) => fetch(base + path, options);
}

const post = (body, type = 'application/json') => ({
  method: 'POST',
  headers: { 'content-type': type },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

/** What the service logs while it runs belongs to the assertion, not on the screen. */
function quiet(t) {
  return t.mock.method(console, 'error', () => {});
}

test('GET / says hello', async (t) => {
  const request = await serve(t);
  const response = await request('/');
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^application\/json/);
  assert.deepEqual(await response.json(), { message: 'hello world' });
  assert.equal(response.headers.get('x-powered-by'), null);
});

test('GET / waits 500 to 3000 ms when the draw says so', async (t) => {
  const waits = [];
  const draws = [0.29, 0, 0.29, 0.9999999, 0.3];
  const request = await serve(t, {
    delayRatio: 0.3,
    random: () => draws.shift(),
    wait: async (ms) => waits.push(ms),
  });
  for (let i = 0; i < 3; i += 1) assert.equal((await request('/')).status, 200);
  assert.deepEqual(waits, [500, 3000]);
});

test('GET /healthz tells what was drawn', async (t) => {
  const good = await (await serve(t))('/healthz');
  assert.deepEqual([good.status, await good.text()], [200, 'OK']);
  const bad = await (await serve(t, { health: { healthy: false } }))('/healthz');
  assert.deepEqual([bad.status, await bad.text()], [500, 'NOT OK']);
});

test('GET /read/:id answers the item', async (t) => {
  const store = { read: async (id) => (id === 'a b' ? { id, data: { n: 1 } } : undefined) };
  const request = await serve(t, { store });
  const found = await request('/read/a%20b');
  assert.deepEqual([found.status, await found.json()], [200, { id: 'a b', data: { n: 1 } }]);
  assert.equal((await request('/read/other')).status, 404);
});

test('GET /read/:id says that the table failed, and logs why', async (t) => {
  const log = quiet(t);
  const request = await serve(t, { store: { read: async () => Promise.reject(new Error('no credentials')) } });
  const response = await request('/read/1');
  assert.deepEqual([response.status, await response.json()], [500, { error: 'Could not read from DynamoDB' }]);
  assert.match(log.mock.calls[0].arguments[0], /no credentials/);
});

test('POST /write writes', async (t) => {
  const written = [];
  const request = await serve(t, { store: { write: async (...item) => written.push(item) } });
  const response = await request('/write', post({ id: '7', data: [1, null] }));
  assert.deepEqual([response.status, await response.json()], [200, { message: 'Data written to DynamoDB' }]);
  assert.deepEqual(written, [['7', [1, null]]]);
});

test('POST /write says that the table failed', async (t) => {
  quiet(t);
  const request = await serve(t, { store: { write: async () => Promise.reject(new Error('down')) } });
  const response = await request('/write', post({ id: '7', data: 'x' }));
  assert.deepEqual([response.status, await response.json()], [500, { error: 'Could not write to DynamoDB' }]);
});

test('POST /write refuses what is no item', async (t) => {
  const request = await serve(t);
  for (const options of [post({ data: 1 }), post({ id: '1' }), post({ id: 1, data: 1 }), post('{'), post('id=1', 'text/plain')]) {
    const response = await request('/write', options);
    assert.equal(response.status, 400);
    assert.equal(typeof (await response.json()).error, 'string');
  }
});

test('an unknown path is 404, in JSON', async (t) => {
  const response = await (await serve(t))('/nowhere');
  assert.deepEqual([response.status, await response.json()], [404, { error: 'No such route' }]);
});
