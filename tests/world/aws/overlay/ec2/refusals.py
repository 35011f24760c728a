"""What EC2 refuses and the emulator forgets, by action."""

from .. import automode, emulator
from ..reply import Refused


def _dependency(message):
    return Refused("DependencyViolation", message)


def _alive(gateways):
    return [item for item in gateways if item.state not in ("deleted", "failed")]


def _delete_vpc(ec2, call):
    vpc = call.params.get("VpcId")
    dependents = [
        *(item for item in ec2.internet_gateways.values() if item.vpc and item.vpc.id == vpc),
        *(item for item in ec2.groups.get(vpc, {}).values() if not item.is_default),
        *(item for item in ec2.vpc_end_points.values() if item.vpc_id == vpc),
        *(item for item in ec2.enis.values() if item.vpc_id == vpc),
        *_alive(item for item in ec2.nat_gateways.values() if item.vpc_id == vpc),
    ]
    if dependents:
        raise _dependency(f"The vpc '{vpc}' has dependencies and cannot be deleted.")


def _delete_subnet(ec2, call):
    subnet = call.params.get("SubnetId")
    dependents = [
        *(item for item in ec2.enis.values() if item.subnet_id == subnet),
        *_alive(item for item in ec2.nat_gateways.values() if item.subnet_id == subnet),
        *(
            item
            for item in ec2.all_instances()
            if item.subnet_id == subnet and item.state != "terminated"
        ),
    ]
    if dependents:
        raise _dependency(f"The subnet '{subnet}' has dependencies and cannot be deleted.")


def _delete_security_group(ec2, call):
    number = call.params.get("GroupId")
    group = ec2.get_security_group_from_id(number or "")
    if not group:
        return
    if group.is_default or group.name == "default":
        raise Refused(
            "CannotDelete",
            f'the specified group: "{number}" name: "default" cannot be deleted by a user',
        )
    balancers = emulator.elb(call.account, call.region).load_balancers.values()
    used = (
        any(number in {item.id for item in eni.group_set} for eni in ec2.enis.values())
        or any(number in (item.security_groups or []) for item in balancers)
        or any(number in item.security_group_ids for item in ec2.vpc_end_points.values())
        or automode.rules_naming(ec2, number)
    )
    if used:
        raise _dependency(f"resource {number} has a dependent object")


def _detach_internet_gateway(ec2, call):
    vpc = call.params.get("VpcId")
    mapped = [
        *(item for item in ec2.addresses if item.eni and item.eni.vpc_id == vpc),
        *(item for item in ec2.enis.values() if item.vpc_id == vpc and item.public_ip),
        *(
            item
            for item in ec2.all_instances()
            if item.vpc_id == vpc and item.state != "terminated" and item.public_ip
        ),
    ]
    if mapped:
        raise _dependency(
            f"Network {vpc} has some mapped public address(es). Please unmap those before detaching the gateway."
        )


def _release_address(ec2, call):
    for item in ec2.addresses:
        if item.allocation_id == call.params.get("AllocationId") and item.association_id:
            raise Refused("InvalidIPAddress.InUse", f"Address {item.public_ip} is in use.")


def _disassociate_address(ec2, call):
    for item in ec2.addresses:
        if item.association_id and item.association_id == call.params.get("AssociationId"):
            if item.eni and item.eni.requester_managed:
                raise Refused("AuthFailure", "You do not have permission to access the specified resource.")


def _delete_network_interface(ec2, call):
    eni = ec2.enis.get(call.params.get("NetworkInterfaceId"))
    if eni and (eni.status == "in-use" or eni.attachment_id):
        raise Refused(
            "InvalidParameterValue", f"Network interface '{eni.id}' is currently in use."
        )


def _detach_network_interface(ec2, call):
    for eni in ec2.enis.values():
        if eni.attachment_id == call.params.get("AttachmentId") and eni.requester_managed:
            raise Refused(
                "OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments."
            )


def _delete_route_table(ec2, call):
    table = ec2.route_tables.get(call.params.get("RouteTableId"))
    if table and table.main_association_id:
        raise _dependency(f"The routeTable '{table.id}' has dependencies and cannot be deleted.")


def _associate_route_table(ec2, call):
    wanted, subnet = call.params.get("RouteTableId"), call.params.get("SubnetId")
    for table in ec2.route_tables.values():
        if subnet and table.id != wanted and subnet in table._associations.values():
            raise Refused(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {wanted} conflicts with an existing association",
            )


def _create_route(ec2, call):
    table = ec2.route_tables.get(call.params.get("RouteTableId"))
    gateway, nat = call.params.get("GatewayId", ""), call.params.get("NatGatewayId")
    if nat and nat not in {item.id for item in _alive(ec2.nat_gateways.values())}:
        raise Refused("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
    if not gateway.startswith("igw-"):
        return
    found = ec2.internet_gateways.get(gateway)
    if not found:
        raise Refused("InvalidGatewayID.NotFound", f"The gateway ID '{gateway}' does not exist")
    if table and (not found.vpc or found.vpc.id != table.vpc_id):
        raise Refused(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway} belong to different networks",
        )


def _delete_nat_gateway(ec2, call):
    number = call.params.get("NatGatewayId")
    if number not in ec2.nat_gateways:
        raise Refused("NatGatewayNotFound", f"The Nat Gateway {number} was not found")


def _delete_volume(ec2, call):
    volume = ec2.volumes.get(call.params.get("VolumeId"))
    if volume and volume.attachment:
        raise Refused("VolumeInUse", f"Volume {volume.id} is currently attached")


REFUSALS = {
    "DeleteVpc": _delete_vpc,
    "DeleteSubnet": _delete_subnet,
    "DeleteSecurityGroup": _delete_security_group,
    "DetachInternetGateway": _detach_internet_gateway,
    "ReleaseAddress": _release_address,
    "DisassociateAddress": _disassociate_address,
    "DeleteNetworkInterface": _delete_network_interface,
    "DetachNetworkInterface": _detach_network_interface,
    "DeleteRouteTable": _delete_route_table,
    "AssociateRouteTable": _associate_route_table,
    "CreateRoute": _create_route,
    "DeleteNatGateway": _delete_nat_gateway,
    "DeleteVolume": _delete_volume,
}
