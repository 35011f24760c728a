"""HTTP: /health, and what a service adds to it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

JSON = "application/json"
UP = b'{ "status": "UP!" }'


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def serve(port, worker, posts=None):
    """A server that is not started yet. `posts`: by path, what takes the query and the body of a POST and answers it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "pubsub"
        sys_version = ""
        # A connection that says nothing for so long is closed.
        timeout = 30

        def do_GET(self):
            url = urlsplit(self.path)
            if url.path != "/health":
                return self._answer(404, _error("no such path"))
            # Only a dead worker is helped by a restart of its process, so this is what the liveness probe asks.
            only_worker = parse_qs(url.query).get("of") == ["worker"]
            reason = worker.dead() if only_worker else worker.trouble()
            if reason is None:
                return self._answer(200, UP)
            return self._answer(503, json.dumps({"status": "DOWN", "reason": reason}).encode())

        do_HEAD = do_GET

        def do_POST(self):
            url = urlsplit(self.path)
            try:
                action = (posts or {}).get(url.path)
                if action is None:
                    raise Refused(404, "no such path")
                answer = action(parse_qs(url.query), self._body())
            except Refused as refused:
                # What is left of the body cannot be told from a next request.
                self.close_connection = True
                return self._answer(refused.status, _error(str(refused)))
            return self._answer(200, json.dumps(answer).encode())

        def _body(self):
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                raise Refused(411, "the request has no Content-Length")
            if int(length) > 64 * 1024:
                raise Refused(413, "the request is too large")
            return self.rfile.read(int(length))

        def _answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return ThreadingHTTPServer(("", port), Handler)


def _error(message):
    return json.dumps({"error": message}).encode()
