import threading
import time

import pytest

from broker import Lost
from worker import SILENT_SECONDS, Worker


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_says_how_it_is(monkeypatch, capsys):
    monkeypatch.setattr("worker.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Lost, "pause", 0.01)
    broken = threading.Event()
    broken.set()

    def step(_worker):
        if broken.is_set():
            raise Lost("it is away")
        return 0.01

    worker = Worker(step)
    assert worker.trouble() == "the worker does not run"
    worker.start()
    until(lambda: worker.trouble() == "it is away")
    assert worker.dead() is None
    broken.clear()
    until(lambda: worker.trouble() is None)
    broken.set()
    until(lambda: worker.trouble() == "it is away")
    worker.stop()
    worker.join(10)
    assert worker.trouble() == "the worker does not run"
    said = capsys.readouterr().out.splitlines()
    assert said == ["The queue cannot be reached: it is away", "The queue is reached.", "The queue cannot be reached: it is away"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_ends_it(capsys):
    def step(_worker):
        raise KeyError("x")

    worker = Worker(step)
    worker.start()
    worker.join(10)
    assert worker.dead() == "the worker is dead: KeyError: 'x'"
    assert worker.trouble() == worker.dead()
    assert "The worker is dead" in capsys.readouterr().out


def test_one_that_hangs_is_dead():
    now = 0
    done = threading.Event()
    begun = threading.Event()

    def step(_worker):
        begun.set()
        done.wait(10)
        return 0

    worker = Worker(step, clock=lambda: now)
    worker.start()
    begun.wait(10)
    now = SILENT_SECONDS
    assert worker.dead() is None
    now += 1
    assert worker.dead() == "the worker has hung for 61 seconds"
    worker.beat()
    assert worker.dead() is None
    worker.stop()
    done.set()
    worker.join(10)
