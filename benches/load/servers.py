#!/usr/bin/env python3
"""Servers whose delays are known: servers.py stall|delays PORT LOG [SEED]. What was imposed is appended to LOG."""

import asyncio
import random
import signal
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n"
# Of `stall`: each so many seconds nothing is done for so many.
EVERY, LENGTH = 10, 1


class Stalling(asyncio.Protocol):
    """Answers at once; the whole process sleeps now and then."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


class Delaying(Stalling):
    """Answers after a delay drawn from a lognormal distribution: median 20 ms, p99 about 128 ms."""

    def __init__(self, draw, delays):
        self.draw = draw
        self.delays = delays

    def data_received(self, data):
        came = time.perf_counter()
        asyncio.get_running_loop().call_later(self.draw.lognormvariate(-3.912, 0.8), self.answer, came)

    def answer(self, came):
        if not self.transport.is_closing():
            self.transport.write(ANSWER)
            self.delays.append(time.perf_counter() - came)


async def main(kind, port, log, seed="1"):
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    delays = []
    if kind == "stall":
        listening = await loop.create_server(Stalling, "127.0.0.1", int(port), backlog=4096)
    else:
        draw = random.Random(int(seed))
        listening = await loop.create_server(lambda: Delaying(draw, delays), "127.0.0.1", int(port), backlog=4096)
    with open(log, "w") as lines:
        while kind == "stall" and not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), EVERY - LENGTH)
            except TimeoutError:
                begin = time.time()
                time.sleep(LENGTH)
                print(begin, time.time(), file=lines, flush=True)
        await ended.wait()
        for delay in delays:
            print(delay, file=lines)
    listening.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
