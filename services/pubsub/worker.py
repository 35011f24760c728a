"""A thread that does the same step again and again, and knows how it is."""

import threading
import time

from broker import TROUBLES
from service import say

RETRY_SECONDS = 1
# Longer than any step takes between two beats.
SILENT_SECONDS = 60


class Worker(threading.Thread):
    """Calls `step(worker)` until it is stopped. A step returns the seconds to wait before the next one.

    A step that meets trouble with the broker is tried again. Any other exception ends the thread, and from then on
    `trouble` says so: a restart of the process is what helps.
    """

    def __init__(self, step, clock=time.monotonic):
        super().__init__(name="worker", daemon=True)
        self._step = step
        self._clock = clock
        self._beat = clock()
        self._halt = threading.Event()
        self._died = None
        self._reason = "the queue has not been reached yet"

    def run(self):
        try:
            while not self._halt.is_set():
                self.beat()
                self.wait(self._try())
        except BaseException as error:
            self._died = f"{type(error).__name__}: {error}"
            say(f"The worker is dead: {self._died}")
            raise

    def _try(self):
        try:
            pause = self._step(self)
        except TROUBLES as error:
            reason = str(error)
            # Once for each reason, not for each try.
            if reason != self._reason:
                say(f"The queue cannot be reached: {reason}")
            self._reason = reason
            return getattr(error, "pause", RETRY_SECONDS)
        if self._reason is not None:
            say("The queue is reached.")
        self._reason = None
        return pause

    def beat(self):
        """Says that it is alive. To be called at least every SILENT_SECONDS."""
        self._beat = self._clock()

    def wait(self, seconds):
        """Waits, but no longer than until it is stopped. Returns whether it is."""
        return self._halt.wait(seconds)

    def stop(self):
        self._halt.set()

    def dead(self):
        """Why it will not work again, or None."""
        if self._died is not None:
            return f"the worker is dead: {self._died}"
        if not self.is_alive():
            return "the worker does not run"
        silent = self._clock() - self._beat
        if silent > SILENT_SECONDS:
            return f"the worker has hung for {silent:.0f} seconds"
        return None

    def trouble(self):
        """Why it does not work, or None."""
        return self.dead() or self._reason
