"""Access entries, and the policies they are associated with."""

from .. import emulator
from .state import in_use, invalid, not_found, now, page, random_id

POLICIES = [
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
    "AmazonEKSAutoNodePolicy",
]
POLICY = "arn:aws:eks::aws:cluster-access-policy/"


def first_entries(eks, cluster):
    """Those that are there before anybody makes one: the creator's, and the node role's of Auto Mode."""
    shown = cluster.shown
    if shown["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        return
    if shown["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]:
        _add(eks, cluster, {"principalArn": cluster.creator}, ["AmazonEKSClusterAdminPolicy"])
    node_role = shown["computeConfig"].get("nodeRoleArn")
    if node_role:
        _add(eks, cluster, {"principalArn": node_role, "type": "EC2"}, ["AmazonEKSAutoNodePolicy"])


def _add(eks, cluster, params, policies):
    arn = params["principalArn"]
    name = arn.split(":")[-1]
    entry = {
        "clusterName": cluster.name,
        "principalArn": arn,
        "kubernetesGroups": params.get("kubernetesGroups") or [],
        "accessEntryArn": eks.arn(
            "access-entry", f"{cluster.name}/{name.split('/')[0]}/{eks.account_id}/{name.split('/')[-1]}/{random_id(8)}"
        ),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(params.get("tags") or {}),
        "username": params.get("username") or arn,
        "type": params.get("type") or "STANDARD",
        "_policies": {},
        "_token": params.get("clientRequestToken"),
    }
    for policy in policies:
        entry["_policies"][POLICY + policy] = _association(POLICY + policy, {"type": "cluster"})
    cluster.entries[arn] = entry
    return entry


def _association(policy, scope):
    scope = {"type": scope.get("type", "cluster"), "namespaces": scope.get("namespaces") or []}
    return {"policyArn": policy, "accessScope": scope, "associatedAt": now(), "modifiedAt": now()}


def _shown(entry):
    return {key: value for key, value in entry.items() if not key.startswith("_")}


def _entry(eks, params):
    cluster = eks.cluster(params["name"])
    entry = cluster.entries.get(params["principalArn"])
    if not entry:
        raise not_found(
            f"The specified principalArn could not be found. You can view your available access entries with "
            f"'list-access-entries'. ({params['principalArn']})",
            clusterName=cluster.name,
        )
    return entry


def create(eks, call, params):
    cluster = eks.cluster(params["name"])
    if cluster.shown["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise invalid("The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP]")
    existing, token = cluster.entries.get(params["principalArn"]), params.get("clientRequestToken")
    if existing:
        if token and existing["_token"] == token:
            return {"accessEntry": _shown(existing)}
        raise in_use(
            "The specified access entry resource is already in use on this cluster.", clusterName=cluster.name
        )
    if not _principal_exists(eks.account_id, params["principalArn"]):
        raise invalid("The specified principalArn is invalid: invalid principal.")
    if params.get("type", "STANDARD") != "STANDARD" and params.get("kubernetesGroups"):
        raise invalid("kubernetesGroups can only be set for entries of type STANDARD")
    return {"accessEntry": _shown(_add(eks, cluster, params, []))}


def _principal_exists(account, arn):
    if ":role/" in arn:
        return emulator.role(account, arn) is not None
    return arn.startswith(f"arn:aws:iam::{account}:user/")


def describe(eks, call, params):
    return {"accessEntry": _shown(_entry(eks, params))}


def listed(eks, call, params):
    cluster = eks.cluster(params["name"])
    policy = params.get("associatedPolicyArn")
    arns = [arn for arn, entry in cluster.entries.items() if not policy or policy in entry["_policies"]]
    return page(params, arns, "accessEntries")


def delete(eks, call, params):
    _entry(eks, params)
    del eks.cluster(params["name"]).entries[params["principalArn"]]
    return {}


def associate(eks, call, params):
    entry = _entry(eks, params)
    policy = params.get("policyArn", "")
    if not policy.startswith(POLICY) or policy.removeprefix(POLICY) not in POLICIES:
        raise invalid("The policyArn parameter format is not valid")
    entry["_policies"][policy] = _association(policy, params.get("accessScope") or {})
    return {
        "clusterName": params["name"],
        "principalArn": params["principalArn"],
        "associatedAccessPolicy": entry["_policies"][policy],
    }


def disassociate(eks, call, params):
    if not _entry(eks, params)["_policies"].pop(params["policyArn"], None):
        raise not_found("The specified policy is not associated with the access entry.")
    return {}


def associated(eks, call, params):
    entry = _entry(eks, params)
    answer = page(params, list(entry["_policies"].values()), "associatedAccessPolicies")
    return answer | {"clusterName": params["name"], "principalArn": params["principalArn"]}


def policies(eks, call, params):
    return page(params, [{"name": name, "arn": POLICY + name} for name in POLICIES], "accessPolicies")


def authenticator(eks, name):
    """The configuration with which aws-iam-authenticator lets in whom this cluster's access entries make an admin."""
    users, roles = [], []
    for arn, entry in eks.cluster(name).entries.items():
        admin = POLICY + "AmazonEKSClusterAdminPolicy" in entry["_policies"]
        groups = entry["kubernetesGroups"] + (["system:masters"] if admin else [])
        if entry["type"] != "STANDARD":
            continue
        if ":role/" in arn:
            roles.append({"rolearn": arn, "username": entry["username"], "groups": groups})
        else:
            users.append({"userarn": arn, "username": entry["username"], "groups": groups})
    return {"clusterID": name, "server": {"mapUsers": users, "mapRoles": roles}}
