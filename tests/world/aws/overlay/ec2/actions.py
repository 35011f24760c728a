"""EC2: refusals and limits first, then what takes time here, and the rest by the emulator."""

from .. import emulator
from ..reply import Refused
from .effects import EFFECTS
from .lifecycle import LIFECYCLE
from .limits import LIMITS
from .refusals import REFUSALS


def handle(world, call):
    ec2 = emulator.ec2(call.account, call.region)
    if call.action in LIMITS:
        LIMITS[call.action](world, ec2, call)
    if call.dry_run:
        raise Refused(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )
    if call.action in REFUSALS:
        REFUSALS[call.action](ec2, call)
    if call.action in LIFECYCLE:
        return LIFECYCLE[call.action](world, ec2, call)
    reply = emulator.forward(call)
    if call.action in EFFECTS and reply.status == 200:
        EFFECTS[call.action](ec2, call)
    return reply
