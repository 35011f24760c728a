'use strict';

// OpenTelemetry: traces and metrics over OTLP/HTTP. The image loads it before the program (NODE_OPTIONS), since modules can
// be instrumented only as they are loaded. Its settings are OpenTelemetry's own variables (OTEL_SERVICE_NAME,
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED, …).

if (process.env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true') start();

function start() {
  const { context, diag, DiagLogLevel, metrics, trace, isSpanContextValid } = require('@opentelemetry/api');
  const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http');
  const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
  const { registerInstrumentations } = require('@opentelemetry/instrumentation');
  const { AwsInstrumentation } = require('@opentelemetry/instrumentation-aws-sdk');
  const { ExpressInstrumentation, ExpressLayerType } = require('@opentelemetry/instrumentation-express');
  const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
  const { RuntimeNodeInstrumentation } = require('@opentelemetry/instrumentation-runtime-node');
  const { defaultResource, detectResources, envDetector } = require('@opentelemetry/resources');
  const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
  const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
  const hooks = require('./hooks');
  const log = require('./log');

  diag.setLogger(complaints(log), { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });

  const resource = defaultResource().merge(detectResources({ detectors: [envDetector] }));
  const tracers = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
  // The current span by asynchronous context, W3C trace context and baggage: its defaults.
  tracers.register();

  const interval = Number(process.env.OTEL_METRIC_EXPORT_INTERVAL) || 15_000;
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis: interval,
    exportTimeoutMillis: Math.min(interval, 5000),
  });
  const meters = new MeterProvider({ resource, readers: [reader] });
  metrics.setGlobalMeterProvider(meters);

  const cpu = meters.getMeter('hello').createObservableCounter('process.cpu.time', { unit: 's' });
  cpu.addCallback((result) => {
    const { user, system } = process.cpuUsage();
    result.observe(user / 1e6, { 'cpu.mode': 'user' });
    result.observe(system / 1e6, { 'cpu.mode': 'system' });
  });

  registerInstrumentations({
    tracerProvider: tracers,
    meterProvider: meters,
    instrumentations: [
      // Probes come every few seconds and tell nothing.
      new HttpInstrumentation({ ignoreIncomingRequestHook: (request) => request.url?.split('?')[0] === '/healthz' }),
      // A span for each handler; those of Express' own middleware are noise.
      new ExpressInstrumentation({ ignoreLayersType: [ExpressLayerType.MIDDLEWARE] }),
      // The operation is what matters, not the HTTP requests that make it up.
      new AwsInstrumentation({ suppressInternalInstrumentation: true }),
      new RuntimeNodeInstrumentation(),
    ],
  });

  hooks.nameSpans(() => {
    const span = trace.getSpanContext(context.active());
    return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : undefined;
  });
  hooks.beforeExit(() => tracers.shutdown());
  hooks.beforeExit(() => meters.shutdown());
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
