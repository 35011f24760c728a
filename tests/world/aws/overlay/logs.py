"""CloudWatch Logs: the emulator's, with the lines that EKS still writes when nobody expects them.

A control plane's last lines arrive some time after its cluster has gone, and EKS's service-linked role makes the log
group again for them, without tags or retention.
"""

import re

from . import emulator
from .eks.clusters import log_group, logs

GROUP = re.compile(r"/aws/eks/([^/]+)/cluster")


def handle(world, call):
    reply = emulator.forward(call)
    named = GROUP.fullmatch(call.params.get("logGroupName", ""))
    if call.action == "DeleteLogGroup" and reply.status == 200 and named:
        _deleted(world, world.eks(call.account, call.region), named.group(1))
    return reply


def _deleted(world, eks, name):
    cluster = eks.clusters.get(name)
    if (cluster and cluster.status != "CREATING" and logs(cluster)) or name in eks.late_lines:
        late(world, eks, name)


def late(world, eks, name):
    """The next line of this cluster, some ticks from now."""
    ticks = world.settings["late_log_line"]
    eks.late_lines.discard(name)
    if ticks is not None:
        world.clock.after(ticks, lambda: log_group(eks, name))
