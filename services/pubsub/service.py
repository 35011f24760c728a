"""What both services share: lines of the log, and a life from start to SIGTERM."""

import os
import signal
import sys
import threading

PORT = int(os.environ.get("PORT", "5000"))
# A poll ends within half of this, and with it the worker.
STOP_SECONDS = 12


def say(line):
    """Writes a line to the log. In one piece, since several threads write."""
    sys.stdout.write(line.replace("\r", "\\r").replace("\n", "\\n") + "\n")
    sys.stdout.flush()


def live(worker, server):
    """Runs both until SIGTERM. A worker that dies leaves the server running, which tells."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    worker.start()
    stopped.wait()
    say("Stopping.")
    worker.stop()
    worker.join(STOP_SECONDS)
    server.shutdown()
