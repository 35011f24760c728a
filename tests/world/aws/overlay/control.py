"""The control API of the tests. See the README."""

from . import automode, inventory, others, settings
from .eks import access, clusters
from .world import ADMIN, REGION


class Unknown(Exception):
    """No such request."""


def _account(query, body):
    return body.get("account") or query.get("account") or ADMIN.account


def _eks(world, query, body):
    return world.eks(_account(query, body), body.get("region") or query.get("region") or REGION)


def _only(body, *names):
    return {name: body[name] for name in names if name in body}


def handle(world, method, path, query, body):
    """The answer of one request, a JSON value. ValueError and Refused say what was wrong with it."""
    name = f"{method} {path}"
    if name == "GET /health":
        return {"ok": True}
    if name == "POST /reset":
        world.reset(body.get("settings") or {})
        return {"ok": True}
    if name == "GET /hold":
        return {"held": world.hold.held(float(query.get("wait", 0)))}
    if name == "POST /hold":
        world.hold.set(int(body["write"]))
        return {"ok": True}
    if name == "POST /release":
        world.hold.release(body.get("answer", "send"))
        return {"ok": True}
    with world.lock:
        if name in PLAIN:
            return PLAIN[name](world, query, body)
        if name in OF_CLUSTER:
            return OF_CLUSTER[name](_eks(world, query, body), query | body)
    raise Unknown(name)


def _change_settings(world, query, body):
    settings.change(world.settings, body)
    return world.settings


def _move_clock(world, query, body):
    if "auto" in body:
        world.clock.auto = bool(body["auto"])
    world.clock.advance(int(body.get("advance", 0)))
    return world.clock.state()


def _add_faults(world, query, body):
    world.faults.add(body if isinstance(body, list) else [body])
    return world.faults.list


def _drop_faults(world, query, body):
    world.faults.list.clear()
    return []


PLAIN = {
    "GET /settings": lambda world, query, body: world.settings,
    "POST /settings": _change_settings,
    "GET /clock": lambda world, query, body: world.clock.state(),
    "POST /clock": _move_clock,
    "GET /faults": lambda world, query, body: world.faults.list,
    "POST /faults": _add_faults,
    "DELETE /faults": _drop_faults,
    "GET /calls": lambda world, query, body: world.journal.since(int(query.get("since", 0))),
    "GET /inventory": lambda world, query, body: inventory.of(
        world, _account(query, body), query.get("region", REGION)
    ),
}


def _nodes(eks, body):
    wanted = _only(body, "count", "zone", "pool", "instance_type")
    return {"instances": automode.add_nodes(eks, body["cluster"], **wanted)}


def _log_line(eks, body):
    clusters.log_group(eks, body["cluster"])
    return {"ok": True}


OF_CLUSTER = {
    "GET /authenticator": lambda eks, body: access.authenticator(eks, body["cluster"]),
    "POST /automode/nodes": _nodes,
    "POST /automode/nodes-gone": lambda eks, body: {
        "instances": automode.terminate(eks, body["cluster"], body.get("pool"))
    },
    "POST /automode/load-balancer": lambda eks, body: automode.add_load_balancer(
        eks, body["cluster"], body["service"], body.get("dns_name")
    ),
    "POST /automode/load-balancer-gone": lambda eks, body: {
        "removed": automode.remove_load_balancer(eks, body["cluster"], body["service"])
    },
    "POST /automode/volume": lambda eks, body: {
        "volume": automode.add_volume(eks, body["cluster"], **_only(body, "size", "claim", "zone"))
    },
    "POST /automode/interface": lambda eks, body: {
        "interface": automode.leave_interface(eks, body["cluster"])
    },
    "POST /log-line": _log_line,
    "POST /others/beside": others.beside,
    "POST /others/distrusts": others.distrusts,
    "POST /others/gives": others.gives,
    "POST /others/inside": others.inside,
    "POST /others/takes": others.takes,
}
