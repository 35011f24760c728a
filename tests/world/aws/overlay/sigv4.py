"""Signature version 4, verified: of a header, and of a presigned URL as Kubernetes tokens are."""

import datetime
import hashlib
import hmac
import re
import urllib.parse

from .reply import Refused

SKEW = 300


class Identity:
    """Who an access key belongs to."""

    def __init__(self, account, access_key, secret, arn, user_id, token=None):
        self.account, self.access_key, self.secret = account, access_key, secret
        self.arn, self.user_id, self.token = arn, user_id, token


def verify(call, identities, skew=0):
    """The identity that signed the call, or Refused. `skew`: how far AWS's clock is ahead of ours."""
    query = urllib.parse.parse_qsl(call.query, keep_blank_values=True)
    named = dict(query)
    if "X-Amz-Signature" in named:
        credential, given = named.get("X-Amz-Credential", ""), named["X-Amz-Signature"]
        signed = named.get("X-Amz-SignedHeaders", "").split(";")
        stamp, life = named.get("X-Amz-Date", ""), _life(named)
        query = [pair for pair in query if pair[0] != "X-Amz-Signature"]
        digest = hashlib.sha256(call.body).hexdigest()
        token = named.get("X-Amz-Security-Token")
    else:
        header = call.headers.get("authorization", "")
        parts = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", header))
        if len(parts) != 3:
            raise _missing(call)
        credential, given = parts["Credential"], parts["Signature"]
        signed, stamp, life = (
            parts["SignedHeaders"].split(";"),
            call.headers.get("x-amz-date", ""),
            None,
        )
        digest = call.headers.get("x-amz-content-sha256") or hashlib.sha256(call.body).hexdigest()
        token = call.headers.get("x-amz-security-token")
    access_key, _, scope = credential.partition("/")
    identity = identities.get(access_key)
    if not identity or (identity.token or None) != (token or None):
        raise _unknown(call)
    _check_time(call, stamp, life, skew)
    request = "\n".join(
        [
            call.method,
            _canonical_path(call.path),
            _canonical_query(query),
            *(f"{name}:{' '.join(call.headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            digest,
        ]
    )
    if "host" not in signed or _sign(identity.secret, stamp, scope, request) != given:
        raise _mismatch(call)
    return identity


def _life(named):
    value = named.get("X-Amz-Expires", "")
    return int(value) if value.isdigit() else 0


def _canonical_path(path):
    # As the SDKs sign for every service but S3: what is in the request is encoded once more.
    return urllib.parse.quote(path, safe="/-_.~") or "/"


def _canonical_query(pairs):
    def quote(text):
        return urllib.parse.quote(text, safe="-_.~")

    return "&".join(
        f"{name}={value}" for name, value in sorted((quote(k), quote(v)) for k, v in pairs)
    )


def _sign(secret, stamp, scope, request):
    text = "\n".join(
        ["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()]
    )
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _check_time(call, stamp, life, skew):
    try:
        begin = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise _missing(call) from None
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=skew)
    age = (now - begin).total_seconds()
    if -SKEW <= age <= (SKEW if life is None else min(life, 604800)):
        return
    if call.protocol == "ec2":
        raise Refused("RequestExpired", "Request has expired.", 400)
    code = "InvalidSignatureException" if call.protocol in ("json", "rest") else "SignatureDoesNotMatch"
    late = "expired" if age > 0 else "not yet current"
    raise Refused(code, f"Signature {late}: {stamp} (now {now:%Y%m%dT%H%M%SZ})", 403)


def _missing(call):
    if call.protocol == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "MissingAuthenticationToken"
    return Refused(
        code if call.protocol == "query" else code + "Exception", "Missing Authentication Token", 403
    )


def _unknown(call):
    if call.protocol == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "InvalidClientTokenId" if call.protocol == "query" else "UnrecognizedClientException"
    return Refused(code, "The security token included in the request is invalid.", 403)


def _mismatch(call):
    if call.protocol == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "InvalidSignatureException" if call.protocol in ("json", "rest") else "SignatureDoesNotMatch"
    return Refused(
        code,
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        403,
    )
