//! What a removal depends on: the sets that go, whatever is on record about them, and what else lives in the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{holdings, list};
use crate::{
    error::Result,
    kube::{
        Kube,
        live::Live,
        ownership::{adopt::is_adopted, holds::is_of, inventory::Parent},
    },
    machine::Machine,
    object::json,
    plan::{
        down,
        observed::{LiveState, Observed, leaving},
    },
    provider::{ClusterState, Observation, Traits},
    stack::model::instance_name,
};

/// What a plan of `down` depends on: no images, and no stack that could be read.
pub async fn for_removal(machine: &Machine, options: &down::Options) -> Result<Observed> {
    machine.until_stopped(Box::pin(what_can_be_removed(machine, options))).await
}

async fn what_can_be_removed(machine: &Machine, options: &down::Options) -> Result<Observed> {
    let traits = machine.provider.traits();
    let cluster = machine.provider.observe().await?;
    let live = match cluster {
        ClusterState::Ours { stopped: false } => match machine.kube().await {
            Ok(kube) => Some(live_of_removal(kube, options, &traits).await?),
            // A cluster that is ours but does not answer is removed as a whole, or not at all.
            Err(error) if traits.is_ours() => {
                machine.events.warn(format!("the API server does not answer: {error}"));
                None
            }
            Err(error) => return Err(error),
        },
        _ => None,
    };
    let proxy = machine.provider.observe_proxy(&options.stack).await?;
    let provider = Observation { proxy, cloud: machine.provider.observe_cloud().await?, ..Observation::of(cluster) };
    Ok(Observed { live, ..Observed::of(traits, provider) })
}

/// The sets that go with the stack, with all that carries their label, whatever is on record about them; and where the
/// cluster may go as well, because it is ours, what else lives in it.
async fn live_of_removal(kube: &Kube, options: &down::Options, traits: &Traits) -> Result<LiveState> {
    let parents = kube.read_parents().await?;
    let mut ids = leaving(&parents, &options.stack, &options.instances);
    if options.all {
        ids.extend(parents.values().map(|parent| parent.id.clone()));
    }
    let going: Vec<&Parent> = parents.values().filter(|parent| ids.contains(&parent.id)).collect();
    let namespaces: BTreeSet<String> = going.iter().flat_map(|parent| parent.namespaces.iter().cloned()).collect();
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    let members = kube.members(&ids, &namespaces).await?;
    let copies = members.copies;
    let mut live = Live { objects: members.objects.into_iter().map(|object| (json::key(&object), object)).collect() };
    if !members.unlisted.is_empty() {
        // What is on record must be seen, or this is the end.
        live.objects.extend(list(kube, &going).await?.objects);
    }
    let mut state = LiveState { live, parents, ..LiveState::default() };
    if traits.is_ours() && (options.cluster || options.is_last(&state)) {
        let recorded = state.parents.values().map(|parent| parent.id.clone());
        let ours: Vec<String> = recorded.chain(ids.iter().cloned()).collect();
        let own = instance_name(&options.stack, "");
        let unused = state.components().filter(|(name, parent)| parent.users.is_empty() && !name.starts_with(&own));
        let unused: Vec<&str> = unused.map(|(_, parent)| parent.id.as_str()).collect();
        state.foreign = kube.foreign(&ours, &unused, &traits.own_objects).await?;
        state.foreign.objects.extend(copies);
        if !options.delete_adopted {
            let adopted = state.live.objects.iter().filter(|(_, object)| is_adopted(object));
            state.foreign.objects.extend(adopted.map(|(key, _)| key.clone()));
        }
    }
    if options.dry_run && !options.prune_data {
        let ours = |object: &Value| is_of(object, &ids);
        state.holdings = holdings(kube, state.live.objects.iter(), &ours).await?;
    }
    Ok(state)
}
