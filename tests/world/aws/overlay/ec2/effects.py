"""What goes with something else in EC2, and the emulator keeps."""


def _subnet_deleted(ec2, call):
    """Its associations with a route table and a network ACL."""
    subnet = call.params["SubnetId"]
    for table in ec2.route_tables.values():
        for number in [key for key, value in table._associations.items() if value == subnet]:
            del table._associations[number]
    for acl in ec2.network_acls.values():
        for number in [key for key, item in acl._associations.items() if item.subnet_id == subnet]:
            del acl._associations[number]


EFFECTS = {"DeleteSubnet": _subnet_deleted}
