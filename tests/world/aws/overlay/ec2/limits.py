"""The quotas that EC2 enforces when something is created."""

from ..reply import Refused


def _vpc(world, ec2, call):
    if len(ec2.vpcs) >= world.quota("L-F678F1CE"):
        raise Refused("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def _internet_gateway(world, ec2, call):
    if len(ec2.internet_gateways) >= world.quota("L-A4707A72"):
        raise Refused(
            "InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached."
        )


def _address(world, ec2, call):
    if len(ec2.addresses) >= world.quota("L-0263D0A3"):
        raise Refused("AddressLimitExceeded", "The maximum number of addresses has been reached.")


def _nat_gateway(world, ec2, call):
    zones = {item.id: zone for zone, by_id in ec2.subnets.items() for item in by_id.values()}
    zone = zones.get(call.params.get("SubnetId"))
    alive = [
        item
        for item in ec2.nat_gateways.values()
        if item.state not in ("deleted", "failed") and zones.get(item.subnet_id) == zone
    ]
    if len(alive) >= world.quota("L-FE5A380F"):
        raise Refused(
            "NatGatewayLimitExceeded",
            f"Performing this operation would exceed the limit of {world.quota('L-FE5A380F')} NAT gateways",
        )


LIMITS = {
    "CreateVpc": _vpc,
    "CreateInternetGateway": _internet_gateway,
    "AllocateAddress": _address,
    "CreateNatGateway": _nat_gateway,
}
