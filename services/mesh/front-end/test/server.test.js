'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const test = require('node:test');

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

async function listening(t, listener) {
  const server = http.createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** The program itself, as the container starts it, with a back end and a collector in their places. */
async function start(t, { env = {}, answer = (_request, response) => response.end('I am slow') } = {}) {
  const asked = [];
  const spans = [];
  const backEnd = await listening(t, (request, response) => {
    asked.push(request.headers);
    answer(request, response);
  });
  const collector = await listening(t, async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    for (const resource of JSON.parse(text).resourceSpans) {
      const name = resource.resource.attributes.find(({ key }) => key === 'service.name').value.stringValue;
      for (const scope of resource.scopeSpans) spans.push(...scope.spans.map((span) => ({ ...span, service: name })));
    }
    response.setHeader('Content-Type', 'application/json').end('{}');
  });
  const child = spawn(process.execPath, [path.join(__dirname, '..', 'server.js')], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      METRICS_PORT: '0',
      HOST: '127.0.0.1',
      BL_HOST: backEnd,
      OTEL_SERVICE_NAME: 'front-end',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  return { child, next, asked, spans };
}

async function started(t, options) {
  const program = await start(t, options);
  const port = Number(/listens on (\d+)/.exec((await program.next()).message)[1]);
  const metrics = Number(/port (\d+)/.exec((await program.next()).message)[1]);
  return { ...program, url: `http://127.0.0.1:${port}`, metrics: `http://127.0.0.1:${metrics}/metrics` };
}

// Connections that fetch would keep for later are what a drain waits for.
const single = (headers) => ({ headers: { connection: 'close', ...headers } });

/** Ends the program, which sends what it still has. */
async function ended({ child }) {
  child.kill('SIGTERM');
  return (await once(child, 'exit'))[0];
}

test('a request leads through the custom span to the back end, the log and an exemplar by one id', async (t) => {
  const program = await started(t);
  const answer = await fetch(`${program.url}/slow-page`, single({ traceparent: `00-${TRACE}-${PARENT}-01` }));
  assert.equal(await answer.text(), 'Response from Django: I am slow');
  const line = await program.next();
  assert.match(await (await fetch(program.metrics, single())).text(), new RegExp(`trace_id="${TRACE}"`));
  assert.equal(await ended(program), 0);

  const spans = Object.fromEntries(program.spans.map((span) => [span.name, span]));
  assert.deepEqual(Object.keys(spans).sort(), ['GET', 'GET /slow-page', 'slow-page-custom-span']);
  const [server, custom, client] = [spans['GET /slow-page'], spans['slow-page-custom-span'], spans.GET];
  for (const span of program.spans) assert.deepEqual([span.traceId, span.service], [TRACE, 'front-end']);
  assert.deepEqual([server.parentSpanId, custom.parentSpanId, client.parentSpanId], [PARENT, server.spanId, custom.spanId]);
  assert.deepEqual([line.trace_id, line.span_id, line['service.name']], [TRACE, server.spanId, 'front-end']);
  const [headers] = program.asked;
  assert.equal(headers.traceparent, `00-${TRACE}-${client.spanId}-01`);
  assert.equal(headers.b3 ?? headers['x-b3-traceid'], undefined);
});

test('B3 is accepted, in one header and in several, and W3C goes before it', async (t) => {
  const program = await started(t);
  const several = { 'x-b3-traceid': TRACE, 'x-b3-spanid': PARENT, 'x-b3-sampled': '1' };
  const other = '1'.repeat(32);
  for (const [headers, trace] of [
    [{ b3: `${TRACE}-${PARENT}-1` }, TRACE],
    [several, TRACE],
    [{ ...several, traceparent: `00-${other}-${PARENT}-01` }, other],
  ]) {
    await (await fetch(`${program.url}/slow-page`, single(headers))).text();
    assert.equal((await program.next()).trace_id, trace, JSON.stringify(headers));
    assert.equal(program.asked.at(-1).traceparent.split('-')[1], trace);
  }
});

test('a failure of the back end is in the trace, and its page names it', async (t) => {
  const program = await started(t, { answer: (_request, response) => response.writeHead(503).end() });
  const answer = await fetch(`${program.url}/slow-page`, single({ traceparent: `00-${TRACE}-${PARENT}-01` }));
  assert.equal(answer.status, 502);
  assert.match(await answer.text(), new RegExp(`<code>${TRACE}</code>`));
  assert.equal((await fetch(`${program.url}/healthz`, single())).status, 200);
  assert.equal(await ended(program), 0);
  const custom = program.spans.find((span) => span.name === 'slow-page-custom-span');
  assert.equal(custom.status.code, 2);
});

test('a request under way is answered when it is told to stop', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  const program = await started(t, {
    answer: async (_request, response) => {
      arrive();
      await held;
      response.end('late');
    },
  });
  const answer = fetch(`${program.url}/slow-page`);
  await arrived;
  program.child.kill('SIGTERM');
  assert.match((await program.next()).message, /^SIGTERM: draining/);
  release();
  assert.equal(await (await answer).text(), 'Response from Django: late');
  assert.equal((await once(program.child, 'exit'))[0], 0);
});

test('without a collector it serves, and ends in time', async (t) => {
  const program = await started(t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' } });
  assert.equal((await fetch(`${program.url}/slow-page`, single())).status, 200);
  assert.equal(await ended(program), 0);
});

test('ids are in the log and passed on where nobody takes traces', async (t) => {
  const program = await started(t, { env: { OTEL_TRACES_EXPORTER: 'none' } });
  await (await fetch(`${program.url}/slow-page`, single({ traceparent: `00-${TRACE}-${PARENT}-01` }))).text();
  assert.equal((await program.next()).trace_id, TRACE);
  assert.equal(program.asked[0].traceparent.split('-')[1], TRACE);
  assert.equal(await ended(program), 0);
  assert.deepEqual(program.spans, []);
});

test('a setting that makes no sense ends it, named', async (t) => {
  const { child } = await start(t, { env: { BL_HOST: 'nowhere' } });
  let text = '';
  child.stderr.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(JSON.parse(text).message, /^front-end cannot start: BL_HOST/);
});
