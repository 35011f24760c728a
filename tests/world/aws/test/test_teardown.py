"""From an empty account to a cluster and back: in the right order it works, in others it is refused."""

from .account import AwsTest, Stack


class TeardownTest(AwsTest):
    def _stack(self):
        stack = Stack(self).up()
        for path, body in (
            ("/automode/nodes", {"count": 2}),
            ("/automode/load-balancer", {"service": "shop/web"}),
            ("/automode/volume", {"claim": "shop/data"}),
        ):
            self.control("POST", path, {"cluster": stack.name} | body)
        pods = stack.role("stackctl-p", "pods.eks.amazonaws.com")
        self.eks.create_pod_identity_association(
            clusterName=stack.name, namespace="shop", serviceAccount="web", roleArn=pods
        )
        self.group = stack.describe()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        return stack

    def _drain(self, stack):
        self.control("POST", "/automode/load-balancer-gone", {"cluster": stack.name, "service": "shop/web"})
        self.advance(7)
        stack.empty_pools()
        self.advance(6)

    def _interfaces(self, stack):
        found = self.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [stack.vpc]}])
        return [item["Description"] for item in found["NetworkInterfaces"]]

    def _remove_roles(self, stack):
        for profile in self.iam.list_instance_profiles_for_role(RoleName="stackctl-n")["InstanceProfiles"]:
            name = profile["InstanceProfileName"]
            self.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName="stackctl-n")
            self.iam.delete_instance_profile(InstanceProfileName=name)
        for role in ("stackctl-c", "stackctl-n", "stackctl-p"):
            for policy in self.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
                self.iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
            self.iam.delete_role(RoleName=role)

    def test_whole(self):
        stack = self._stack()
        self.assertEqual(len(self._interfaces(stack)), 7)  # 2 EKS, 2 nodes, 2 ELB, 1 NAT
        self._drain(stack)
        self.assertEqual(len(self._interfaces(stack)), 3)
        self.eks.delete_cluster(name=stack.name)
        self.ec2.delete_nat_gateway(NatGatewayId=stack.nat)
        self.ec2.delete_vpc_endpoints(VpcEndpointIds=[stack.endpoint])
        self.advance(5)
        self.refused("ResourceNotFoundException", self.eks.describe_cluster, name=stack.name)
        self.ec2.release_address(AllocationId=stack.address)
        self._remove_roles(stack)
        self.assertEqual(self._interfaces(stack), [])
        for subnet in stack.subnets:
            self.ec2.delete_subnet(SubnetId=subnet)
        for table in stack.tables:
            self.ec2.delete_route_table(RouteTableId=table)
        self.ec2.detach_internet_gateway(InternetGatewayId=stack.gateway, VpcId=stack.vpc)
        self.ec2.delete_internet_gateway(InternetGatewayId=stack.gateway)
        self.ec2.delete_vpc(VpcId=stack.vpc)
        for volume in self.ec2.describe_volumes()["Volumes"]:
            self.ec2.delete_volume(VolumeId=volume["VolumeId"])
        group = f"/aws/eks/{stack.name}/cluster"
        self.logs.delete_log_group(logGroupName=group)
        self.advance(5)
        self.assertEqual(list(self.inventory()), ["logs:log-group"])
        self.logs.delete_log_group(logGroupName=group)
        self.advance(5)
        self.assertEqual(self.inventory(), {})

    def test_swapped(self):
        """Each step, tried before the one that must come first."""
        stack, violation = self._stack(), "DependencyViolation"
        subnet = self.ec2.delete_subnet
        # Load balancers stand in the subnets, on the gateway, and in the rules of the cluster's group.
        self.control("POST", "/automode/load-balancer-gone", {"cluster": stack.name, "service": "shop/web"})
        self.assertEqual(self.elb.describe_load_balancers()["LoadBalancers"], [])
        self.refused(violation, self.ec2.detach_internet_gateway, InternetGatewayId=stack.gateway, VpcId=stack.vpc)
        self.refused(violation, subnet, SubnetId=stack.public[1])
        self.advance(6)
        subnet_of_balancer_alone = stack.public[1]
        stack.empty_pools()
        self.advance(6)
        self.refused("DeleteConflict", self.iam.delete_role, RoleName="stackctl-n")
        # The cluster's interfaces are in its first two subnets.
        self.refused(violation, subnet, SubnetId=stack.public[0])
        self.refused(violation, self.ec2.delete_security_group, GroupId=self.group)
        self.eks.delete_cluster(name=stack.name)
        self.refused("InvalidIPAddress.InUse", self.ec2.release_address, AllocationId=stack.address)
        self.advance(4)
        self.ec2.delete_nat_gateway(NatGatewayId=stack.nat)
        self.assertEqual(stack.nat_state(), "deleting")
        self.refused("InvalidIPAddress.InUse", self.ec2.release_address, AllocationId=stack.address)
        self.refused(violation, self.ec2.detach_internet_gateway, InternetGatewayId=stack.gateway, VpcId=stack.vpc)
        self.advance(3)
        self.assertEqual(stack.nat_state(), "deleted")
        self.ec2.release_address(AllocationId=stack.address)
        self.refused(violation, self.ec2.delete_vpc, VpcId=stack.vpc)
        self.refused(violation, self.ec2.delete_route_table, RouteTableId=stack.tables[0])
        self.refused(violation, self.ec2.delete_internet_gateway, InternetGatewayId=stack.gateway)
        subnet(SubnetId=subnet_of_balancer_alone)
        for item in stack.subnets:
            if item != subnet_of_balancer_alone:
                subnet(SubnetId=item)
        self.refused(violation, self.ec2.delete_vpc, VpcId=stack.vpc)
        for table in stack.tables:
            self.ec2.delete_route_table(RouteTableId=table)
        self.refused(violation, self.ec2.delete_vpc, VpcId=stack.vpc)
        self.ec2.detach_internet_gateway(InternetGatewayId=stack.gateway, VpcId=stack.vpc)
        self.refused(violation, self.ec2.delete_vpc, VpcId=stack.vpc)
        self.ec2.delete_vpc_endpoints(VpcEndpointIds=[stack.endpoint])
        self.advance(2)
        self.ec2.delete_vpc(VpcId=stack.vpc)

    def test_nodes_alive_leave_the_group(self):
        stack = Stack(self).up()
        self.control("POST", "/automode/nodes", {"cluster": stack.name})
        self.eks.delete_cluster(name=stack.name)
        self.advance(6)
        self.refused("ResourceNotFoundException", self.eks.describe_cluster, name=stack.name)
        left = self.inventory()
        self.assertNotIn("ec2:instance", left)
        (group,) = left["ec2:security-group"]
        self.assertEqual(group["tags"]["aws:eks:cluster-name"], stack.name)
        self.refused("DependencyViolation", self.ec2.delete_vpc, VpcId=stack.vpc)

    def test_role_outlives_the_cluster(self):
        stack = Stack(self).up()
        self.control("POST", "/automode/nodes", {"cluster": stack.name})
        self.iam.detach_role_policy(RoleName="stackctl-c", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
        self.iam.delete_role(RoleName="stackctl-c")
        stack.empty_pools()
        self.advance(9)
        self.assertEqual(len(self.inventory()["ec2:instance"]), 1)
        self.eks.delete_cluster(name=stack.name)
        self.advance(5)
        shown = stack.describe()
        self.assertEqual((shown["status"], shown["health"]["issues"][0]["code"]), ("FAILED", "IamRoleNotFound"))

    def test_interface_of_a_node_is_left(self):
        stack = Stack(self).up()
        left = self.control("POST", "/automode/interface", {"cluster": stack.name})["interface"]
        group = stack.describe()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        self.eks.delete_cluster(name=stack.name)
        self.advance(5)
        find = [{"Name": "vpc-id", "Values": [stack.vpc]}, {"Name": "status", "Values": ["available"]}]
        (shown,) = self.ec2.describe_network_interfaces(Filters=find)["NetworkInterfaces"]
        self.assertEqual(shown["NetworkInterfaceId"], left)
        self.refused("DependencyViolation", self.ec2.delete_subnet, SubnetId=stack.subnets[-1])
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=group)
        self.ec2.delete_network_interface(NetworkInterfaceId=left)
        self.ec2.delete_security_group(GroupId=group)

    def test_instance_profile_is_left(self):
        stack = Stack(self).up()
        self.eks.delete_cluster(name=stack.name)
        self.advance(6)
        (profile,) = self.inventory()["iam:instance-profile"]
        self.assertTrue(profile["id"].startswith("eks-"))
        self.refused("DeleteConflict", self.iam.delete_role, RoleName="stackctl-n")

    def test_late_log_line(self):
        stack = Stack(self).up()
        group = f"/aws/eks/{stack.name}/cluster"
        self.eks.delete_cluster(name=stack.name)
        self.advance(3)
        self.logs.delete_log_group(logGroupName=group)
        self.assertNotIn("logs:log-group", self.inventory())
        self.advance(4)
        (found,) = self.inventory()["logs:log-group"]
        self.assertEqual((found["id"], found["retention"], found["tags"]), (group, None, {}))
