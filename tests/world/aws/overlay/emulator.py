"""moto, in this process: calls are forwarded to it, and its resources are looked up and changed directly."""

import os
import sys
import urllib.parse
from types import SimpleNamespace

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
# 1,300 images would be made anew at each reset, and nobody looks at them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto.backends import get_backend
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from .reply import Reply

KEPT = ("content-type", "x-amz-target", "x-amz-date", "accept")
_application = DomainDispatcherApplication(create_backend_app)


def reset():
    moto_api_backend.reset()


def forward(call, params=None):
    """The emulator's answer to a call; `params` replace those of a call by form."""
    body = urllib.parse.urlencode(params).encode() if params is not None else call.body
    headers = {name: value for name, value in call.headers.items() if name in KEPT}
    headers["Host"] = f"{call.service}.{call.region}.amazonaws.com"
    headers["x-moto-account-id"] = call.account
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={call.access_key}/20260101/{call.region}/{call.service}/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )
    builder = EnvironBuilder(
        method=call.method, path=call.path, query_string=call.query, data=body, headers=headers
    )
    chunks, status, answered = run_wsgi_app(_application, builder.get_environ())
    content = b"".join(chunks)
    number = int(status.split()[0])
    kind = answered.get("Content-Type", "text/xml")
    if number >= 500 or "html" in kind and number != 200:
        # What the emulator does not know must be seen, and not be taken for AWS's answer.
        sys.stderr.write(f"aws: moto answers {number} to {call.service} {getattr(call, 'action', '')}: {content[:300]}\n")
    return Reply(number, {"Content-Type": kind, "x-amzn-RequestId": call.request_id}, content)


def ec2(account, region):
    return get_backend("ec2")[account][region]


def elb(account, region):
    return get_backend("elbv2")[account][region]


def logs(account, region):
    return get_backend("logs")[account][region]


def iam(account):
    return get_backend("iam")[account]["aws"]


def backend(service, account, region):
    return get_backend(service)[account][region]


def role(account, arn):
    """The role of that name in the ARN, or None."""
    for found in iam(account).roles.values():
        if found.arn == arn:
            return found
    return None


def tags(resource):
    """An EC2 resource's tags as a dict."""
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


def ask(where, service, action, **params):
    """A call that AWS makes itself in an account (`where` has account_id and region): the answer's XML."""
    version = {"ec2": "2016-11-15", "iam": "2010-05-08"}[service]
    call = SimpleNamespace(
        method="POST", path="/", query="", headers={"content-type": "application/x-www-form-urlencoded"}, body=b"",
        service=service, region=where.region, account=where.account_id, access_key="ASIAEKSSERVICE000001", request_id="",
    )  # fmt: skip
    reply = forward(call, {"Action": action, "Version": version, **params})
    text = reply.body.decode()
    if reply.status != 200:
        raise RuntimeError(f"{service} {action}: {text}")
    return text
