"""What somebody else has in the same account: beside our cluster, under names and tags like its own, and in its VPC."""

import json
import re

from . import automode, emulator

OWNER = {"owner": "payroll"}
LINK = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}  # fmt: skip


def _made(eks, action, pattern, tags=OWNER, kind=None, **params):
    """The id of what an EC2 call made, tagged if its kind is told."""
    if kind:
        params["TagSpecification.1.ResourceType"] = kind
        for number, (key, value) in enumerate(tags.items(), 1):
            params[f"TagSpecification.1.Tag.{number}.Key"] = key
            params[f"TagSpecification.1.Tag.{number}.Value"] = value
    return re.search(rf"<{pattern}>([^<]+)", emulator.ask(eks, "ec2", action, **params)).group(1)


def _network(eks, cidr, tags):
    vpc = _made(eks, "CreateVpc", "vpcId", tags, "vpc", CidrBlock=cidr)
    gateway = _made(eks, "CreateInternetGateway", "internetGatewayId", tags, "internet-gateway")
    emulator.ask(eks, "ec2", "AttachInternetGateway", VpcId=vpc, InternetGatewayId=gateway)
    subnet = _subnet(eks, vpc, cidr.replace("/16", "/24"), tags)
    table = _made(eks, "CreateRouteTable", "routeTableId", tags, "route-table", VpcId=vpc)
    emulator.ask(eks, "ec2", "AssociateRouteTable", RouteTableId=table, SubnetId=subnet)
    address = _made(eks, "AllocateAddress", "allocationId", tags, "elastic-ip", Domain="vpc")
    _made(eks, "CreateNatGateway", "natGatewayId", tags, "natgateway", SubnetId=subnet, AllocationId=address)
    _made(
        eks, "CreateVpcEndpoint", "vpcEndpointId", tags, "vpc-endpoint", VpcId=vpc, VpcEndpointType="Gateway",
        ServiceName=f"com.amazonaws.{eks.region}.s3", **{"RouteTableId.1": table},
    )  # fmt: skip
    group = _group(eks, vpc, tags)
    _instance(eks, subnet, group, tags)
    return vpc, subnet, group


def _subnet(eks, vpc, cidr, tags=OWNER):
    return _made(eks, "CreateSubnet", "subnetId", tags, "subnet", VpcId=vpc, CidrBlock=cidr)


def _group(eks, vpc, tags=OWNER):
    return _made(
        eks, "CreateSecurityGroup", "groupId", tags, "security-group", VpcId=vpc, GroupName="payroll",
        GroupDescription="of payroll",
    )  # fmt: skip


def _instance(eks, subnet, group, tags=OWNER):
    return _made(
        eks, "RunInstances", "instanceId", tags, "instance", ImageId=automode.IMAGE, MinCount=1, MaxCount=1,
        InstanceType="c6a.large", SubnetId=subnet, **{"SecurityGroupId.1": group},
    )  # fmt: skip


def _balancer(eks, subnet, group, tags=OWNER):
    backend, listed = emulator.elb(eks.account_id, eks.region), [{"Key": key, "Value": value} for key, value in tags.items()]
    balancer = backend.create_load_balancer(
        "payroll", [group], [subnet], scheme="internal", loadbalancer_type="network", tags=listed
    )
    automode.balancer_made(eks.world, eks.account_id, eks.region, balancer)
    return balancer.arn


def beside(eks, body):
    """All kinds of things, some of them as if they belonged to another cluster of stackctl whose name begins with ours."""
    cluster = body["cluster"]
    longer = f"{cluster}-2"
    _network(eks, "10.0.0.0/16", OWNER)
    _, subnet, group = _network(
        eks, "10.9.0.0/16", {"stackctl.dev/cluster": longer, "stackctl.dev/stack": "small", "stackctl.dev/part": "vpc"}
    )
    _balancer(eks, subnet, group, {automode.TAG: longer})
    automode.add_volume(eks, longer)
    for name in ("payroll-node", f"{longer}-node", f"{cluster}-node-of-payroll"):
        document = json.dumps(LINK)
        emulator.ask(eks, "iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=document)
        arn = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy"
        emulator.ask(eks, "iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    for name in ("payroll", f"eks-{eks.region}-{longer}-1234567890123456789"):
        emulator.ask(eks, "iam", "CreateInstanceProfile", InstanceProfileName=name)
        emulator.ask(eks, "iam", "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName="payroll-node")
    logs = emulator.logs(eks.account_id, eks.region)
    for name in ("/payroll", f"/aws/eks/{longer}/cluster", f"/aws/eks/{cluster}/cluster-of-payroll"):
        logs.create_log_group(name, dict(OWNER))
    return {"ok": True}


def _interface(eks, vpc, group):
    ec2 = emulator.ec2(eks.account_id, eks.region)
    made = ec2.create_network_interface(
        ec2.get_subnet(_own_subnet(eks, vpc)), "", group_ids=[group], description="of payroll", tags=OWNER
    )
    return made.id


def _own_subnet(eks, vpc):
    """One of those that the cluster itself uses."""
    ec2 = emulator.ec2(eks.account_id, eks.region)
    found = [item.id for by_id in ec2.subnets.values() for item in by_id.values() if item.vpc_id == vpc]
    return sorted(found)[0]


def _default_group(eks, vpc):
    return next(item.id for item in emulator.ec2(eks.account_id, eks.region).groups[vpc].values() if item.is_default)


def _gateway(eks, vpc):
    address = _made(eks, "AllocateAddress", "allocationId", OWNER, "elastic-ip", Domain="vpc")
    subnet = _own_subnet(eks, vpc)
    return _made(
        eks, "CreateNatGateway", "natGatewayId", OWNER, "natgateway", SubnetId=subnet, AllocationId=address
    )


def takes(eks, body):
    """A cluster of this name that somebody else has made: it bears none of our tags."""
    eks.cluster(body["cluster"]).shown["tags"].clear()
    return {"ok": True}


def distrusts(eks, body):
    """A role of ours that somebody lets another service take, and no longer whom it is for."""
    trust = json.dumps(LINK).replace("ec2.amazonaws.com", "lambda.amazonaws.com")
    emulator.ask(eks, "iam", "UpdateAssumeRolePolicy", RoleName=body["role"], PolicyDocument=trust)
    return {"ok": True}


def gives(eks, body):
    """Policies that somebody has given to a role of ours: one of AWS's with a path, and one written into it."""
    arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    emulator.ask(eks, "iam", "AttachRolePolicy", RoleName=body["role"], PolicyArn=arn)
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]})
    emulator.ask(eks, "iam", "PutRolePolicy", RoleName=body["role"], PolicyName="payroll", PolicyDocument=document)
    return {"ok": True}


KINDS = {
    "instance": lambda eks, vpc: _instance(eks, _own_subnet(eks, vpc), _default_group(eks, vpc)),
    "subnet": lambda eks, vpc: _subnet(eks, vpc, "10.0.255.0/28"),
    "security-group": _group,
    "interface": lambda eks, vpc: _interface(eks, vpc, _default_group(eks, vpc)),
    "nat-gateway": _gateway,
    "load-balancer": lambda eks, vpc: _balancer(eks, _own_subnet(eks, vpc), _default_group(eks, vpc)),
    "route-table": lambda eks, vpc: _made(eks, "CreateRouteTable", "routeTableId", OWNER, "route-table", VpcId=vpc),
    "network-acl": lambda eks, vpc: _made(eks, "CreateNetworkAcl", "networkAclId", OWNER, "network-acl", VpcId=vpc),
    "endpoint": lambda eks, vpc: _made(
        eks, "CreateVpcEndpoint", "vpcEndpointId", OWNER, "vpc-endpoint", VpcId=vpc, VpcEndpointType="Gateway",
        ServiceName=f"com.amazonaws.{eks.region}.dynamodb",
    ),
}  # fmt: skip


def inside(eks, body):
    """One thing of that kind in a VPC, in whose subnets the cluster is."""
    return {"id": KINDS[body["kind"]](eks, body["vpc"])}
