"""Updates of a cluster: one at a time, each with an id that can be asked."""

import copy
import json
import uuid

from .. import automode
from . import checks
from .clusters import instance_profile, logging
from .state import in_use, invalid, not_found, now, page

SIMPLE = {
    "accessConfig": "AccessConfigUpdate",
    "upgradePolicy": "UpgradePolicyUpdate",
    "zonalShiftConfig": "ZonalShiftConfigUpdate",
}


def config(eks, call, params):
    cluster = eks.cluster(params["name"])
    auto = any(
        block is not None
        for block in (
            params.get("computeConfig"),
            params.get("storageConfig"),
            params.get("kubernetesNetworkConfig", {}).get("elasticLoadBalancing"),
        )
    )
    kinds = ["AutoModeUpdate"] if auto else []
    kinds += ["LoggingUpdate"] if "logging" in params else []
    kinds += ["EndpointAccessUpdate"] if "resourcesVpcConfig" in params else []
    kinds += ["DeletionProtectionUpdate"] if "deletionProtection" in params else []
    kinds += [kind for key, kind in SIMPLE.items() if key in params]
    if len(kinds) != 1:
        raise invalid("Only one type of update can be allowed.", clusterName=cluster.name)
    replayed = _replayed(cluster, params)
    if replayed:
        return {"update": replayed}
    _must_be_free(cluster)
    changed = copy.deepcopy(cluster.shown)
    if auto:
        enabled = checks.auto_mode(eks.account_id, params)
        changed["computeConfig"] = {"enabled": enabled, **params["computeConfig"]}
        changed["computeConfig"].setdefault("nodePools", [])
        changed["storageConfig"] = params["storageConfig"]
        changed["kubernetesNetworkConfig"]["elasticLoadBalancing"] = {"enabled": enabled}
    if "logging" in params:
        changed["logging"] = logging(params["logging"])
    if "resourcesVpcConfig" in params:
        changed["resourcesVpcConfig"] |= params["resourcesVpcConfig"]
    if "deletionProtection" in params:
        changed["deletionProtection"] = params["deletionProtection"]
    for key in SIMPLE:
        if key in params:
            changed[key] = {**changed.get(key, {}), **params[key]}
    if changed == cluster.shown:
        raise invalid("No changes needed for the given cluster configuration", clusterName=cluster.name)
    return {"update": _begin(eks, cluster, kinds[0], params, changed)}


def version(eks, call, params):
    cluster = eks.cluster(params["name"])
    wanted = checks.version(params, eks.world.settings["versions"])
    replayed = _replayed(cluster, params)
    if replayed:
        return {"update": replayed}
    _must_be_free(cluster)
    if int(wanted.split(".")[1]) != int(cluster.shown["version"].split(".")[1]) + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {cluster.shown['version']} to {wanted}")
    changed = copy.deepcopy(cluster.shown) | {"version": wanted}
    return {"update": _begin(eks, cluster, "VersionUpdate", params, changed)}


def _replayed(cluster, params):
    token = params.get("clientRequestToken")
    for update in cluster.updates.values():
        if token and update["token"] == token:
            return _shown(update)
    return None


def _must_be_free(cluster):
    if cluster.status != "ACTIVE" or cluster.busy:
        raise in_use(
            f"Cannot update because cluster {cluster.name} currently has an update in progress"
            if cluster.busy
            else f"Cannot update because cluster {cluster.name} is {cluster.status}",
            clusterName=cluster.name,
        )


def _begin(eks, cluster, kind, params, changed):
    skipped = ("name", "clientRequestToken")
    update = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [
            {"type": key[:1].upper() + key[1:], "value": json.dumps(value)}
            for key, value in params.items()
            if key not in skipped
        ],
        "createdAt": now(),
        "errors": [],
        "token": params.get("clientRequestToken"),
    }
    cluster.updates[update["id"]] = update
    cluster.shown["status"] = "UPDATING"
    eks.world.clock.after(
        eks.world.settings["cluster_update"], lambda: _done(eks, cluster, update, changed)
    )
    return _shown(update)


def _done(eks, cluster, update, changed):
    failure = eks.world.take_setting("update_fails")
    if failure:
        update["status"] = "Failed"
        update["errors"] = [{"errorCode": "Unknown", "errorMessage": failure, "resourceIds": []}]
        cluster.shown["status"] = "ACTIVE"
        return
    update["status"] = "Successful"
    before = cluster.shown["computeConfig"].get("nodePools") or []
    # What was tagged meanwhile stays.
    cluster.shown.update({**changed, "tags": cluster.shown["tags"], "status": "ACTIVE"})
    instance_profile(eks, cluster)
    gone = set(before) - set(cluster.shown["computeConfig"].get("nodePools") or [])
    if gone:
        eks.world.clock.after(
            eks.world.settings["node_gone"],
            lambda: [automode.drain(eks, cluster, pool) for pool in gone],
        )


def _shown(update):
    return {key: value for key, value in update.items() if key != "token"}


def describe(eks, call, params):
    update = eks.cluster(params["name"]).updates.get(params["updateId"])
    if not update:
        raise not_found(f"No update found for ID: {params['updateId']}", clusterName=params["name"])
    return {"update": _shown(update)}


def listed(eks, call, params):
    return page(params, list(eks.cluster(params["name"]).updates), "updateIds")
