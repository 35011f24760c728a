"""The whole account: its state, and what happens to each call."""

import fnmatch
import re
import threading

from . import balancing, emulator, identity, logs, patches, quotas, reply, settings
from .clock import Clock
from .ec2 import actions as ec2_actions
from .eks import actions as eks_actions
from .eks.state import Eks, invalid
from .faults import Faults, Hold
from .journal import Journal
from .sigv4 import Identity, verify

REGION = "us-east-1"
ADMIN = Identity(
    "123456789012", "AKIAWORLDADMIN000001", "world/admin/secret/of/no/account/of/AWS1",
    "arn:aws:iam::123456789012:user/admin", "AIDAWORLDADMIN0000001",
)  # fmt: skip
OTHER = Identity(
    "210987654321", "AKIAWORLDOTHER000001", "world/other/secret/of/no/account/of/AWS1",
    "arn:aws:iam::210987654321:user/other", "AIDAWORLDOTHER0000001",
)  # fmt: skip

MOTO = {
    "dynamodb", "kms", "sns", "sqs", "tagging", "monitoring", "autoscaling", "ssm", "events",
}  # fmt: skip


class World:
    def __init__(self, ecr):
        self.ecr = ecr
        self.lock = threading.RLock()
        self.identities = {who.access_key: who for who in (ADMIN, OTHER)}
        self.hold = Hold()
        self._fresh({})
        patches.apply(lambda: self.clock.now)

    def _fresh(self, wanted):
        self.settings = settings.fresh()
        settings.change(self.settings, wanted)
        self.clock, self.faults, self.journal = Clock(), Faults(), Journal()
        self.tokens, self.pools, self._eks, self._roles = {}, {}, {}, {}

    def reset(self, wanted):
        self.hold.release("cut")
        with self.lock:
            emulator.reset()
            self.ecr.reset()
            self._fresh(wanted)

    def eks(self, account, region):
        return self._eks.setdefault((account, region), Eks(self, account, region))

    def quota(self, code):
        return self.settings["quotas"].get(code, quotas.QUOTAS[code][2])

    def denies(self, action):
        return any(fnmatch.fnmatchcase(action, pattern) for pattern in self.settings["deny"])

    def take_setting(self, name):
        """A setting that counts once."""
        value, self.settings[name] = self.settings[name], None
        return value

    def roles_must_have_spread(self, account, arns):
        """IAM tells EKS of a new role some time after it was made."""
        for arn in arns:
            role = emulator.role(account, arn) if arn else None
            if role:
                refused = self._roles.get(role.id, 0)
                if refused < self.settings["role_refusals"]:
                    self._roles[role.id] = refused + 1
                    raise invalid("Error in role params")

    def call(self, call):
        """The answer to a call, or None when its connection shall be cut."""
        with self.lock:
            answered, applied = self._call(call)
        if applied and not call.reads and not self.hold.wait_if_chosen(call):
            return None
        return answered

    def _call(self, call):
        try:
            call.identity = verify(call, self.identities, self.settings["clock_skew"])
            signed = None
        except reply.Refused as refused:
            signed = refused
        fault = self.faults.pick(call)
        entry = self.journal.begin(call, self.clock.now, fault)
        kind = fault["kind"] if fault else None
        applied = False
        if signed:
            answered = reply.refusal(call, signed)
        elif self.settings["session_expired"] or kind == "expired_token":
            answered = reply.refusal(call, reply.expired(call))
        elif kind == "throttle":
            answered = reply.refusal(call, reply.throttled(call))
        elif kind == "error_before":
            answered = reply.refusal(call, reply.broken(call))
        elif kind == "error":
            answered = reply.refusal(
                call, reply.Refused(fault["code"], fault.get("message", ""), fault.get("status", 400))
            )
        elif kind == "access_denied" or self.denies(f"{_prefix(call)}:{call.action}"):
            answered = reply.refusal(call, reply.denied(call))
        elif kind == "cut_before":
            answered = None
        elif kind == "applied_late":
            answered = None
            threading.Timer(fault.get("seconds", 2), self._late, (call, entry)).start()
            return None, False
        else:
            answered, applied = self._apply(call)
        if kind == "error_after" and applied:
            answered = reply.refusal(call, reply.broken(call))
        if kind == "cut_after":
            answered = None
        entry["applied"] = applied
        entry["status"] = answered.status if answered else None
        entry["code"] = answered.code if answered else None
        return answered, applied

    def _late(self, call, entry):
        """What was under way when its caller went away."""
        with self.lock:
            answered, entry["applied"] = self._apply(call)
            entry["status"], entry["code"] = answered.status, answered.code

    def _apply(self, call):
        if call.reads:
            self.clock.move()
        try:
            answered = self._handler(call)(self, call)
        except reply.Refused as refused:
            answered = reply.refusal(call, refused)
        applied = answered.status < 400
        if not applied:
            answered.code = answered.code or _code(answered)
            if not call.reads:
                self.clock.move()
        return answered, applied

    def _handler(self, call):
        own = {
            "ec2": ec2_actions.handle,
            "eks": eks_actions.handle,
            "sts": identity.sts,
            "iam": identity.iam,
            "elasticloadbalancing": balancing.handle,
            "servicequotas": quotas.handle,
            "ecr": self.ecr.handle,
            "logs": logs.handle,
        }
        if call.service in own:
            return own[call.service]
        if call.service in MOTO:
            return lambda world, forwarded: emulator.forward(forwarded)
        raise reply.Refused("UnknownService", f"There is no service {call.service!r} in this world", 400)


def _prefix(call):
    return {"tagging": "tag", "monitoring": "cloudwatch"}.get(call.service, call.service)


def _code(answered):
    """The code of an emulator's refusal."""
    found = re.search(rb"<Code>([^<]+)|\"__type\":\s*\"(?:[^\"#]*#)?([^\"]+)", answered.body)
    return (found.group(1) or found.group(2)).decode() if found else None
