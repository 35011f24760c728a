"""The endpoint: one port for all services of AWS and, below /_world, for the control API."""

import email.utils
import http.server
import json
import socket
import sys
import time
import traceback
import urllib.parse

from . import call as calls
from . import control
from .reply import Refused

CONTROL = "/_world"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is one packet, and not one that waits for the acknowledgement of its header.
    wbufsize, disable_nagle_algorithm = -1, True
    server_version = "AmazonEC2"
    sys_version = ""
    world = None

    def log_message(self, *arguments):
        pass

    def date_time_string(self, timestamp=None):
        skew = self.world.settings["clock_skew"]
        return email.utils.formatdate((timestamp or time.time()) + skew, usegmt=True)

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _any(self):
        body = self._body()
        try:
            if self.path.startswith(CONTROL + "/"):
                self._control(body)
            else:
                self._aws(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _aws(self, body):
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = calls.parse(self.command, self.path, headers, body)
        try:
            answered = self.world.call(call)
        except Exception:
            # A mistake of ours: it must be seen, and not be taken for AWS's answer.
            sys.stderr.write(f"aws: {call.service} {call.action}\n{traceback.format_exc()}")
            text = traceback.format_exc().encode()
            return self._send(599, {"Content-Type": "text/plain"}, text)
        if answered is None:
            return self._cut()
        return self._send(answered.status, answered.headers, answered.body)

    def _control(self, body):
        path, _, query = self.path.removeprefix(CONTROL).partition("?")
        try:
            value = json.loads(body or b"{}")
            answer = control.handle(
                self.world, self.command, path, dict(urllib.parse.parse_qsl(query)), value
            )
            status = 200
        except control.Unknown:
            status, answer = 404, {"error": f"there is no {self.command} {path}"}
        except (ValueError, KeyError, TypeError, Refused) as problem:
            status, answer = 400, {"error": f"{type(problem).__name__}: {problem}"}
        except Exception:
            status, answer = 500, {"error": traceback.format_exc()}
        self._send(
            status, {"Content-Type": "application/json"}, json.dumps(answer, default=str).encode()
        )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(address, world):
    return Server(address, type("Handler", (Handler,), {"world": world}))
