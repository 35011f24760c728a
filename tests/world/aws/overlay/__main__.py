"""Starts everything, says in one line of JSON where it is, and ends with its standard input or by SIGTERM."""

import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from . import proxy, registry, server
from .ecr import Ecr
from .tls import Authority
from .world import ADMIN, OTHER, REGION, World

# ministack alone opens its port itself, so that one is free when it is asked for, and may not be a moment later.
TRIES = 3


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end_with_parent():
    """Also when this process is killed in a way that it cannot answer."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)


def _start_ministack():
    for _ in range(TRIES):
        port = _free_port()
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": ADMIN.account,
            "SERVICES": "ecr,sts,iam",
            "PERSIST_STATE": "0",
            "LOG_LEVEL": "WARNING",
            # It would open further ports of fixed numbers.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        ecr = Ecr(port, 0)
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            try:
                if ecr.request("GET", "/_ministack/health", {}, None)[0] == 200:
                    return process, ecr
            except OSError:
                time.sleep(0.1)
        process.kill()
    raise SystemExit("aws: ministack did not start; its output is above")


def main():
    parser = argparse.ArgumentParser(prog="tests/world/aws/run", description=__doc__)
    parser.add_argument("--bridge", metavar="ADDRESS", help="where the registry and the proxy to STS also answer")
    options = parser.parse_args()
    ministack, ecr = _start_ministack()
    done = threading.Event()
    try:
        with tempfile.TemporaryDirectory(prefix="stackctl-aws-") as folder:
            _run(options, ministack, ecr, done, Authority(folder))
    finally:
        # It keeps nothing that has to be put in order, and takes seconds to end when it is asked.
        os.killpg(ministack.pid, signal.SIGKILL)
        ministack.wait()


def _run(options, ministack, ecr, done, authority):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: done.set())
    images = registry.serve(("127.0.0.1", 0), ecr, ADMIN.account, REGION)
    registry_port = images.server_address[1]
    ecr.registry = f"127.0.0.1:{registry_port}"
    world = World(ecr)
    endpoint = server.serve(("127.0.0.1", 0), world)
    proxied = proxy.serve(("127.0.0.1", 0), world, authority)
    proxy_port = proxied.server_address[1]
    servers = [images, endpoint, proxied]
    if options.bridge:
        servers.append(proxy.serve((options.bridge, proxy_port), world, authority))
        servers.append(
            registry.serve((options.bridge, registry_port), ecr, ADMIN.account, REGION, open_to_read=True)
        )
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    about = _described(endpoint.server_address[1], ecr.registry)
    about["registry_bridge"] = f"{options.bridge}:{registry_port}" if options.bridge else None
    about["sts"] = {
        "proxy": f"http://127.0.0.1:{proxy_port}",
        "proxy_bridge": f"http://{options.bridge}:{proxy_port}" if options.bridge else None,
        "ca_file": str(authority.file),
    }
    print(json.dumps(about), flush=True)
    threading.Thread(target=_wait_for_end_of_input, args=(done,), daemon=True).start()
    while not done.wait(1):
        if ministack.poll() is not None:
            raise SystemExit(f"aws: ministack ended with status {ministack.returncode}")


def _described(port, registry_address):
    url = f"http://127.0.0.1:{port}"
    return {
        "endpoint": url,
        "control": url + server.CONTROL,
        "registry": registry_address,
        "region": REGION,
        **_who(ADMIN),
        "other": _who(OTHER),
        "environment": {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": ADMIN.access_key,
            "AWS_SECRET_ACCESS_KEY": ADMIN.secret,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        "pid": os.getpid(),
    }


def _who(identity):
    return {
        "account": identity.account,
        "access_key": identity.access_key,
        "secret_key": identity.secret,
        "arn": identity.arn,
    }


def _wait_for_end_of_input(done):
    # Not by sys.stdin, whose lock this thread would still hold when the interpreter ends.
    while os.read(0, 4096):
        pass
    done.set()


if __name__ == "__main__":
    main()
