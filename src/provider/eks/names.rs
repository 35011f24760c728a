//! What things on AWS are called. Names follow from account, region and purpose alone: who has lost all state finds them.

/// Of all that we make in an account. The rights that `eks-policy` asks for end where names begin otherwise.
pub const PREFIX: &str = "stackctl";
/// Tags on all that we make.
pub const STACK_TAG: &str = "stackctl.dev/stack";
pub const CLUSTER_TAG: &str = "stackctl.dev/cluster";
/// Which of the cluster's things it is: `subnet-public-1`.
pub const PART_TAG: &str = "stackctl.dev/part";
pub const OWNER_TAG: &str = "stackctl.dev/owner";
pub const CREATED_TAG: &str = "stackctl.dev/created";
/// Of the call that made it, written down before that call.
pub const OPERATION_TAG: &str = "stackctl.dev/operation";
/// On a cluster that has all that belongs to it.
pub const COMPLETE_TAG: &str = "stackctl.dev/complete";
/// What AWS itself puts on all that it makes for a cluster: load balancers, nodes, volumes, security groups.
pub const EKS_TAG: &str = "eks:eks-cluster-name";
/// In the names by which one of several things of the same name is known here.
pub const TWICE: char = '#';
/// A role's name has at most 64 characters.
const LONGEST_BASE: usize = 40;

/// `stackctl-hello-1a2b3c`
pub fn cluster(account: &str, region: &str, base: &str) -> String {
    let hash = blake3::hash(format!("{account}\0{region}\0{base}").as_bytes()).to_hex();
    let base: String = base.chars().take(LONGEST_BASE).collect();
    format!("{PREFIX}-{}-{}", base.trim_end_matches('-'), &hash[..6])
}

/// The log group into which EKS writes what the control plane says; the name is EKS' own.
pub fn log_group(cluster: &str) -> String {
    format!("/aws/eks/{cluster}/cluster")
}

/// `stackctl/hello-1a2b3c/hello/web`: each cluster has repositories of its own, which go with it.
pub fn repository(cluster: &str, relative: &str) -> String {
    format!("{}{relative}", repositories(cluster))
}

/// What the names of all of them begin with.
pub fn repositories(cluster: &str) -> String {
    let own = cluster.strip_prefix(PREFIX).unwrap_or(cluster).trim_start_matches('-');
    format!("{PREFIX}/{own}/")
}

pub fn dns_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Of ARNs.
pub fn partition(region: &str) -> &'static str {
    match region {
        china if china.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_for_whoever_asks_and_fits_everywhere() {
        let name = cluster("123456789012", "us-east-1", "hello");
        assert_eq!(name, cluster("123456789012", "us-east-1", "hello"));
        assert!(name.starts_with("stackctl-hello-") && name.len() == "stackctl-hello-".len() + 6, "{name}");
        // Roles are the same in all regions, so their names must not be.
        assert_ne!(name, cluster("123456789012", "eu-west-1", "hello"));
        let long = cluster("1", "us-east-1", &"long-".repeat(30));
        assert!(format!("{long}-cluster").len() <= 64 && !long.contains("--"), "{long}");
    }

    #[test]
    fn other_partitions_have_names_of_their_own() {
        assert_eq!((dns_suffix("us-east-1"), dns_suffix("cn-north-1")), ("amazonaws.com", "amazonaws.com.cn"));
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        assert_eq!(repository("stackctl-hello-1a2b3c", "hello/web"), "stackctl/hello-1a2b3c/hello/web");
    }
}
