#!/usr/bin/env python3
"""Measures the sessions of `stackctl forward` beside kube's own port forward, in alternation, to a pod of benches/fast.

Both are in one program, benches/forward. Alone: KUBECONFIG=FILE benches/forwarder.py NAMESPACE POD [ROUNDS]
"""

import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WAYS = ("stackctl", "kube")
PORT = 8080
LARGE = 64 << 20  # bytes of the large answer
REQUESTS, CONNECTIONS = 2000, 16
NEW = 200  # connections made one after another, with a request each


def build():
    """Returns the program's path."""
    folder = ROOT / "benches" / "forward"
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=folder, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", folder / "target")) / "release" / "forward-bench"


@contextlib.contextmanager
def listening(program, way, namespace, pod):
    child = subprocess.Popen([program, way, namespace, pod, str(PORT)], stdout=subprocess.PIPE, text=True)
    try:
        host, _, port = child.stdout.readline().strip().rpartition(":")
        yield host, int(port), child.pid
    finally:
        child.terminate()
        child.wait(timeout=30)


def ask(connection, path):
    """The answer's body is read to its end; returns its length."""
    connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: fast\r\n\r\n".encode())
    buffer = bytearray(1 << 18)
    head = b""
    while b"\r\n\r\n" not in head:
        count = connection.recv_into(buffer)
        if not count:
            raise OSError("the connection ended before the answer")
        head += buffer[:count]
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    got = len(body)
    while got < length:
        count = connection.recv_into(buffer)
        if not count:
            raise OSError(f"the connection ended after {got} of {length} bytes")
        got += count
    return got


def connect(address):
    connection = socket.create_connection(address, timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def megabytes_per_second(address):
    with connect(address) as connection:
        ask(connection, "")
        begin = time.perf_counter()
        got = ask(connection, LARGE)
        return got / 1e6 / (time.perf_counter() - begin)


def small_requests(address):
    """Returns (requests per second, median seconds of one)."""
    connections = [connect(address) for _ in range(CONNECTIONS)]
    took, failures = [], []

    def work(connection):
        try:
            for _ in range(REQUESTS // CONNECTIONS):
                begin = time.perf_counter()
                ask(connection, "")
                took.append(time.perf_counter() - begin)
        except OSError as error:
            failures.append(error)

    for connection in connections:
        ask(connection, "")
    threads = [threading.Thread(target=work, args=[connection]) for connection in connections]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    for connection in connections:
        connection.close()
    if failures:
        raise failures[0]
    return len(took) / seconds, statistics.median(took)


def new_connections(address):
    """Returns the median seconds of a connection with a request."""
    took = []
    for _ in range(NEW):
        begin = time.perf_counter()
        with connect(address) as connection:
            ask(connection, "")
        took.append(time.perf_counter() - begin)
    return statistics.median(took)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(program, namespace, pod, rounds, say):
    """Returns, by way, the medians of each figure; the first round warms both up and does not count."""
    seen = {way: {} for way in WAYS}
    with contextlib.ExitStack() as stack:
        at = {way: stack.enter_context(listening(program, way, namespace, pod)) for way in WAYS}
        for index in range(rounds + 1):
            for way, (host, port, pid) in at.items():
                address, before = (host, port), processor_seconds(pid)
                large = megabytes_per_second(address)
                rate, median = small_requests(address)
                new = new_connections(address)
                used = processor_seconds(pid) - before
                figures = {"MB/s": large, "requests/s": rate, "p50 ms": median * 1e3, "new ms": new * 1e3, "CPU s": used}
                say(f"{way}: " + ", ".join(f"{value:.2f} {name}" for name, value in figures.items()))
                if index:
                    for name, value in figures.items():
                        seen[way].setdefault(name, []).append(value)
    return {way: {name: statistics.median(values) for name, values in figures.items()} for way, figures in seen.items()}


if __name__ == "__main__":
    namespace, pod, *rest = sys.argv[1:]
    medians = measure(build(), namespace, pod, int(rest[0]) if rest else 5, lambda text: print(text, flush=True))
    for way, figures in medians.items():
        print(f"{way}, median: " + ", ".join(f"{value:.2f} {name}" for name, value in figures.items()))
