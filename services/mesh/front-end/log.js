'use strict';

const { context, isSpanContextValid, trace } = require('@opentelemetry/api');

/** The name under which traces know this service, too. */
const service = process.env.OTEL_SERVICE_NAME || 'front-end';

/** The ids that lead from a log line to its trace, as W3C writes them. */
function ids() {
  const span = trace.getSpanContext(context.active());
  return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : undefined;
}

function line(level, message, more) {
  return JSON.stringify({ time: new Date().toISOString(), level, message, 'service.name': service, ...ids(), ...more });
}

module.exports = {
  info: (message, more) => console.log(line('info', message, more)),
  error: (message, more) => console.error(line('error', message, more)),
};
