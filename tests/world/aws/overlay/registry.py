"""The registry's own port: what docker pushes to and nodes pull from. A proxy that demands ECR's tokens.

At Docker's gateway it answers reads without a token: a node of EKS pulls with its role, and a node of kind has none.
"""

import http.client
import http.server
import json
import re

from .ecr import as_account

DROPPED = {
    "connection", "transfer-encoding", "authorization", "host", "content-length", "keep-alive", "date", "server",
}  # fmt: skip
PIECE = 1 << 20
# A manifest that is put under a tag, and not under its digest.
TAGGED = re.compile(r"/v2/(.+)/manifests/([^/:]+)")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is one packet, and not one that waits for the acknowledgement of its header.
    wbufsize, disable_nagle_algorithm = -1, True
    ecr, account, region, open_to_read = None, None, None, False

    def log_message(self, *arguments):
        pass

    def _refuse(self, status, code, message):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.send_response(status)
        if status == 401:
            realm = f'Basic realm="http://{self.ecr.registry}/",service="ecr.amazonaws.com"'
            self.send_header("WWW-Authenticate", realm)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # A body that was announced is not read.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunks(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                while size:
                    piece = self.rfile.read(min(size, PIECE))
                    size -= len(piece)
                    yield piece
                self.rfile.readline()
            self.rfile.readline()
            return
        size = int(self.headers.get("Content-Length") or 0)
        while size:
            piece = self.rfile.read(min(size, PIECE))
            size -= len(piece)
            yield piece

    def _is_fixed(self, account, name, tag):
        """A tag that is there and cannot change: ECR refuses it also when nothing would."""
        headers = {"Authorization": as_account(account, self.region)}
        status, _, _ = self.ecr.request("HEAD", f"/v2/{name}/manifests/{tag}", headers, None)
        return status == 200 and self.ecr.immutable(account, self.region, name)

    def _forward(self):
        account = self.ecr.account_of(self.headers.get("Authorization"))
        if not account and self.open_to_read and self.command in ("GET", "HEAD"):
            account = self.account
        if not account:
            message = "Your authorization token is missing or has expired."
            return self._refuse(401, "UNAUTHORIZED", message)
        tagged = TAGGED.fullmatch(self.path)
        if self.command == "PUT" and tagged and self._is_fixed(account, *tagged.groups()):
            message = (
                f"The image tag '{tagged[2]}' already exists in the '{tagged[1]}' repository and cannot be "
                "overwritten because the tag is immutable."
            )
            return self._refuse(400, "TAG_INVALID", message)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in DROPPED}
        headers["Authorization"] = as_account(account, self.region)
        connection = http.client.HTTPConnection("127.0.0.1", self.ecr.port, timeout=300)
        try:
            if "Content-Length" in self.headers:
                headers["Content-Length"] = self.headers["Content-Length"]
                connection.request(self.command, self.path, self._chunks(), headers)
            elif "Transfer-Encoding" in self.headers:
                headers["Transfer-Encoding"] = "chunked"
                connection.request(self.command, self.path, self._chunks(), headers, encode_chunked=True)
            else:
                connection.request(self.command, self.path, headers=headers)
            self._answer(connection.getresponse())
        finally:
            connection.close()

    def _answer(self, response):
        self.send_response(response.status)
        size = response.getheader("Content-Length")
        for name, value in response.getheaders():
            if name.lower() not in DROPPED:
                self.send_header(name, value)
        body = None
        if size is None and self.command != "HEAD":
            body = response.read()
            size = str(len(body))
        if size is not None:
            self.send_header("Content-Length", size)
        self.end_headers()
        if self.command == "HEAD":
            return
        if body is not None:
            self.wfile.write(body)
            return
        while piece := response.read(PIECE):
            self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(address, ecr, account, region, open_to_read=False):
    """A server that listens at `address`, which the caller runs in a thread."""
    settings = {"ecr": ecr, "account": account, "region": region, "open_to_read": open_to_read}
    return Server(address, type("Handler", (Handler,), settings))
