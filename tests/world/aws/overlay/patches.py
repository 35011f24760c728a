"""Corrections of the emulator's own models: filters it leaves out, routes whose target has gone, load balancers' states."""

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.nat_gateways import NatGateway, NatGatewayBackend
from moto.ec2.models.route_tables import Route
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.utils import generic_filter
from moto.elbv2 import models as elbv2
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer
from moto.iam.models import SERVICE_NAME_CONVERSION, IAMBackend


def _route_state(route):
    nat, gateway = route.nat_gateway, route.gateway
    if nat is not None and nat.state in ("deleted", "failed"):
        return "blackhole"
    if gateway is not None and hasattr(gateway, "vpc") and gateway.vpc is None:
        return "blackhole"
    return "active"


_interface_value = NetworkInterface.get_filter_value


def _interface_filter(eni, name, method_name=None):
    own = {
        "status": eni.status,
        "requester-managed": "true" if eni.requester_managed else "false",
        "interface-type": eni.interface_type,
    }
    return own[name] if name in own else _interface_value(eni, name, method_name)


def _nat_filter(nat, name, method_name=None):
    own = {
        "nat-gateway-id": nat.id,
        "vpc-id": nat.vpc_id,
        "subnet-id": nat.subnet_id,
        "state": nat.state,
    }
    if name in own:
        return own[name]
    return super(NatGateway, nat).get_filter_value(name, "DescribeNatGateways")


_endpoint_value = VPCEndPoint.get_filter_value


def _endpoint_filter(endpoint, name, method_name=None):
    own = {
        "vpc-endpoint-id": endpoint.id,
        "vpc-endpoint-state": endpoint.state,
        "vpc-endpoint-type": endpoint.vpc_endpoint_type,
    }
    return own[name] if name in own else _endpoint_value(endpoint, name, method_name)


def _describe_nat_gateways(backend, filters, nat_gateway_ids):
    found = list(backend.nat_gateways.values())
    if nat_gateway_ids:
        found = [item for item in found if item.id in nat_gateway_ids]
    return generic_filter(filters, found)


_create_balancer = ELBv2Backend.create_load_balancer


def _create_load_balancer(backend, *arguments, **named):
    """As it was, but with an ARN that says which type it is."""
    part = {"network": "net", "gateway": "gwy"}.get(named.get("loadbalancer_type"), "app")
    kept = elbv2.make_arn_for_load_balancer
    elbv2.make_arn_for_load_balancer = lambda **parts: kept(**parts).replace("/app/", f"/{part}/", 1)
    try:
        return _create_balancer(backend, *arguments, **named)
    finally:
        elbv2.make_arn_for_load_balancer = kept


_policies_of_aws = IAMBackend._init_aws_policies
_policies = {}


def _kept_policies(backend):
    """AWS's own policies, read once for each account and not at every reset."""
    if backend.account_id not in _policies:
        _policies[backend.account_id] = _policies_of_aws(backend)
    for policy in _policies[backend.account_id]:
        policy.attachment_count = 0
    return list(_policies[backend.account_id])


def apply(clock):
    """`clock()` answers the virtual clock's time."""
    SERVICE_NAME_CONVERSION.update(eks="AmazonEKS", elasticloadbalancing="ElasticLoadBalancing")
    IAMBackend._init_aws_policies = _kept_policies
    Route.state = property(_route_state)
    NetworkInterface.get_filter_value = _interface_filter
    VPCEndPoint.get_filter_value = _endpoint_filter
    NatGateway.get_filter_value = _nat_filter
    NatGatewayBackend.describe_nat_gateways = _describe_nat_gateways

    ELBv2Backend.create_load_balancer = _create_load_balancer

    def activate(balancer):
        if balancer.state == "provisioning" and clock() >= getattr(balancer, "ready_at", 0):
            balancer.state = "active"

    FakeLoadBalancer.activate = activate
