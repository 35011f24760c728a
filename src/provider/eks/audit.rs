//! What is left on AWS after a removal. Reads neither ledger nor state: it goes by tags and by names.

use super::{
    client::Doing,
    cluster::EksCluster,
    look::{self, filter},
    names, price,
};
use crate::{
    error::Result,
    object::Removed,
    provider::sweep::{Kept, Swept},
};

const GIB: u64 = 1 << 30;
/// The driver's own tags of the volume of a claim.
const CLAIM: &str = "kubernetes.io/created-for/pvc/name";
const CLAIM_NAMESPACE: &str = "kubernetes.io/created-for/pvc/namespace";

pub async fn sweep(cluster: &EksCluster) -> Result<Swept> {
    let (aws, name) = (&cluster.aws, &cluster.name);
    let mut left = Vec::new();
    let mut add = |kind: &str, names: Vec<String>| {
        left.extend(names.into_iter().map(|name| Removed { kind: kind.to_owned(), name }));
    };
    let seen = look::parts(aws, &cluster.spec, &cluster.who).await?;
    add("cluster", seen.cluster.iter().filter(|found| found.ours).map(|_| name.clone()).collect());
    add("VPC", seen.vpc.iter().map(|vpc| vpc.id.clone()).collect());
    add("internet gateway", seen.gateway.iter().map(|gateway| gateway.id.clone()).collect());
    add("subnet", seen.subnets.values().map(|subnet| subnet.id.clone()).collect());
    add("route table", seen.tables.values().map(|table| table.id.clone()).collect());
    add("NAT gateway", seen.nats.values().map(|nat| nat.id.clone()).collect());
    add("address", seen.addresses.values().cloned().collect());
    add("endpoint", seen.endpoint.iter().cloned().collect());
    add("role", seen.roles.keys().map(|role| look::role_name(name, *role)).collect());
    add("instance profile", look::profiles(aws, name).await?);
    add("repository", seen.repositories.iter().map(|relative| names::repository(name, relative)).collect());
    // Its last line may come after its group is gone, and makes it again.
    if seen.cluster.is_none() && seen.log_group.is_some() {
        cluster.remove_log_group().await?;
        add("log group", look::log_group(aws, name).await?.iter().map(|_| names::log_group(name)).collect());
    }
    add("instance", cluster.instances().await?);
    add("load balancer", cluster.balancers().await?);
    add("target group", cluster.target_groups().await?);

    // Whichever tag it bears: AWS has several for what it makes for a cluster.
    let tagged = || filter("tag-value", [name.as_str()]);
    let answer = aws.ec2.describe_security_groups().filters(tagged()).send().await;
    let groups = answer.doing("looking for security groups")?.security_groups.unwrap_or_default();
    let groups = groups.into_iter().filter(|group| cluster.is_ours(group.tags()));
    add("security group", groups.filter_map(|group| group.group_id).collect());
    let prices = price::Prices::of(&aws.region).ok();
    let kept = cluster.volumes().await?.into_iter().filter_map(|volume| {
        let size = u32::try_from(volume.size.unwrap_or_default()).unwrap_or_default();
        let of_claim = look::tag(volume.tags(), CLAIM).map(|claim| {
            let namespace = look::tag(volume.tags(), CLAIM_NAMESPACE).unwrap_or_default();
            format!(" of claim {namespace}/{claim}")
        });
        let name = format!("volume {}{}", volume.volume_id()?, of_claim.unwrap_or_default());
        let per_month = prices.as_ref().map(|prices| prices.volume_per_month(size));
        Some(Kept { name, size: u64::from(size) * GIB, per_month })
    });
    Ok(Swept { kept: kept.collect(), left })
}
