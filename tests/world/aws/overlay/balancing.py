"""ELBv2: the emulator's, with the interfaces of load balancers and what it forgets about deleting them."""

from . import automode, emulator, identity
from .reply import Refused


def handle(world, call):
    backend = emulator.elb(call.account, call.region)
    if call.action == "DeleteLoadBalancer":
        return _delete(world, backend, call)
    if call.action == "CreateLoadBalancer":
        return _create(world, backend, call)
    return emulator.forward(call)


def _create(world, backend, call):
    limit = world.quota("L-69A177A2")
    networks = [item for item in backend.load_balancers.values() if item.type == "network"]
    if call.params.get("Type") == "network" and len(networks) >= limit:
        raise Refused("TooManyLoadBalancers", "The maximum number of load balancers has been reached.")
    name = call.params.get("Name")
    if any(item.name == name for item in backend.load_balancers.values()):
        raise Refused("DuplicateLoadBalancerName", f"A load balancer with the same name '{name}' exists")
    identity.service_linked_role(world, call, "elasticloadbalancing.amazonaws.com")
    before = set(backend.load_balancers)
    reply = emulator.forward(call)
    for arn in set(backend.load_balancers) - before:
        automode.balancer_made(world, call.account, call.region, backend.load_balancers[arn])
    return reply


def _delete(world, backend, call):
    balancer = backend.load_balancers.get(call.params.get("LoadBalancerArn"))
    if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
        raise Refused(
            "OperationNotPermitted",
            f"Load balancer '{balancer.arn}' cannot be deleted because deletion protection is enabled",
        )
    reply = emulator.forward(call)
    if balancer and reply.status == 200:
        automode.balancer_deleted(world, call.account, call.region, balancer)
    return reply
