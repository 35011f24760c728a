"""What goes wrong on purpose: faults by call, and the answer that is held so that a client can be killed before it."""

import fnmatch
import threading

KINDS = {
    "throttle", "error_before", "error_after", "cut_before", "cut_after",
    "expired_token", "access_denied", "error", "applied_late",
}  # fmt: skip


class Faults:
    def __init__(self):
        self.list = []

    def add(self, faults):
        for fault in faults:
            if fault.get("kind") not in KINDS:
                raise ValueError(f"a fault's kind is one of {sorted(KINDS)}, not {fault.get('kind')!r}")
        for fault in faults:
            self.list.append(
                {"service": "*", "action": "*", "nth": 1, "times": 1} | fault | {"seen": 0, "fired": 0}
            )

    def pick(self, call):
        """The fault that this call meets. Every fault that matches counts the call."""
        picked = None
        for fault in self.list:
            matches = fnmatch.fnmatchcase(call.service, fault["service"])
            matches = matches and fnmatch.fnmatchcase(call.action, fault["action"])
            if "write" in fault:
                matches = matches and not call.reads
            first = fault.get("write", fault["nth"])
            if not matches:
                continue
            fault["seen"] += 1
            if picked is None and fault["seen"] >= first:
                if fault["times"] < 0 or fault["fired"] < fault["times"]:
                    fault["fired"] += 1
                    picked = fault
        return picked


class Hold:
    """Holds the answer of the nth applied write until it is released."""

    def __init__(self):
        self._changed = threading.Condition()
        self._left = None
        self._held = None
        self._answer = None

    def set(self, write):
        with self._changed:
            self._left, self._answer = write, None

    def wait_if_chosen(self, call):
        """Called when a write has been applied. True: the answer shall be sent, False: the connection shall be cut."""
        with self._changed:
            if self._left is None:
                return True
            self._left -= 1
            number = self._left
            if number != 0:
                return True
            self._left, self._answer = None, None
            self._held = {"service": call.service, "action": call.action}
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answer is not None)
            self._held = None
            self._changed.notify_all()
            return self._answer == "send"

    def held(self, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._held is not None, timeout=seconds)
            return self._held

    def release(self, answer):
        with self._changed:
            self._left, self._answer = None, answer
            self._changed.notify_all()
