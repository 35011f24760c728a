"""How gunicorn runs the service."""

import os
import shutil

from prometheus_client import multiprocess

import log

bind = "0.0.0.0:8000"
workers = 4
# One request per connection: when a worker is told to stop, no connection is left open on which a client could just be
# sending the next request.
worker_class = "sync"
# Longer than any answer takes. The pod's grace period is longer still.
timeout = 15
graceful_timeout = 15
# Imported once and forked: less memory, and a start that needs less CPU.
preload_app = True
# Workers prove here that they are alive: in memory, where a slow disk cannot hold them up.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
# The proxy logs requests.
accesslog = None
logconfig_dict = log.SETTINGS

# Where the processes share their figures. What is there belongs to processes that have ended.
figures = os.environ["PROMETHEUS_MULTIPROC_DIR"]
shutil.rmtree(figures, ignore_errors=True)
os.makedirs(figures)


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
