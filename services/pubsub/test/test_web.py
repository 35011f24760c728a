import pytest

from web import Refused, serve


class Worker:
    """As much of one as /health asks."""

    def __init__(self, dead=None, reason=None):
        self._dead = dead
        self._reason = reason

    def dead(self):
        return self._dead

    def trouble(self):
        return self._dead or self._reason


def test_up(ask):
    server = serve(0, Worker())
    for path in ["/health", "/health?x=y", "/health?of=worker"]:
        response = ask(server, path)
        assert (response.status, response.type, response.text) == (200, "application/json", '{ "status": "UP!" }')
    head = ask(server, "/health", "HEAD")
    assert (head.status, head.text) == (200, "")


def test_down_with_the_reason(ask):
    response = ask(serve(0, Worker(reason="no \"queue\"")), "/health")
    assert (response.status, response.type) == (503, "application/json")
    assert response.json == {"status": "DOWN", "reason": 'no "queue"'}


def test_the_liveness_probe_asks_about_the_worker_alone(ask):
    assert ask(serve(0, Worker(reason="no queue")), "/health?of=worker").status == 200
    response = ask(serve(0, Worker(dead="dead")), "/health?of=worker")
    assert (response.status, response.json) == (503, {"status": "DOWN", "reason": "dead"})


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/", "/Health", "/publish", "/health%20"])
def test_other_paths_are_not_found(ask, path):
    server = serve(0, Worker(), {"/publish": lambda _query, _body: {}})
    assert ask(server, path).status == 404


def test_requests_are_logged(ask, capsys):
    ask(serve(0, Worker()), "/health")
    assert '"GET /health HTTP/1.1" 200' in capsys.readouterr().err


def test_posts(ask):
    def publish(query, body):
        if not body:
            raise Refused(400, "empty")
        return {"query": query, "body": body.decode()}

    server = serve(0, Worker(), {"/publish": publish})
    response = ask(server, "/publish?work=2", "POST", data=b"hello")
    assert (response.status, response.json) == (200, {"query": {"work": ["2"]}, "body": "hello"})
    assert ask(server, "/publish", "POST", data=b"").status == 400
    assert ask(server, "/health", "POST", data=b"x").status == 404
    assert ask(serve(0, Worker()), "/publish", "POST", data=b"x").status == 404
    assert ask(server, "/publish", "POST", data=b"x" * 70_000).status == 413
    assert ask(server, "/publish", "POST", data=iter([b"x"])).status == 411
