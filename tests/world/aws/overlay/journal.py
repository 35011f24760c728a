"""The log of all calls."""


class Journal:
    def __init__(self):
        self.calls = []
        self.writes = 0

    def begin(self, call, tick, fault):
        entry = {
            "n": len(self.calls) + 1,
            "service": call.service,
            "action": call.action,
            "kind": "read" if call.reads else "write",
            "write": None,
            "applied": False,
            "status": None,
            "code": None,
            "request_id": call.request_id,
            "account": call.identity.account if call.identity else None,
            "region": call.region,
            "tick": tick,
            "params": call.shown(),
            "fault": fault["kind"] if fault else None,
            "dry_run": call.dry_run,
        }
        if not call.reads:
            self.writes += 1
            entry["write"] = self.writes
        self.calls.append(entry)
        return entry

    def since(self, number):
        return self.calls[number:]
