"""The other load generators, the servers, and how a client is run and measured."""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stackctl-bench" / "load-tools"
HEY = "github.com/rakyll/hey@v0.1.4"
SERVERS = Path(__file__).resolve().parent / "servers.py"
PORT = 18310
# What one client may take beyond the time it was told to send for, in seconds.
GRACE = 60


class Failed(Exception):
    pass


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def cores():
    """The core of the client and that of the server."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Failed("client and server need a core each")
    return usable[0], usable[1]


def tool(name):
    """The program's path: the machine's, or one in the cache, where it is put if it is not there."""
    found = shutil.which(name)
    if found:
        return found
    for folder in ("usr/sbin", "usr/bin", "bin"):
        if (CACHE / folder / name).exists():
            return str(CACHE / folder / name)
    CACHE.mkdir(parents=True, exist_ok=True)
    if name == "hey":
        quiet("go", "install", HEY, env={"GOBIN": str(CACHE / "bin"), "GOFLAGS": ""})
    else:
        packages = {"nginx": ["nginx"], "wrk": ["wrk", "libluajit2-5.1-2"]}[name]
        quiet("apt-get", "download", *packages, cwd=CACHE)
        for package in CACHE.glob("*.deb"):
            quiet("dpkg-deb", "--extract", package, CACHE)
            package.unlink()
    return tool(name)


def quiet(*argv, env=None, cwd=None):
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))} ended with {done.returncode}: {done.stdout}{done.stderr}")


def environment():
    libraries = [str(folder) for folder in (CACHE / "usr" / "lib").glob("*-linux-gnu*")]
    known = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([*libraries, *([known] if known else [])])}


def pinned(core):
    """To be run in a child before its program."""

    def pin():
        os.sched_setaffinity(0, {core})
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    return pin


class Server:
    """A server on PORT, on its own core, for as long as the `with` lasts."""

    def __init__(self, argv):
        self.argv = [str(word) for word in argv]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.argv,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pinned(cores()[1]),
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise Failed(f"{self.argv[0]} does not listen: {self.process.stderr.read()}")
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(work):
    """Answers a few bytes without looking at a disk."""
    folder = work / "nginx"
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"""daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; {temporary}
  server {{ listen 127.0.0.1:{PORT} backlog=4096; location / {{ return 200 "hello world\\n"; }} }}
}}
"""
    )
    return Server([tool("nginx"), "-e", "stderr", "-c", config, "-p", folder])


def scripted(kind, log, *options):
    """One of servers.py, which writes what it imposed to `log`."""
    return Server([sys.executable, SERVERS, kind, PORT, log, *options])


class Ran:
    """A client that has ended: its standard output, seconds of CPU, peak memory in MB."""

    def __init__(self, argv, seconds):
        begin = time.monotonic()
        argv = [str(word) for word in argv]
        child = subprocess.Popen(
            argv,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=pinned(cores()[0]),
        )
        # The kernel keeps the mark of the peak per program image, so it is read from the process itself.
        self.memory = 0.0
        os.set_blocking(child.stdout.fileno(), False)
        said = b""
        while True:
            try:
                status = Path(f"/proc/{child.pid}/status").read_text()
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                self.memory = max(self.memory, int(found[1]) / 1024 if found else 0)
            except OSError:
                pass
            said += child.stdout.read() or b""
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > begin + seconds + GRACE:
                child.kill()
                os.waitpid(child.pid, 0)
                child.returncode = -9
                raise Failed(f"{argv[0]} did not end within {seconds + GRACE} s")
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.text = (said + (child.stdout.read() or b"")).decode()
        child.stdout.close()
        if child.returncode != 0:
            raise Failed(f"{' '.join(argv)} ended with {child.returncode}: {self.text[-2000:]}")
        self.cpu = usage.ru_utime + usage.ru_stime

    def number(self, pattern):
        found = re.search(pattern, self.text)
        if not found:
            raise Failed(f"no {pattern!r} in {self.text[-2000:]}")
        return float(found[1])


def url():
    return f"http://127.0.0.1:{PORT}/"


def stackctl(binary, seconds, *options):
    """(Ran, its document)."""
    ran = Ran([binary, "loadgen", "--url", url(), "--output", "json", "--quiet", *options], seconds)
    return ran, json.loads(ran.text)
