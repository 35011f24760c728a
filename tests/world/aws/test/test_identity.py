"""STS, signatures, and IAM's answers that the emulator lacks."""

import base64
import json
import ssl
import urllib.error
import urllib.request

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .account import AwsTest, Stack


class IdentityTest(AwsTest):
    def test_who(self):
        about = self.world.about
        shown = self.world.client("sts").get_caller_identity()
        self.assertEqual((shown["Account"], shown["Arn"]), (about["account"], about["arn"]))
        shown = self.world.client("sts", other=True).get_caller_identity()
        self.assertEqual(shown["Account"], about["other"]["account"])

    def test_signatures_are_verified(self):
        def client(service):
            return self.world.client(service, secret="wrong")

        self.refused("SignatureDoesNotMatch", client("sts").get_caller_identity)
        self.refused("AuthFailure", client("ec2").describe_vpcs)
        self.refused("InvalidSignatureException", client("eks").list_clusters)
        self.refused("InvalidSignatureException", client("ecr").describe_repositories)

    def test_clock_skew(self):
        self.control("POST", "/settings", {"clock_skew": 900})
        refused = self.refused("SignatureDoesNotMatch", self.world.client("sts").get_caller_identity)
        self.assertIn("expired", refused["Error"]["Message"])
        self.refused("RequestExpired", self.ec2.describe_vpcs)

    def test_session_expired(self):
        self.control("POST", "/settings", {"session_expired": True})
        self.refused("RequestExpired", self.ec2.describe_vpcs)
        self.refused("ExpiredToken", self.world.client("sts").get_caller_identity)
        self.refused("ExpiredTokenException", self.eks.list_clusters)

    def _token(self, cluster, secret=None, life=60, endpoint=None):
        about = self.world.about
        request = AWSRequest(
            "GET",
            (endpoint or about["endpoint"]) + "/?Action=GetCallerIdentity&Version=2011-06-15",
            headers={"x-k8s-aws-id": cluster},
        )
        credentials = Credentials(about["access_key"], secret or about["secret_key"])
        botocore.auth.SigV4QueryAuth(credentials, "sts", "us-east-1", expires=life).add_auth(request)
        return "k8s-aws-v1." + base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")

    def _presented(self, token, cluster):
        """As the authenticator of a cluster presents a token to STS."""
        coded = token.removeprefix("k8s-aws-v1.")
        url = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
        request = urllib.request.Request(url, headers={"x-k8s-aws-id": cluster, "Accept": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answered:
                return answered.status, answered.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def test_token_of_a_cluster(self):
        status, body = self._presented(self._token("one"), "one")
        self.assertEqual(status, 200)
        self.assertIn(self.world.about["arn"], body)
        self.assertEqual(self._presented(self._token("one"), "two")[0], 403)
        self.assertEqual(self._presented(self._token("one", secret="wrong"), "one")[0], 403)
        self.control("POST", "/settings", {"clock_skew": 61})
        self.assertEqual(self._presented(self._token("one"), "one")[0], 403)

    def test_sts_behind_the_proxy(self):
        about = self.world.about["sts"]
        context = ssl.create_default_context(cafile=about["ca_file"])
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": about["proxy"]}), urllib.request.HTTPSHandler(context=context)
        )
        host = "https://sts.us-east-1.amazonaws.com"
        url = base64.urlsafe_b64decode(self._token("one", endpoint=host).removeprefix("k8s-aws-v1.") + "==").decode()
        request = urllib.request.Request(url, headers={"x-k8s-aws-id": "one", "Accept": "application/json"})
        with opener.open(request, timeout=10) as answered:
            result = json.load(answered)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        self.assertEqual(result["Arn"], self.world.about["arn"])
        for wrong in ("https://ec2.us-east-1.amazonaws.com/", host + "/_world/inventory"):
            with self.assertRaises(OSError):
                opener.open(wrong, timeout=10).close()

    def test_simulation_and_deny(self):
        self.control("POST", "/settings", {"deny": ["ec2:CreateNatGateway", "eks:*"]})
        results = self.iam.simulate_principal_policy(
            PolicySourceArn=self.world.about["arn"],
            ActionNames=["ec2:CreateVpc", "ec2:CreateNatGateway", "eks:CreateCluster"],
        )["EvaluationResults"]
        self.assertEqual(
            {item["EvalActionName"]: item["EvalDecision"] for item in results},
            {
                "ec2:CreateVpc": "allowed",
                "ec2:CreateNatGateway": "implicitDeny",
                "eks:CreateCluster": "implicitDeny",
            },
        )
        stack = Stack(self).network(nat=False)
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        for more in ({}, {"DryRun": True}):
            refused = self.refused(
                "UnauthorizedOperation", self.ec2.create_nat_gateway, SubnetId=stack.public[0], AllocationId=address, **more
            )
            self.assertIn("Encoded authorization failure message: ", refused["Error"]["Message"])
        self.refused("AccessDeniedException", self.eks.list_clusters)

    def test_trust_policy_is_read(self):
        self.refused(
            "MalformedPolicyDocument", self.iam.create_role, RoleName="r", AssumeRolePolicyDocument="{}"
        )

    def test_quotas(self):
        quotas = self.world.client("service-quotas")
        for service, code, value in (
            ("vpc", "L-F678F1CE", 5),
            ("ec2", "L-0263D0A3", 5),
            ("vpc", "L-FE5A380F", 5),
            ("vpc", "L-A4707A72", 5),
            ("ec2", "L-1216C47A", 64),
            ("elasticloadbalancing", "L-69A177A2", 50),
        ):
            quota = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
            self.assertEqual(quota["Value"], value)
        # Never changed for the account, it is known by its default alone.
        clusters = {"ServiceCode": "eks", "QuotaCode": "L-1194D53C"}
        self.refused("NoSuchResourceException", quotas.get_service_quota, **clusters)
        self.assertEqual(quotas.get_aws_default_service_quota(**clusters)["Quota"]["Value"], 100)
        self.control("POST", "/settings", {"quotas": {"L-0263D0A3": 1}})
        quota = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")["Quota"]
        self.assertEqual(quota["Value"], 1)
        self.refused("NoSuchResourceException", quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")
        self.ec2.allocate_address(Domain="vpc")
        self.refused("AddressLimitExceeded", self.ec2.allocate_address, Domain="vpc")
