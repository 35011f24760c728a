"""A Redis with one database and the few commands that the service uses; it can be told to misbehave."""

import socketserver
import threading
import time


class FakeRedis:
    def __init__(self, password=None):
        self.password = password
        self.counts = {}
        self.role = "master"
        # An error that answers each command but those that begin a connection.
        self.error = None
        # Seconds that such an answer takes.
        self.delay = 0
        self.commands = []
        self._lock = threading.Lock()
        self._server = None
        self._open = set()
        self.port = 0
        self.start()

    def start(self):
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                fake._open.add(self.connection)
                try:
                    fake._serve(self.rfile, self.wfile)
                except OSError:
                    pass
                finally:
                    fake._open.discard(self.connection)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

        # Again at the same port, as a Service has it.
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(2)
            except OSError:
                pass

    def _serve(self, requests, answers):
        authenticated = self.password is None
        while line := requests.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(requests.readline()[1:])
                words.append(requests.read(length + 2)[:-2].decode())
            name = words[0].upper()
            self.commands.append(name)
            if name == "HELLO":
                authenticated = authenticated or words[-1] == self.password
                answer = b"%1\r\n$5\r\nproto\r\n:3\r\n" if authenticated else b"-WRONGPASS invalid password\r\n"
            elif name == "AUTH":
                authenticated = words[-1] == self.password
                answer = b"+OK\r\n" if authenticated else b"-WRONGPASS invalid password\r\n"
            elif name == "CLIENT":
                answer = b"+OK\r\n"
            elif not authenticated:
                answer = b"-NOAUTH Authentication required.\r\n"
            else:
                time.sleep(self.delay)
                answer = self._answer(name, words[1:])
            answers.write(answer)

    def _answer(self, name, words):
        if self.error:
            return f"-{self.error}\r\n".encode()
        if name == "PING":
            return b"+PONG\r\n"
        if name == "ROLE":
            return f"*3\r\n${len(self.role)}\r\n{self.role}\r\n:0\r\n*0\r\n".encode()
        if name == "INCR" and self.role != "master":
            return b"-READONLY You can't write against a read only replica.\r\n"
        if name == "INCR":
            with self._lock:
                self.counts[words[0]] = self.counts.get(words[0], 0) + 1
                return b":%d\r\n" % self.counts[words[0]]
        return f"-ERR unknown command '{name}'\r\n".encode()
