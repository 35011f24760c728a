"""What CreateCluster and UpdateClusterConfig refuse before they begin."""

import json
import re

from .. import emulator
from .state import Refused, invalid

# Zones in which EKS has no control planes, by id.
NEVER = {"use1-az3", "usw1-az2", "cac1-az3"}
BLOCKS = (
    "For EKS Auto Mode, please ensure that all required configs, including computeConfig, "
    "kubernetesNetworkConfig, and blockStorage are all either fully enabled or fully disabled."
)


def name(params):
    if not re.fullmatch(r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}", params.get("name", "")):
        raise invalid("The cluster name can contain only alphanumeric characters, hyphens and underscores")


def version(params, versions):
    wanted = params.get("version")
    known = {item["clusterVersion"]: item for item in versions}
    if wanted is None:
        return next(item["clusterVersion"] for item in versions if item.get("defaultVersion"))
    if wanted not in known or known[wanted]["versionStatus"] == "UNSUPPORTED":
        raise invalid(f"unsupported Kubernetes version {wanted}")
    standard = params.get("upgradePolicy", {}).get("supportType") == "STANDARD"
    if standard and known[wanted]["versionStatus"] != "STANDARD_SUPPORT":
        raise invalid(
            f"Kubernetes version {wanted} is in extended support and the support type is STANDARD"
        )
    return wanted


def trusts(role, service, *actions):
    """Does the role's trust policy let the service do these actions?"""
    document = role.assume_role_policy_document
    try:
        document = json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return False
    statements = document.get("Statement", [])
    allowed = set()
    for statement in statements if isinstance(statements, list) else [statements]:
        services = statement.get("Principal", {}).get("Service", [])
        given = statement.get("Action", [])
        if statement.get("Effect") == "Allow" and service in _listed(services):
            allowed |= set(_listed(given))
    return set(actions) <= allowed


def _listed(value):
    return [value] if isinstance(value, str) else value


def cluster_role(account, arn, auto):
    role = emulator.role(account, arn)
    actions = ["sts:AssumeRole", "sts:TagSession"] if auto else ["sts:AssumeRole"]
    if not role or not trusts(role, "eks.amazonaws.com", *actions):
        raise invalid(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )
    return role


def auto_mode(account, params):
    """True when the three blocks enable Auto Mode, None when none of them is there."""
    compute = params.get("computeConfig")
    storage = params.get("storageConfig", {}).get("blockStorage")
    balancing = params.get("kubernetesNetworkConfig", {}).get("elasticLoadBalancing")
    blocks = [compute, storage, balancing]
    if all(block is None for block in blocks):
        return None
    answers = {None if block is None else bool(block.get("enabled")) for block in blocks}
    if len(answers) != 1:
        raise invalid(BLOCKS)
    node_role, pools = compute.get("nodeRoleArn"), compute.get("nodePools") or []
    if node_role and not pools:
        raise invalid(
            "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided."
        )
    if pools and not node_role:
        raise invalid(
            "When Compute Config nodePool is not null or empty, a nodeRoleArn must be provided."
        )
    if set(pools) - {"general-purpose", "system"}:
        raise invalid("Compute Config nodePools can be general-purpose and system")
    if node_role:
        role = emulator.role(account, node_role)
        if not role or not trusts(role, "ec2.amazonaws.com", "sts:AssumeRole"):
            raise invalid(f"The nodeRoleArn {node_role} does not exist or EC2 cannot assume it")
        if role.path != "/":
            raise invalid(f"The nodeRoleArn {node_role} has a path")
    return answers.pop()


def bootstrap(params, auto):
    if not auto:
        return
    if params.get("bootstrapSelfManagedAddons") is not False:
        raise invalid("When EKS Auto Mode is enabled, bootstrapSelfManagedAddons must be set to false")
    mode = params.get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP")
    if mode not in ("API", "API_AND_CONFIG_MAP"):
        raise invalid("When EKS Auto Mode is enabled, authenticationMode must be API or API_AND_CONFIG_MAP")


def subnets(ec2, config, cluster):
    """The subnets, which exist, are in one VPC and in two zones where EKS is."""
    wanted = config.get("subnetIds") or []
    known = {item.id: item for by_zone in ec2.subnets.values() for item in by_zone.values()}
    for item in wanted:
        if item not in known:
            raise invalid(f"The subnet ID '{item}' does not exist", clusterName=cluster)
    found = [known[item] for item in wanted]
    if len({item.vpc_id for item in found}) > 1:
        raise invalid("Subnets must be in the same VPC", clusterName=cluster)
    for item in found:
        if item.availability_zone_id in NEVER:
            valid = [
                zone.name
                for zone in ec2.describe_availability_zones()
                if zone.zone_id not in NEVER and zone.zone_type == "availability-zone"
            ]
            raise Refused(
                "UnsupportedAvailabilityZoneException",
                f"Cannot create cluster '{cluster}' because {item.availability_zone}, the targeted availability zone, "
                "does not currently have sufficient capacity to support the cluster. Retry and choose from these "
                f"availability zones: {', '.join(valid)}",
                400,
                {"clusterName": cluster, "validZones": valid},
            )
    if len({item.availability_zone for item in found}) < 2:
        raise invalid("Subnets specified must be in at least two different AZs", clusterName=cluster)
    for item in config.get("securityGroupIds") or []:
        group = ec2.get_security_group_from_id(item)
        if not group or group.vpc_id != found[0].vpc_id:
            raise invalid(f"The security group '{item}' does not exist", clusterName=cluster)
    return found
