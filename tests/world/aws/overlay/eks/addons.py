"""Add-ons, which stay CREATING until there is a node to run on."""

from .. import automode
from .state import in_use, invalid, not_found, now, page, random_id

KNOWN = {
    "metrics-server": "v0.8.0-eksbuild.2",
    "vpc-cni": "v1.20.4-eksbuild.1",
    "coredns": "v1.13.1-eksbuild.1",
    "kube-proxy": "v1.36.0-eksbuild.2",
    "aws-ebs-csi-driver": "v1.54.0-eksbuild.1",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.1",
    "amazon-cloudwatch-observability": "v4.7.0-eksbuild.1",
}


def create(eks, call, params):
    cluster, name = eks.cluster(params["name"]), params.get("addonName")
    existing, token = cluster.addons.get(name), params.get("clientRequestToken")
    if existing:
        if token and existing["_token"] == token:
            return {"addon": _shown(eks, cluster, existing)}
        raise in_use("Addon already exists.", clusterName=cluster.name, addonName=name)
    if name not in KNOWN:
        raise invalid(f"Addon {name} specified is not supported", clusterName=cluster.name)
    if params.get("addonVersion", KNOWN[name]) != KNOWN[name]:
        raise invalid(f"Addon version specified is not supported: {params['addonVersion']}")
    if cluster.status not in ("ACTIVE", "UPDATING"):
        raise in_use(f"The cluster {cluster.name} is {cluster.status}", clusterName=cluster.name)
    addon = {
        "addonName": name,
        "clusterName": cluster.name,
        "addonVersion": KNOWN[name],
        "addonArn": eks.arn("addon", f"{cluster.name}/{name}/{random_id(32)}"),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(params.get("tags") or {}),
        "health": {"issues": []},
        "_token": token,
        "_ready": eks.world.clock.now + eks.world.settings["addon_create"],
        "_deleting": False,
    }
    cluster.addons[name] = addon
    return {"addon": _shown(eks, cluster, addon)}


def _shown(eks, cluster, addon):
    ready = eks.world.clock.now >= addon["_ready"] and automode.nodes(eks, cluster.name)
    status = "DELETING" if addon["_deleting"] else "ACTIVE" if ready else "CREATING"
    return {key: value for key, value in addon.items() if not key.startswith("_")} | {"status": status}


def _addon(eks, params):
    cluster = eks.cluster(params["name"])
    addon = cluster.addons.get(params["addonName"])
    if not addon:
        raise not_found(
            f"No addon: {params['addonName']} found in cluster: {cluster.name}",
            clusterName=cluster.name,
            addonName=params["addonName"],
        )
    return cluster, addon


def describe(eks, call, params):
    return {"addon": _shown(eks, *_addon(eks, params))}


def listed(eks, call, params):
    return page(params, sorted(eks.cluster(params["name"]).addons), "addons")


def delete(eks, call, params):
    cluster, addon = _addon(eks, params)
    addon["_deleting"] = True
    eks.world.clock.after(
        eks.world.settings["addon_create"], lambda: cluster.addons.pop(addon["addonName"], None)
    )
    return {"addon": _shown(eks, cluster, addon)}


def versions(eks, call, params):
    wanted = params.get("addonName")
    kubernetes = params.get("kubernetesVersion")
    clusters = [kubernetes] if kubernetes else [item["clusterVersion"] for item in eks.world.settings["versions"]]
    found = [
        {
            "addonName": name,
            "type": "observability" if "cloudwatch" in name or name == "metrics-server" else "networking",
            "owner": "community" if name == "metrics-server" else "aws",
            "publisher": "eks",
            "addonVersions": [
                {
                    "addonVersion": version,
                    "architecture": ["amd64", "arm64"],
                    "computeTypes": ["ec2", "auto"],
                    "compatibilities": [
                        {"clusterVersion": item, "platformVersions": ["*"], "defaultVersion": True} for item in clusters
                    ],
                }
            ],
        }
        for name, version in KNOWN.items()
        if wanted in (None, name)
    ]
    return page(params, found, "addons")
