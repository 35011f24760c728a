'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { readConfig } = require('../config');
const { Metrics } = require('../metrics');

const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 };

async function scraped(t, observations) {
  const metrics = new Metrics();
  for (const observation of observations) metrics.observe(observation);
  const server = metrics.server().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  assert.equal((await fetch(`${base}/`)).status, 404);
  const response = await fetch(`${base}/metrics`);
  assert.match(response.headers.get('content-type'), /^application\/openmetrics-text/);
  return response.text();
}

test('an answer within a trace leaves an exemplar that leads there', async (t) => {
  const answer = { method: 'GET', route: '/slow-page', status: 200, seconds: 3.01, span: SPAN };
  const text = await scraped(t, [answer]);
  const bucket = text.split('\n').find((line) => line.includes('_bucket{le="5",') && line.includes('/slow-page'));
  assert.match(bucket, new RegExp(`# {trace_id="${SPAN.traceId}",span_id="${SPAN.spanId}"} 3.01`));
  assert.match(text, /# EOF\n$/);
});

test('an answer that no trace was kept of leaves none', async (t) => {
  const answer = { method: 'GET', route: '/fast-page', status: 200, seconds: 0.001 };
  const text = await scraped(t, [answer, { ...answer, span: { ...SPAN, traceFlags: 0 } }]);
  assert.match(text, /http_route="\/fast-page",http_response_status_code="200"} 2/);
  assert.doesNotMatch(text, /trace_id/);
});

test('settings that make no sense are named', () => {
  assert.equal(readConfig({}).backEnd.origin, 'http://business-logic:8000');
  assert.deepEqual([readConfig({ PORT: '1' }).port, readConfig({}).port], [1, 8080]);
  for (const [name, value] of [['PORT', 'x'], ['BL_TIMEOUT_MS', '0'], ['BL_HOST', 'business-logic'], ['BL_HOST', 'ftp://a'], ['BL_HOST', 'http://a/b']]) {
    assert.throws(() => readConfig({ [name]: value }), new RegExp(`${name} must be`), `${name}=${value}`);
  }
});
