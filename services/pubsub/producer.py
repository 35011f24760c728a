"""Publishes a message every ten seconds, and what is sent to POST /publish."""

import time

from broker import MESSAGE_BYTES, RETENTION_SECONDS, TROUBLES, Broker
from service import PORT, live, say
from web import Refused, serve
from worker import Worker

INTERVAL_SECONDS = 10
# How often topic and queue are looked after between two messages.
CHECK_SECONDS = 2
# Work of a message that would be thrown away before it could be delivered once more is no use.
MOST_WORK_SECONDS = RETENTION_SECONDS / 2


class Producer:
    def __init__(self, broker, clock=time.monotonic):
        self._broker = broker
        self._clock = clock
        self._due = clock()

    def step(self, _worker):
        topic = self._broker.ensure()
        now = self._clock()
        if now >= self._due:
            self._publish(topic, f"Hello … The time is now {time.ctime()}.")
            # From when it was due, so that what it took does not add up; but none is made up for.
            self._due += INTERVAL_SECONDS
            if self._due <= now:
                self._due = now + INTERVAL_SECONDS
        return min(CHECK_SECONDS, max(0, self._due - self._clock()))

    def publish(self, query, body):
        """POST /publish: the body is a message; `?work=20s` says how long its handling takes."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise Refused(400, "a message is text in UTF-8") from None
        if not 0 < len(body) <= MESSAGE_BYTES - 64:
            raise Refused(413 if body else 400, f"a message has 1 to {MESSAGE_BYTES - 64} bytes")
        work = _work(query.get("work", ["0"])[-1])
        try:
            return {"messageId": self._publish(self._broker.ensure(), text, work)}
        except TROUBLES as error:
            raise Refused(503, str(error)) from error

    def _publish(self, topic, text, work=0):
        say(f"Outgoing Message: {text}")
        identifier = self._broker.publish(topic, text, work)
        say(f"Publish success! SNS MessageId: {identifier}")
        return identifier


def _work(text):
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MOST_WORK_SECONDS:
        raise Refused(400, f"work is 0s to {MOST_WORK_SECONDS:.0f}s, not {text}")
    return seconds


def main():
    producer = Producer(Broker.connect())
    worker = Worker(producer.step)
    live(worker, serve(PORT, worker, {"/publish": producer.publish}))


if __name__ == "__main__":
    main()
