'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { createApp } = require('../app');
const { BackEndError } = require('../backend');

/** Serves the routes with a back end in its place, and returns a function that requests a path. */
async function serve(t, ask = () => assert.fail('the back end was not meant to be asked')) {
  const seen = [];
  const lines = [];
  for (const stream of ['log', 'error']) t.mock.method(console, stream, (line) => lines.push(JSON.parse(line)));
  const server = http.createServer(createApp({ ask, observe: (answer) => seen.push(answer) })).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  const request = async (path, options) => {
    const response = await fetch(base + path, options);
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text(), headers: response.headers };
  };
  return { request, seen, lines };
}

test('the page has two buttons, with links that hold behind any prefix', async (t) => {
  const { request } = await serve(t);
  const bare = await request('/');
  assert.equal(bare.status, 200);
  assert.match(bare.type, /^text\/html/);
  assert.match(bare.body, /<form action="slow-page"><button>Slow page<\/button>/);
  assert.match(bare.body, /<form action="fast-page"><button>Fast page<\/button>/);
  for (const prefix of ['/demo-app', '/demo-app/', '/a/b.c']) {
    const { body } = await request('/', { headers: { 'x-forwarded-prefix': prefix } });
    assert.ok(body.includes(`action="${prefix.replace(/\/$/, '')}/slow-page"`), body);
  }
});

test('a prefix that is none is not taken', async (t) => {
  const { request } = await serve(t);
  for (const prefix of ['//elsewhere.example', 'elsewhere', '/"><script>', 'javascript:alert(1)', '/']) {
    const { body } = await request('/', { headers: { 'x-forwarded-prefix': prefix } });
    assert.ok(body.includes('action="slow-page"'), body);
  }
});

test('the fast page asks nobody', async (t) => {
  const { request } = await serve(t);
  const answer = await request('/fast-page?');
  assert.deepEqual([answer.status, answer.body], [200, 'Hello Fast!']);
});

test('the slow page is what the back end says', async (t) => {
  const asked = [];
  const { request } = await serve(t, async (path) => {
    asked.push(path);
    return 'I am <slow>';
  });
  const answer = await request('/slow-page');
  assert.deepEqual([answer.status, answer.body, asked], [200, 'Response from Django: I am <slow>', ['/slow-endpoint']]);
  assert.match(answer.type, /^text\/plain/);
});

test('a back end that fails is a 502 page, and the reason is logged', async (t) => {
  const { request, lines } = await serve(t, () => Promise.reject(new BackEndError('http://business-logic:8000 answered 500')));
  const answer = await request('/slow-page');
  assert.equal(answer.status, 502);
  assert.match(answer.type, /^text\/html/);
  assert.match(answer.body, /The back end failed/);
  assert.ok(lines.some((line) => line.level === 'error' && line.message.includes('answered 500')), JSON.stringify(lines));
  assert.equal((await request('/fast-page')).status, 200);
});

test('an error of our own is a 500 without its text', async (t) => {
  const { request, lines } = await serve(t, () => Promise.reject(new TypeError('secret')));
  const answer = await request('/slow-page');
  assert.deepEqual([answer.status, answer.body], [500, 'Internal error\n']);
  assert.ok(lines.some((line) => line.stack?.includes('secret')));
});

test('other pages are not found, other methods not answered', async (t) => {
  const { request } = await serve(t);
  for (const path of ['/nowhere', '/constructor', '/metrics', '/slow-page/']) assert.equal((await request(path)).status, 404, path);
  const post = await request('/fast-page', { method: 'POST', body: 'x' });
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD']);
  assert.equal((await request('/', { method: 'HEAD' })).status, 200);
});

test('answers are measured by route, and probes are neither measured nor logged', async (t) => {
  const { request, seen, lines } = await serve(t);
  assert.deepEqual((await request('/healthz')).body, 'ok');
  assert.deepEqual([seen, lines], [[], []]);
  await request('/fast-page?who=me');
  await request('/nowhere');
  assert.deepEqual(seen.map(({ route, status }) => [route, status]), [['/fast-page', 200], ['', 404]]);
  assert.deepEqual(lines.map((line) => line.message), ['GET /fast-page answered 200', 'GET /nowhere answered 404']);
  assert.equal(lines[0]['service.name'], 'front-end');
});
