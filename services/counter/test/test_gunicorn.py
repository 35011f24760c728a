"""The service as it runs: gunicorn with its workers."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from test.fake_redis import FakeRedis

HOME = Path(__file__).parent.parent


class GunicornTest(unittest.TestCase):
    def setUp(self):
        self.redis = FakeRedis()
        self.addCleanup(self.redis.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            **os.environ,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "PROMETHEUS_MULTIPROC_DIR": f"{folder.name}/metrics",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen([*command, "app:create_app()"], cwd=HOME, env=environment, stderr=subprocess.PIPE)
        self.addCleanup(self.end)
        self.until(lambda: self.get("/ready")[0] == 200)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def until(self, check):
        end = time.monotonic() + 20
        while True:
            try:
                if check():
                    return
            except OSError:
                pass
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def visit(self, times, numbers):
        for _ in range(times):
            status, body = self.get("/")
            numbers.append(int(re.fullmatch(r"Holla!  we have hit (\d+) times", body)[1]) if status == 200 else status)

    def visit_side_by_side(self, clients, times):
        numbers = []
        threads = [threading.Thread(target=self.visit, args=(times, numbers)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        return threads, numbers

    def test_every_visit_gets_a_number_of_its_own_and_all_workers_figures_are_added_up(self):
        threads, numbers = self.visit_side_by_side(8, 25)
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(numbers), list(range(1, 201)))
        _, text = self.get("/metrics")
        self.assertIn("counter_visits_total 200.0", text)

    def test_there_are_four_workers_and_a_lost_one_is_replaced(self):
        def workers():
            return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

        self.until(lambda: len(workers()) == 4)
        before = workers()
        os.kill(int(before[0]), signal.SIGKILL)
        self.until(lambda: len(workers()) == 4 and before[0] not in workers())
        self.assertEqual(self.get("/")[0], 200)

    def test_what_was_begun_is_answered_when_it_is_told_to_stop(self):
        self.redis.delay = 0.5
        threads, numbers = self.visit_side_by_side(4, 1)
        self.until(lambda: self.redis.commands.count("INCR") == 4)
        self.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(numbers), [1, 2, 3, 4])
        self.assertEqual(self.process.wait(10), 0)

    def test_its_lines_are_json(self):
        self.process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in self.process.stderr.read().decode().splitlines()]
        self.assertTrue(any("Listening at" in line["message"] for line in lines), lines)
