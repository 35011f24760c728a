"""One function for each row."""

import datetime
import statistics

from .tools import Ran, nginx, say, scripted, stackctl, tool, url

SECONDS = 4
ROUNDS = 7
CONNECTIONS = 64
ROWS = {}


def row(name):
    def register(function):
        ROWS[name] = function
        return function

    return register


def clients(binary, connections, seconds):
    """Each gives (requests, Ran)."""

    def ours():
        ran, document = stackctl(binary, seconds, "--connections", connections, "--duration", f"{seconds}s")
        return document["totals"]["succeeded"], ran

    def wrk():
        ran = Ran([tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", url()], seconds)
        return ran.number(r"(\d+) requests in"), ran

    def hey():
        ran = Ran([tool("hey"), "-c", connections, "-z", f"{seconds}s", url()], seconds)
        return ran.number(r"\[200\]\s+(\d+) responses"), ran

    return {"stackctl": ours, "wrk": wrk, "hey": hey}


@row("load-throughput")
def throughput(bench):
    """Requests per second of client CPU and per second on one core, 64 connections, medians of 7 interleaved runs."""
    rates = {name: ([], []) for name in ("stackctl", "wrk", "hey")}
    with nginx(bench.work):
        runs = clients(bench.binary, CONNECTIONS, SECONDS)
        for name, once in runs.items():
            once()  # what is loaded for the first time is loaded
        for number in range(ROUNDS):
            for name, once in runs.items():
                requests, ran = once()
                rates[name][0].append(requests / ran.cpu)
                rates[name][1].append(requests / SECONDS)
            say(f"round {number + 1}: " + ", ".join(f"{name} {values[0][-1]:.0f}/CPU s" for name, values in rates.items()))
    for index, (title, unit) in enumerate([("requests per CPU second of the client", "/CPU s"), ("requests per second on one core", "/s")]):
        median = {name: statistics.median(values[index]) for name, values in rates.items()}
        ours = median.pop("stackctl")
        bench.add(
            f"{title}, {CONNECTIONS} connections",
            ours,
            median,
            [
                ("≥ 3× hey", ours >= 3 * median["hey"]),
                ("≥ 1× wrk", ours >= median["wrk"]),
                ("≥ 0.9× wrk", ours >= 0.9 * median["wrk"]),
            ],
            unit=unit,
            more=True,
        )


@row("load-memory")
def memory(bench):
    """Peak resident memory at 1,000 connections."""
    with nginx(bench.work):
        peak = {name: once()[1].memory for name, once in clients(bench.binary, 1000, SECONDS).items()}
    ours = peak.pop("stackctl")
    bench.add("memory at 1,000 connections", ours, peak, [("≤ 30 MB", ours <= 30)], unit="MB")


@row("load-stall")
def stall(bench):
    """A server that stalls for 1 s in each 10 s: p99 at 1,000 requests/s against what it imposed."""
    rate, seconds, log = 1000, 60, bench.work / "stalls"
    with scripted("stall", log):
        _, document = stackctl(bench.binary, seconds, "--rate", rate, "--duration", f"{seconds}s", "--connections", 100)
    begin = datetime.datetime.fromisoformat(document["started"].replace("Z", "+00:00")).timestamp()
    stalls = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    due = [begin + number / rate for number in range(rate * seconds)]
    imposed = sorted(next((end - at for start, end in stalls if start <= at < end), 0.0) for at in due)
    expected = quantile(imposed, 0.99) * 1000
    with scripted("stall", log):
        hey = Ran([tool("hey"), "-z", f"{seconds}s", "-c", 100, "-q", rate // 100, url()], seconds)
    totals = document["totals"]
    seen = totals["latency"]["p99"]
    say(f"p99 expected {expected:.0f} ms, seen {seen:.0f}; {totals['requests']} requests, {totals['failed']} failed")
    bench.add(
        f"p99 of a server that stalls 1 s in each 10 s; its own log says {expected:.0f} ms",
        seen,
        {"hey": hey.number(r"99%+ in ([\d.]+) secs") * 1000},
        [
            ("within 3 %", abs(seen / expected - 1) <= 0.03),
            (f"{rate * seconds} requests, none failed", (totals["requests"], totals["failed"]) == (rate * seconds, 0)),
        ],
        unit="ms",
    )


@row("load-rate")
def rate(bench):
    """Half of what the client can do as a fixed rate: is it held?"""
    seconds = 10
    with nginx(bench.work):
        capacity = clients(bench.binary, CONNECTIONS, SECONDS)["stackctl"]()[0] / SECONDS
        half = round(capacity / 2, -2)
        for kind in ("constant", "poisson"):
            options = ["--rate", half, "--arrivals", kind, "--duration", f"{seconds}s", "--connections", CONNECTIONS]
            _, document = stackctl(bench.binary, seconds, *options)
            totals = document["totals"]
            # Poisson arrivals have a schedule of their own: of n requests it varies by the root of n.
            due = half * seconds if kind == "constant" else totals["requests"]
            drawn = abs(totals["requests"] - half * seconds) <= 4 * (half * seconds) ** 0.5
            achieved = totals["succeeded"] / seconds
            # A rate that is not held shows as requests that wait longer and longer.
            held = totals["latency"]["p99"] < 100
            bench.add(
                f"--rate {half:.0f} --arrivals {kind}: achieved (p99 {totals['latency']['p99']:.2f} ms)",
                achieved,
                {"due": due / seconds},
                [
                    ("within 0.5 % of what was due", abs(achieved / (due / seconds) - 1) <= 0.005 and drawn),
                    ("p99 below 100 ms", held),
                ],
                unit="/s",
                more=True,
            )


@row("load-distribution")
def distribution(bench):
    """A server with a known, seeded latency distribution: are its percentiles seen?"""
    seconds, log = 30, bench.work / "delays"
    with scripted("delays", log):
        _, document = stackctl(bench.binary, seconds, "--rate", 300, "--duration", f"{seconds}s", "--connections", 200)
    delays = sorted(float(line) * 1000 for line in log.read_text().splitlines())
    latency = document["totals"]["latency"]
    for name, at in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)]:
        expected = quantile(delays, at)
        close = abs(latency[name] - expected) <= max(0.01 * expected, 1)
        bench.add(f"known distribution, {name}", latency[name], {"the server's log": expected}, [("within 1 % or 1 ms", close)], unit="ms")


def quantile(ascending, at):
    """The smallest value that so many are not above, as HDR histograms have it."""
    return ascending[min(len(ascending) - 1, max(0, -int(-at * len(ascending) // 1) - 1))]
