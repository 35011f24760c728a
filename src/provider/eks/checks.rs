//! What has to be so before anything is made on AWS: seen by asking, all at once, each with what to do about it.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_ec2::types::Tag;
use futures::FutureExt;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::OnceCell;

use super::{
    client::{self, Aws, Doing},
    look, names, policy,
    seen::Identity,
    spec::{EksSpec, Nat},
};
use crate::{
    error::{Error, Result},
    image::Engine,
    provider::{
        check::{Check, Checking},
        local::{checks, host},
    },
};

/// A cluster takes a quarter of an hour, and its images and objects some more.
const LASTS: Duration = Duration::from_secs(3600);
const PLATFORM: &str = "build platform";
/// Where the kernel names what runs programs of amd64.
const EMULATORS: [&str; 2] = ["/proc/sys/fs/binfmt_misc/qemu-x86_64", "/proc/sys/fs/binfmt_misc/rosetta"];
/// The rights that are tried, which all of `up` and `down` stands on.
const TRIED: usize = 100;

pub fn all<'a>(spec: &'a EksSpec, engine: &'a Result<Engine>) -> Vec<Checking<'a>> {
    let caller = Arc::new(Caller { spec, found: OnceCell::new() });
    vec![
        Checking::new("engine", checks::examine(engine, false).boxed()),
        Checking::new(PLATFORM, platform(engine).boxed()),
        Checking::new("aws", identity(spec, Arc::clone(&caller)).boxed()),
        Checking::new("eks version", one("eks version", version(spec, Arc::clone(&caller))).boxed()),
        Checking::new("aws quotas", quotas(spec, Arc::clone(&caller)).boxed()),
        Checking::new("aws rights", one("aws rights", rights(caller)).boxed()),
    ]
}

/// Who asks AWS, found out once for all checks.
struct Caller<'a> {
    spec: &'a EksSpec,
    found: OnceCell<(Aws, Identity)>,
}

impl Caller<'_> {
    async fn get(&self) -> Result<&(Aws, Identity)> {
        let find = || async {
            let aws = Aws::open(self.spec.region.as_deref()).await?;
            let who = look::identity(&aws).await?;
            Ok((aws, who))
        };
        self.found.get_or_try_init(find).await
    }
}

/// Whether the engine can build what nodes run: an engine of another architecture needs an emulator for that.
async fn platform(engine: &Result<Engine>) -> Vec<Check> {
    let Ok(Engine { docker, .. }) = engine else { return Vec::new() };
    let Ok(info) = docker.info().await else { return Vec::new() };
    let here = host::hostname().is_some() && info.name.as_deref() == host::hostname().as_deref();
    let emulates = here.then(|| EMULATORS.iter().any(|path| Path::new(path).exists()));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![builds(&text(&info.architecture), &text(&info.operating_system), emulates)]
}

/// `emulates`: None where the engine runs elsewhere.
fn builds(architecture: &str, system: &str, emulates: Option<bool>) -> Check {
    let native = matches!(architecture, "x86_64" | "amd64");
    let how = format!("the engine is of {architecture}, and nodes are of amd64");
    let fix = "give it an emulator: docker run --privileged --rm tonistiigi/binfmt --install amd64; or point DOCKER_HOST at an \
               engine of amd64";
    match emulates {
        _ if native => Check::ok(PLATFORM, "builds for linux/amd64"),
        Some(true) => Check::ok(PLATFORM, format!("{how}: it builds for them by emulation")),
        // It brings one.
        _ if system.contains("Docker Desktop") => {
            Check::ok(PLATFORM, format!("{how}: it builds for them by emulation"))
        }
        Some(false) => Check::failed(PLATFORM, format!("{how}: it cannot build for them"), fix),
        None => Check::warning(PLATFORM, format!("{how}: whether it can build for them is not known"), fix),
    }
}

fn failed(name: &'static str, error: &Error) -> Check {
    let fix = error.hints.first().cloned().unwrap_or_else(|| "see what AWS says".to_owned());
    Check::failed(name, error.to_string(), fix)
}

async fn one(name: &'static str, check: impl Future<Output = Result<Check>>) -> Vec<Check> {
    vec![check.await.unwrap_or_else(|error| failed(name, &error))]
}

async fn identity(spec: &EksSpec, caller: Arc<Caller<'_>>) -> Vec<Check> {
    let (aws, who) = match caller.get().await {
        Ok(found) => found,
        Err(error) => return vec![failed("aws", &error)],
    };
    let found = format!("{} in {}", who.arn, aws.region);
    let mut checks = vec![match &spec.account {
        Some(wanted) if *wanted != who.account => {
            let fix = format!("use credentials of the account {wanted}, which --account names");
            Check::failed("aws", format!("the credentials are of the account {}", who.account), fix)
        }
        _ => Check::ok("aws", found),
    }];
    let config = client::config(spec.region.as_deref()).await;
    if let Some(provider) = config.credentials_provider()
        && let Ok(credentials) = provider.provide_credentials().await
        && let Some(end) = credentials.expiry()
    {
        checks.extend(ends_soon(end, SystemTime::now()));
    }
    checks
}

fn ends_soon(end: SystemTime, now: SystemTime) -> Option<Check> {
    let left = end.duration_since(now).unwrap_or_default();
    (left < LASTS).then(|| {
        Check::warning(
            "aws credentials",
            format!("they end in {} min", left.as_secs() / 60),
            "log in again first (`aws sso login`): a new cluster takes longer than that, unless your profile renews them",
        )
    })
}

async fn version(spec: &EksSpec, caller: Arc<Caller<'_>>) -> Result<Check> {
    const NAME: &str = "eks version";
    let (aws, _) = caller.get().await?;
    let answer = aws.eks.describe_cluster_versions().send().await.doing("asking which versions EKS has")?;
    let known = answer.cluster_versions.unwrap_or_default();
    let name = |version: &aws_sdk_eks::types::ClusterVersionInformation| {
        version.cluster_version().unwrap_or_default().to_owned()
    };
    let is_standard = |version: &&aws_sdk_eks::types::ClusterVersionInformation| {
        version.version_status().is_some_and(|status| status.as_str() == "STANDARD_SUPPORT")
    };
    let standard: Vec<String> = known.iter().filter(is_standard).map(name).collect();
    let wanted = match &spec.kubernetes_version {
        Some(wanted) => known.iter().find(|known| known.cluster_version() == Some(wanted)),
        None => known.iter().find(|known| known.default_version()),
    };
    let Some(version) = wanted else {
        let wanted = spec.kubernetes_version.as_deref().unwrap_or("a default");
        let found = format!("EKS has no version {wanted}");
        return Ok(Check::failed(
            NAME,
            found,
            format!("choose one with --kubernetes-version: {}", standard.join(", ")),
        ));
    };
    let name = name(version);
    let end = version.end_of_standard_support_date().map(|end| day(end.secs()));
    let end = end.map_or(String::new(), |end| format!(", in standard support until {end}"));
    Ok(match is_standard(&version) {
        true => Check::ok(NAME, format!("{name}{end}")),
        false => Check::failed(
            NAME,
            format!("{name} is in extended support, which costs six times as much"),
            format!("choose another with --kubernetes-version: {}", standard.join(", ")),
        ),
    })
}

fn day(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).date().to_string()
}

/// One of AWS' limits, and how much of it a cluster takes.
struct Quota {
    service: &'static str,
    code: &'static str,
    what: &'static str,
    needs: usize,
    used: usize,
}

async fn quotas(spec: &EksSpec, caller: Arc<Caller<'_>>) -> Vec<Check> {
    const NAME: &str = "aws quotas";
    let (aws, who) = match caller.get().await {
        Ok(found) => found,
        Err(error) => return vec![failed(NAME, &error)],
    };
    let name = names::cluster(&who.account, &aws.region, &spec.base);
    let nats: usize = match spec.nat {
        Nat::Single => 1,
        Nat::PerZone => 3,
        Nat::None => 0,
    };
    let (all, own) = match Box::pin(usage(aws, &name)).await {
        Ok(counted) => counted,
        Err(error) => return vec![failed(NAME, &error)],
    };
    let quota = |service, code, what, needs, used| Quota { service, code, what, needs, used };
    let all = [
        // What an earlier run has made of this cluster is not needed once more.
        quota("vpc", "L-F678F1CE", "VPCs", 1_usize.saturating_sub(own.vpcs), all.vpcs),
        quota("ec2", "L-0263D0A3", "addresses", nats.saturating_sub(own.addresses), all.addresses),
        quota("eks", "L-1194D53C", "clusters", 1_usize.saturating_sub(own.clusters), all.clusters),
        // Two small nodes are the least that Auto Mode starts.
        quota("ec2", "L-1216C47A", "vCPUs of running instances", 4, all.cpus),
    ];
    let judged = futures::future::join_all(all.iter().filter(|quota| quota.needs > 0).map(|quota| judge(aws, quota)));
    let problems: Vec<Check> = judged.await.into_iter().flatten().collect();
    match problems.is_empty() {
        true => vec![Check::ok(NAME, "enough of VPCs, addresses, clusters and vCPUs is left")],
        false => problems,
    }
}

/// What counts towards the limits.
#[derive(Default)]
struct Usage {
    vpcs: usize,
    addresses: usize,
    clusters: usize,
    cpus: usize,
}

/// Of the account in its region; and the part of the cluster itself, of which an earlier run may have made some.
async fn usage(aws: &Aws, name: &str) -> Result<(Usage, Usage)> {
    let is_own = |tags: &[Tag]| usize::from(look::tag(tags, names::CLUSTER_TAG) == Some(name));
    let (mut all, mut own) = (Usage::default(), Usage::default());
    for vpc in aws.ec2.describe_vpcs().send().await.doing("counting VPCs")?.vpcs.unwrap_or_default() {
        all.vpcs += 1;
        own.vpcs += is_own(vpc.tags());
    }
    let addresses = aws.ec2.describe_addresses().send().await.doing("counting addresses")?;
    for address in addresses.addresses.unwrap_or_default() {
        all.addresses += 1;
        own.addresses += is_own(address.tags());
    }
    let mut pages = aws.eks.list_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        for cluster in page.doing("counting clusters")?.clusters.unwrap_or_default() {
            all.clusters += 1;
            own.clusters += usize::from(cluster == name);
        }
    }
    let running = look::filter("instance-state-name", ["pending", "running"]);
    let mut pages = aws.ec2.describe_instances().filters(running).max_results(1000).into_paginator().send();
    while let Some(page) = pages.next().await {
        let reservations = page.doing("counting instances")?.reservations.unwrap_or_default();
        let instances = reservations.iter().flat_map(|reservation| reservation.instances());
        let each = instances.filter_map(|instance| instance.cpu_options());
        let counted = each.map(|cpu| cpu.core_count().unwrap_or(0) * cpu.threads_per_core().unwrap_or(1));
        all.cpus += usize::try_from(counted.sum::<i32>()).unwrap_or_default();
    }
    Ok((all, own))
}

async fn judge(aws: &Aws, quota: &Quota) -> Option<Check> {
    let Quota { what, needs, used, code, service } = quota;
    // A quota that cannot be asked for is told by the call that meets it.
    let limit = limit(aws, service, code).await?;
    let room = limit - *used as f64;
    (room < *needs as f64).then(|| {
        Check::failed(
            "aws quotas",
            format!("{needs} {what} are needed, {used} of {limit} are used"),
            format!("remove what is not needed, or ask for more: aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} --desired-value {}", used + needs),
        )
    })
}

/// As it is for the account, or as it is for all whose own was never changed.
async fn limit(aws: &Aws, service: &str, code: &str) -> Option<f64> {
    let quota = match aws.quotas.get_service_quota().service_code(service).quota_code(code).send().await {
        Ok(answer) => answer.quota,
        Err(_) => {
            let call = aws.quotas.get_aws_default_service_quota().service_code(service).quota_code(code);
            call.send().await.ok()?.quota
        }
    };
    quota?.value
}

/// What the policy allows is asked of AWS, as far as it tells.
async fn rights(caller: Arc<Caller<'_>>) -> Result<Check> {
    const NAME: &str = "aws rights";
    let (aws, who) = caller.get().await?;
    let actions: Vec<String> = policy::actions()?.into_iter().filter(|action| !action.contains('*')).collect();
    let mut denied = BTreeSet::new();
    for some in actions.chunks(TRIED) {
        let call = aws.iam.simulate_principal_policy().policy_source_arn(source(&who.arn));
        let Ok(answer) = call.set_action_names(Some(some.to_vec())).send().await else {
            let fix = "if something is refused later, `stackctl eks-policy` prints what is needed";
            return Ok(Check::warning(NAME, "AWS does not say which rights you have", fix));
        };
        let results = answer.evaluation_results.unwrap_or_default().into_iter();
        let refused = results.filter(|result| result.eval_decision.as_str() == "explicitDeny");
        denied.extend(refused.map(|result| result.eval_action_name));
    }
    Ok(match denied.is_empty() {
        true => Check::ok(NAME, format!("none of {} actions is denied", actions.len())),
        false => Check::warning(
            NAME,
            format!("denied: {}", denied.into_iter().collect::<Vec<_>>().join(", ")),
            "`stackctl eks-policy` prints the policy that allows them",
        ),
    })
}

/// The role behind a session: `assumed-role/NAME/session` has no policies itself.
fn source(arn: &str) -> String {
    let Some((before, rest)) = arn.split_once(":assumed-role/") else { return arn.to_owned() };
    let role = rest.split('/').next().unwrap_or(rest);
    format!("{}:role/{role}", before.replacen(":sts:", ":iam:", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_of_another_architecture_needs_an_emulator() {
        use crate::provider::check::Status::{Failed, Ok, Warning};
        let status = |architecture, system, emulates| builds(architecture, system, emulates).status;
        assert_eq!(status("x86_64", "Debian", Some(false)), Ok);
        assert_eq!(status("aarch64", "Debian", Some(true)), Ok);
        assert_eq!(status("aarch64", "Docker Desktop", None), Ok);
        assert_eq!(status("aarch64", "Debian", None), Warning);
        let cannot = builds("aarch64", "Debian", Some(false));
        assert!(cannot.status == Failed && cannot.fix.unwrap().contains("binfmt --install amd64"));
    }

    #[test]
    fn rights_are_those_of_the_role_behind_a_session() {
        assert_eq!(source("arn:aws:iam::1:user/me"), "arn:aws:iam::1:user/me");
        assert_eq!(source("arn:aws:sts::1:assumed-role/admin/me@x"), "arn:aws:iam::1:role/admin");
    }

    #[test]
    fn credentials_that_end_within_the_hour_are_told() {
        let now = SystemTime::UNIX_EPOCH;
        assert!(ends_soon(now + Duration::from_secs(3601), now).is_none());
        assert!(ends_soon(now + Duration::from_secs(600), now).unwrap().found.contains("10 min"));
    }
}
