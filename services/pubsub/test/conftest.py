import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from broker import Broker


class Emulator:
    def __init__(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def forget(self):
        """What a restart does to it."""
        requests.post(f"{self.url}/moto-api/reset", timeout=10).raise_for_status()

    def client(self, name):
        return boto3.client(name, endpoint_url=self.url, region_name="eu-west-1")


@pytest.fixture(scope="session")
def running():
    emulator = Emulator()
    # It loads each service with its first request, which takes longer than any other.
    for query in ("Action=ListTopics&Version=2010-03-31", "Action=ListQueues&Version=2012-11-05"):
        requests.post(f"{emulator.url}/?{query}", timeout=60)
    yield emulator
    emulator.server.stop()


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    values = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
    for name, value in (values | {"NO_PROXY": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def emulator(running, monkeypatch):
    running.forget()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    return running


@pytest.fixture
def broker(emulator, monkeypatch):
    monkeypatch.setattr("broker.POLL_SECONDS", 1)
    return Broker.connect()


@pytest.fixture
def failing(monkeypatch):
    """An endpoint that gives every request the same answer; to be set by its `answer`."""

    class Endpoint(ThreadingHTTPServer):
        answer = (500, b"")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            status, body = self.server.answer
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    endpoint = Endpoint(("127.0.0.1", 0), Handler)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{endpoint.server_port}")
    yield endpoint
    endpoint.shutdown()
    endpoint.server_close()


class Response:
    def __init__(self, response):
        self.status = response.status_code
        self.type = response.headers["Content-Type"]
        self.text = response.text

    @property
    def json(self):
        return json.loads(self.text)


@pytest.fixture
def ask():
    """Sends requests to servers that `web.serve` has made."""
    servers = []

    def ask(server, path, method="GET", **more):
        if server not in servers:
            servers.append(server)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}{path}"
        return Response(requests.request(method, url, timeout=10, **more))

    yield ask
    for server in servers:
        server.shutdown()
        server.server_close()
