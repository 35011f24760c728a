//! What `down` does beyond a plan: the cluster goes with its last stack, and what is left is looked for.

use std::{collections::BTreeSet, time::Duration};

use super::{Look, execute};
use crate::{
    error::Result,
    execute::{self as running, Outputs, Run},
    machine::Machine,
    object::{Key, Removed},
    observe::{
        self,
        left::{self, Left, Search},
    },
    plan::{self, Action, down, observed::Observed},
    provider::{Answer, ClusterState},
    stack::model::Stack,
};

/// How often is asked whether another run has removed the cluster: of this machine, and of somebody who counts calls.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);
const LOOKED_AT_EVERY_WHERE_IT_COSTS: Duration = Duration::from_secs(10);

/// What a person means by the name of a stack: the cluster may have another one of that name.
#[derive(Debug, Clone, Default)]
pub struct Meant {
    /// Where the stack comes from that is meant, if it can be told.
    pub origin: Option<String>,
    /// The namespace in which it is said to be.
    pub namespace: Option<String>,
}

impl Meant {
    pub(super) fn check(&self, options: &down::Options, observed: &Observed) -> Result<()> {
        let Some(live) = &observed.live else { return Ok(()) };
        plan::origin::check_removal(&options.stack, self.origin.as_deref(), live)?;
        plan::origin::check_namespace(&options.stack, self.namespace.as_deref(), live)
    }
}

/// What a removal came to.
pub struct Removal {
    pub removed: Vec<Removed>,
    /// Left in place on purpose.
    pub kept: Vec<Key>,
    /// What is there after all; an error where nobody could look.
    pub left: Result<Left>,
}

/// Removes what a look found of a stack, and looks at everything again. `bases`: images that its services are built from,
/// as far as it can be read. Err: the removal failed.
pub async fn remove(
    machine: &Machine,
    options: &down::Options,
    how: &running::Options,
    look: &Look,
    bases: &BTreeSet<String>,
) -> Result<Removal> {
    let Look { observed, plan } = look;
    let Rounds { whole, mut removed, kept } = rounds(machine, options, how, look).await?;
    let live = || observed.live.iter();
    let name = &options.stack;
    let recorded = live().flat_map(|live| live.instances(name)).map(str::to_owned);
    let instances: Vec<String> = recorded.chain(options.instances.iter().cloned()).collect();
    let namespaces: Vec<String> = live().flat_map(|live| live.namespaces(name)).map(str::to_owned).collect();
    let search = Search { stack: name, instances: &instances, namespaces: &namespaces, kept: &kept };
    let left = match whole {
        true => left::of_cluster(machine, bases).await,
        false => left::of_stack(machine, search).await,
    };
    // The records of the sets went too.
    let is_clean = left.as_ref().is_ok_and(|left| left.things.is_empty()) && kept.is_empty();
    if plan.has(&Action::DeleteInventory) && is_clean {
        removed.extend(machine.forget_cluster().await?);
    }
    Ok(Removal { removed, kept, left })
}

struct Rounds {
    /// The cluster went too.
    whole: bool,
    removed: Vec<Removed>,
    kept: Vec<Key>,
}

/// Of several stacks that go at the same time each sees the others' records and leaves the cluster to them: the last one
/// takes it along.
async fn rounds(machine: &Machine, options: &down::Options, how: &running::Options, look: &Look) -> Result<Rounds> {
    let Look { observed, plan } = look;
    let stack = Stack::named(&options.stack);
    let (first, second) = (Outputs::default(), Outputs::default());
    let run = |plan, observed, outputs| Run { machine, stack: &stack, options: how, plan, observed, outputs };
    let others = observed.live.as_ref().filter(|live| observed.traits.is_ours() && !options.is_last(live));
    let whole = if others.is_none() || plan.removes_cluster() {
        execute(&run(plan, observed, &first)).await?;
        plan.removes_cluster()
    } else {
        let work = async {
            execute(&run(plan, observed, &first)).await?;
            the_rest(machine, options).await
        };
        match unless_gone(machine, Box::pin(work)).await? {
            Some(None) => false,
            Some(Some(Look { observed, plan })) => {
                execute(&run(&plan, &observed, &second)).await?;
                true
            }
            None => true,
        }
    };
    let removed = [first.removed(), second.removed()].concat();
    Ok(Rounds { whole, removed, kept: first.kept() })
}

/// The removal of the cluster, where no stack is left in it by now.
async fn the_rest(machine: &Machine, options: &down::Options) -> Result<Option<Look>> {
    let left = machine.kube().await?.read_parents().await?;
    if left.keys().any(|parent| parent.starts_with("stack-")) {
        return Ok(None);
    }
    // This one is on record no more, and is asked for all the same.
    let options = down::Options { known: true, ..options.clone() };
    let observed = observe::for_removal(machine, &options).await?;
    let plan = down::plan(&options, &observed)?;
    Ok(plan.removes_cluster().then_some(Look { observed, plan }))
}

/// None: another run has removed the cluster meanwhile.
async fn unless_gone<T>(machine: &Machine, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    let every = match machine.provider.traits().costs {
        Answer::Yes => LOOKED_AT_EVERY_WHERE_IT_COSTS,
        Answer::No | Answer::Unknown => LOOKED_AT_EVERY,
    };
    let is_gone = async || machine.provider.observe().await.is_ok_and(|state| state == ClusterState::Absent);
    let gone = async {
        while !is_gone().await {
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        done = work => match done {
            Ok(done) => Ok(Some(done)),
            Err(_) if is_gone().await => Ok(None),
            Err(error) => Err(error),
        },
        () = gone => Ok(None),
    }
}
