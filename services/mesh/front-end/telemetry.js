'use strict';

// OpenTelemetry traces over OTLP/HTTP. Loaded before anything else, since modules can be instrumented only as they are
// loaded. Its settings are OpenTelemetry's own variables (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_TRACES_EXPORTER: otlp or none, OTEL_SDK_DISABLED, …).

const { W3CBaggagePropagator, W3CTraceContextPropagator, CompositePropagator } = require('@opentelemetry/core');
const { B3Propagator } = require('@opentelemetry/propagator-b3');

/** Passes on W3C trace context and baggage; takes B3 from a caller that sends nothing else. */
class W3COrB3 {
  #w3c = new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] });
  #b3 = new B3Propagator();

  inject(context, carrier, setter) {
    this.#w3c.inject(context, carrier, setter);
  }

  extract(context, carrier, getter) {
    return this.#w3c.extract(this.#b3.extract(context, carrier, getter), carrier, getter);
  }

  fields() {
    return this.#w3c.fields();
  }
}

/** Starts tracing, and returns what sends the last spans. */
function start() {
  const { diag, DiagLogLevel } = require('@opentelemetry/api');
  const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
  const { registerInstrumentations } = require('@opentelemetry/instrumentation');
  const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
  const { defaultResource, detectResources, envDetector } = require('@opentelemetry/resources');
  const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
  const log = require('./log');

  diag.setLogger(complaints(log), { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
  const resource = defaultResource().merge(detectResources({ detectors: [envDetector] }));
  // Traces that nobody takes still have ids, which lead from one log to the other.
  const spanProcessors = process.env.OTEL_TRACES_EXPORTER === 'none' ? [] : [new BatchSpanProcessor(new OTLPTraceExporter())];
  const tracers = new NodeTracerProvider({ resource, spanProcessors });
  tracers.register({ propagator: new W3COrB3() });

  registerInstrumentations({
    tracerProvider: tracers,
    instrumentations: [
      // Probes and scrapes come every few seconds and tell nothing.
      new HttpInstrumentation({
        ignoreIncomingRequestHook: (request) => ['/healthz', '/metrics'].includes(request.url?.split('?')[0]),
      }),
    ],
  });
  return () => tracers.shutdown();
}

/** What the SDK complains about, at most once a minute: without a collector it would fill the log. */
function complaints(log) {
  let next = 0;
  const error = (message) => {
    if (Date.now() < next) return;
    next = Date.now() + 60_000;
    log.error(`telemetry: ${String(message).slice(0, 500)}`);
  };
  const nothing = () => {};
  return { error, warn: nothing, info: nothing, debug: nothing, verbose: nothing };
}

const disabled = process.env.OTEL_SDK_DISABLED?.toLowerCase() === 'true';

module.exports = { shutdown: disabled ? async () => {} : start() };
