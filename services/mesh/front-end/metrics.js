'use strict';

const http = require('node:http');
const { isSpanContextValid, TraceFlags } = require('@opentelemetry/api');
const { collectDefaultMetrics, Histogram, Registry } = require('prom-client');

/** What Prometheus scrapes, in the OpenMetrics format: it alone knows exemplars, which lead from a figure to a trace. */
class Metrics {
  #registry = new Registry();
  #requests;

  constructor() {
    this.#registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Histogram({
      name: 'http_server_request_duration_seconds',
      help: 'Time to answer a request',
      labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [this.#registry],
      enableExemplars: true,
    });
  }

  /**
   * @param {{method: string, route: string, status: number, seconds: number, span?: import('@opentelemetry/api').SpanContext}} answer
   *   its route, not its path: anybody could fill the memory with names
   */
  observe({ method, route, status, seconds, span }) {
    const kept = span && isSpanContextValid(span) && (span.traceFlags & TraceFlags.SAMPLED) !== 0;
    this.#requests.observe({
      labels: { http_request_method: method, http_route: route, http_response_status_code: String(status) },
      value: seconds,
      exemplarLabels: kept ? { trace_id: span.traceId, span_id: span.spanId } : {},
    });
  }

  /** A server of `/metrics` alone, at a port of its own: what leads requests to the service leads nobody here. */
  server() {
    return http.createServer(async (request, response) => {
      if (request.url?.split('?')[0] !== '/metrics') {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found\n');
        return;
      }
      response.writeHead(200, { 'Content-Type': this.#registry.contentType }).end(await this.#registry.metrics());
    });
  }
}

module.exports = { Metrics };
