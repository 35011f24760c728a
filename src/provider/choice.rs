//! The one place that knows all providers: what was chosen, and how it is opened.

use tokio_util::sync::CancellationToken;

use super::{
    Access, ClusterSpec, DEFAULT_NETWORK, Provider, Traits,
    check::Checking,
    eks::{self, EksSpec},
    existing::{self, ExistingCluster},
    fleet::Fleet,
    kind::{self, KindCluster},
    local::{checks, kubeconfig::UserKubeconfig},
    minikube::{self, MinikubeCluster, MinikubeSpec},
    settings::{CONTEXT, PROVIDER},
};
use crate::{
    error::{Error, Kind, Result},
    image::{Engine, engine::Connection},
    setting::{Origin, Parsed, Values},
    state::State,
};
use futures::FutureExt;

/// What the setting `provider` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Kind,
    Minikube,
    Eks,
    Existing,
}

impl Name {
    const ALL: [Name; 4] = [Name::Kind, Name::Minikube, Name::Eks, Name::Existing];

    pub fn parse(text: &str) -> Parsed<Name> {
        Name::ALL.into_iter().find(|name| name.text() == text).ok_or_else(|| {
            let names: Vec<_> = Name::ALL.into_iter().map(Name::text).collect();
            format!("expected one of: {}", names.join(", "))
        })
    }

    fn text(self) -> &'static str {
        match self {
            Name::Kind => "kind",
            Name::Minikube => "minikube",
            Name::Eks => "eks",
            Name::Existing => "existing",
        }
    }
}

/// Which provider, with what it has to know. Nothing is looked at before it is opened.
#[derive(Debug, Clone)]
pub enum Choice {
    /// A cluster that kind makes.
    Kind(ClusterSpec),
    /// A cluster that minikube makes.
    Minikube(MinikubeSpec),
    /// A cluster on AWS.
    Eks(EksSpec),
    /// The cluster of a context of the user's kubeconfig; None: of the current context.
    Existing { context: Option<String> },
}

/// A context is one of a cluster that is there: alone it implies that provider. Beside another one, named as strongly or
/// less so, nobody can tell what is meant.
pub fn imply(values: &mut Values) -> Result<()> {
    let name = values.required(&PROVIDER)?;
    let (Some((context, by)), Some((shown, origin))) = (values.shown(&CONTEXT), values.shown(&PROVIDER)) else {
        return Ok(());
    };
    if *by == Origin::Default || name == Name::Existing || origin.strength() > by.strength() {
        return Ok(());
    }
    if *origin != Origin::Default {
        let what = format!(
            "the context {context} ({by}) is one of an existing cluster, but the provider is {shown} ({origin})"
        );
        return Err(Error::new(Kind::Usage, what)
            .hint(format!("--provider {} uses the cluster of that context", Name::Existing.text()))
            .hint(format!("leave the context out for the provider {shown}")));
    }
    let by = by.clone();
    values.imply(&PROVIDER, Name::Existing.text(), by);
    Ok(())
}

impl Choice {
    pub fn of(values: &Values) -> Result<Choice> {
        Ok(match values.required(&PROVIDER)? {
            Name::Kind => Choice::Kind(kind::settings::spec(values)?),
            Name::Minikube => Choice::Minikube(minikube::settings::spec(values)?),
            Name::Eks => Choice::Eks(eks::settings::spec(values)?),
            Name::Existing => Choice::Existing { context: values.optional(&CONTEXT)? },
        })
    }

    /// As a cluster that is there says, where it decides what it is like.
    pub fn settled(self) -> Choice {
        match self {
            Choice::Minikube(spec) => Choice::Minikube(spec.with_profile()),
            other => other,
        }
    }

    /// Whether each stack has a cluster of its own where the settings name none.
    pub fn is_of_one_stack(&self) -> bool {
        matches!(self, Choice::Eks(_))
    }

    /// The same for the cluster of a stack, where each has its own.
    pub fn of_stack(self, stack: &str) -> Choice {
        match self {
            Choice::Eks(spec) => Choice::Eks(EksSpec { base: stack.to_owned(), ..spec }),
            other => other,
        }
    }

    /// As the setting `provider` names it.
    pub fn name(&self) -> &'static str {
        match self {
            Choice::Kind(_) => Name::Kind,
            Choice::Minikube(_) => Name::Minikube,
            Choice::Eks(_) => Name::Eks,
            Choice::Existing { .. } => Name::Existing,
        }
        .text()
    }

    /// What its clusters are like.
    pub fn traits(&self) -> Traits {
        match self {
            Choice::Kind(_) => kind::TRAITS,
            Choice::Minikube(spec) => spec.traits(),
            Choice::Eks(_) => eks::TRAITS,
            Choice::Existing { .. } => existing::TRAITS,
        }
    }

    /// What has to be looked at before a cluster is made, the engine first. `engine`: an error where none answers.
    pub fn checks<'a>(&'a self, engine: &'a Result<Engine>) -> Vec<Checking<'a>> {
        match self {
            Choice::Kind(_) => kind::checks::all(engine),
            Choice::Minikube(spec) => minikube::checks::all(spec, engine),
            #[cfg(feature = "eks")]
            Choice::Eks(spec) => eks::checks::all(spec, engine),
            #[cfg(not(feature = "eks"))]
            Choice::Eks(_) => Vec::new(),
            Choice::Existing { .. } => vec![Checking::new("engine", checks::examine(engine, false).boxed())],
        }
    }

    /// The cluster that has to be there already, or why it cannot be told which; None: it may have to be made.
    pub fn must_be_there(&self) -> Option<Result<Access>> {
        match self {
            Choice::Kind(_) | Choice::Minikube(_) | Choice::Eks(_) => None,
            Choice::Existing { context } => {
                let opened = State::from_env()
                    .and_then(|state| ExistingCluster::new(&UserKubeconfig::from_env()?, context.as_deref(), &state));
                Some(opened.map(|cluster| cluster.where_it_is().clone()))
            }
        }
    }

    /// Clusters of ours that are where this one would be, as the cloud alone shows them.
    pub async fn fleet(&self) -> Result<Fleet> {
        match self {
            Choice::Eks(spec) => Box::pin(eks::fleet(spec)).await,
            other => Err(Error::new(Kind::Usage, format!("clusters of {} are in no cloud", other.name()))
                .hint(format!("--provider {} looks at an account of AWS", Name::Eks.text()))),
        }
    }

    /// Ports of the host that belong to the cluster already.
    pub async fn published(&self, engine: &Engine) -> Result<Vec<u16>> {
        match self {
            Choice::Kind(spec) => kind::mark::members(&spec.name).published(&engine.docker).await,
            Choice::Minikube(spec) => spec.members().published(&engine.docker).await,
            Choice::Eks(_) | Choice::Existing { .. } => Ok(Vec::new()),
        }
    }

    /// Whether the cluster has a single node once it is made.
    pub fn makes_one_node(&self) -> bool {
        let spec = match self {
            Choice::Kind(spec) => spec,
            Choice::Minikube(spec) => &spec.cluster,
            Choice::Eks(_) | Choice::Existing { .. } => return false,
        };
        spec.control_planes + spec.workers == 1
    }

    /// Ports of 127.0.0.1 that the cluster takes once it is made.
    pub fn host_ports(&self) -> Result<Vec<u16>> {
        match self {
            Choice::Kind(spec) => kind::config::host_ports(spec),
            Choice::Minikube(_) | Choice::Eks(_) | Choice::Existing { .. } => Ok(Vec::new()),
        }
    }
}

/// `engine`: is looked for only if the provider needs one.
pub async fn open(
    choice: Choice,
    engine: &Connection,
    user: &UserKubeconfig,
    state: &State,
    cancel: &CancellationToken,
) -> Result<Box<dyn Provider>> {
    Ok(match choice {
        Choice::Kind(spec) => {
            let Engine { docker, endpoint, .. } = engine.get().await?;
            let cluster = KindCluster::new(spec, docker, endpoint, DEFAULT_NETWORK, user.clone(), state);
            Box::new(cluster.cancelled_by(cancel))
        }
        Choice::Minikube(spec) => {
            let Engine { docker, endpoint, .. } = engine.get().await?;
            Box::new(MinikubeCluster::new(spec, docker, endpoint, user.clone(), state).cancelled_by(cancel))
        }
        #[cfg(feature = "eks")]
        Choice::Eks(spec) => Box::new(Box::pin(eks::EksCluster::open(spec, user, state, cancel)).await?),
        #[cfg(not(feature = "eks"))]
        Choice::Eks(_) => return Err(eks::missing()),
        Choice::Existing { context } => Box::new(ExistingCluster::new(user, context.as_deref(), state)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_says_what_has_to_be_there_before_it_is_opened() {
        let engine = Err(crate::error::Error::new(crate::error::Kind::Platform, "no engine"));
        let names = |choice: &Choice| choice.checks(&engine).iter().map(|check| check.name).collect::<Vec<_>>();
        let choice = Choice::Kind(ClusterSpec::named("one"));
        assert_eq!(names(&choice), ["engine", "kind", "inotify"]);
        assert!(choice.must_be_there().is_none());
        let choice = Choice::Existing { context: Some("a".into()) };
        assert_eq!((names(&choice), choice.host_ports().unwrap()), (vec!["engine"], Vec::new()));
        assert!(choice.must_be_there().is_some());
    }

    #[tokio::test]
    async fn what_needs_no_engine_does_not_ask_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: \
                    'https://127.0.0.1:1'}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nusers: [{name: u, \
                    user: {}}]\n";
        std::fs::write(&file, text).unwrap();
        let (user, state) = (UserKubeconfig::at([file]), State::at(folder.path().join("state")));
        let engine = Connection::found(Err(crate::error::Error::new(crate::error::Kind::Platform, "no engine")));
        let opened = open(Choice::Existing { context: None }, &engine, &user, &state, &CancellationToken::new()).await;
        assert_eq!(opened.unwrap().traits(), existing::TRAITS);
    }
}
