"""What Prometheus scrapes. One process, so that its figures are all there are, and can have exemplars."""

from django.http import HttpResponse
from opentelemetry import trace
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}

registry = CollectorRegistry(auto_describe=True)
for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    registry.register(collector)

_requests = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer a request",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Within a trace that is kept, the figure has an exemplar that leads there."""
    span = trace.get_current_span().get_span_context()
    exemplar = None
    if span.is_valid and span.trace_flags.sampled:
        exemplar = {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}
    # Whatever else somebody calls a method would be a series of its own.
    method = method if method in METHODS else "_OTHER"
    _requests.labels(method, route, str(status)).observe(seconds, exemplar)


def view(request):
    """OpenMetrics, which alone knows exemplars, for whoever accepts it."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)
