"""Service Quotas, for the codes that creating a cluster depends on."""

from .reply import Refused, answer

# code: service, name, value of a new account
QUOTAS = {
    "L-F678F1CE": ("vpc", "VPCs per Region", 5),
    "L-A4707A72": ("vpc", "Internet gateways per Region", 5),
    "L-FE5A380F": ("vpc", "NAT gateways per Availability Zone", 5),
    "L-DF5E4CA3": ("vpc", "Network interfaces per Region", 5000),
    "L-E79EC296": ("vpc", "VPC security groups per Region", 2500),
    "L-1B52E74A": ("vpc", "Gateway VPC endpoints per Region", 20),
    "L-0263D0A3": ("ec2", "EC2-VPC Elastic IPs", 5),
    "L-1216C47A": ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 64),
    "L-69A177A2": ("elasticloadbalancing", "Network Load Balancers per Region", 50),
    "L-1194D53C": ("eks", "Clusters", 100),
    "L-CFEB8E8D": ("ecr", "Registered repositories", 100000),
}

DEFAULTS_ONLY = ("L-1194D53C",)


def _quota(world, code):
    service, name, _ = QUOTAS[code]
    return {
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": f"arn:aws:servicequotas:us-east-1::{service}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(world.quota(code)),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def handle(world, call):
    service, code = call.params.get("ServiceCode"), call.params.get("QuotaCode")
    if call.action in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        # Some that were never changed for an account are known by their defaults alone.
        bare = code in DEFAULTS_ONLY and code not in world.settings["quotas"] and call.action == "GetServiceQuota"
        if code not in QUOTAS or QUOTAS[code][0] != service or bare:
            raise Refused("NoSuchResourceException", "The requested quota does not exist.", 400)
        return answer(call, {"Quota": _quota(world, code)})
    if call.action in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        codes = [code for code, quota in QUOTAS.items() if quota[0] == service]
        return answer(call, {"Quotas": [_quota(world, code) for code in codes]})
    raise Refused("UnknownOperationException", f"{call.action} is not known here", 400)
