"""EKS speaks REST: which action a method and a path mean, and the parameters in them."""

import re
import urllib.parse

_CLUSTER = r"/clusters/(?P<name>[^/]+)"
_ENTRY = _CLUSTER + r"/access-entries/(?P<principalArn>[^/]+)"
_ROUTES = [
    ("POST", r"/clusters", "CreateCluster"),
    ("GET", r"/clusters", "ListClusters"),
    ("GET", _CLUSTER, "DescribeCluster"),
    ("DELETE", _CLUSTER, "DeleteCluster"),
    ("POST", _CLUSTER + "/update-config", "UpdateClusterConfig"),
    ("POST", _CLUSTER + "/updates", "UpdateClusterVersion"),
    ("GET", _CLUSTER + "/updates", "ListUpdates"),
    ("GET", _CLUSTER + r"/updates/(?P<updateId>[^/]+)", "DescribeUpdate"),
    ("POST", _CLUSTER + "/access-entries", "CreateAccessEntry"),
    ("GET", _CLUSTER + "/access-entries", "ListAccessEntries"),
    ("GET", _ENTRY, "DescribeAccessEntry"),
    ("DELETE", _ENTRY, "DeleteAccessEntry"),
    ("POST", _ENTRY + "/access-policies", "AssociateAccessPolicy"),
    ("GET", _ENTRY + "/access-policies", "ListAssociatedAccessPolicies"),
    ("DELETE", _ENTRY + r"/access-policies/(?P<policyArn>[^/]+)", "DisassociateAccessPolicy"),
    ("POST", _CLUSTER + "/pod-identity-associations", "CreatePodIdentityAssociation"),
    ("GET", _CLUSTER + "/pod-identity-associations", "ListPodIdentityAssociations"),
    (
        "GET",
        _CLUSTER + r"/pod-identity-associations/(?P<associationId>[^/]+)",
        "DescribePodIdentityAssociation",
    ),
    (
        "POST",
        _CLUSTER + r"/pod-identity-associations/(?P<associationId>[^/]+)",
        "UpdatePodIdentityAssociation",
    ),
    (
        "DELETE",
        _CLUSTER + r"/pod-identity-associations/(?P<associationId>[^/]+)",
        "DeletePodIdentityAssociation",
    ),
    ("POST", _CLUSTER + "/addons", "CreateAddon"),
    ("GET", _CLUSTER + "/addons", "ListAddons"),
    ("GET", _CLUSTER + r"/addons/(?P<addonName>[^/]+)", "DescribeAddon"),
    ("DELETE", _CLUSTER + r"/addons/(?P<addonName>[^/]+)", "DeleteAddon"),
    ("GET", _CLUSTER + "/node-groups", "ListNodegroups"),
    ("GET", _CLUSTER + "/fargate-profiles", "ListFargateProfiles"),
    ("GET", r"/addons/supported-versions", "DescribeAddonVersions"),
    ("GET", r"/cluster-versions", "DescribeClusterVersions"),
    ("GET", r"/access-policies", "ListAccessPolicies"),
    ("GET", r"/tags/(?P<resourceArn>.+)", "ListTagsForResource"),
    ("POST", r"/tags/(?P<resourceArn>.+)", "TagResource"),
    ("DELETE", r"/tags/(?P<resourceArn>.+)", "UntagResource"),
]
_LISTS = {"clusterVersions", "tagKeys", "include", "types", "publishers", "owners"}
ROUTES = [(method, re.compile(pattern), action) for method, pattern, action in _ROUTES]


def match(method, path, query, body):
    """The action, and its parameters out of path, query and body; ("", {}) for a path that EKS does not have."""
    for wanted, pattern, action in ROUTES:
        found = pattern.fullmatch(path)
        if found and method == wanted:
            params = dict(body)
            for key, value in urllib.parse.parse_qsl(query):
                if key in _LISTS:
                    params.setdefault(key, []).append(value)
                else:
                    params[key] = value
            params |= {key: urllib.parse.unquote(value) for key, value in found.groupdict().items()}
            return action, params
    return "", {}
