"""ECR: ministack's, in a process of its own, with tokens that end and the address of our registry."""

import base64
import http.client
import json
import re
import secrets
import time

from .reply import Reply, answer

HOST = re.compile(rb"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com")


class Ecr:
    def __init__(self, port, registry_port):
        self.port, self.registry = port, f"127.0.0.1:{registry_port}"
        self._tokens = {}

    def reset(self):
        self._tokens.clear()
        self.request("POST", "/_ministack/reset", {}, b"")

    def request(self, method, path, headers, body):
        """One request to ministack: its status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def handle(self, world, call):
        if call.action == "GetAuthorizationToken":
            return self._token(world, call)
        headers = {
            "Content-Type": call.headers.get("content-type", "application/x-amz-json-1.1"),
            "X-Amz-Target": call.headers.get("x-amz-target", ""),
            "Authorization": as_account(call.account, call.region),
        }
        status, answered, body = self.request("POST", "/", headers, call.body)
        kept = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": call.request_id}
        kind = {name.lower(): value for name, value in answered.items()}.get("x-amzn-errortype")
        if kind:
            kept["x-amzn-ErrorType"] = kind
        return Reply(status, kept, HOST.sub(self.registry.encode(), body))

    def _token(self, world, call):
        token, life = secrets.token_urlsafe(48), world.settings["ecr_token_seconds"]
        self._tokens[token] = (call.account, time.time() + life)
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{token}".encode()).decode(),
            "expiresAt": round(time.time() + life + world.settings["clock_skew"], 3),
            "proxyEndpoint": f"http://{self.registry}",
        }
        return answer(call, {"authorizationData": [data]})

    def account_of(self, authorization):
        """The account whose token a `docker login` holds, or None when it isn't one or has ended."""
        kind, _, value = (authorization or "").partition(" ")
        try:
            user, _, token = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return None
        account, end = self._tokens.get(token, (None, 0))
        return account if kind == "Basic" and user == "AWS" and time.time() < end else None

    def immutable(self, account, region, name):
        return any(
            item["repositoryName"] == name and item["imageTagMutability"].startswith("IMMUTABLE")
            for item in self.repositories(account, region)
        )

    def repositories(self, account, region):
        """What is there."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
            "Authorization": as_account(account, region),
        }
        return json.loads(self.request("POST", "/", headers, b"{}")[2]).get("repositories", [])


def as_account(account, region):
    """ministack takes an access key of twelve digits for the account."""
    return (
        f"AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/ecr/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )
