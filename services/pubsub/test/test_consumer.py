import threading
import time

import pytest

import broker as module
from broker import Broker
from consumer import Consumer
from worker import Worker


class Log:
    def __init__(self, capsys):
        self._capsys = capsys
        self.lines = []

    def await_line(self, start, seconds=60):
        end = time.monotonic() + seconds
        while not any(line.startswith(start) for line in self.lines):
            self.lines += self._capsys.readouterr().out.splitlines()
            assert time.monotonic() < end, f"{start!r} is not in {self.lines}"
            time.sleep(0.02)
        return next(line for line in self.lines if line.startswith(start))


@pytest.fixture
def log(capsys):
    return Log(capsys)


@pytest.fixture
def start():
    workers = []

    def start(**more):
        worker = Worker(Consumer(Broker.connect(), **more).step)
        worker.start()
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.join(10)


def test_a_message_is_received_and_deleted(broker, start, log):
    broker.publish(broker.ensure(), "hello")
    start()
    received = log.await_line("Received message: ")
    identifier = received.removeprefix("Received message: ").removesuffix(": hello")
    log.await_line(f"Deleted message: {identifier}")
    assert broker.receive(broker.find_queue()) is None


def test_it_waits_for_a_queue_that_comes_late(broker, start, log):
    worker = start()
    log.await_line("The queue cannot be reached")
    assert "does not exist" in worker.trouble()
    broker.publish(broker.ensure(), "hello")
    log.await_line("Deleted message: ")
    assert worker.trouble() is None


def test_it_finds_the_queue_again(broker, emulator, start, log):
    broker.ensure()
    start()
    log.await_line("The queue is reached")
    emulator.forget()
    log.await_line("The queue cannot be reached: An error occurred (AWS.SimpleQueueService.NonExistentQueue)")
    with pytest.raises(module.Lost):
        broker.ensure()
    broker.publish(broker.ensure(), "hello again")
    log.await_line("Deleted message: ")


def test_work_longer_than_the_visibility_keeps_the_message(broker, start, log, monkeypatch):
    monkeypatch.setattr(module, "VISIBILITY_SECONDS", 3)
    monkeypatch.setattr("consumer.HOLD_SECONDS", 0.5)
    monkeypatch.setattr("consumer.VISIBILITY_SECONDS", 3)
    broker.publish(broker.ensure(), "slow", work=5)
    start(), start()
    log.await_line("Deleted message: ")
    assert len([line for line in log.lines if line.startswith("Received message: ")]) == 1


def test_a_message_of_a_consumer_that_died_is_delivered_again(broker, start, log, monkeypatch):
    monkeypatch.setattr(module, "VISIBILITY_SECONDS", 1)
    broker.publish(broker.ensure(), "precious")
    # As far as a consumer comes that is killed before it has handled its message.
    taken = broker.receive(broker.find_queue())
    start()
    received = log.await_line("Received message: ")
    assert received == f"Received message: {taken.id}: precious"
    log.await_line(f"Deleted message: {taken.id}")


def test_one_that_is_stopped_gives_its_message_back(broker, start, log):
    broker.publish(broker.ensure(), "slow", work=20)
    worker = start()
    log.await_line("Received message: ")
    worker.stop()
    log.await_line("Gave back message: ")
    worker.join(10)
    assert not any(line.startswith("Deleted") for line in log.lines)
    assert broker.receive(broker.find_queue()).text == "slow"


def test_nothing_is_deleted_before_it_was_handled(broker, start, log, monkeypatch):
    released = threading.Event()
    handle = Consumer._handle
    monkeypatch.setattr(Consumer, "_handle", lambda self, *more: released.wait(10) and handle(self, *more))
    broker.publish(broker.ensure(), "hello")
    start()
    log.await_line("Received message: ")
    time.sleep(0.3)
    sqs = broker._sqs
    found = sqs.get_queue_attributes(QueueUrl=broker.find_queue(), AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert found["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"
    released.set()
    log.await_line("Deleted message: ")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_it_dies_when_told_to(broker, start, log):
    topic = broker.ensure()
    worker = start(die_after=2)
    broker.publish(topic, "one")
    broker.publish(topic, "two")
    log.await_line("The worker is dead: ")
    assert worker.dead() == "the worker is dead: RuntimeError: DIE_AFTER=2 messages"


def test_an_endpoint_that_does_not_wait_is_not_asked_without_end(failing, start):
    failing.answer = (200, b'{"QueueUrl": "http://x/local_queue"}')
    asked = 0

    class Counting(Broker):
        def receive(self, url):
            nonlocal asked
            asked += 1
            return super().receive(url)

    worker = Worker(Consumer(Counting.connect()).step)
    worker.start()
    time.sleep(1.5)
    worker.stop()
    worker.join(10)
    assert 1 <= asked <= 3
