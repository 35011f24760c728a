"""Takes messages from the queue one by one. A message is deleted when it has been handled, and not before."""

import os
import sys
import time

from broker import VISIBILITY_SECONDS, Broker
from service import PORT, live, say
from web import serve
from worker import Worker

# How often a message in hand is kept hidden from other consumers for another VISIBILITY_SECONDS.
HOLD_SECONDS = VISIBILITY_SECONDS / 3
PAUSE_SECONDS = 1


class Consumer:
    def __init__(self, broker, die_after=0, clock=time.monotonic):
        self._broker = broker
        self._die_after = die_after
        self._clock = clock
        self._url = None
        self._handled = 0

    def step(self, worker):
        url, self._url = self._url, None
        if url is None:
            url = self._broker.find_queue()
        begin = self._clock()
        message = self._broker.receive(url)
        if message is not None:
            self._take(worker, url, message)
        # Kept as long as all goes well. A queue that was lost may come back at another place.
        self._url = url
        # An endpoint that does not wait for messages must not be asked without end.
        return 0 if message or self._clock() - begin >= PAUSE_SECONDS else PAUSE_SECONDS

    def _take(self, worker, url, message):
        say(f"Received message: {message.id}: {message.text}")
        if not self._handle(worker, url, message):
            self._broker.hide(url, message, 0)
            say(f"Gave back message: {message.id}")
            return
        self._broker.delete(url, message)
        say(f"Deleted message: {message.id}")
        self._handled += 1
        if self._handled == self._die_after:
            raise RuntimeError(f"DIE_AFTER={self._die_after} messages")

    def _handle(self, worker, url, message):
        """Returns False where it was stopped before it was done."""
        end = self._clock() + message.work
        while (left := end - self._clock()) > 0:
            if worker.wait(min(left, HOLD_SECONDS)):
                return False
            worker.beat()
            self._broker.hide(url, message, VISIBILITY_SECONDS)
        return not worker.wait(0)


def main():
    text = os.environ.get("DIE_AFTER", "0")
    if not text.isdecimal():
        sys.exit(f"DIE_AFTER must be a number of messages, not {text!r}")
    consumer = Consumer(Broker.connect(), int(text))
    worker = Worker(consumer.step)
    live(worker, serve(PORT, worker))


if __name__ == "__main__":
    main()
