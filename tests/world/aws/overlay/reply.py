"""Answers and refusals, in the form that each of AWS's protocols gives them."""

import base64
import json
import zlib
from dataclasses import dataclass, field
from xml.sax.saxutils import escape


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes
    code: str = None
    cut: bool = False


@dataclass
class Refused(Exception):
    """What AWS says no with; `more` are further fields of the JSON."""

    code: str
    message: str
    status: int = 400
    more: dict = field(default_factory=dict)


def answer(call, value, status=200):
    """A JSON answer, of EKS and of the services that are asked by X-Amz-Target."""
    kind = "application/json" if call.protocol == "rest" else "application/x-amz-json-1.1"
    headers = {"Content-Type": kind, "x-amzn-RequestId": call.request_id}
    return Reply(status, headers, json.dumps(value, default=str).encode())


def xml(call, body):
    return Reply(
        200, {"Content-Type": "text/xml", "x-amzn-RequestId": call.request_id}, body.encode()
    )


def refusal(call, refused):
    code, message, number = refused.code, refused.message, call.request_id
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": number}
    if call.protocol == "ec2":
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
            f"<Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
            f"<RequestID>{number}</RequestID></Response>"
        )
    elif call.protocol == "query":
        sender = "Sender" if refused.status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{sender}</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{number}</RequestId></ErrorResponse>"
        )
    else:
        kind = "application/json" if call.protocol == "rest" else "application/x-amz-json-1.1"
        headers = {"Content-Type": kind, "x-amzn-ErrorType": code, "x-amzn-RequestId": number}
        body = {"message": message} | refused.more
        if call.protocol != "rest":
            body = {"__type": code} | body
        text = json.dumps(body)
    return Reply(refused.status, headers, text.encode(), code=code)


THROTTLED = {
    "ec2": ("RequestLimitExceeded", 503, "Request limit exceeded."),
    "query": ("Throttling", 400, "Rate exceeded"),
    "rest": ("ThrottlingException", 429, "Rate exceeded"),
    "json": ("ThrottlingException", 400, "Rate exceeded"),
}
BROKEN = {
    "ec2": ("InternalError", "An internal error has occurred"),
    "query": ("InternalFailure", "The request processing has failed because of an unknown error."),
    "rest": ("ServerException", "Internal server error"),
    "json": ("InternalServerError", "Internal server error"),
}
EXPIRED = {
    "ec2": ("RequestExpired", 400, "Request has expired."),
    "query": ("ExpiredToken", 403, "The security token included in the request is expired"),
    "rest": (
        "ExpiredTokenException",
        403,
        "The security token included in the request is expired",
    ),
    "json": (
        "ExpiredTokenException",
        400,
        "The security token included in the request is expired",
    ),
}


def throttled(call):
    code, status, message = THROTTLED[call.protocol]
    return Refused(code, message, status)


def broken(call):
    code, message = BROKEN[call.protocol]
    return Refused(code, message, 500)


def expired(call):
    code, status, message = EXPIRED[call.protocol]
    return Refused(code, message, status)


def denied(call):
    service = call.service
    who = call.identity.arn if call.identity else "(unknown)"
    reason = f"because no identity-based policy allows the {service}:{call.action} action"
    if call.protocol == "ec2":
        encoded = base64.urlsafe_b64encode(zlib.compress(f"{who} {call.action}".encode() * 9))
        return Refused(
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. User: {who} is not authorized to perform: "
            f"{service}:{call.action} {reason}. Encoded authorization failure message: {encoded.decode()}",
            403,
        )
    code = "AccessDenied" if call.protocol == "query" else "AccessDeniedException"
    status = 400 if call.protocol == "json" else 403
    return Refused(
        code, f"User: {who} is not authorized to perform: {service}:{call.action} {reason}", status
    )
