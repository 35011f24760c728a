"""Everything that exists in an account, whoever made it."""

from . import emulator


def of(world, account, region):
    found, default = {}, {}
    for kind, items in _all(world, account, region):
        for item in items:
            where = default if item.pop("default", False) else found
            where.setdefault(kind, []).append(item)
    for listing in (found, default):
        for items in listing.values():
            items.sort(key=lambda item: str(item["id"]))
    return found | {"default": default}


def _all(world, account, region):
    yield from _ec2(emulator.ec2(account, region))
    yield from _balancing(emulator.elb(account, region))
    yield from _iam(emulator.iam(account))
    yield from _eks(world.eks(account, region))
    yield from _others(account, region)
    yield "ecr:repository", [
        {"id": item["repositoryName"], "arn": item["repositoryArn"]}
        for item in world.ecr.repositories(account, region)
    ]


def _ec2(ec2):
    tags = emulator.tags
    default_vpcs = {item.id for item in ec2.vpcs.values() if item.is_default == "true" or item.is_default is True}

    def of_vpc(item, **more):
        return {"id": item.id, "vpc": item.vpc_id, "tags": tags(item), "default": item.vpc_id in default_vpcs} | more

    yield "ec2:vpc", [
        {"id": item.id, "cidr": item.cidr_block, "tags": tags(item), "default": item.id in default_vpcs}
        for item in ec2.vpcs.values()
    ]
    yield "ec2:subnet", [
        of_vpc(item, cidr=item.cidr_block, zone=item.availability_zone)
        for by_id in ec2.subnets.values()
        for item in by_id.values()
    ]
    yield "ec2:internet-gateway", [
        {
            "id": item.id,
            "vpc": item.vpc.id if item.vpc else None,
            "tags": tags(item),
            "default": bool(item.vpc and item.vpc.id in default_vpcs),
        }
        for item in ec2.internet_gateways.values()
    ]
    yield "ec2:route-table", [
        of_vpc(
            item,
            default=item.vpc_id in default_vpcs or bool(item.main_association_id),
            routes=sorted(
                f"{route.destination_cidr_block or route.destination_prefix_list and route.destination_prefix_list.id}"
                f" {route.gateway_id or route.nat_gateway_id} {route.state}"
                for route in item.routes
            ),
        )
        for item in ec2.route_tables.values()
    ]
    yield "ec2:security-group", [
        of_vpc(item, name=item.name, default=item.is_default or item.vpc_id in default_vpcs,
               rules=len(item.ingress_rules) + len(item.egress_rules))
        for groups in ec2.groups.values()
        for item in groups.values()
    ]  # fmt: skip
    yield "ec2:network-acl", [
        of_vpc(item, default=item.default == "true" or item.default is True)
        for item in ec2.network_acls.values()
    ]
    yield "ec2:network-interface", [
        of_vpc(item, subnet=item.subnet_id, status=item.status, description=item.description)
        for item in ec2.enis.values()
    ]
    yield "ec2:address", [
        {"id": item.allocation_id, "ip": item.public_ip, "association": item.association_id, "tags": tags(item)}
        for item in ec2.addresses
    ]
    yield "ec2:nat-gateway", [
        of_vpc(item, state=item.state)
        for item in ec2.nat_gateways.values()
        if item.state not in ("deleted", "failed")
    ]
    yield "ec2:vpc-endpoint", [
        of_vpc(item, service=item.service_name, state=item.state) for item in ec2.vpc_end_points.values()
    ]
    yield "ec2:instance", [
        of_vpc(item, state=item.state) for item in ec2.all_instances() if item.state != "terminated"
    ]
    yield "ec2:volume", [
        {"id": item.id, "state": item.status, "tags": tags(item)} for item in ec2.volumes.values()
    ]
    yield "ec2:launch-template", [
        {"id": item.id, "tags": tags(item)} for item in ec2.launch_templates.values()
    ]


def _balancing(backend):
    def tags(arn):
        return backend.tagging_service.get_tag_dict_for_resource(arn)

    yield "elb:load-balancer", [
        {"id": item.arn, "vpc": item.vpc_id, "tags": tags(item.arn)} for item in backend.load_balancers.values()
    ]
    yield "elb:target-group", [
        {"id": item.arn, "vpc": item.vpc_id, "tags": tags(item.arn)} for item in backend.target_groups.values()
    ]


def _iam(iam):
    yield "iam:role", [
        {
            "id": item.name,
            "arn": item.arn,
            "trust": item.assume_role_policy_document,
            "managed": sorted(item.managed_policies),
            "inline": dict(sorted(item.policies.items())),
            "default": item.path.startswith("/aws-service-role/"),
        }
        for item in iam.roles.values()
    ]
    yield "iam:instance-profile", [
        {"id": item.name, "roles": sorted(role.name for role in item.roles)}
        for item in iam.instance_profiles.values()
    ]
    yield "iam:policy", [
        {"id": item.arn} for item in iam.managed_policies.values() if not item.arn.startswith("arn:aws:iam::aws:")
    ]
    yield "iam:oidc-provider", [{"id": arn} for arn in iam.open_id_providers]


def _eks(eks):
    yield "eks:cluster", [
        {"id": item.name, "status": item.status, "tags": item.shown["tags"]} for item in eks.clusters.values()
    ]
    for kind, attribute in (
        ("access-entry", "entries"), ("pod-identity-association", "associations"), ("addon", "addons"),
    ):  # fmt: skip
        yield f"eks:{kind}", [
            {"id": f"{cluster.name}/{key}", "tags": item["tags"]}
            for cluster in eks.clusters.values()
            for key, item in getattr(cluster, attribute).items()
        ]


def _others(account, region):
    def backend(service):
        return emulator.backend(service, account, region)

    logs = backend("logs")
    yield "logs:log-group", [
        {
            "id": item.name,
            "retention": item.retention_in_days,
            "tags": logs.tagger.get_tag_dict_for_resource(item.arn),
        }
        for item in logs.groups.values()
    ]
    dynamodb = backend("dynamodb")
    yield "dynamodb:table", [
        {"id": item.name, "arn": item.table_arn, "tags": {tag["Key"]: tag["Value"] for tag in item.tags}}
        for item in dynamodb.tables.values()
    ]
    yield "kms:key", [
        # moto does not mark the key that AWS makes for encrypted volumes.
        {"id": item.id, "state": item.key_state, "default": (item.description or "").startswith("Default ")}
        for item in backend("kms").keys.values()
    ]
    yield "sns:topic", [{"id": arn} for arn in backend("sns").topics]
    yield "sqs:queue", [{"id": name} for name in backend("sqs").queues]
