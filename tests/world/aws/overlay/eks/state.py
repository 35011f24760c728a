"""What EKS knows of one account in one region."""

import secrets
import time
from dataclasses import dataclass, field

from ..reply import Refused


@dataclass
class Cluster:
    """`shown` is what DescribeCluster answers; the rest is EKS's own."""

    shown: dict
    token: str
    request: dict
    creator: str
    entries: dict = field(default_factory=dict)
    associations: dict = field(default_factory=dict)
    addons: dict = field(default_factory=dict)
    updates: dict = field(default_factory=dict)
    interfaces: list = field(default_factory=list)
    profile: str = None
    nodes_at_delete: bool = False

    @property
    def name(self):
        return self.shown["name"]

    @property
    def status(self):
        return self.shown["status"]

    @property
    def busy(self):
        return any(item["status"] == "InProgress" for item in self.updates.values())


class Eks:
    def __init__(self, world, account, region):
        self.world, self.account_id, self.region = world, account, region
        self.clusters = {}
        # Names of clusters that have gone, of which a last line is still on its way.
        self.late_lines = set()

    def cluster(self, name):
        found = self.clusters.get(name)
        if not found:
            raise Refused(
                "ResourceNotFoundException",
                f"No cluster found for name: {name}.",
                404,
                {"clusterName": name},
            )
        return found

    def arn(self, kind, rest):
        return f"arn:aws:eks:{self.region}:{self.account_id}:{kind}/{rest}"


def now():
    return round(time.time(), 3)


def random_id(length=16):
    return secrets.token_hex(length)[:length]


def invalid(message, **more):
    return Refused("InvalidParameterException", message, 400, more)


def in_use(message, **more):
    return Refused("ResourceInUseException", message, 409, more)


def not_found(message, **more):
    return Refused("ResourceNotFoundException", message, 404, more)


def page(params, items, key, size=100):
    """One page of a list, with a token for the next when there is one."""
    size = int(params.get("maxResults") or size)
    begin = int(params.get("nextToken") or 0)
    answer = {key: items[begin : begin + size]}
    if begin + size < len(items):
        answer["nextToken"] = str(begin + size)
    return answer
