"""The versions of Kubernetes that EKS serves."""

import datetime

from .state import page


def _version(version, status, release, standard_end, extended_end, default=False):
    return {
        "clusterVersion": version,
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.1",
        "defaultVersion": default,
        "releaseDate": release,
        "endOfStandardSupportDate": standard_end,
        "endOfExtendedSupportDate": extended_end,
        "versionStatus": status,
        "status": status.lower().replace("_", "-"),
    }


VERSIONS = [
    _version("1.36", "STANDARD_SUPPORT", "2026-06-02", "2027-08-02", "2028-08-02", default=True),
    _version("1.35", "STANDARD_SUPPORT", "2026-01-27", "2027-03-27", "2028-03-27"),
    _version("1.34", "STANDARD_SUPPORT", "2025-10-02", "2026-12-02", "2027-12-02"),
    _version("1.33", "EXTENDED_SUPPORT", "2025-05-29", "2026-07-29", "2027-07-29"),
    _version("1.32", "EXTENDED_SUPPORT", "2025-01-23", "2026-03-23", "2027-03-23"),
    _version("1.31", "UNSUPPORTED", "2024-09-26", "2025-11-26", "2026-11-26"),
]
DATES = ("releaseDate", "endOfStandardSupportDate", "endOfExtendedSupportDate")


def listed(eks, call, params):
    status = params.get("versionStatus") or params.get("status", "").upper().replace("-", "_")
    found = []
    for item in eks.world.settings["versions"]:
        if params.get("clusterVersions") and item["clusterVersion"] not in params["clusterVersions"]:
            continue
        if status and item["versionStatus"] != status:
            continue
        if params.get("defaultOnly") == "true" and not item["defaultVersion"]:
            continue
        if item["versionStatus"] == "UNSUPPORTED" and params.get("includeAll") != "true" and not status:
            continue
        found.append(item | {key: _epoch(item[key]) for key in DATES if item.get(key)})
    return page(params, found, "clusterVersions")


def _epoch(date):
    return datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC).timestamp()
