"""What the service answers."""

import logging
import time

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from opentelemetry import trace

import metrics

log = logging.getLogger("business-logic")
tracer = trace.get_tracer("business-logic")


def text(body: str) -> HttpResponse:
    return HttpResponse(body, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@require_safe
def slow(request):
    began = time.perf_counter()
    with tracer.start_as_current_span("data_transformation"):
        log.info("the data is being transformed")
        time.sleep(settings.SLOW_SECONDS)
        log.info("the data is transformed")
    return text(f"I am a slow request that took {time.perf_counter() - began:.2f} seconds to complete.")


@require_safe
def fast(request):
    return text("I am a fast request")


@require_safe
def healthy(request):
    return text("ok")


urlpatterns = [
    path("slow-endpoint", slow),
    path("fast-endpoint", fast),
    path("healthz", healthy),
    path("metrics", require_safe(metrics.view)),
]
