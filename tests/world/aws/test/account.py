"""One AWS world for all tests, emptied before each; clients of it, and what stackctl makes in it."""

import functools
import json
import os
import subprocess
import sys
import unittest
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[1]
TAG = {"Key": "stackctl.dev/stack", "Value": "hello"}
# A refusal must be seen as it is, and not after it has been tried again.
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=90)


class Launched:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "overlay"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.about = json.loads(self.process.stdout.readline())

    def control(self, method, path, body=None):
        request = urllib.request.Request(
            self.about["control"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            return json.load(response)

    @functools.cache
    def client(self, service, other=False, region="us-east-1", secret=None):
        who = self.about["other"] if other else self.about
        return boto3.client(
            service,
            endpoint_url=self.about["endpoint"],
            region_name=region,
            aws_access_key_id=who["access_key"],
            aws_secret_access_key=secret or who["secret_key"],
            config=ONCE,
        )

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


_launched = None


def launched():
    global _launched
    if not _launched:
        _launched = Launched()
    return _launched


def end():
    if _launched:
        _launched.end()


class AwsTest(unittest.TestCase):
    settings = {"role_refusals": 0}

    def setUp(self):
        self.world = launched()
        self.control = self.world.control
        self.control("POST", "/reset", {"settings": self.settings})
        self.ec2 = self.world.client("ec2")
        self.iam = self.world.client("iam")
        self.eks = self.world.client("eks")
        self.elb = self.world.client("elbv2")
        self.logs = self.world.client("logs")
        self.ecr = self.world.client("ecr")

    def refused(self, code, function, **params):
        """The call is refused with this code; answers the refusal."""
        with self.assertRaises(ClientError) as caught:
            function(**params)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, caught.exception)
        return caught.exception.response

    def advance(self, ticks):
        return self.control("POST", "/clock", {"advance": ticks})

    def inventory(self):
        found = self.control("GET", "/inventory")
        found.pop("default")
        return {kind: items for kind, items in found.items() if items}


def tagged(kind):
    return [{"ResourceType": kind, "Tags": [TAG]}]


class Stack:
    """A network and a cluster made as stackctl makes them; `down` holds the steps of a teardown by name."""

    def __init__(self, test):
        self.test, self.ec2, self.iam, self.eks = test, test.ec2, test.iam, test.eks
        self.name = "stackctl-hello-abc123"

    def network(self, zones=("us-east-1a", "us-east-1b"), nat=True):
        ec2 = self.ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
        self.gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway"))[
            "InternetGateway"
        ]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.public, self.private = [], []
        for index, zone in enumerate(zones):
            self.public.append(self._subnet(f"10.0.{index}.0/24", zone, "kubernetes.io/role/elb"))
            self.private.append(self._subnet(f"10.0.{index + 100}.0/24", zone, "kubernetes.io/role/internal-elb"))
        self.subnets = self.public + self.private
        self.tables = [self._table(), self._table()]
        ec2.create_route(
            RouteTableId=self.tables[0], DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway
        )
        self.associations = [
            ec2.associate_route_table(RouteTableId=self.tables[subnet in self.private], SubnetId=subnet)["AssociationId"]
            for subnet in self.subnets
        ]
        self.endpoint = ec2.create_vpc_endpoint(
            VpcId=self.vpc, ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=self.tables,
            TagSpecifications=tagged("vpc-endpoint"),
        )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
        if nat:
            self.make_nat()
        return self

    def _subnet(self, cidr, zone, role):
        tags = tagged("subnet")
        tags[0]["Tags"] = [TAG, {"Key": role, "Value": "1"}]
        return self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=zone, TagSpecifications=tags
        )["Subnet"]["SubnetId"]

    def _table(self):
        return self.ec2.create_route_table(VpcId=self.vpc, TagSpecifications=tagged("route-table"))["RouteTable"][
            "RouteTableId"
        ]

    def make_nat(self):
        self.address = self.ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
        self.nat = self.ec2.create_nat_gateway(
            SubnetId=self.public[0], AllocationId=self.address, TagSpecifications=tagged("natgateway"), ClientToken="nat-1"
        )["NatGateway"]["NatGatewayId"]
        self.ec2.create_route(
            RouteTableId=self.tables[1], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=self.nat
        )

    def nat_state(self):
        return self.ec2.describe_nat_gateways(NatGatewayIds=[self.nat])["NatGateways"][0]["State"]

    def role(self, name, service, actions=("sts:AssumeRole", "sts:TagSession"), policies=()):
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}],
        }
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        for policy in policies:
            self.iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
        return arn

    def roles(self):
        self.cluster_role = self.role("stackctl-c", "eks.amazonaws.com", policies=["AmazonEKSClusterPolicy"])
        self.node_role = self.role(
            "stackctl-n", "ec2.amazonaws.com", ["sts:AssumeRole"], ["AmazonEKSWorkerNodeMinimalPolicy"]
        )
        return self

    def request(self, **changed):
        return {
            "name": self.name,
            "version": "1.36",
            "roleArn": self.cluster_role,
            "clientRequestToken": "token-1",
            "resourcesVpcConfig": {"subnetIds": self.subnets, "endpointPrivateAccess": True},
            "computeConfig": {
                "enabled": True,
                "nodePools": ["general-purpose", "system"],
                "nodeRoleArn": self.node_role,
            },
            "storageConfig": {"blockStorage": {"enabled": True}},
            "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
            "bootstrapSelfManagedAddons": False,
            "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
            "upgradePolicy": {"supportType": "STANDARD"},
            "logging": {"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]},
            "deletionProtection": False,
            "tags": {"stackctl.dev/stack": "hello"},
        } | changed

    def create(self, **changed):
        return self.eks.create_cluster(**self.request(**changed))["cluster"]

    def describe(self):
        return self.eks.describe_cluster(name=self.name)["cluster"]

    def up(self):
        self.network().roles()
        self.test.logs.create_log_group(logGroupName=f"/aws/eks/{self.name}/cluster")
        self.create()
        self.test.advance(5)
        return self

    def empty_pools(self):
        return self.eks.update_cluster_config(
            name=self.name,
            computeConfig={"enabled": True, "nodePools": []},
            storageConfig={"blockStorage": {"enabled": True}},
            kubernetesNetworkConfig={"elasticLoadBalancing": {"enabled": True}},
        )["update"]
