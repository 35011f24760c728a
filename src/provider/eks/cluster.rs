//! A cluster on EKS, as the rest of the program uses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    TRAITS, audit,
    client::Aws,
    ledger::{self, Ledger},
    look,
    make::Made,
    names,
    seen::{Cluster, Identity, Seen},
    spec::EksSpec,
    task::{Removal, Task},
    wait::{Pace, Wait},
};
use crate::{
    error::{Error, Kind, Result, blocking},
    event::Progress,
    object::Removed,
    provider::{
        Access, ClusterState, OwnRegistry, Provider, Traits,
        local::{
            kubeconfig::UserKubeconfig,
            lock::{Lock, Waiting},
        },
        step::{Acted, Step, StepContext},
        sweep::Swept,
    },
    state::{Folder, State},
};

const KUBECONFIG_FILE: &str = "kubeconfig";
/// A cluster that another process makes or removes takes so long at most.
const LOCKED_WITHIN: Duration = Duration::from_secs(3600);

/// A cluster on EKS, with credentials that are known to be taken.
#[derive(Debug)]
pub struct EksCluster {
    pub(super) spec: EksSpec,
    pub(super) aws: Aws,
    pub(super) who: Identity,
    /// On EKS.
    pub(super) name: String,
    pub(super) ledger: Ledger,
    pub(super) pace: Pace,
    pub(super) cancel: CancellationToken,
    folder: Folder,
    locks: Folder,
    /// Held from the first step on that changes something, as long as this lives.
    lock: tokio::sync::Mutex<Option<Lock>>,
    /// What the last step of a removal has found.
    audited: Mutex<Option<Swept>>,
    user: UserKubeconfig,
    /// Ids of its parts, as far as this run has seen them.
    ids: Mutex<BTreeMap<String, String>>,
    /// The cluster, as it was last seen.
    found: Mutex<Option<Cluster>>,
}

impl EksCluster {
    /// Asks AWS who we are: what clusters are called depends on the account.
    pub async fn open(spec: EksSpec, user: &UserKubeconfig, state: &State, cancel: &CancellationToken) -> Result<Self> {
        let pace = Pace::from_env()?;
        let aws = Aws::open(spec.region.as_deref()).await?;
        let who = look::caller(&aws, &spec).await?;
        let name = names::cluster(&who.account, &aws.region, &spec.base);
        let folder = state.cluster(&name);
        Ok(EksCluster {
            spec,
            who,
            ledger: Ledger::of(&folder),
            pace,
            cancel: cancel.clone(),
            locks: state.locks(),
            lock: tokio::sync::Mutex::default(),
            audited: Mutex::default(),
            user: user.clone(),
            ids: Mutex::default(),
            found: Mutex::default(),
            aws,
            name,
            folder,
        })
    }

    pub(super) fn known(&self, part: &str, id: String, new: bool) -> Made {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(part.to_owned(), id.clone());
        Made { id, new }
    }

    /// The id of one of its parts, which an earlier step has made or seen, or an earlier run.
    pub(super) async fn id(&self, part: &str) -> Result<String> {
        if let Some(id) = self.seen_id(part) {
            return Ok(id);
        }
        self.learn(&look::everything(&self.aws, &self.spec, &self.who).await?);
        self.seen_id(part).ok_or_else(|| {
            Error::new(Kind::Platform, format!("AWS does not show {part} of the cluster {}", self.name))
                .hint("run the same command again: it makes what is missing")
        })
    }

    pub(super) fn seen_id(&self, part: &str) -> Option<String> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(part).cloned()
    }

    fn learn(&self, seen: &Seen) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let mut put = |part: String, id: &String| _ = ids.insert(part, id.clone());
        seen.vpc.iter().for_each(|vpc| put("vpc".to_owned(), &vpc.id));
        seen.gateway.iter().for_each(|gateway| put("internet-gateway".to_owned(), &gateway.id));
        seen.subnets.iter().for_each(|(name, subnet)| put(format!("subnet-{name}"), &subnet.id));
        seen.tables.iter().for_each(|(name, table)| put(format!("route-table-{name}"), &table.id));
        let alive = |nat: &&super::seen::Nat| nat.state != "deleting";
        let nats = seen.nats.iter().filter(|(_, nat)| alive(nat));
        nats.for_each(|(name, nat)| put(format!("nat-{name}"), &nat.id));
    }

    pub(super) fn wait<'a>(
        &'a self,
        what: &'a str,
        usually: &'a str,
        within: Duration,
        progress: &'a Progress,
    ) -> Wait<'a> {
        Wait { what, usually, within, pace: self.pace, cancel: &self.cancel, progress }
    }

    /// Its user is a program: this one, which makes tokens from whatever credentials AWS' tools would use.
    pub(super) fn write_kubeconfig(&self, cluster: &aws_sdk_eks::types::Cluster) -> Result<()> {
        let Some((server, authority)) = look::reached_by(cluster) else {
            return Err(Error::new(
                Kind::Platform,
                format!("EKS does not say how the cluster {} is reached", self.name),
            ));
        };
        let program = std::env::current_exe().map_or_else(|_| "stackctl".into(), |path| path.display().to_string());
        let profile = std::env::var("AWS_PROFILE").ok().map(|value| json!({ "name": "AWS_PROFILE", "value": value }));
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": program,
            "args": ["eks-token", self.name, "--region", self.aws.region],
            "env": profile.into_iter().collect::<Vec<_>>(),
            "interactiveMode": "Never",
            "provideClusterInfo": false,
        });
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [{
                "name": self.name,
                "cluster": { "server": server, "certificate-authority-data": authority },
            }],
            "contexts": [{ "name": self.name, "context": { "cluster": self.name, "user": self.name } }],
            "users": [{ "name": self.name, "user": { "exec": exec } }],
        });
        let text = serde_yaml::to_string(&kubeconfig).map_err(|error| {
            Error::new(Kind::Unexpected, "cannot serialise the cluster's kubeconfig").caused_by(&error)
        })?;
        self.folder.write(KUBECONFIG_FILE, text.as_bytes())
    }

    async fn make(&self, task: &Task, progress: &Progress) -> Result<Acted> {
        let unless_new = |new: bool| Ok(Acted::unchanged(!new));
        match task {
            Task::Vpc { cidr } => unless_new(self.make_vpc(cidr).await?.new),
            Task::InternetGateway => unless_new(self.make_gateway().await?.new),
            Task::Subnet(subnet) => unless_new(self.make_subnet(subnet).await?.new),
            Task::RouteTable(table) => unless_new(self.make_table(table).await?.new),
            Task::S3Endpoint { tables } => unless_new(self.make_endpoint(tables).await?.new),
            Task::NatGateway { name, subnet } => unless_new(self.make_nat(name, subnet, progress).await?.new),
            Task::NatRoute { table, nat } => unless_new(self.make_nat_route(table, nat).await?),
            Task::Role { role } => unless_new(self.make_role(*role).await?),
            Task::LogGroup => unless_new(self.make_log_group().await?),
            Task::Repositories { names } => unless_new(self.make_repositories(names).await?),
            Task::Cluster { subnets, version } => {
                unless_new(self.make_cluster(subnets, version.as_deref(), progress).await?)
            }
            Task::AwaitCluster => self.await_cluster(progress).await.map(|()| Acted::default()),
            Task::StorageClass => Ok(Acted { object: Some(EksCluster::storage_class()), ..Acted::default() }),
            Task::Access { cidrs } => self.open_to(cidrs, progress).await.map(|()| Acted::default()),
            Task::Complete => self.mark_complete().await.map(|()| Acted::default()),
            Task::Remove { removal } => self.remove(*removal, progress).await.map(Acted::removed),
        }
    }

    /// Of several processes on this machine each sees what the one before has made.
    async fn alone(&self, doing: &str, progress: &Progress) -> Result<()> {
        let mut lock = self.lock.lock().await;
        if lock.is_none() {
            let waiting = Waiting { doing, within: LOCKED_WITHIN, cancel: &self.cancel, progress };
            *lock = Some(Lock::take(&self.locks, &self.name, &waiting).await?);
        }
        Ok(())
    }

    /// Forgets it if nothing is left: where something is, the ledger is needed.
    pub(super) async fn forget_if_gone(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let swept = audit::sweep(self).await?;
        let is_gone = swept.left.is_empty();
        *self.audited.lock().unwrap_or_else(PoisonError::into_inner) = Some(swept);
        if is_gone { self.forget(progress).await } else { Ok(Vec::new()) }
    }

    /// What this machine knows of it: its context in the user's kubeconfig, tokens, the ledger.
    async fn forget(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let (user, folder, context) = (self.user.clone(), self.folder.clone(), self.name.clone());
        let taken = blocking(move || user.remove(&context, &folder)).await?;
        let mut removed = taken.removed;
        for error in &taken.failures {
            let context = &self.name;
            progress.warn(format!("{error}; make it writable, or take the context {context} out of it yourself"));
        }
        if taken.failures.is_empty() && self.folder.remove()? {
            removed.push(Removed { kind: "file".to_owned(), name: self.folder.path().display().to_string() });
        }
        Ok(removed)
    }

    /// What another account or region has is not gone because it cannot be seen. `is_here`: this one has something of it.
    pub(super) fn refuse_elsewhere(&self, is_here: bool) -> Result<()> {
        ledger::refuse_elsewhere(&self.folder, &self.name, &self.who.account, &self.aws.region, is_here)
    }

    pub(super) fn kubeconfig(&self) -> Option<Access> {
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        kubeconfig.exists().then(|| Access { kubeconfig, context: self.name.clone() })
    }

    /// Whether the kubeconfig leads to a cluster that somebody has removed and made anew, under the same name.
    fn is_of_another(&self, access: &Access) -> bool {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let reached_by = found.as_ref().and_then(|found| found.reached_by.as_ref());
        let text = std::fs::read_to_string(&access.kubeconfig).unwrap_or_default();
        reached_by.is_some_and(|(server, authority)| !text.contains(server) || !text.contains(authority))
    }
}

#[async_trait]
impl Provider for EksCluster {
    fn traits(&self) -> Traits {
        TRAITS
    }

    fn folder(&self) -> &Folder {
        &self.folder
    }

    async fn observe(&self) -> Result<ClusterState> {
        let seen = look::cluster(&self.aws, &self.name).await?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&seen);
        let nothing = Seen { cluster: seen, ..Seen::of(&self.spec, &self.who, &self.aws.region, &self.name) };
        Ok(nothing.state())
    }

    async fn observe_cloud(&self) -> Result<Option<Box<Seen>>> {
        let seen = look::everything(&self.aws, &self.spec, &self.who).await?;
        self.learn(&seen);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&seen.cluster);
        Ok(Some(Box::new(seen)))
    }

    async fn own_registry(&self) -> Result<OwnRegistry> {
        EksCluster::own_registry(self).await
    }

    async fn kubeconfig_outdated(&self) -> Result<bool> {
        self.user.lacks(KUBECONFIG_FILE, &self.folder).await
    }

    async fn act(&self, step: &Step, context: StepContext<'_>) -> Result<Acted> {
        if let Step::Cloud(task) = step {
            let doing = if matches!(task, Task::Remove { .. }) { "removing" } else { "making" };
            self.alone(doing, context.progress).await?;
        }
        match step {
            Step::Cloud(task @ Task::Remove { removal: Removal::LoadBalancers }) => {
                if self.kubeconfig().is_some() {
                    (context.may_go)().await?;
                }
                Box::pin(self.make(task, context.progress)).await
            }
            Step::Cloud(task) => Box::pin(self.make(task, context.progress)).await,
            Step::MergeKubeconfig => {
                let access = self.access().await?;
                let merged = self.user.merge_and_tell(&access, &self.folder, true, context.progress).await;
                merged.map(|()| Acted::default())
            }
            other => Err(other.is_not_mine("eks")),
        }
    }

    async fn sweep(&self, _bases: &BTreeSet<String>) -> Result<Swept> {
        let audited = self.audited.lock().unwrap_or_else(PoisonError::into_inner).take();
        match audited {
            Some(swept) => Ok(swept),
            None => audit::sweep(self).await,
        }
    }

    async fn start(&self, _progress: &Progress) -> Result<()> {
        Err(never_stopped())
    }

    async fn stop(&self, _progress: &Progress) -> Result<()> {
        Err(never_stopped())
    }

    async fn access(&self) -> Result<Access> {
        if let Some(access) = self.kubeconfig().filter(|access| !self.is_of_another(access)) {
            return Ok(access);
        }
        let found = look::described(&self.aws, &self.name).await?.ok_or_else(|| {
            Error::new(Kind::Preflight, format!("there is no cluster {}", self.name)).hint("`stackctl up` makes it")
        })?;
        self.write_kubeconfig(&found)?;
        Ok(Access { kubeconfig: self.folder.file(KUBECONFIG_FILE), context: self.name.clone() })
    }

    /// Auto Mode's own pools are of that platform.
    async fn platform(&self) -> Result<String> {
        Ok("linux/amd64".to_owned())
    }
}

fn never_stopped() -> Error {
    Error::new(Kind::Usage, "a cluster on EKS is never stopped: its control plane costs the same whatever runs")
        .hint("`stackctl down` removes it, and `stackctl up` makes it anew")
}
