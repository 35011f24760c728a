"""The service as it runs: under gunicorn, with a collector in its place."""

import gzip
import http.client
import http.server
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HOME = Path(__file__).parent.parent
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                self.server.spans.extend((service, span) for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class GunicornTest(unittest.TestCase):
    environment = {"SLOW_SECONDS": "0.3"}

    def setUp(self):
        self.collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        self.collector.spans = []
        threading.Thread(target=self.collector.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.collector.server_close)
        self.addCleanup(self.collector.shutdown)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            **os.environ,
            "OTEL_SERVICE_NAME": "business-logic",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.server_address[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }
        command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen([*command, "app:create_app()"], cwd=HOME, env=environment, stderr=subprocess.PIPE)
        self.addCleanup(self.end)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.until(lambda: self.get("/healthz")[0] == 200)

    def read(self):
        for line in self.process.stderr:
            self.lines.put(json.loads(line))

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()

    def until(self, check):
        end = time.monotonic() + 30
        while True:
            try:
                if check():
                    return
            except OSError:
                pass
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(self.process.poll(), "gunicorn has ended")
            time.sleep(0.05)

    def request(self, method, path, headers=CALLER):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def get(self, path, headers=CALLER):
        return self.request("GET", path, headers)

    def line(self, message):
        """The next line of the log that says so."""
        while True:
            line = self.lines.get(timeout=20)
            if message in line["message"]:
                return line

    def stopped(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


class AnswersTest(GunicornTest):
    def test_its_routes(self):
        status, body, headers = self.get("/slow-endpoint")
        self.assertRegex(body, r"^I am a slow request that took \d+\.\d\d seconds to complete\.$")
        # One request per connection.
        self.assertEqual((status, headers["Connection"]), (200, "close"))
        self.assertEqual(self.get("/fast-endpoint")[:2], (200, "I am a fast request"))
        self.assertEqual(self.get("/healthz")[:2], (200, "ok"))
        self.assertEqual(self.get("/nowhere")[0], 404)
        self.assertEqual(self.request("POST", "/fast-endpoint")[0], 405)

    def test_a_request_is_one_trace_and_its_id_is_in_the_log_and_in_an_exemplar(self):
        self.get("/slow-endpoint")
        inner, outer = self.line("the data is transformed"), self.line("GET /slow-endpoint answered 200")
        text = self.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})[1]
        self.assertRegex(text, rf'http_route="/slow-endpoint",le="0.5".*# {{.*trace_id="{TRACE}"')
        self.assertNotIn("# {", self.get("/metrics", {})[1])
        self.assertEqual(self.stopped(), 0)

        spans = {span.name: span for service, span in self.collector.spans if service == "business-logic"}
        self.assertEqual(set(spans), {"GET /slow-endpoint", "data_transformation"})
        server, work = spans["GET /slow-endpoint"], spans["data_transformation"]
        for span in (server, work):
            self.assertEqual(span.trace_id.hex(), TRACE)
        self.assertEqual((server.parent_span_id.hex(), work.parent_span_id), (PARENT, server.span_id))
        self.assertGreaterEqual(work.end_time_unix_nano - work.start_time_unix_nano, 0.3e9)
        for line, span in [(inner, work), (outer, server)]:
            self.assertEqual((line["trace_id"], line["span_id"]), (TRACE, span.span_id.hex()))
            self.assertEqual(line["service.name"], "business-logic")

    def test_what_is_begun_is_answered_when_it_is_told_to_stop(self):
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(self.get("/slow-endpoint")[0])) for _ in range(20)]
        for client in clients:
            client.start()
        for _ in clients:
            self.line("the data is being transformed")
        self.assertEqual(self.stopped(), 0)
        for client in clients:
            client.join()
        self.assertEqual(answers, [200] * 20)

    def test_slow_requests_do_not_hold_up_fast_ones(self):
        clients = [threading.Thread(target=self.get, args=("/slow-endpoint",)) for _ in range(30)]
        began = time.monotonic()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        # One after the other they would take 9 s.
        self.assertLess(time.monotonic() - began, 5)


class AloneTest(GunicornTest):
    environment = {"SLOW_SECONDS": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

    def test_without_a_collector_it_serves_and_ends_in_time(self):
        self.assertEqual(self.get("/slow-endpoint")[0], 200)
        began = time.monotonic()
        self.assertEqual(self.stopped(), 0)
        self.assertLess(time.monotonic() - began, 10)


class UntakenTest(GunicornTest):
    environment = {"SLOW_SECONDS": "0", "OTEL_TRACES_EXPORTER": "none"}

    def test_ids_are_in_the_log_where_nobody_takes_traces(self):
        self.assertEqual(self.get("/slow-endpoint")[0], 200)
        self.assertEqual(self.line("GET /slow-endpoint answered 200")["trace_id"], TRACE)
        self.assertEqual(self.stopped(), 0)
        self.assertEqual(self.collector.spans, [])
