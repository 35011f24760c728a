"""The service: each visit raises a count that Redis keeps."""

import logging

from flask import Flask, Response, jsonify, request

import metrics
from config import Config, read_config
from store import Store, Unavailable

log = logging.getLogger("counter")


def create_app(config: Config | None = None) -> Flask:
    app = Flask("counter", static_folder=None)
    store = Store(config or read_config())
    metrics.measure(app)

    @app.get("/")
    def visit():
        # Whoever asks for the headers alone is no visitor.
        if request.method == "HEAD":
            return text("")
        try:
            count = store.increment()
        except Unavailable as error:
            metrics.refused.inc()
            log.error("a visit was not counted: %s", error)
            return down(error)
        metrics.visits.inc()
        return text(f"Holla!  we have hit {count} times")

    @app.get("/health")
    def health():
        """Whether a visit would be counted now."""
        try:
            store.check()
        except Unavailable as error:
            return down(error)
        return jsonify(status="UP")

    @app.get("/ready")
    def ready():
        """Whether this pod may be given visitors: once it has reached Redis. When Redis goes away later, all pods are as
        good as this one, and their answer says why a visit is not counted."""
        if store.was_reached():
            return text("ready")
        return Response("Redis was not reached yet", status=503, mimetype="text/plain")

    @app.get("/alive")
    def alive():
        """Whether this process answers. A restart would not bring Redis back."""
        return text("alive")

    return app


def text(body: str) -> Response:
    return Response(body, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def down(error: Unavailable) -> tuple[Response, int]:
    return jsonify(status="DOWN", reason=str(error)), 503
