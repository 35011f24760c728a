//! What is left on AWS after a removal. Reads neither ledger nor state: it goes by tags and by names.

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look::{self, filter},
    names,
};
use crate::{
    error::Result,
    object::Removed,
    provider::sweep::{Kept, Swept},
};

const GIB: u64 = 1 << 30;

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
    let answer = aws.ec2.describe_volumes().filters(tagged()).send().await.map_err(Failure::of);
    let answer = answer.map_err(|failure| failure.error("looking for volumes"))?;
    let volumes = answer.volumes.unwrap_or_default().into_iter().filter(|volume| cluster.is_ours(volume.tags()));
    let kept = volumes.filter_map(|volume| {
        let size = u64::try_from(volume.size.unwrap_or_default()).unwrap_or_default();
        Some(Kept { name: format!("volume {}", volume.volume_id?), size: size * GIB })
    });
    Ok(Swept { kept: kept.collect(), left })
}
