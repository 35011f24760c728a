"""What Prometheus scrapes: the figures of all worker processes together."""

import os
import time

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

# Probes and scrapes come every few seconds and tell nothing.
UNMEASURED = {"/alive", "/ready", "/health", "/metrics"}

_registry = CollectorRegistry(auto_describe=True)
_requests = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer a request",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=_registry,
)
visits = Counter("counter_visits", "Visits counted", registry=_registry)
refused = Counter("counter_refused", "Visits that could not be counted, because Redis was away", registry=_registry)


def measure(app: Flask) -> None:
    @app.before_request
    def begin():
        g.began = time.perf_counter()

    @app.after_request
    def end(response):
        if request.path not in UNMEASURED:
            # Not the path itself: anybody could fill the memory with names.
            route = request.url_rule.rule if request.url_rule else ""
            labels = (request.method, route, str(response.status_code))
            _requests.labels(*labels).observe(time.perf_counter() - g.began)
        return response

    @app.get("/metrics")
    def metrics():
        registry = _registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
