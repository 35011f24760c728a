//! How a cluster of EKS Auto Mode is asked for a load balancer.

use crate::object::balancer::Balancer;

/// A network load balancer that everybody reaches, and that leads to pods rather than to ports of nodes. Without the scheme
/// it would be an internal one.
pub const BALANCER: Balancer = Balancer {
    class: "eks.amazonaws.com/nlb",
    annotations: &[
        ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internet-facing"),
        ("service.beta.kubernetes.io/aws-load-balancer-nlb-target-type", "ip"),
    ],
    in_vain: &[
        ("TooManyLoadBalancers", QUOTA),
        ("LimitExceeded", QUOTA),
        ("AccessDenied", "the role of the cluster lacks a right, or a policy of the organization forbids it"),
        ("UnauthorizedOperation", "the role of the cluster lacks a right, or a policy of the organization forbids it"),
    ],
    usually: "2 to 5 minutes",
};

const QUOTA: &str = "remove load balancers that nobody needs, or ask AWS for a higher quota (L-69A177A2), \
                     then run the same command again";
