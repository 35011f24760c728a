"""OpenTelemetry traces over OTLP/HTTP. Its settings are OpenTelemetry's own variables (OTEL_SERVICE_NAME,
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: otlp or none, OTEL_SDK_DISABLED, …)."""

import os
import threading

from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.b3 import B3MultiFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


class W3COrB3(TextMapPropagator):
    """Passes on W3C trace context and baggage; takes B3, of one header or of several, from a caller that sends nothing
    else."""

    _w3c = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    _b3 = B3MultiFormat()

    def extract(self, carrier, context=None, getter=default_getter):
        return self._w3c.extract(carrier, self._b3.extract(carrier, context, getter), getter)

    def inject(self, carrier, context=None, setter=default_setter):
        self._w3c.inject(carrier, context, setter)

    @property
    def fields(self):
        return self._w3c.fields


def start() -> None:
    """Once in each process: a thread sends the spans, and threads do not live on in a fork."""
    propagate.set_global_textmap(W3COrB3())
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    provider = TracerProvider(resource=Resource.create())
    # Traces that nobody takes still have ids, which lead from one log to the other.
    if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def stop(seconds: float = 2.0) -> None:
    """Sends the last spans; a collector that is gone must not keep the pod."""
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shutdown:
        sending = threading.Thread(target=shutdown, daemon=True)
        sending.start()
        sending.join(seconds)
