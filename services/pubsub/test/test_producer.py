import re

import pytest

from broker import TROUBLES
from producer import Producer
from web import Refused


class Recorder:
    """A broker that records what is published."""

    def __init__(self):
        self.published = []
        self.trouble = None

    def ensure(self):
        if self.trouble:
            raise self.trouble
        return "topic"

    def publish(self, topic, text, work=0):
        self.published.append((topic, text, work))
        return f"id-{len(self.published)}"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_message_every_ten_seconds(capsys):
    broker, clock = Recorder(), Clock()
    producer = Producer(broker, clock)
    times = []
    while clock.now <= 130:
        before = len(broker.published)
        pause = producer.step(None)
        assert 0 <= pause <= 2
        if len(broker.published) > before:
            times.append(clock.now)
        clock.now += pause
    assert times == [100, 110, 120, 130]
    text = r"Hello … The time is now \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\."
    assert all(re.fullmatch(text, message) for _, message, _ in broker.published)
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(f"Outgoing Message: {text}", said[0])
    assert said[1] == "Publish success! SNS MessageId: id-1"


def test_time_that_is_lost_does_not_add_up():
    broker, clock = Recorder(), Clock()
    producer = Producer(broker, clock)
    for now, published in [(100, 1), (110.5, 2), (119.9, 2), (120, 3), (155, 4), (164.9, 4), (165, 5)]:
        clock.now = now
        producer.step(None)
        assert len(broker.published) == published, now


def test_a_message_that_failed_is_not_skipped():
    broker, clock = Recorder(), Clock()
    producer = Producer(broker, clock)
    broker.trouble = TROUBLES[-1]("away")
    with pytest.raises(TROUBLES):
        producer.step(None)
    broker.trouble = None
    clock.now += 1
    producer.step(None)
    assert len(broker.published) == 1


def test_publish_on_request(capsys):
    broker = Recorder()
    producer = Producer(broker)
    assert producer.publish({"work": ["20s"]}, "a\nb …".encode()) == {"messageId": "id-1"}
    assert producer.publish({}, b"x" * 960) == {"messageId": "id-2"}
    assert broker.published[0] == ("topic", "a\nb …", 20)
    assert capsys.readouterr().out.splitlines()[0] == r"Outgoing Message: a\nb …"


@pytest.mark.parametrize(
    "query, body, status",
    [
        ({}, b"", 400),
        ({}, b"\xff", 400),
        ({}, b"x" * 961, 413),
        ({"work": ["soon"]}, b"x", 400),
        ({"work": ["-1"]}, b"x", 400),
        ({"work": ["31s"]}, b"x", 400),
        ({"work": ["nan"]}, b"x", 400),
    ],
)
def test_publish_refuses_what_makes_no_sense(query, body, status):
    broker = Recorder()
    with pytest.raises(Refused) as refused:
        Producer(broker).publish(query, body)
    assert refused.value.status == status
    assert broker.published == []


def test_publish_tells_trouble():
    broker = Recorder()
    broker.trouble = TROUBLES[-1]("the queue is away")
    with pytest.raises(Refused, match="the queue is away") as refused:
        Producer(broker).publish({}, b"x")
    assert refused.value.status == 503
