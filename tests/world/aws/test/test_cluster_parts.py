"""EKS: access entries, Pod Identity, add-ons, tags; and what Auto Mode makes in the account."""

from .account import AwsTest, Stack

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


class ClusterPartsTest(AwsTest):
    def setUp(self):
        super().setUp()
        self.stack = Stack(self).up()
        self.cluster = {"clusterName": self.stack.name}

    def test_access_entries(self):
        eks, creator = self.eks, self.world.about["arn"]
        listed = eks.list_access_entries(**self.cluster)["accessEntries"]
        self.assertEqual(set(listed), {creator, self.stack.node_role})
        shown = eks.describe_access_entry(**self.cluster, principalArn=self.stack.node_role)["accessEntry"]
        self.assertEqual(shown["type"], "EC2")
        policies = eks.list_associated_access_policies(**self.cluster, principalArn=creator)
        self.assertEqual(policies["associatedAccessPolicies"][0]["policyArn"], ADMIN)
        for arn in (creator, self.stack.node_role):
            refused = self.refused("ResourceInUseException", eks.create_access_entry, **self.cluster, principalArn=arn)
            self.assertEqual(refused["ResponseMetadata"]["HTTPStatusCode"], 409)
        role = self.stack.role("stackctl-other", "ec2.amazonaws.com")
        entry = {**self.cluster, "principalArn": role}
        self.refused("ResourceNotFoundException", eks.describe_access_entry, **entry)
        made = eks.create_access_entry(**entry, tags={"a": "b"}, clientRequestToken="entry-1")["accessEntry"]
        self.assertEqual(eks.create_access_entry(**entry, clientRequestToken="entry-1")["accessEntry"], made)
        eks.associate_access_policy(**entry, policyArn=ADMIN, accessScope={"type": "cluster"})
        self.refused(
            "InvalidParameterException",
            eks.associate_access_policy,
            **entry,
            policyArn="arn:aws:eks::aws:cluster-access-policy/None",
            accessScope={"type": "cluster"},
        )
        self.assertEqual(eks.list_tags_for_resource(resourceArn=made["accessEntryArn"])["tags"], {"a": "b"})
        eks.disassociate_access_policy(**entry, policyArn=ADMIN)
        eks.delete_access_entry(**entry)
        self.refused("ResourceNotFoundException", eks.delete_access_entry, **entry)
        nobody = "arn:aws:iam::123456789012:role/nobody"
        self.refused("InvalidParameterException", eks.create_access_entry, **self.cluster, principalArn=nobody)

    def test_pod_identity(self):
        eks, role = self.eks, self.stack.role("stackctl-p", "pods.eks.amazonaws.com")
        asked = {**self.cluster, "namespace": "shop", "serviceAccount": "web", "roleArn": role}
        wrong = asked | {"roleArn": self.stack.node_role}
        self.refused("InvalidParameterException", eks.create_pod_identity_association, **wrong)
        made = eks.create_pod_identity_association(**asked, clientRequestToken="pod-1")["association"]
        self.assertEqual(
            eks.create_pod_identity_association(**asked, clientRequestToken="pod-1")["association"], made
        )
        self.refused("ResourceInUseException", eks.create_pod_identity_association, **asked)
        (listed,) = eks.list_pod_identity_associations(**self.cluster, namespace="shop")["associations"]
        self.assertEqual(listed["associationId"], made["associationId"])
        one = {**self.cluster, "associationId": made["associationId"]}
        self.assertEqual(eks.describe_pod_identity_association(**one)["association"]["roleArn"], role)
        eks.delete_pod_identity_association(**one)
        self.refused("ResourceNotFoundException", eks.describe_pod_identity_association, **one)

    def test_addon_waits_for_a_node(self):
        eks, addon = self.eks, {**self.cluster, "addonName": "metrics-server"}
        eks.create_addon(**addon)
        self.refused("ResourceInUseException", eks.create_addon, **addon)
        self.advance(9)
        self.assertEqual(eks.describe_addon(**addon)["addon"]["status"], "CREATING")
        self.control("POST", "/automode/nodes", {"cluster": self.stack.name})
        self.assertEqual(eks.describe_addon(**addon)["addon"]["status"], "ACTIVE")
        self.assertEqual(eks.list_addons(**self.cluster)["addons"], ["metrics-server"])
        eks.delete_addon(**addon)
        self.advance(2)
        self.refused("ResourceNotFoundException", eks.describe_addon, **addon)
        self.refused("InvalidParameterException", eks.create_addon, **self.cluster, addonName="none")
        found = eks.describe_addon_versions(addonName="metrics-server", kubernetesVersion="1.36")["addons"]
        self.assertEqual(found[0]["addonVersions"][0]["compatibilities"][0]["clusterVersion"], "1.36")

    def test_tags(self):
        arn = self.stack.describe()["arn"]
        self.eks.tag_resource(resourceArn=arn, tags={"more": "1"})
        self.eks.untag_resource(resourceArn=arn, tagKeys=["stackctl.dev/stack"])
        self.assertEqual(self.eks.list_tags_for_resource(resourceArn=arn)["tags"], {"more": "1"})
        self.assertEqual(self.stack.describe()["tags"], {"more": "1"})

    def test_nodes_go_with_their_pools(self):
        name = self.stack.name
        self.control("POST", "/automode/nodes", {"cluster": name, "count": 2})
        self.control("POST", "/automode/nodes", {"cluster": name, "pool": "custom", "zone": "us-east-1b"})
        find = [
            {"Name": "tag:eks:eks-cluster-name", "Values": [name]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down"]},
        ]

        def nodes():
            found = self.ec2.describe_instances(Filters=find)["Reservations"]
            return [item for reservation in found for item in reservation["Instances"]]

        self.assertEqual(len(nodes()), 3)
        self.assertEqual({tag["Key"] for item in nodes() for tag in item["Tags"]}, {"eks:eks-cluster-name"})
        self.assertTrue({item["SubnetId"] for item in nodes()} <= set(self.stack.private))
        self.stack.empty_pools()
        self.advance(6)
        self.assertEqual(len(nodes()), 1)
        self.control("POST", "/automode/nodes-gone", {"cluster": name, "pool": "custom"})
        self.assertEqual(nodes(), [])
        self.assertNotIn("ec2:volume", self.inventory())

    def test_load_balancer(self):
        asked = {"cluster": self.stack.name, "service": "shop/web"}
        made = self.control("POST", "/automode/load-balancer", asked)

        def shown():
            return self.elb.describe_load_balancers(LoadBalancerArns=[made["arn"]])["LoadBalancers"][0]

        self.assertEqual(shown()["State"]["Code"], "provisioning")
        self.advance(2)
        self.assertEqual((shown()["State"]["Code"], shown()["Scheme"]), ("active", "internet-facing"))
        tags = self.elb.describe_tags(ResourceArns=[made["arn"]])["TagDescriptions"][0]["Tags"]
        self.assertIn({"Key": "eks:eks-cluster-name", "Value": self.stack.name}, tags)
        # It goes at once, its interfaces later, and its group after them.
        self.control("POST", "/automode/load-balancer-gone", asked)
        self.assertEqual(self.elb.describe_load_balancers()["LoadBalancers"], [])
        self.assertEqual(self.elb.describe_target_groups()["TargetGroups"], [])
        find = [{"Name": "description", "Values": [f"ELB net/{made['name']}/*"]}]
        self.assertEqual(len(self.ec2.describe_network_interfaces(Filters=find)["NetworkInterfaces"]), 2)
        group = {"GroupId": made["security_group"]}
        self.refused("DependencyViolation", self.ec2.delete_security_group, **group)
        self.assertEqual(self.ec2.describe_network_interfaces(Filters=find)["NetworkInterfaces"], [])
        # The cluster's group still lets it in.
        self.refused("DependencyViolation", self.ec2.delete_security_group, **group)
        self.advance(2)
        self.refused("InvalidGroup.NotFound", self.ec2.describe_security_groups, GroupIds=[made["security_group"]])

    def test_load_balancer_of_somebody(self):
        made = self.elb.create_load_balancer(Name="theirs", Subnets=self.stack.public, Type="network")["LoadBalancers"][0]
        self.refused("DuplicateLoadBalancerName", self.elb.create_load_balancer, Name="theirs", Subnets=self.stack.public)
        arn = {"LoadBalancerArn": made["LoadBalancerArn"]}
        protection = {"Key": "deletion_protection.enabled", "Value": "true"}
        self.elb.modify_load_balancer_attributes(**arn, Attributes=[protection])
        self.refused("OperationNotPermitted", self.elb.delete_load_balancer, **arn)
        self.elb.modify_load_balancer_attributes(**arn, Attributes=[protection | {"Value": "false"}])
        self.elb.delete_load_balancer(**arn)
        self.assertIn("ec2:network-interface", self.inventory())
        self.advance(4)

    def test_log_group_is_made_by_a_line(self):
        group = f"/aws/eks/{self.stack.name}/cluster"
        self.logs.delete_log_group(logGroupName=group)
        self.control("POST", "/log-line", {"cluster": self.stack.name})
        self.logs.delete_log_group(logGroupName=group)
