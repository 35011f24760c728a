"""What a test can set, with the values after a reset. The README explains each."""

import copy

from .eks.versions import VERSIONS

DEFAULTS = {
    "cluster_create": 3,
    "cluster_update": 2,
    "cluster_delete": 3,
    "addon_create": 2,
    "nat_create": 2,
    "nat_delete": 3,
    "endpoint_delete": 2,
    "lb_create": 2,
    "lb_enis": 4,
    "lb_security_group": 2,
    "node_gone": 3,
    "role_refusals": 1,
    "late_log_line": 4,
    "leave_instance_profile": True,
    "nodes_survive": False,
    "create_fails": None,
    "update_fails": None,
    "delete_fails": None,
    "api_endpoint": None,
    "api_ca": "",
    "deny": [],
    "quotas": {},
    "ecr_token_seconds": 43200,
    "clock_skew": 0,
    "session_expired": False,
    "versions": VERSIONS,
}


def fresh():
    return copy.deepcopy(DEFAULTS)


def change(settings, wanted):
    unknown = set(wanted) - set(DEFAULTS)
    if unknown:
        raise ValueError(f"there is no setting {sorted(unknown)}; known are {sorted(DEFAULTS)}")
    settings.update(wanted)
