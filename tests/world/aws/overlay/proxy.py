"""A proxy behind which STS is: what verifies tokens of EKS insists on https://sts.REGION.amazonaws.com.

aws-iam-authenticator gets there by HTTPS_PROXY, and trusts our certificate by SSL_CERT_FILE. Nothing else is behind it.
"""

import re
import ssl

from . import server

STS = re.compile(r"(sts(?:\.[a-z0-9-]+)?\.amazonaws\.com):443")


class Handler(server.Handler):
    authority, host = None, None

    def do_CONNECT(self):
        wanted = STS.fullmatch(self.path)
        if not wanted or self.host:
            self.close_connection = True
            self._send(403, {"Content-Type": "text/plain"}, b"Only STS is behind this proxy.\n")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        context = self.authority.context(wanted.group(1))
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        self.host, self.close_connection = wanted.group(1), False
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb")

    def _any(self):
        if self.host and self.path.partition("?")[0] == "/":
            self._aws(self._body())
            self.wfile.flush()
        else:
            self.close_connection = True
            self._send(404, {"Content-Type": "text/plain"}, b"Only STS is behind this proxy.\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any


def serve(address, world, authority):
    return server.Server(address, type("Handler", (Handler,), {"world": world, "authority": authority}))
