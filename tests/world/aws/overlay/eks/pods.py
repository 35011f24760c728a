"""Pod Identity: which role the pods of a service account get."""

from .. import emulator
from . import checks
from .state import Refused, in_use, invalid, not_found, now, page, random_id


def create(eks, call, params):
    cluster, token = eks.cluster(params["name"]), params.get("clientRequestToken")
    if cluster.status not in ("ACTIVE", "UPDATING"):
        raise Refused(
            "InvalidRequestException", f"The cluster {cluster.name} is {cluster.status}", 400
        )
    namespace, account = params.get("namespace"), params.get("serviceAccount")
    for item in cluster.associations.values():
        if token and item["_token"] == token:
            return {"association": _shown(item)}
        if (item["namespace"], item["serviceAccount"]) == (namespace, account):
            raise in_use(
                f"Association already exists: {item['associationId']}", clusterName=cluster.name
            )
    _check_role(eks, params.get("roleArn"))
    number = "a-" + random_id(17)
    item = {
        "clusterName": cluster.name,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": params["roleArn"],
        "associationArn": eks.arn("podidentityassociation", f"{cluster.name}/{number}"),
        "associationId": number,
        "tags": dict(params.get("tags") or {}),
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": params.get("disableSessionTags", False),
        "_token": token,
    }
    cluster.associations[number] = item
    return {"association": _shown(item)}


def _check_role(eks, arn):
    role = emulator.role(eks.account_id, arn)
    if not role:
        raise invalid("Role provided in the request does not exist.")
    if not checks.trusts(role, "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"):
        raise invalid(f"Trust policy of role {arn} does not allow pods.eks.amazonaws.com to assume it.")


def _shown(item):
    return {key: value for key, value in item.items() if not key.startswith("_")}


def _item(eks, params):
    item = eks.cluster(params["name"]).associations.get(params["associationId"])
    if not item:
        raise not_found(f"No association found with ID: {params['associationId']}")
    return item


def describe(eks, call, params):
    return {"association": _shown(_item(eks, params))}


def listed(eks, call, params):
    keys = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
    items = [
        {key: item[key] for key in keys}
        for item in eks.cluster(params["name"]).associations.values()
        if params.get("namespace") in (None, item["namespace"])
        and params.get("serviceAccount") in (None, item["serviceAccount"])
    ]
    return page(params, items, "associations")


def update(eks, call, params):
    item = _item(eks, params)
    if params.get("roleArn"):
        _check_role(eks, params["roleArn"])
        item["roleArn"] = params["roleArn"]
    item["modifiedAt"] = now()
    return {"association": _shown(item)}


def delete(eks, call, params):
    item = _item(eks, params)
    del eks.cluster(params["name"]).associations[params["associationId"]]
    return {"association": _shown(item)}
