"""The virtual clock: what happens some ticks later, and what moves it."""


class Clock:
    def __init__(self):
        self.now = 0
        self.auto = True
        self._events = []
        self._order = 0

    def after(self, ticks, event):
        """Runs `event` when that many ticks have passed; at once for none."""
        if ticks <= 0:
            event()
            return
        self._order += 1
        self._events.append((self.now + ticks, self._order, event))

    def advance(self, ticks):
        for _ in range(ticks):
            self.now += 1
            due = sorted(item[:2] for item in self._events if item[0] <= self.now)
            for key in due:
                event = next(item[2] for item in self._events if item[:2] == key)
                self._events = [item for item in self._events if item[:2] != key]
                event()

    def move(self):
        if self.auto:
            self.advance(1)

    def state(self):
        return {"now": self.now, "auto": self.auto, "pending": len(self._events)}
