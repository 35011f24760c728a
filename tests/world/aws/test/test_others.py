"""What somebody else has in the account: it is there, it bears none of our tags, and it is in the way."""

from .account import AwsTest, Stack


class OthersTest(AwsTest):
    def test_beside_a_cluster(self):
        self.control("POST", "/others/beside", {"cluster": "stackctl-hello-abc123"})
        found = self.inventory()
        for kind, number in (
            ("ec2:vpc", 2), ("ec2:nat-gateway", 2), ("ec2:instance", 2), ("ec2:vpc-endpoint", 2), ("ec2:address", 2),
            ("iam:role", 3), ("iam:instance-profile", 2), ("logs:log-group", 3), ("elb:load-balancer", 1),
        ):  # fmt: skip
            self.assertEqual(len(found[kind]), number, kind)
        tags = [item["tags"] for items in found.values() for item in items if item.get("tags")]
        self.assertNotIn("stackctl-hello-abc123", [value for item in tags for value in item.values()])

    def test_inside_a_vpc(self):
        stack = Stack(self).network(nat=False)
        before = {kind: len(items) for kind, items in self.inventory().items()}
        for kind in (
            "instance", "subnet", "security-group", "interface", "nat-gateway", "load-balancer", "route-table",
            "network-acl", "endpoint",
        ):  # fmt: skip
            made = self.control("POST", "/others/inside", {"vpc": stack.vpc, "kind": kind})["id"]
            listed = self.inventory()
            named = "ec2:vpc-endpoint" if kind == "endpoint" else f"ec2:{kind}".replace("ec2:interface", "ec2:network-interface")
            named = "elb:load-balancer" if kind == "load-balancer" else named
            self.assertIn(made, [item["id"] for item in listed[named]])
            self.assertGreater(len(listed[named]), before.get(named, 0))
        self.refused("DependencyViolation", self.ec2.delete_vpc, VpcId=stack.vpc)
