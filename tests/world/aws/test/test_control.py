"""The control API: faults, the held answer, the log, the clock."""

import threading

from botocore.exceptions import BotoCoreError, ClientError

from .account import AwsTest, Stack


class ControlTest(AwsTest):
    def _faults(self, *faults):
        self.control("POST", "/faults", list(faults))

    def _vpcs(self):
        return len(self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"])

    def _create(self):
        return self.ec2.create_vpc(CidrBlock="10.0.0.0/16")

    def test_before_it_is_applied(self):
        for kind, code in (
            ("throttle", "RequestLimitExceeded"),
            ("error_before", "InternalError"),
            ("expired_token", "RequestExpired"),
            ("access_denied", "UnauthorizedOperation"),
        ):
            self._faults({"service": "ec2", "action": "CreateVpc", "kind": kind})
            self.refused(code, self._create)
        self._faults({"action": "Create*", "kind": "error", "code": "Own", "message": "m", "status": 418})
        self.assertEqual(self.refused("Own", self._create)["ResponseMetadata"]["HTTPStatusCode"], 418)
        self.assertEqual(self._vpcs(), 0)
        self._create()
        self.assertEqual(self._vpcs(), 1)
        self.assertEqual({fault["fired"] for fault in self.control("GET", "/faults")}, {1})

    def test_after_it_was_applied(self):
        self._faults({"action": "CreateVpc", "kind": "error_after"}, {"action": "CreateVpc", "kind": "cut_after", "nth": 2})
        self.refused("InternalError", self._create)
        with self.assertRaises(BotoCoreError):
            self._create()
        self.assertEqual(self._vpcs(), 2)
        self._faults({"action": "CreateVpc", "kind": "cut_before"})
        with self.assertRaises(BotoCoreError):
            self._create()
        self.assertEqual(self._vpcs(), 2)

    def test_the_nth_write(self):
        self._faults({"write": 2, "kind": "throttle", "times": 2})
        self._create()
        self._vpcs()
        self.refused("RequestLimitExceeded", self._create)
        self.refused("Throttling", self.iam.create_user, UserName="somebody")
        self._create()
        self.control("DELETE", "/faults")
        self.assertEqual(self.control("GET", "/faults"), [])

    def test_codes_by_service(self):
        for service, client, action, code in (
            ("eks", self.eks.list_clusters, "throttle", "ThrottlingException"),
            ("eks", self.eks.list_clusters, "access_denied", "AccessDeniedException"),
            ("iam", self.iam.list_roles, "expired_token", "ExpiredToken"),
            ("iam", self.iam.list_roles, "access_denied", "AccessDenied"),
            ("ecr", self.ecr.describe_repositories, "expired_token", "ExpiredTokenException"),
            ("elasticloadbalancing", self.elb.describe_load_balancers, "throttle", "Throttling"),
            ("logs", self.logs.describe_log_groups, "throttle", "ThrottlingException"),
        ):
            self._faults({"service": service, "kind": action})
            self.refused(code, client)

    def test_held_answer(self):
        self.control("POST", "/hold", {"write": 2})
        self.assertIsNone(self.control("GET", "/hold")["held"])
        self._create()
        outcome = []

        def second():
            try:
                outcome.append(self._create())
            except (BotoCoreError, ClientError) as problem:
                outcome.append(problem)

        thread = threading.Thread(target=second)
        thread.start()
        held = self.control("GET", "/hold?wait=20")["held"]
        self.assertEqual((held["service"], held["action"]), ("ec2", "CreateVpc"))
        # It has been applied, others are answered, and the one who asked still waits.
        self.assertEqual(self._vpcs(), 2)
        self.assertEqual(outcome, [])
        self.control("POST", "/release", {"answer": "cut"})
        thread.join(20)
        self.assertIsInstance(outcome[0], BotoCoreError)

    def test_log(self):
        self._create()
        self._vpcs()
        self.refused("InvalidVpcID.NotFound", self.ec2.delete_vpc, VpcId="vpc-0123456789abcdef0")
        self.refused("DryRunOperation", self.ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
        made, looked, missing, dry = self.control("GET", "/calls")
        self.assertEqual((made["service"], made["action"], made["kind"]), ("ec2", "CreateVpc", "write"))
        self.assertEqual((made["write"], made["applied"], made["params"]["CidrBlock"]), (1, True, "10.0.0.0/16"))
        self.assertEqual((looked["kind"], looked["write"], looked["status"]), ("read", None, 200))
        self.assertEqual((missing["write"], missing["applied"]), (2, False))
        self.assertEqual(missing["code"], "InvalidVpcID.NotFound")
        self.assertEqual((dry["kind"], dry["dry_run"], dry["applied"]), ("read", True, False))
        self.assertEqual(self.control("GET", "/calls?since=3"), [dry])
        self.assertEqual(self._vpcs(), 1)

    def test_clock(self):
        stack = Stack(self).network().roles()
        self.control("POST", "/clock", {"auto": False})
        stack.create()
        for _ in range(5):
            self.assertEqual(stack.describe()["status"], "CREATING")
        self.advance(3)
        self.assertEqual(stack.describe()["status"], "ACTIVE")

    def test_accounts_are_apart(self):
        before = self.control("GET", "/inventory?account=210987654321")
        Stack(self).network().roles().create()
        self.assertEqual(self.control("GET", "/inventory?account=210987654321"), before)
        self.assertEqual(self.world.client("eks", other=True).list_clusters()["clusters"], [])
        self.control("POST", "/reset", {})
        self.assertEqual(self.inventory(), {})
