"""Clusters: create, describe, list, delete, with what EKS makes for one in the account and leaves behind."""

import copy

from .. import automode, emulator, identity
from . import access, checks
from .state import Cluster, Refused, in_use, invalid, now, page, random_id

ECHOED = ("encryptionConfig", "zonalShiftConfig", "storageConfig", "remoteNetworkConfig", "controlPlaneScalingConfig")


def create(eks, call, params):
    checks.name(params)
    name, token = params["name"], params.get("clientRequestToken")
    existing = eks.clusters.get(name)
    if existing:
        if token and existing.token == token:
            if existing.request != params:
                raise invalid("The clientRequestToken was used with other parameters", clusterName=name)
            return {"cluster": existing.shown}
        raise in_use(f"Cluster already exists with name: {name}", clusterName=name)
    world, settings = eks.world, eks.world.settings
    version = checks.version(params, settings["versions"])
    auto = checks.auto_mode(eks.account_id, params)
    checks.bootstrap(params, auto)
    checks.cluster_role(eks.account_id, params.get("roleArn"), auto)
    ec2 = emulator.ec2(eks.account_id, eks.region)
    subnets = checks.subnets(ec2, params.get("resourcesVpcConfig", {}), name)
    if len(eks.clusters) >= world.quota("L-1194D53C"):
        raise Refused("ResourceLimitExceededException", "Cluster limit exceeded for account.", 400)
    world.roles_must_have_spread(eks.account_id, [params["roleArn"], params.get("computeConfig", {}).get("nodeRoleArn")])
    identity.service_linked_role(world, call, "eks.amazonaws.com")
    group = ec2.create_security_group(
        f"eks-cluster-sg-{name}-{random_id(10)}",
        "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        vpc_id=subnets[0].vpc_id,
        tags={"aws:eks:cluster-name": name, f"kubernetes.io/cluster/{name}": "owned"},
    )
    automode.allow_all_from(ec2, group, group)
    shown = _shown(eks, params, version, auto, group)
    cluster = Cluster(shown, token, copy.deepcopy(params), call.identity.arn)
    for subnet in subnets[:2]:
        eni = ec2.create_network_interface(
            subnet, "", group_ids=[group.id], description=f"Amazon EKS {name}"
        )
        eni.status, eni.requester_managed = "in-use", True
        cluster.interfaces.append(eni.id)
    eks.clusters[name] = cluster
    access.first_entries(eks, cluster)
    world.clock.after(settings["cluster_create"], lambda: _created(eks, cluster))
    return {"cluster": shown}


def _shown(eks, params, version, auto, group):
    name, given = params["name"], params.get("resourcesVpcConfig", {})
    network = params.get("kubernetesNetworkConfig", {})
    mode = params.get("accessConfig", {})
    shown = {
        "name": name,
        "arn": eks.arn("cluster", name),
        "createdAt": now(),
        "version": version,
        "platformVersion": "eks.1",
        "roleArn": params["roleArn"],
        "status": "CREATING",
        "resourcesVpcConfig": {
            "subnetIds": given.get("subnetIds", []),
            "securityGroupIds": given.get("securityGroupIds", []),
            "clusterSecurityGroupId": group.id,
            "vpcId": group.vpc_id,
            "endpointPublicAccess": given.get("endpointPublicAccess", True),
            "endpointPrivateAccess": given.get("endpointPrivateAccess", False),
            "publicAccessCidrs": given.get("publicAccessCidrs") or ["0.0.0.0/0"],
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": network.get("serviceIpv4Cidr", "172.20.0.0/16"),
            "ipFamily": network.get("ipFamily", "ipv4"),
            "elasticLoadBalancing": {"enabled": bool(auto)},
        },
        "logging": logging(params.get("logging", {})),
        "certificateAuthority": {},
        "clientRequestToken": params.get("clientRequestToken"),
        "tags": dict(params.get("tags") or {}),
        "health": {"issues": []},
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": mode.get("bootstrapClusterCreatorAdminPermissions", True),
            "authenticationMode": mode.get("authenticationMode", "CONFIG_MAP"),
        },
        "upgradePolicy": {"supportType": params.get("upgradePolicy", {}).get("supportType", "EXTENDED")},
        "computeConfig": {"enabled": False} | params.get("computeConfig", {}),
        "deletionProtection": params.get("deletionProtection", False),
    }
    return shown | {key: params[key] for key in ECHOED if key in params}


LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def logging(given):
    """Every type is named once, under what is enabled or under what is not."""
    enabled = {
        kind
        for setup in given.get("clusterLogging", [])
        if setup.get("enabled")
        for kind in setup.get("types", [])
    }
    setups = [
        {"types": [kind for kind in LOG_TYPES if (kind in enabled) is state], "enabled": state}
        for state in (True, False)
    ]
    return {"clusterLogging": [setup for setup in setups if setup["types"]]}


def logs(cluster):
    return any(setup["enabled"] for setup in cluster.shown["logging"]["clusterLogging"])


def log_group(eks, name):
    """Where control planes write; EKS's service-linked role makes it when it is not there."""
    group, backend = f"/aws/eks/{name}/cluster", emulator.logs(eks.account_id, eks.region)
    if group not in backend.groups:
        backend.create_log_group(group, {})


def _failed(cluster, code, message):
    issue = {"code": code, "message": message, "resourceIds": [cluster.name]}
    cluster.shown |= {"status": "FAILED", "health": {"issues": [issue]}}


def _created(eks, cluster):
    failure = eks.world.take_setting("create_fails")
    if failure:
        return _failed(cluster, "InternalFailure", failure)
    shown, settings = cluster.shown, eks.world.settings
    shown["status"] = "ACTIVE"
    shown["identity"] = {
        "oidc": {"issuer": f"https://oidc.eks.{eks.region}.amazonaws.com/id/{random_id(32).upper()}"}
    }
    if logs(cluster):
        log_group(eks, cluster.name)
    instance_profile(eks, cluster)
    if not settings["api_endpoint"]:
        shown["endpoint"] = f"https://{random_id(32).upper()}.gr7.{eks.region}.eks.amazonaws.com"


def instance_profile(eks, cluster):
    """Auto Mode's own, which outlives the cluster."""
    role_arn = cluster.shown["computeConfig"].get("nodeRoleArn")
    if not role_arn or cluster.profile:
        return
    role = emulator.role(eks.account_id, role_arn)
    cluster.profile = f"eks-{eks.region}-{cluster.name}-{random_id(19)}"
    emulator.iam(eks.account_id).create_instance_profile(cluster.profile, "/", [role.name])


def describe(eks, call, params):
    cluster = eks.cluster(params["name"])
    shown, settings = dict(cluster.shown), eks.world.settings
    if shown["status"] in ("CREATING", "FAILED"):
        return {"cluster": shown}
    if settings["api_endpoint"]:
        shown["endpoint"] = settings["api_endpoint"]
    shown["certificateAuthority"] = {"data": settings["api_ca"]}
    return {"cluster": shown}


def listed(eks, call, params):
    return page(params, sorted(eks.clusters), "clusters")


def delete(eks, call, params):
    cluster, world = eks.cluster(params["name"]), eks.world
    shown = cluster.shown
    if shown["deletionProtection"]:
        raise Refused(
            "InvalidRequestException",
            f"The cluster {cluster.name} cannot be deleted because deletion protection is enabled",
            400,
            {"clusterName": cluster.name},
        )
    if shown["status"] == "DELETING":
        return {"cluster": shown}
    if shown["status"] == "CREATING" or cluster.busy:
        what = "a creation" if shown["status"] == "CREATING" else "an update"
        raise in_use(
            f"Cannot delete because cluster {cluster.name} currently has {what} in progress",
            clusterName=cluster.name,
        )
    shown["status"] = "DELETING"
    cluster.nodes_at_delete = bool(automode.nodes(eks, cluster.name))
    if not world.settings["nodes_survive"]:
        world.clock.after(world.settings["node_gone"], lambda: automode.drain(eks, cluster))
    world.clock.after(world.settings["cluster_delete"], lambda: _deleted(eks, cluster))
    return {"cluster": shown}


def _deleted(eks, cluster):
    world, ec2 = eks.world, emulator.ec2(eks.account_id, eks.region)
    failure = world.take_setting("delete_fails")
    if failure:
        return _failed(cluster, "InternalFailure", failure)
    role = cluster.shown["roleArn"]
    if not emulator.role(eks.account_id, role):
        message = f"Role with arn: {role}, could not be assumed because it does not exist or the trusted entity is not correct"
        return _failed(cluster, "IamRoleNotFound", message)
    for eni in cluster.interfaces:
        ec2.enis.pop(eni, None)
    group = cluster.shown["resourcesVpcConfig"]["clusterSecurityGroupId"]
    if not cluster.nodes_at_delete and not automode.group_is_used(eks, group):
        if ec2.get_security_group_from_id(group):
            ec2.delete_security_group(group_id=group)
    if cluster.profile and not world.settings["leave_instance_profile"]:
        emulator.iam(eks.account_id).delete_instance_profile(cluster.profile, ignore_attached_roles=True)
    eks.clusters.pop(cluster.name, None)
    if logs(cluster):
        eks.late_lines.add(cluster.name)
