"""STS, and what IAM's emulator leaves out."""

import json

from . import emulator
from .reply import Refused, answer, xml


def sts(world, call):
    if call.action != "GetCallerIdentity":
        return emulator.forward(call)
    who = call.identity
    if "json" in call.headers.get("accept", ""):
        body = {
            "GetCallerIdentityResponse": {
                "GetCallerIdentityResult": {"Account": who.account, "Arn": who.arn, "UserId": who.user_id},
                "ResponseMetadata": {"RequestId": call.request_id},
            }
        }
        return answer(call, body)
    return xml(
        call,
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{who.arn}</Arn><UserId>{who.user_id}</UserId><Account>{who.account}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{call.request_id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
    )


def iam(world, call):
    if call.action == "SimulatePrincipalPolicy":
        return _simulate(world, call)
    if call.action in ("CreateRole", "UpdateAssumeRolePolicy"):
        _check_trust(call)
    if call.action == "CreateServiceLinkedRole":
        service = call.params.get("AWSServiceName", "")
        if _linked(call.account, service):
            raise Refused("InvalidInput", f"Service role name of {service} has been taken in this account")
    return emulator.forward(call)


def _linked(account, service):
    path = f"/aws-service-role/{service}/"
    return any(role.path == path for role in emulator.iam(account).roles.values())


def service_linked_role(world, call, service):
    """What a service makes for itself when it is first used, with the rights of whoever uses it."""
    if _linked(call.account, service):
        return
    if world.denies("iam:CreateServiceLinkedRole"):
        raise Refused(
            "AccessDeniedException" if call.protocol == "rest" else "AccessDenied",
            f"User: {call.identity.arn} is not authorized to perform: iam:CreateServiceLinkedRole on resource: "
            f"arn:aws:iam::{call.account}:role/aws-service-role/{service}/*",
            403,
        )
    emulator.iam(call.account).create_service_linked_role(service, "", "")


def _check_trust(call):
    document = call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument", "")
    try:
        statements = json.loads(document)["Statement"]
        statements = statements if isinstance(statements, list) else [statements]
        good = all(item["Effect"] and item["Principal"] and item["Action"] for item in statements)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise Refused("MalformedPolicyDocument", "This policy contains invalid Json or is missing required elements")


def _simulate(world, call):
    results = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{'implicitDeny' if world.denies(action) else 'allowed'}</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
        for action in call.flat("ActionNames")
    )
    return xml(
        call,
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult>"
        f"<ResponseMetadata><RequestId>{call.request_id}</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>",
    )
