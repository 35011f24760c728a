"""One call to AWS: what was asked of which service, taken from the request as the SDKs write it."""

import json
import re
import urllib.parse
import uuid
from dataclasses import dataclass, field

from .eks import routes

QUERY = {"iam", "sts", "elasticloadbalancing", "sns", "autoscaling", "cloudformation"}
READS = re.compile(
    r"(Describe|Get|List|Simulate|Filter|BatchGet|BatchCheck|Search|Query$|Scan$|Lookup|Receive)"
)
SECRET = re.compile(r"secret|password|sessiontoken|blob|privatekey", re.IGNORECASE)


@dataclass
class Call:
    method: str
    path: str
    query: str
    headers: dict
    body: bytes
    service: str = ""
    region: str = ""
    action: str = ""
    protocol: str = "json"
    access_key: str = ""
    params: dict = field(default_factory=dict)
    identity: object = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def account(self):
        return self.identity.account

    @property
    def dry_run(self):
        return self.service == "ec2" and self.params.get("DryRun") == "true"

    @property
    def reads(self):
        if self.service == "eks":
            return self.method == "GET" or self.action == "DescribeClusterVersions"
        return self.dry_run or bool(READS.match(self.action))

    def shown(self):
        """The parameters as the log keeps them."""
        return _without_secrets(self.params)

    def flat(self, prefix):
        """EC2's and IAM's lists: the values of `prefix.1`, `prefix.2` and so on, whatever the level."""
        pattern = re.compile(re.escape(prefix) + r"(\.member)?\.(\d+)$")
        found = [
            (int(match.group(2)), value)
            for name, value in self.params.items()
            if (match := pattern.match(name))
        ]
        return [value for _, value in sorted(found)]

    def tags(self):
        """The tags that an EC2 call gives what it creates."""
        tags = {}
        for name, value in self.params.items():
            match = re.match(r"(TagSpecification\.\d+\.Tag\.\d+)\.Key$", name)
            if match:
                tags[value] = self.params.get(match.group(1) + ".Value", "")
        return tags


def _without_secrets(value):
    if isinstance(value, dict):
        return {
            key: "(not kept)" if SECRET.search(key) else _without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value


def parse(method, target, headers, body):
    """A Call out of an HTTP request. `headers` has lower-case names."""
    path, _, query = target.partition("?")
    call = Call(method, path, query, headers, body)
    scope = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", headers.get("authorization", ""))
    if not scope:
        credential = dict(urllib.parse.parse_qsl(query)).get("X-Amz-Credential", "")
        scope = re.match(r"([^/]+)/\d+/([^/]+)/([^/]+)/", credential)
    if scope:
        call.access_key, call.region, call.service = scope.groups()
    content = headers.get("content-type", "")
    if "x-amz-target" in headers:
        call.action = headers["x-amz-target"].split(".")[-1]
        call.params = _json(body)
    elif call.service == "eks":
        call.protocol = "rest"
        call.action, call.params = routes.match(method, path, query, _json(body))
    else:
        call.protocol = "ec2" if call.service == "ec2" else "query"
        form = body.decode("utf-8", "replace") if "json" not in content else ""
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        pairs += urllib.parse.parse_qsl(form, keep_blank_values=True)
        call.params = dict(pairs)
        call.action = call.params.get("Action", "")
    return call


def _json(body):
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
