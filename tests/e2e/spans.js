'use strict';

// Sends SPANS_PER_SECOND spans to the collector for SECONDS, in traces of six, each second's at their times, whatever
// becomes of those before, and prints what came of them: {"sent": …, "accepted": …, "refused": …} in spans.
const http = require('node:http');
const { randomBytes } = require('node:crypto');

const { URL: url, SPANS_PER_SECOND, SECONDS } = process.env;
const PER_TRACE = 6;
const TRACES = 80;
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const counts = { sent: 0, accepted: 0, refused: 0 };

const text = (key, stringValue) => ({ key, value: { stringValue } });

function trace(now) {
  const traceId = randomBytes(16).toString('hex');
  const root = randomBytes(8).toString('hex');
  return Array.from({ length: PER_TRACE }, (_, index) => ({
    traceId,
    spanId: index === 0 ? root : randomBytes(8).toString('hex'),
    ...(index > 0 && { parentSpanId: root }),
    name: index === 0 ? 'GET /' : `middleware - ${index}`,
    kind: index === 0 ? 2 : 1,
    startTimeUnixNano: String(now * 1e6),
    endTimeUnixNano: String(now * 1e6 + 700000),
    attributes: [
      text('http.request.method', 'GET'),
      text('http.route', '/'),
      text('url.path', '/'),
      text('url.scheme', 'http'),
      text('http.response.status_code', '200'),
      text('server.address', 'hello-service'),
      text('network.peer.address', '10.244.0.17'),
      text('user_agent.original', 'spans'),
    ],
  }));
}

function batch() {
  const now = Date.now();
  const spans = Array.from({ length: TRACES }, () => trace(now)).flat();
  const resource = { attributes: [text('service.name', 'spans')] };
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
}

function send() {
  const spans = TRACES * PER_TRACE;
  counts.sent += spans;
  return new Promise((resolve) => {
    const done = (accepted) => {
      counts[accepted ? 'accepted' : 'refused'] += spans;
      resolve();
    };
    const request = http.request(url, { agent, method: 'POST', headers: { 'content-type': 'application/json' }, timeout: 10000 });
    request.on('response', (response) => response.resume().on('end', () => done(response.statusCode === 200)));
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', () => done(false));
    request.end(batch());
  });
}

async function main() {
  const begin = performance.now();
  const total = Math.round((SPANS_PER_SECOND * SECONDS) / (TRACES * PER_TRACE));
  const interval = (SECONDS * 1000) / total;
  const open = [];
  for (let index = 0; index < total; index += 1) {
    const wait = begin + index * interval - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    open.push(send());
  }
  await Promise.all(open);
  console.log(JSON.stringify(counts));
}

main();
