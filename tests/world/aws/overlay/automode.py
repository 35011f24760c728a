"""What EKS Auto Mode and its controllers make in an account: nodes, load balancers, volumes.

They carry the tag eks:eks-cluster-name, and none of stackctl's.
"""

import re
import secrets

from . import emulator

TAG = "eks:eks-cluster-name"
IMAGE = "ami-0123456789abcdef0"


def _ours(resource, cluster):
    return emulator.tags(resource).get(TAG) == cluster


def nodes(eks, cluster):
    """The instances that have not been terminated."""
    ec2 = emulator.ec2(eks.account_id, eks.region)
    return [
        item for item in ec2.all_instances() if item.state != "terminated" and _ours(item, cluster)
    ]


def add_nodes(eks, cluster_name, count=1, zone=None, pool="general-purpose", instance_type="c6a.large"):
    cluster, ec2 = eks.cluster(cluster_name), emulator.ec2(eks.account_id, eks.region)
    subnets = [ec2.get_subnet(item) for item in cluster.shown["resourcesVpcConfig"]["subnetIds"]]
    private = [item for item in subnets if "kubernetes.io/role/internal-elb" in emulator.tags(item)]
    usable = [item for item in private or subnets if zone in (None, item.availability_zone)]
    made = []
    for index in range(count):
        answer = emulator.ask(
            eks, "ec2", "RunInstances", ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType=instance_type,
            SubnetId=usable[index % len(usable)].id,
            **{
                "SecurityGroupId.1": cluster.shown["resourcesVpcConfig"]["clusterSecurityGroupId"],
                "TagSpecification.1.ResourceType": "instance",
                "TagSpecification.1.Tag.1.Key": TAG,
                "TagSpecification.1.Tag.1.Value": cluster_name,
                "TagSpecification.2.ResourceType": "volume",
                "TagSpecification.2.Tag.1.Key": TAG,
                "TagSpecification.2.Tag.1.Value": cluster_name,
            },
        )  # fmt: skip
        instance = ec2.get_instance(re.search(r"<instanceId>([^<]+)", answer).group(1))
        for nic in instance.nics.values():
            nic.delete_on_termination = True
        eks.world.pools[instance.id] = pool
        made.append(instance.id)
    return made


def terminate(eks, cluster, pool=None):
    ec2 = emulator.ec2(eks.account_id, eks.region)
    gone = [item.id for item in nodes(eks, cluster) if pool in (None, eks.world.pools.get(item.id))]
    if gone:
        ec2.terminate_instances(gone)
    return gone


def drain(eks, cluster, pool=None):
    """Ends nodes as Auto Mode does, with the cluster's role: without it they stay."""
    if emulator.role(eks.account_id, cluster.shown["roleArn"]):
        terminate(eks, cluster.name, pool)


def add_volume(eks, cluster, size=8, claim="default/data", zone=None):
    """A volume of a PersistentVolumeClaim, whose pod is not there."""
    ec2 = emulator.ec2(eks.account_id, eks.region)
    volume = ec2.create_volume(size, zone or f"{eks.region}a", volume_type="gp3", encrypted=True)
    namespace, _, name = claim.partition("/")
    volume.add_tags(
        {
            TAG: cluster,
            "kubernetes.io/created-for/pvc/namespace": namespace,
            "kubernetes.io/created-for/pvc/name": name,
        }
    )
    return volume.id


def leave_interface(eks, cluster_name):
    """An interface that a node's network plugin made and nobody removed: available, with the cluster's group."""
    cluster, ec2 = eks.cluster(cluster_name), emulator.ec2(eks.account_id, eks.region)
    config = cluster.shown["resourcesVpcConfig"]
    eni = ec2.create_network_interface(
        ec2.get_subnet(config["subnetIds"][-1]),
        "",
        group_ids=[config["clusterSecurityGroupId"]],
        description=f"aws-K8S-i-{secrets.token_hex(8)}",
        tags={TAG: cluster_name},
    )
    return eni.id


def allow_all_from(ec2, group, source):
    ec2.authorize_security_group_ingress(
        group.id, "-1", None, None, [], source_groups=[{"GroupId": source.id}], vpc_id=group.vpc_id
    )


def group_is_used(eks, group):
    """By an interface, or by a rule of another group."""
    ec2 = emulator.ec2(eks.account_id, eks.region)
    if any(group in {item.id for item in eni.group_set} for eni in ec2.enis.values()):
        return True
    return bool(rules_naming(ec2, group))


def rules_naming(ec2, group):
    """The rules of other groups that name this one, each with its group."""
    return [
        (other, rule)
        for groups in ec2.groups.values()
        for other in groups.values()
        if other.id != group
        for rule in [*other.ingress_rules, *other.egress_rules]
        if rule.source_group.get("GroupId") == group
    ]


def add_load_balancer(eks, cluster_name, service, dns_name=None):
    """An internet-facing network load balancer for a Service; `dns_name` is one that a test can resolve."""
    cluster, ec2 = eks.cluster(cluster_name), emulator.ec2(eks.account_id, eks.region)
    config = cluster.shown["resourcesVpcConfig"]
    subnets = [ec2.get_subnet(item) for item in config["subnetIds"]]
    public = [item for item in subnets if "kubernetes.io/role/elb" in emulator.tags(item)] or subnets
    namespace, _, name = service.partition("/")
    full = f"k8s-{namespace[:8]}-{name[:8]}-{secrets.token_hex(5)}"
    tags = {
        TAG: cluster_name,
        "service.eks.amazonaws.com/stack": service,
        "service.eks.amazonaws.com/resource": "LoadBalancer",
    }
    group = ec2.create_security_group(
        full, "[k8s] Managed SecurityGroup for LoadBalancer", vpc_id=config["vpcId"], tags=tags
    )
    allow_all_from(ec2, ec2.get_security_group_from_id(config["clusterSecurityGroupId"]), group)
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    balancing = emulator.elb(eks.account_id, eks.region)
    balancer = balancing.create_load_balancer(
        full, [group.id], [item.id for item in public], scheme="internet-facing", loadbalancer_type="network", tags=listed
    )
    balancer.dns_name = dns_name or balancer.dns_name
    target = balancing.create_target_group(
        full, protocol="TCP", port="443", vpc_id=config["vpcId"], target_type="ip", tags=listed,
        healthcheck_protocol="TCP", ip_address_type="ipv4",
    )  # fmt: skip
    balancing.create_listener(
        balancer.arn, "TCP", "443", None, None, [{"type": "forward", "targetGroupArn": target.arn}], tags=listed
    )
    balancer_made(eks.world, eks.account_id, eks.region, balancer)
    return {"arn": balancer.arn, "dns_name": balancer.dns_name, "security_group": group.id, "name": full}


def balancer_made(world, account, region, balancer):
    """Its interfaces in every subnet, and the time until it is active."""
    ec2 = emulator.ec2(account, region)
    balancer.ready_at = world.clock.now + world.settings["lb_create"]
    for subnet in balancer.subnets:
        eni = ec2.create_network_interface(
            subnet, "", group_ids=list(balancer.security_groups or []), description=_described(balancer)
        )
        eni.status, eni.requester_managed, eni.interface_type = "in-use", True, "network_load_balancer"
        # An address of AWS's own, not one of the account's.
        eni.public_ip = "203.0.113.%d" % (len(ec2.enis) % 250 + 1) if balancer.scheme == "internet-facing" else None


def _described(balancer):
    return "ELB " + balancer.arn.split(":loadbalancer/")[-1]


def balancer_deleted(world, account, region, balancer, then=None):
    """Its interfaces stay for some ticks after it has gone, and then `then` happens."""
    ec2, described = emulator.ec2(account, region), _described(balancer)

    def gone():
        for eni in [item for item in ec2.enis.values() if item.description == described]:
            ec2.enis.pop(eni.id)
        if then:
            world.clock.after(world.settings["lb_security_group"], then)

    world.clock.after(world.settings["lb_enis"], gone)


def remove_load_balancer(eks, cluster, service):
    """As the controller does when the Service is deleted."""
    account, region = eks.account_id, eks.region
    ec2, balancing = emulator.ec2(account, region), emulator.elb(account, region)
    removed = []
    for balancer in list(balancing.load_balancers.values()):
        tags = balancing.tagging_service.get_tag_dict_for_resource(balancer.arn)
        if (tags.get(TAG), tags.get("service.eks.amazonaws.com/stack")) != (cluster, service):
            continue
        balancing.delete_load_balancer(balancer.arn)
        for target in [item for item in balancing.target_groups.values() if item.name == balancer.name]:
            del balancing.target_groups[target.arn]
        groups = list(balancer.security_groups)

        def without_groups(groups=groups):
            for group in groups:
                for other, rule in rules_naming(ec2, group):
                    rules = other.ingress_rules if rule in other.ingress_rules else other.egress_rules
                    rules.remove(rule)
                if ec2.get_security_group_from_id(group):
                    ec2.delete_security_group(group_id=group)

        balancer_deleted(eks.world, account, region, balancer, without_groups)
        removed.append(balancer.arn)
    return removed
