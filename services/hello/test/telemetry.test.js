'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const test = require('node:test');

const FOLDER = path.join(__dirname, '..');
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

async function listen(t, handle) {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => handle(request, JSON.parse(body || '{}'), response));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** A collector; what it was sent, flat. */
async function collector(t) {
  const spans = [];
  const metrics = new Set();
  const resources = [];
  const named = (attributes) => Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
  const url = await listen(t, (request, body, response) => {
    for (const { resource, scopeSpans = [], scopeMetrics = [] } of body.resourceSpans ?? body.resourceMetrics) {
      resources.push(named(resource.attributes));
      for (const scope of scopeSpans) {
        for (const span of scope.spans) spans.push({ ...span, attributes: named(span.attributes) });
      }
      for (const scope of scopeMetrics) for (const metric of scope.metrics) metrics.add(metric.name);
    }
    response.end('{}');
  });
  return { url, spans, metrics, resources };
}

/** The program as its image starts it. */
async function start(t, env) {
  const child = spawn(process.execPath, [path.join(FOLDER, 'server.js')], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      HELLO_DELAY_RATIO: '0',
      HELLO_UNHEALTHY_RATIO: '0',
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
      NODE_OPTIONS: `--require=${path.join(FOLDER, 'telemetry.js')}`,
      OTEL_SERVICE_NAME: 'hello',
      OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=hello-1',
      // Nothing is sent but at the end.
      OTEL_BSP_SCHEDULE_DELAY: '600000',
      OTEL_METRIC_EXPORT_INTERVAL: '600000',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = { out: [], err: [] };
  readline.createInterface({ input: child.stderr }).on('line', (line) => lines.err.push(line));
  const out = readline.createInterface({ input: child.stdout });
  out.on('line', (line) => lines.out.push(line));
  const [first] = await once(out, 'line');
  const port = Number(/listens on (\d+)/.exec(JSON.parse(first).message)[1]);
  const stop = async () => {
    const begin = performance.now();
    child.kill('SIGTERM');
    const [code] = await once(child, 'close');
    return { code, ms: performance.now() - begin };
  };
  const single = { connection: 'close' };
  const request = (to, options = {}) =>
    fetch(`http://127.0.0.1:${port}${to}`, { ...options, headers: { ...single, ...options.headers } });
  const write = (item, headers) =>
    request('/write', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(item) });
  return { request, write, stop, lines };
}

test('a failed write is one trace, down to DynamoDB, and so is its log', { timeout: 30_000 }, async (t) => {
  const { url, spans, metrics, resources } = await collector(t);
  const { request, write, stop, lines } = await start(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url });
  assert.equal((await request('/healthz')).status, 200);
  const response = await write({ id: '1', data: 'x' }, { traceparent: `00-${TRACE}-${PARENT}-01` });
  assert.deepEqual([response.status, await response.json()], [500, { error: 'Could not write to DynamoDB' }]);
  const { code, ms } = await stop();
  assert.equal(code, 0);
  assert.ok(ms < 6000, `took ${ms} ms`);

  const server = spans.find((span) => span.name === 'POST /write');
  assert.deepEqual([server.traceId, server.parentSpanId], [TRACE, PARENT]);
  assert.equal(server.attributes['http.response.status_code'], 500);
  const put = spans.find((span) => span.name === 'DynamoDB.PutItem');
  assert.equal(put.traceId, TRACE);
  assert.equal(put.status.code, 2);
  assert.match(put.status.message, /credentials/);
  assert.equal(put.attributes['rpc.method'], 'PutItem');
  assert.ok(!spans.some((span) => span.attributes['url.path'] === '/healthz'), 'probes are not traced');
  assert.deepEqual([resources[0]['service.name'], resources[0]['service.instance.id']], ['hello', 'hello-1']);
  for (const name of ['http.server.request.duration', 'nodejs.eventloop.utilization', 'process.cpu.time']) {
    assert.ok(metrics.has(name), `${name} of ${[...metrics]}`);
  }
  const complaint = lines.err.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const ours = complaint.find((line) => line.message.startsWith('Could not write to DynamoDB: CredentialsProviderError'));
  assert.equal(ours.trace_id, TRACE);
  assert.ok(spans.some((span) => span.spanId === ours.span_id));
});

test('with an endpoint of its own it writes and reads back, with credentials made up', { timeout: 30_000 }, async (t) => {
  const items = new Map();
  const dynamo = await listen(t, (request, body, response) => {
    assert.match(request.headers.authorization, /Credential=emulated\//);
    const put = request.headers['x-amz-target'].endsWith('.PutItem');
    if (put) items.set(body.Item.id.S, body.Item);
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end(JSON.stringify(put ? {} : { Item: items.get(body.Key.id.S) }));
  });
  const { url, spans } = await collector(t);
  const { request, write, stop } = await start(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url, AWS_ENDPOINT_URL_DYNAMODB: dynamo });
  const written = await write({ id: '7', data: { n: 1 } });
  assert.deepEqual([written.status, await written.json()], [200, { message: 'Data written to DynamoDB' }]);
  assert.deepEqual(await (await request('/read/7')).json(), { id: '7', data: { n: 1 } });
  await stop();
  const names = spans.map((span) => span.name);
  assert.ok(names.includes('DynamoDB.PutItem') && names.includes('DynamoDB.GetItem'), `${names}`);
  assert.ok(spans.every((span) => span.status.code !== 2));
});

test('a collector that hangs or is gone keeps neither requests nor the end', { timeout: 40_000 }, async (t) => {
  const hanging = await listen(t, () => {});
  for (const endpoint of [hanging, 'http://127.0.0.1:9']) {
    const { request, stop } = await start(t, { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
    assert.deepEqual(await (await request('/')).json(), { message: 'hello world' });
    const { code, ms } = await stop();
    assert.equal(code, 0);
    assert.ok(ms < 8000, `${endpoint} took ${ms} ms`);
  }
});

test('switched off, nothing of it is loaded', () => {
  const script = 'console.log(Object.keys(require.cache).join("\\n"))';
  const loaded = execFileSync(process.execPath, ['--require', path.join(FOLDER, 'telemetry.js'), '-e', script], {
    env: { PATH: process.env.PATH, OTEL_SDK_DISABLED: 'true' },
    encoding: 'utf8',
  });
  assert.match(loaded, /telemetry\.js/);
  assert.doesNotMatch(loaded, /node_modules/);
});
