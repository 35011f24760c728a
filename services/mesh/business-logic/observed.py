"""Each request is a span, a line of the log, and a figure."""

import logging
import time

from opentelemetry import propagate, trace

import metrics

log = logging.getLogger("business-logic")
tracer = trace.get_tracer("business-logic")

# Probes and scrapes come every few seconds and tell nothing.
UNOBSERVED = {"/healthz", "/metrics"}


class Observed:
    """Django's middleware: the outermost, so that it sees every answer, also that to an exception."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path in UNOBSERVED:
            return self.get_response(request)
        began = time.perf_counter()
        caller = propagate.extract({name.lower(): value for name, value in request.headers.items()})
        attributes = {"http.request.method": request.method, "url.path": request.path}
        with tracer.start_as_current_span(request.method, caller, trace.SpanKind.SERVER, attributes) as span:
            response = self.get_response(request)
            # Not the path itself: anybody could fill the memory with names.
            route = f"/{request.resolver_match.route}" if request.resolver_match else ""
            if route:
                span.update_name(f"{request.method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 500:
                span.set_status(trace.StatusCode.ERROR)
            seconds = time.perf_counter() - began
            metrics.observe(request.method, route, response.status_code, seconds)
            fields = {"status": response.status_code, "ms": round(seconds * 1000)}
            log.info("%s %s answered %d", request.method, request.path, response.status_code, extra={"fields": fields})
            return response
