"""EKS's actions by name, and tags, which are asked by ARN."""

from ..reply import Refused, answer
from . import access, addons, clusters, pods, updates, versions
from .state import not_found


def _tagged(eks, arn):
    kind, _, rest = arn.split(":")[-1].partition("/")
    cluster = eks.cluster(rest.split("/")[0])
    kinds = {
        "cluster": ("arn", [cluster.shown]),
        "access-entry": ("accessEntryArn", cluster.entries.values()),
        "podidentityassociation": ("associationArn", cluster.associations.values()),
        "addon": ("addonArn", cluster.addons.values()),
    }
    key, items = kinds.get(kind, ("", []))
    for item in items:
        if item[key] == arn:
            return item
    raise not_found(f"The specified resource could not be found: {arn}")


def _tag(eks, call, params):
    _tagged(eks, params["resourceArn"])["tags"].update(params.get("tags") or {})
    return {}


def _untag(eks, call, params):
    tags = _tagged(eks, params["resourceArn"])["tags"]
    for key in params.get("tagKeys", []):
        tags.pop(key, None)
    return {}


def _tags(eks, call, params):
    return {"tags": _tagged(eks, params["resourceArn"])["tags"]}


def _none(key):
    def listed(eks, call, params):
        eks.cluster(params["name"])
        return {key: []}

    return listed


ACTIONS = {
    "CreateCluster": clusters.create,
    "DescribeCluster": clusters.describe,
    "ListClusters": clusters.listed,
    "DeleteCluster": clusters.delete,
    "UpdateClusterConfig": updates.config,
    "UpdateClusterVersion": updates.version,
    "DescribeUpdate": updates.describe,
    "ListUpdates": updates.listed,
    "CreateAccessEntry": access.create,
    "DescribeAccessEntry": access.describe,
    "ListAccessEntries": access.listed,
    "DeleteAccessEntry": access.delete,
    "AssociateAccessPolicy": access.associate,
    "DisassociateAccessPolicy": access.disassociate,
    "ListAssociatedAccessPolicies": access.associated,
    "ListAccessPolicies": access.policies,
    "CreatePodIdentityAssociation": pods.create,
    "DescribePodIdentityAssociation": pods.describe,
    "ListPodIdentityAssociations": pods.listed,
    "UpdatePodIdentityAssociation": pods.update,
    "DeletePodIdentityAssociation": pods.delete,
    "CreateAddon": addons.create,
    "DescribeAddon": addons.describe,
    "ListAddons": addons.listed,
    "DeleteAddon": addons.delete,
    "DescribeAddonVersions": addons.versions,
    "DescribeClusterVersions": versions.listed,
    "ListNodegroups": _none("nodegroups"),
    "ListFargateProfiles": _none("fargateProfileNames"),
    "TagResource": _tag,
    "UntagResource": _untag,
    "ListTagsForResource": _tags,
}


def handle(world, call):
    action = ACTIONS.get(call.action)
    if not action:
        raise Refused("UnknownOperationException", f"EKS has no {call.method} {call.path}", 404)
    return answer(call, action(world.eks(call.account, call.region), call, call.params))
