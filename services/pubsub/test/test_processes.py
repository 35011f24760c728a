"""Both services as processes, with the emulator coming late, forgetting all, and signals in between."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

FOLDER = Path(__file__).parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    def __init__(self, program, folder):
        self.port = free_port()
        self.log = folder / f"{program}-{self.port}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, f"{program}.py"], cwd=FOLDER, stdout=log, stderr=log, env=os.environ | {"PORT": str(self.port)}
            )

    def await_line(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text())):
            assert time.monotonic() < end and self.process.poll() is None, f"{pattern} is not in\n{self.log.read_text()}"
            time.sleep(0.05)
        return found

    def await_health(self, status, text, seconds=60):
        end = time.monotonic() + seconds
        while True:
            try:
                response = requests.get(f"http://127.0.0.1:{self.port}/health", timeout=10)
                if response.status_code == status and text in response.text:
                    return
            except requests.ConnectionError:
                pass
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture
def run(tmp_path):
    processes = []

    def run(program):
        processes.append(Process(program, tmp_path))
        return processes[-1]

    yield run
    for one in processes:
        one.process.kill()
        one.process.wait()


def test_from_late_to_lost_to_stopped(run, emulator, monkeypatch):
    url = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    early = run("producer"), run("consumer")
    for one in early:
        one.await_health(503, "Could not connect")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    consumer, producer = run("consumer"), run("producer")
    producer.await_health(200, "UP!")
    consumer.await_health(200, "UP!")
    producer.await_line(r"Outgoing Message: Hello … The time is now .*\.\nPublish success! SNS MessageId: \S+")
    identifier = consumer.await_line(r"Received message: (\S+): Hello … The time is now .*\.\n")[1]
    consumer.await_line(f"Deleted message: {identifier}\n")

    emulator.forget()
    producer.await_health(503, "gone")
    consumer.await_health(503, "does not exist")
    producer.await_health(200, "UP!")
    consumer.await_health(200, "UP!")
    answer = requests.post(f"http://127.0.0.1:{producer.port}/publish", data=b"after the loss", timeout=10)
    assert answer.json()["messageId"]
    consumer.await_line(r"Received message: \S+: after the loss")

    for one in (consumer, producer, *early):
        one.process.send_signal(signal.SIGTERM)
    assert [one.process.wait(15) for one in (consumer, producer, *early)] == [0, 0, 0, 0]


def test_a_consumer_killed_in_the_middle_loses_nothing(run, emulator):
    producer, first = run("producer"), run("consumer")
    producer.await_health(200, "UP!")
    url = f"http://127.0.0.1:{producer.port}/publish?work=3s"
    requests.post(url, data=b"precious", timeout=10).raise_for_status()
    identifier = first.await_line(r"Received message: (\S+): precious\n")[1]
    first.process.kill()
    first.process.wait()
    assert f"Deleted message: {identifier}" not in first.log.read_text()
    second = run("consumer")
    second.await_line(f"Received message: {identifier}: precious\n")
    assert f"Deleted message: {identifier}" not in second.log.read_text()
    second.await_line(f"Deleted message: {identifier}\n")
