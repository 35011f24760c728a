'use strict';

const { context, SpanKind, SpanStatusCode, trace } = require('@opentelemetry/api');
const { getRPCMetadata } = require('@opentelemetry/core');
const { BackEndError } = require('./backend');
const log = require('./log');
const { failurePage, prefixOf, startPage } = require('./page');

const HTML = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
};
const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' };
const SHARED = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

/**
 * The routes, as a listener for requests.
 *
 * @param {{ask: (path: string) => Promise<string>, observe: (answer: object) => void}} parts
 */
function createApp({ ask, observe }) {
  const tracer = trace.getTracer('front-end');

  const routes = {
    '/': async (request) => [200, HTML, startPage(prefixOf(request.headers))],
    '/fast-page': async () => [200, TEXT, 'Hello Fast!'],
    '/slow-page': async () => {
      const body = await tracer.startActiveSpan('slow-page-custom-span', { kind: SpanKind.INTERNAL }, async (span) => {
        try {
          return await ask('/slow-endpoint');
        } catch (error) {
          span.recordException(error);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
          throw error;
        } finally {
          span.end();
        }
      });
      return [200, TEXT, `Response from Django: ${body}`];
    },
  };

  async function answer(request, route) {
    if (!route) return [404, TEXT, 'No such page\n'];
    if (request.method !== 'GET' && request.method !== 'HEAD') return [405, { ...TEXT, Allow: 'GET, HEAD' }, 'Only GET is answered\n'];
    try {
      return await routes[route](request);
    } catch (error) {
      if (!(error instanceof BackEndError)) {
        log.error(`${route}: ${error.message}`, { stack: error.stack });
        return [500, TEXT, 'Internal error\n'];
      }
      log.error(`the back end failed: ${error.message}`);
      return [502, HTML, failurePage(trace.getSpanContext(context.active())?.traceId)];
    }
  }

  return async function listener(request, response) {
    const path = request.url.split('?')[0];
    if (path === '/healthz') {
      response.writeHead(200, { ...TEXT, ...SHARED }).end('ok');
      return;
    }
    const began = performance.now();
    const span = trace.getSpanContext(context.active());
    const route = Object.hasOwn(routes, path) ? path : undefined;
    const rpc = getRPCMetadata(context.active());
    if (rpc && route) rpc.route = route;
    const [status, headers, body] = await answer(request, route);
    const seconds = (performance.now() - began) / 1000;
    observe({ method: methodOf(request), route: route ?? '', status, seconds, span });
    log.info(`${request.method} ${path} answered ${status}`, { status, ms: Math.round(seconds * 1000) });
    response.writeHead(status, { ...headers, ...SHARED }).end(body);
  };
}

/** Node knows some thirty methods; each would be a series of its own. */
function methodOf({ method }) {
  return ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].includes(method) ? method : '_OTHER';
}

module.exports = { createApp };
