"""EKS: the life of a cluster, and what it refuses."""

from .account import AwsTest, Stack


class ClusterTest(AwsTest):
    def test_life(self):
        stack = Stack(self).network().roles()
        made = stack.create()
        self.assertEqual(made["status"], "CREATING")
        for _ in range(2):
            shown = stack.describe()
            self.assertEqual(shown["status"], "CREATING")
            self.assertNotIn("endpoint", shown)
            self.assertNotIn("data", shown["certificateAuthority"])
        self.control("POST", "/settings", {"api_endpoint": "https://127.0.0.1:6443", "api_ca": "Q0E="})
        shown = stack.describe()
        self.assertEqual(shown["status"], "ACTIVE")
        self.assertEqual(shown["endpoint"], "https://127.0.0.1:6443")
        self.assertEqual(shown["certificateAuthority"], {"data": "Q0E="})
        self.assertEqual(shown["computeConfig"]["nodePools"], ["general-purpose", "system"])
        self.assertEqual(shown["storageConfig"], {"blockStorage": {"enabled": True}})
        self.assertEqual(shown["kubernetesNetworkConfig"]["elasticLoadBalancing"], {"enabled": True})
        self.assertEqual(shown["upgradePolicy"], {"supportType": "STANDARD"})
        self.assertEqual(shown["accessConfig"]["authenticationMode"], "API")
        self.assertIs(shown["deletionProtection"], False)
        self.assertEqual(shown["tags"], {"stackctl.dev/stack": "hello"})
        self.assertEqual(shown["resourcesVpcConfig"]["vpcId"], stack.vpc)
        group = self.ec2.describe_security_groups(
            GroupIds=[shown["resourcesVpcConfig"]["clusterSecurityGroupId"]]
        )["SecurityGroups"][0]
        self.assertEqual(group["VpcId"], stack.vpc)
        self.assertIn({"Key": "aws:eks:cluster-name", "Value": stack.name}, group["Tags"])
        self.assertEqual(self.eks.list_clusters()["clusters"], [stack.name])

        self.assertEqual(self.eks.delete_cluster(name=stack.name)["cluster"]["status"], "DELETING")
        self.assertEqual(stack.describe()["status"], "DELETING")
        self.advance(2)
        refused = self.refused("ResourceNotFoundException", self.eks.describe_cluster, name=stack.name)
        self.assertEqual(refused["ResponseMetadata"]["HTTPStatusCode"], 404)
        self.refused("InvalidGroup.NotFound", self.ec2.describe_security_groups, GroupIds=[group["GroupId"]])

    def test_token_is_replayed(self):
        stack = Stack(self).network().roles()
        first = stack.create()
        self.assertEqual(stack.create()["arn"], first["arn"])
        refused = self.refused("ResourceInUseException", stack.create, clientRequestToken="token-2")
        self.assertEqual(refused["ResponseMetadata"]["HTTPStatusCode"], 409)
        self.refused("InvalidParameterException", stack.create, version="1.35")

    def test_what_create_refuses(self):
        stack = Stack(self).network(zones=("us-east-1a", "us-east-1b", "us-east-1e")).roles()
        good = stack.subnets[:2]

        def subnets(*listed):
            return {"subnetIds": list(listed)}

        invalid = "InvalidParameterException"
        self.refused(invalid, stack.create, version="1.20")
        self.refused(invalid, stack.create, version="1.33", resourcesVpcConfig=subnets(*good))
        self.refused(invalid, stack.create, resourcesVpcConfig=subnets("subnet-0123456789abcdef0", good[0]))
        self.refused(invalid, stack.create, resourcesVpcConfig=subnets(stack.public[0], stack.private[0]))
        refused = self.refused("UnsupportedAvailabilityZoneException", stack.create)
        self.assertEqual(
            refused["validZones"], ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1f"]
        )
        ok = {"resourcesVpcConfig": subnets(*good)}
        arn = "arn:aws:iam::123456789012:role/none"
        self.refused(invalid, stack.create, roleArn=arn, **ok)
        self.refused(invalid, stack.create, roleArn=stack.node_role, **ok)
        for block, value in (
            ("computeConfig", {"enabled": False}),
            ("storageConfig", {"blockStorage": {"enabled": False}}),
            ("kubernetesNetworkConfig", {"elasticLoadBalancing": {"enabled": False}}),
            ("storageConfig", {}),
        ):
            refused = self.refused(invalid, stack.create, **ok, **{block: value})
            self.assertIn("either fully enabled or fully disabled", refused["Error"]["Message"])
        pools = {"enabled": True, "nodePools": [], "nodeRoleArn": stack.node_role}
        self.refused(invalid, stack.create, computeConfig=pools, **ok)
        self.refused(invalid, stack.create, bootstrapSelfManagedAddons=True, **ok)
        self.refused(invalid, stack.create, accessConfig={"authenticationMode": "CONFIG_MAP"}, **ok)
        self.control("POST", "/settings", {"quotas": {"L-1194D53C": 0}})
        self.refused("ResourceLimitExceededException", stack.create, **ok)
        self.assertNotIn("eks:cluster", self.inventory())

    def test_role_must_spread(self):
        self.control("POST", "/settings", {"role_refusals": 2})
        stack = Stack(self).network().roles()
        # The node role is as new as the cluster's.
        for _ in range(4):
            refused = self.refused("InvalidParameterException", stack.create)
            self.assertEqual(refused["Error"]["Message"], "Error in role params")
        self.assertEqual(stack.create()["status"], "CREATING")

    def test_service_linked_role(self):
        self.control("POST", "/settings", {"deny": ["iam:CreateServiceLinkedRole"]})
        stack = Stack(self).network().roles()
        self.refused("AccessDeniedException", stack.create)
        self.control("POST", "/settings", {"deny": []})
        stack.create()
        name = "AWSServiceRoleForAmazonEKS"
        self.assertEqual(self.iam.get_role(RoleName=name)["Role"]["Path"], "/aws-service-role/eks.amazonaws.com/")
        service = "eks.amazonaws.com"
        self.refused("InvalidInput", self.iam.create_service_linked_role, AWSServiceName=service)
        self.assertNotIn(name, [item["id"] for item in self.inventory()["iam:role"]])

    def test_deletion_protection(self):
        stack = Stack(self).network().roles()
        stack.create(deletionProtection=True)
        self.advance(5)
        self.refused("InvalidRequestException", self.eks.delete_cluster, name=stack.name)
        self.eks.update_cluster_config(name=stack.name, deletionProtection=False)
        self.advance(5)
        self.eks.delete_cluster(name=stack.name)

    def test_one_update_at_a_time(self):
        stack = Stack(self).up()
        self.control("POST", "/settings", {"cluster_update": 5})
        update = stack.empty_pools()
        self.assertEqual((update["status"], update["type"]), ("InProgress", "AutoModeUpdate"))
        self.assertEqual(stack.describe()["status"], "UPDATING")
        self.refused("ResourceInUseException", self.eks.delete_cluster, name=stack.name)
        self.refused(
            "ResourceInUseException", self.eks.update_cluster_config, name=stack.name, deletionProtection=True
        )
        self.assertEqual(self.eks.list_updates(name=stack.name)["updateIds"], [update["id"]])
        self.advance(5)
        shown = self.eks.describe_update(name=stack.name, updateId=update["id"])["update"]
        self.assertEqual(shown["status"], "Successful")
        shown = stack.describe()
        self.assertEqual((shown["status"], shown["computeConfig"]["nodePools"]), ("ACTIVE", []))

    def test_what_update_refuses(self):
        stack = Stack(self).up()
        invalid, update = "InvalidParameterException", self.eks.update_cluster_config
        off = {
            "computeConfig": {"enabled": False},
            "storageConfig": {"blockStorage": {"enabled": False}},
            "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": False}},
        }
        for left_out in off:
            self.refused(invalid, update, name=stack.name, **{key: off[key] for key in off if key != left_out})
        pools = {"enabled": True, "nodePools": [], "nodeRoleArn": stack.node_role}
        on = {
            "storageConfig": {"blockStorage": {"enabled": True}},
            "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
        }
        self.refused(invalid, update, name=stack.name, computeConfig=pools, **on)
        self.refused(invalid, update, name=stack.name, deletionProtection=False)
        self.refused(invalid, update, name=stack.name, deletionProtection=True, upgradePolicy={"supportType": "EXTENDED"})
        self.assertEqual(update(name=stack.name, **off)["update"]["status"], "InProgress")

    def test_failures(self):
        stack = Stack(self).network().roles()
        self.control("POST", "/settings", {"create_fails": "no capacity"})
        stack.create()
        self.advance(5)
        shown = stack.describe()
        self.assertEqual(shown["status"], "FAILED")
        self.assertEqual(shown["health"]["issues"][0]["message"], "no capacity")
        self.eks.delete_cluster(name=stack.name)
        self.advance(5)
        stack.create(clientRequestToken="token-2")
        self.advance(5)
        self.control("POST", "/settings", {"update_fails": "not today", "delete_fails": "nor this"})
        update = stack.empty_pools()
        self.advance(5)
        shown = self.eks.describe_update(name=stack.name, updateId=update["id"])["update"]
        self.assertEqual((shown["status"], shown["errors"][0]["errorMessage"]), ("Failed", "not today"))
        self.eks.delete_cluster(name=stack.name)
        self.advance(5)
        self.assertEqual(stack.describe()["status"], "FAILED")

    def test_creating_cannot_be_deleted(self):
        stack = Stack(self).network().roles()
        stack.create()
        self.refused("ResourceInUseException", self.eks.delete_cluster, name=stack.name)

    def test_versions(self):
        def versions(**asked):
            return {
                item["clusterVersion"]: item for item in self.eks.describe_cluster_versions(**asked)["clusterVersions"]
            }

        every = versions()
        self.assertEqual(every["1.34"]["versionStatus"], "STANDARD_SUPPORT")
        self.assertEqual(f"{every['1.34']['endOfStandardSupportDate']:%Y-%m-%d}", "2026-12-02")
        self.assertEqual(every["1.33"]["versionStatus"], "EXTENDED_SUPPORT")
        self.assertNotIn("1.31", every)
        self.assertEqual(list(versions(defaultOnly=True)), ["1.36"])
        self.assertEqual(list(versions(clusterVersions=["1.35"])), ["1.35"])
