"""EC2: what the emulator forgets to refuse, what takes time, and how things are found."""

from .account import AwsTest, Stack, tagged


class NetworkTest(AwsTest):
    def _default(self, vpc):
        return self.ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"][0]["GroupId"]

    def _group(self, vpc, name):
        return self.ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]

    def test_security_groups(self):
        ec2, violation = self.ec2, "DependencyViolation"
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.refused("CannotDelete", ec2.delete_security_group, GroupId=self._default(vpc))
        one, two = self._group(vpc, "one"), self._group(vpc, "two")
        self.refused(violation, ec2.delete_vpc, VpcId=vpc)
        rule = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": two}]}]
        own = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": two}]}]
        ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=rule)
        ec2.authorize_security_group_ingress(GroupId=two, IpPermissions=own)
        self.refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=one, IpPermissions=rule)
        every = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=every)
        self.refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=one, IpPermissions=every)
        self.refused(violation, ec2.delete_security_group, GroupId=two)
        ec2.revoke_security_group_ingress(GroupId=one, IpPermissions=rule)
        # A group that names itself is in nobody's way.
        ec2.delete_security_group(GroupId=two)
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        eni = ec2.create_network_interface(SubnetId=subnet, Groups=[one])["NetworkInterface"]["NetworkInterfaceId"]
        self.refused(violation, ec2.delete_security_group, GroupId=one)
        self.refused(violation, ec2.delete_subnet, SubnetId=subnet)
        self.refused(violation, ec2.delete_vpc, VpcId=vpc)
        ec2.delete_network_interface(NetworkInterfaceId=eni)
        ec2.delete_security_group(GroupId=one)
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)

    def test_nat_gateway_takes_time(self):
        stack = Stack(self).network()
        self.assertEqual(stack.nat_state(), "pending")
        self.assertEqual(stack.nat_state(), "available")
        (eni,) = self.ec2.describe_network_interfaces(
            Filters=[
                {"Name": "vpc-id", "Values": [stack.vpc]},
                {"Name": "status", "Values": ["in-use"]},
                {"Name": "description", "Values": ["Interface for NAT Gateway*"]},
            ]
        )["NetworkInterfaces"]
        self.assertIs(eni["RequesterManaged"], True)
        self.refused("InvalidParameterValue", self.ec2.delete_network_interface, NetworkInterfaceId=eni["NetworkInterfaceId"])
        (address,) = self.ec2.describe_addresses(AllocationIds=[stack.address])["Addresses"]
        self.refused("AuthFailure", self.ec2.disassociate_address, AssociationId=address["AssociationId"])
        self.refused("DependencyViolation", self.ec2.delete_subnet, SubnetId=stack.public[0])
        self.ec2.delete_nat_gateway(NatGatewayId=stack.nat)
        self.assertEqual(self._route(stack), "active")
        self.advance(3)
        self.assertEqual(self._route(stack), "blackhole")
        self.assertEqual(stack.nat_state(), "deleted")
        self.ec2.delete_nat_gateway(NatGatewayId=stack.nat)
        missing = "nat-0123456789abcdef0"
        self.refused("NatGatewayNotFound", self.ec2.delete_nat_gateway, NatGatewayId=missing)
        self.refused(
            "InvalidNatGatewayID.NotFound",
            self.ec2.create_route,
            RouteTableId=stack.tables[0],
            DestinationCidrBlock="10.9.0.0/16",
            NatGatewayId=stack.nat,
        )

    def test_a_subnet_has_one_route_table(self):
        stack = Stack(self).network()
        self.refused(
            "Resource.AlreadyAssociated",
            self.ec2.associate_route_table,
            RouteTableId=stack.tables[0],
            SubnetId=stack.private[0],
        )

    def _route(self, stack):
        table = self.ec2.describe_route_tables(RouteTableIds=[stack.tables[1]])["RouteTables"][0]
        return next(route["State"] for route in table["Routes"] if route.get("NatGatewayId"))

    def test_nat_gateway_without_internet_gateway(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
        self.advance(2)
        (shown,) = self.ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"]
        self.assertEqual((shown["State"], shown["FailureCode"]), ("failed", "Gateway.NotAttached"))
        self.ec2.release_address(AllocationId=address)

    def test_client_tokens(self):
        stack = Stack(self).network()
        again = self.ec2.create_nat_gateway(
            SubnetId=stack.public[0], AllocationId=stack.address, ClientToken="nat-1", TagSpecifications=tagged("natgateway")
        )["NatGateway"]["NatGatewayId"]
        self.assertEqual(again, stack.nat)
        self.refused(
            "IdempotentParameterMismatch",
            self.ec2.create_nat_gateway,
            SubnetId=stack.public[1],
            AllocationId=stack.address,
            ClientToken="nat-1",
        )
        self.refused(
            "Resource.AlreadyAssociated",
            self.ec2.create_nat_gateway,
            SubnetId=stack.public[0],
            AllocationId=stack.address,
            ClientToken="nat-2",
        )
        asked = {
            "VpcId": stack.vpc,
            "ServiceName": "com.amazonaws.us-east-1.dynamodb",
            "RouteTableIds": [stack.tables[0]],
            "ClientToken": "endpoint-1",
        }
        made = [self.ec2.create_vpc_endpoint(**asked)["VpcEndpoint"]["VpcEndpointId"] for _ in range(2)]
        self.assertEqual(made[0], made[1])
        self.refused("RouteAlreadyExists", self.ec2.create_vpc_endpoint, **asked | {"ClientToken": "endpoint-2"})

    def test_endpoint_takes_time(self):
        stack = Stack(self).network(nat=False)
        find = [{"Name": "vpc-id", "Values": [stack.vpc]}, {"Name": "tag:stackctl.dev/stack", "Values": ["hello"]}]

        def states():
            return [item["State"] for item in self.ec2.describe_vpc_endpoints(Filters=find)["VpcEndpoints"]]

        self.assertEqual(states(), ["available"])
        answer = self.ec2.delete_vpc_endpoints(VpcEndpointIds=[stack.endpoint, "vpce-0123456789abcdef0"])
        self.assertEqual(answer["Unsuccessful"][0]["ResourceId"], "vpce-0123456789abcdef0")
        self.assertEqual((states(), states()), (["deleting"], []))
        tables = self.ec2.describe_route_tables(RouteTableIds=stack.tables)["RouteTables"]
        self.assertFalse([route for table in tables for route in table["Routes"] if route.get("GatewayId", "").startswith("vpce-")])

    def test_gateway_must_be_attached(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        table = self.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
        self.refused("InvalidParameterValue", self.ec2.create_route, **route, GatewayId=gateway)
        self.refused("InvalidGatewayID.NotFound", self.ec2.create_route, **route, GatewayId="igw-0123456789abcdef0")
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        self.ec2.create_route(**route, GatewayId=gateway)
        self.refused("RouteAlreadyExists", self.ec2.create_route, **route, GatewayId=gateway)
        self.refused("DependencyViolation", self.ec2.delete_vpc, VpcId=vpc)
        main = self.ec2.describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
        )["RouteTables"][0]["RouteTableId"]
        self.refused("DependencyViolation", self.ec2.delete_route_table, RouteTableId=main)

    def test_address_in_use_keeps_the_gateway(self):
        stack = Stack(self).network()
        self.refused("InvalidIPAddress.InUse", self.ec2.release_address, AllocationId=stack.address)
        detach = {"InternetGatewayId": stack.gateway, "VpcId": stack.vpc}
        self.refused("DependencyViolation", self.ec2.detach_internet_gateway, **detach)
        self.ec2.delete_nat_gateway(NatGatewayId=stack.nat)
        self.refused("DependencyViolation", self.ec2.detach_internet_gateway, **detach)
        self.advance(3)
        self.ec2.detach_internet_gateway(**detach)

    def test_quotas(self):
        self.control("POST", "/settings", {"quotas": {"L-F678F1CE": 2, "L-A4707A72": 1, "L-FE5A380F": 1}})
        stack = Stack(self).network()
        self.refused("VpcLimitExceeded", self.ec2.create_vpc, CidrBlock="10.1.0.0/16")
        self.refused("VpcLimitExceeded", self.ec2.create_vpc, CidrBlock="10.1.0.0/16", DryRun=True)
        self.refused("InternetGatewayLimitExceeded", self.ec2.create_internet_gateway)
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = {"AllocationId": address}
        self.refused("NatGatewayLimitExceeded", self.ec2.create_nat_gateway, SubnetId=stack.public[0], **nat)
        self.ec2.create_nat_gateway(SubnetId=stack.public[1], **nat)

    def test_everything_is_found_by_tag(self):
        Stack(self).network()
        find = [{"Name": "tag:stackctl.dev/stack", "Values": ["hello"]}]
        ec2 = self.ec2
        for listed, count in (
            (ec2.describe_vpcs(Filters=find)["Vpcs"], 1),
            (ec2.describe_subnets(Filters=find)["Subnets"], 4),
            (ec2.describe_internet_gateways(Filters=find)["InternetGateways"], 1),
            (ec2.describe_route_tables(Filters=find)["RouteTables"], 2),
            (ec2.describe_nat_gateways(Filters=find)["NatGateways"], 1),
            (ec2.describe_addresses(Filters=find)["Addresses"], 1),
            (ec2.describe_vpc_endpoints(Filters=find)["VpcEndpoints"], 1),
            (ec2.describe_security_groups(Filters=find)["SecurityGroups"], 0),
            (ec2.describe_network_interfaces(Filters=find)["NetworkInterfaces"], 0),
            (ec2.describe_instances(Filters=find)["Reservations"], 0),
            (ec2.describe_volumes(Filters=find)["Volumes"], 0),
            (ec2.describe_launch_templates(Filters=find)["LaunchTemplates"], 0),
        ):
            self.assertEqual(len(listed), count, listed)
        gone = [{"Name": "tag:stackctl.dev/stack", "Values": ["another"]}]
        self.assertEqual(ec2.describe_nat_gateways(Filters=gone)["NatGateways"], [])
        self.assertEqual(ec2.describe_addresses(Filters=gone)["Addresses"], [])
        tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["stackctl.dev/stack"]}])["Tags"]
        self.assertEqual(len(tags), 11)
