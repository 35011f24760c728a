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
/// When it may go, where `--ttl` said that.
pub const EXPIRES_TAG: &str = "stackctl.dev/expires";
/// Of the call that made it, written down before that call.
pub const OPERATION_TAG: &str = "stackctl.dev/operation";
/// On a cluster that has all that belongs to it.
pub const COMPLETE_TAG: &str = "stackctl.dev/complete";
/// What AWS itself puts on all that it makes for a cluster: load balancers, nodes, volumes, security groups.
pub const EKS_TAG: &str = "eks:eks-cluster-name";
/// The node pools that Auto Mode brings: a setting of the cluster makes them and takes them away, and nothing else.
pub const POOLS: [&str; 2] = ["general-purpose", "system"];
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

/// What a cluster of that name is for, unless it was too long.
pub fn base(cluster: &str) -> Option<&str> {
    let (base, _) = cluster.strip_prefix(PREFIX)?.strip_prefix('-')?.rsplit_once('-')?;
    Some(base)
}

/// The log group into which EKS writes what the control plane says; the name is EKS' own.
pub fn log_group(cluster: &str) -> String {
    format!("/aws/eks/{cluster}/cluster")
}

/// Whose log group it is.
pub fn of_log_group(name: &str) -> Option<&str> {
    name.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")
}

/// Whose repository it is.
pub fn of_repository(name: &str) -> Option<String> {
    let own = name.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/').next()?;
    Some(format!("{PREFIX}-{own}"))
}

/// Whose role it is. Those of all clusters end alike.
pub fn of_role(name: &str) -> Option<&str> {
    let (cluster, suffix) = name.rsplit_once('-')?;
    super::task::Role::ALL.iter().any(|role| role.suffix() == suffix).then_some(cluster)
}

/// For whose nodes EKS has made an instance profile.
pub fn of_profile<'a>(name: &'a str, region: &str) -> Option<&'a str> {
    let (cluster, _) = name.strip_prefix("eks-")?.strip_prefix(region)?.strip_prefix('-')?.rsplit_once('-')?;
    Some(cluster)
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
    fn names_tell_whose_a_thing_is() {
        let name = cluster("1", "us-east-1", "shop-2");
        assert_eq!(base(&name), Some("shop-2"));
        assert_eq!(of_log_group(&log_group(&name)), Some(name.as_str()));
        assert_eq!(of_repository(&repository(&name, "shop-2/web")), Some(name.clone()));
        assert_eq!(of_role(&format!("{name}-node")), Some(name.as_str()));
        assert_eq!(of_profile(&format!("eks-us-east-1-{name}-123"), "us-east-1"), Some(name.as_str()));
        assert_eq!(
            (of_role(&name), of_log_group("/aws/eks/x"), of_repository("other/x"), base("x")),
            (None, None, None, None)
        );
    }

    #[test]
    fn other_partitions_have_names_of_their_own() {
        assert_eq!((dns_suffix("us-east-1"), dns_suffix("cn-north-1")), ("amazonaws.com", "amazonaws.com.cn"));
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        assert_eq!(repository("stackctl-hello-1a2b3c", "hello/web"), "stackctl/hello-1a2b3c/hello/web");
    }
}
