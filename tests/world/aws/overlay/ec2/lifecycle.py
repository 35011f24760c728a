"""What takes time in EC2: NAT gateways and endpoints, and the client tokens of both."""

import re
from xml.sax.saxutils import escape

from .. import emulator
from ..reply import Refused, xml

SPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def _replayed(world, call, kind):
    """What a call with this client token made before, or None."""
    token = call.params.get("ClientToken")
    found = world.tokens.get((call.account, call.region, kind, token)) if token else None
    if not found:
        return None
    number, asked, reply = found
    if asked != _asked(call):
        raise Refused(
            "IdempotentParameterMismatch",
            f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s) ({number}).",
        )
    return reply


def _asked(call):
    return {key: value for key, value in call.params.items() if not key.startswith("TagSpec")}


def _remember(world, call, kind, number, reply):
    token = call.params.get("ClientToken")
    if token:
        world.tokens[call.account, call.region, kind, token] = (number, _asked(call), reply)


def create_nat_gateway(world, ec2, call):
    replayed = _replayed(world, call, "nat")
    if replayed:
        return replayed
    allocation = call.params.get("AllocationId")
    for item in ec2.addresses:
        if allocation and item.allocation_id == allocation and item.association_id:
            raise Refused(
                "Resource.AlreadyAssociated", f"resource {allocation} is already associated with {item.association_id}"
            )
    reply = emulator.forward(call)
    if reply.status != 200:
        return reply
    number = re.search(rb"<natGatewayId>([^<]+)", reply.body).group(1).decode()
    nat = ec2.nat_gateways[number]
    nat.state = "pending"
    eni = nat._eni
    eni.status, eni.requester_managed, eni.interface_type = "in-use", True, "nat_gateway"
    eni.description, eni._group_set = f"Interface for NAT Gateway {number}", []
    attached = any(item.vpc and item.vpc.id == nat.vpc_id for item in ec2.internet_gateways.values())
    reply.body = re.sub(rb"<state>\w+</state>", b"<state>pending</state>", reply.body)
    _remember(world, call, "nat", number, reply)

    def ready():
        if nat.state != "pending":
            return
        if attached:
            nat.state = "available"
            return
        _let_go(ec2, nat, "failed")
        nat.failure_code = "Gateway.NotAttached"
        nat.failure_message = f"Network {nat.vpc_id} has no Internet gateway attached"

    world.clock.after(world.settings["nat_create"], ready)
    return reply


def _let_go(ec2, nat, state):
    """It gives its interface and its address back."""
    nat.state = state
    eni = ec2.enis.pop(nat._eni.id, None)
    for item in ec2.addresses:
        if eni and item.eni is eni:
            item.eni, item.association_id, item.instance = None, None, None


def delete_nat_gateway(world, ec2, call):
    nat = ec2.nat_gateways[call.params["NatGatewayId"]]
    if nat.state not in ("deleted", "deleting", "failed"):
        nat.state = "deleting"
        world.clock.after(world.settings["nat_delete"], lambda: _let_go(ec2, nat, "deleted"))
    return xml(
        call,
        f'<DeleteNatGatewayResponse xmlns="{SPACE}"><requestId>{call.request_id}</requestId>'
        f"<natGatewayId>{nat.id}</natGatewayId></DeleteNatGatewayResponse>",
    )


def create_vpc_endpoint(world, ec2, call):
    replayed = _replayed(world, call, "endpoint")
    if replayed:
        return replayed
    service, tables = call.params.get("ServiceName"), set(call.flat("RouteTableId"))
    kind = call.params.get("VpcEndpointType", "Gateway")
    for table in tables:
        if table not in ec2.route_tables:
            raise Refused("InvalidRouteTableId.NotFound", f"The routeTable ID '{table}' does not exist")
    for item in ec2.vpc_end_points.values():
        if kind == "Gateway" and item.service_name == service and tables & set(item.route_table_ids):
            raise Refused(
                "RouteAlreadyExists",
                f"route table {(tables & set(item.route_table_ids)).pop()} already has a route for {service}",
            )
    reply = emulator.forward(call, {**call.params, "VpcEndpointType": kind})
    if reply.status == 200:
        number = re.search(rb"<vpcEndpointId>([^<]+)", reply.body).group(1).decode()
        _remember(world, call, "endpoint", number, reply)
        for eni in ec2.vpc_end_points[number].network_interface_ids:
            ec2.enis[eni].status, ec2.enis[eni].requester_managed = "in-use", True
    return reply


def delete_vpc_endpoints(world, ec2, call):
    missing = []
    for number in call.flat("VpcEndpointId"):
        endpoint = ec2.vpc_end_points.get(number)
        if not endpoint:
            missing.append(number)
        elif endpoint.state != "deleting":
            endpoint.state = "deleting"
            world.clock.after(
                world.settings["endpoint_delete"], lambda number=number: _endpoint_gone(ec2, number)
            )
    items = "".join(
        "<item><error><code>InvalidVpcEndpoint.NotFound</code>"
        f"<message>The Vpc Endpoint Id '{escape(number)}' does not exist</message></error>"
        f"<resourceId>{escape(number)}</resourceId></item>"
        for number in missing
    )
    return xml(
        call,
        f'<DeleteVpcEndpointsResponse xmlns="{SPACE}"><requestId>{call.request_id}</requestId>'
        f"<unsuccessful>{items}</unsuccessful></DeleteVpcEndpointsResponse>",
    )


def _endpoint_gone(ec2, number):
    endpoint = ec2.vpc_end_points.pop(number, None)
    if not endpoint:
        return
    for eni in endpoint.network_interface_ids:
        ec2.enis.pop(eni, None)
    for table in endpoint.route_table_ids:
        routes = ec2.route_tables[table]._routes if table in ec2.route_tables else {}
        for route in [item for item in routes.values() if item.gateway_id == number]:
            del routes[route.id]


LIFECYCLE = {
    "CreateNatGateway": create_nat_gateway,
    "DeleteNatGateway": delete_nat_gateway,
    "CreateVpcEndpoint": create_vpc_endpoint,
    "DeleteVpcEndpoints": delete_vpc_endpoints,
}
