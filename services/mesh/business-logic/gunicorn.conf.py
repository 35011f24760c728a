"""How gunicorn runs the service."""

import log
import tracing

bind = "0.0.0.0:8000"
# The work is waiting, which threads do well. One process, because exemplars cannot be shared by several.
workers = 1
worker_class = "gthread"
threads = 64
# One request per connection: when a worker is told to stop, no connection is left open on which a client could just be
# sending the next request.
keepalive = 0
# Longer than any answer takes. The pod's grace period is longer still.
graceful_timeout = 20
# Workers prove here that they are alive: in memory, where a slow disk cannot hold them up.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
# The service logs requests itself, with the ids of their traces.
accesslog = None
logconfig_dict = log.SETTINGS


def post_fork(server, worker):
    tracing.start()


def worker_exit(server, worker):
    tracing.stop()
