"""Log lines, as JSON on standard error, with the ids of the trace that they belong to."""

import json
import logging
import os
import time
from datetime import UTC, datetime

from opentelemetry import trace

# The name under which traces know this service, too.
SERVICE = os.environ.get("OTEL_SERVICE_NAME") or "business-logic"


class Lines(logging.Formatter):
    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "service.name": SERVICE,
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            # As W3C writes them.
            line["trace_id"] = trace.format_trace_id(span.trace_id)
            line["span_id"] = trace.format_span_id(span.span_id)
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class OnceAMinute(logging.Filter):
    """What OpenTelemetry complains about: without a collector it would fill the log."""

    next = 0.0

    def filter(self, record):
        if time.monotonic() < self.next:
            return False
        self.next = time.monotonic() + 60
        return True


SETTINGS = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": Lines}},
    "filters": {"seldom": {"()": OnceAMinute}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "lines"},
        "seldom": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["seldom"]},
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {
        # Gunicorn's own loggers would pass on nothing.
        "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        # Each answer is logged already; what an exception was is told by the logger django.request.
        "django": {"level": "ERROR"},
        "opentelemetry": {"level": "ERROR", "handlers": ["seldom"], "propagate": False},
    },
}
