//! Removal of sets of objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Done, outputs::Output, run::Run, share, spare};
use crate::object::{Key, Removed};
use crate::{
    error::Result,
    event::Progress,
    kube::{
        CREATED_LABEL, Kube, SYSTEM_NAMESPACE,
        delete::DeleteOptions,
        discovery::KindRef,
        ownership::{
            adopt,
            holds::{Kept, Why, is_data, is_definition, is_namespace},
            inventory::{Parent, Write},
        },
        pull_secret,
    },
    object::json,
    observe,
    plan::observed::{LiveState, leaving},
    stack::{desired, model::SetKind},
};

fn removed(keys: &[Key], kept: Vec<Key>) -> Done {
    let removed = keys.iter().map(|key| Removed { kind: key.kind.clone(), name: key.name.clone() });
    Done::changed(!keys.is_empty()).with(Output::Removed { removed: removed.collect(), kept })
}

pub async fn set(
    run: &Run<'_>,
    live: Option<&LiveState>,
    kind: SetKind,
    name: &str,
    progress: &Progress,
) -> Result<Done> {
    match kind {
        SetKind::Component => component(run, live, name, progress).await,
        SetKind::Stack => {
            let (done, stays) = members(run, live, kind, name, progress).await?;
            if !stays {
                run.kube().await?.delete_parent(&desired::parent_name(kind, name)).await?;
            }
            Ok(done)
        }
    }
}

/// Takes the stack off the component's users, and removes what nobody uses then: others may have come and gone since
/// the plan was made. `live`: None if it is to be read.
pub async fn component(run: &Run<'_>, live: Option<&LiveState>, name: &str, progress: &Progress) -> Result<Done> {
    let kube = run.kube().await?;
    let parent = desired::parent_name(SetKind::Component, name);
    let left = kube.remove_user(&parent, &run.stack.name).await?.unwrap_or_default();
    if !left.is_empty() {
        return Ok(still_used(&left));
    }
    let (done, stays) = members(run, live, SetKind::Component, name, progress).await?;
    if !stays {
        kube.delete_unused_parent(&parent).await?;
    }
    Ok(done)
}

fn still_used(users: &BTreeSet<String>) -> Done {
    Done::note(format!("still used by {}", users.iter().cloned().collect::<Vec<_>>().join(", ")))
}

/// Removes the objects of a set. True: something of it stays, and so does its record.
async fn members(
    run: &Run<'_>,
    live: Option<&LiveState>,
    kind: SetKind,
    name: &str,
    progress: &Progress,
) -> Result<(Done, bool)> {
    let kube = run.kube().await?;
    let (id, parent) = (desired::applyset_id(kind, name), desired::parent_name(kind, name));
    let read;
    let live = match live {
        Some(live) => live,
        None => {
            read = observe::recorded_objects(kube, None).await?;
            &read
        }
    };
    let prune_data = run.options.change.prune_data;
    let mut ids = leaving(&live.parents, &run.stack.name, &[]);
    ids.push(id.clone());
    let mut kept = Vec::new();
    let (mut adopted, mut shared, mut definitions, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, object) in live.live.of_set(&id) {
        match key {
            _ if adopt::is_adopted(object) && !run.options.change.delete_adopted => adopted.push(object.clone()),
            key if share::is_shareable(key) => shared.push(object.clone()),
            key if is_definition(key) => definitions.push(object.clone()),
            key if is_data(key) && !prune_data => kept.push(Kept { key: key.clone(), why: Why::Data }),
            _ => rest.push(object.clone()),
        }
    }
    let options = DeleteOptions { foreground: true, timeout: Some(run.machine.timeout) };
    let unwaited = DeleteOptions { timeout: None, ..options };
    let mut removal = Removal { kube, parent: &parent, kind, progress, gone: Vec::new(), users: BTreeSet::new() };
    removal.waves(&spare::backwards(rest), options).await?;
    removal.look().await?;
    let mut stays = if removal.goes_on() { share::release(kube, adopted).await? } else { Vec::new() };
    let spared = spare::definitions(kube, definitions, &ids, prune_data).await?;
    removal.waves(&[spared.go], options).await?;
    kept.extend(spared.kept);
    removal.look().await?;
    // Last, and looked at again: whom else they serve may have changed.
    if removal.goes_on() {
        let (namespaces, secrets): (Vec<_>, Vec<_>) = shared.into_iter().partition(|it| is_namespace(&json::key(it)));
        let namespaces = share::namespaces(kube, &id, namespaces).await;
        let all = secrets.into_iter().chain(namespaces).collect();
        let (alone, handed_over) = share::hand_over(kube, &parent, &run.stack.name, all).await?;
        stays.extend(handed_over);
        let (namespaces, secrets): (Vec<_>, Vec<_>) = alone.into_iter().partition(|it| is_namespace(&json::key(it)));
        removal.waves(&[secrets], options).await?;
        let spared = spare::namespaces(kube, namespaces, &ids, prune_data).await?;
        removal.waves(&[spared.empty], unwaited).await?;
        removal.waves(&[spared.go], options).await?;
        kept.extend(spared.kept);
    }
    let Removal { gone, users, .. } = removal;
    detach(kube, &gone).await?;
    if !users.is_empty() {
        return Ok((still_used(&users).with(removed(&gone, Vec::new()).output), true));
    }
    let stays_on_record = !kept.is_empty();
    if stays_on_record {
        keep_on_record(kube, live.parents.get(&parent), &id, &parent, &kept).await?;
    }
    for kept in &kept {
        run.machine.events.warn(kept.to_string());
    }
    let done = removed(&gone, kept.into_iter().map(|kept| kept.key).collect());
    Ok((Done { note: (!stays.is_empty()).then(|| stays.join(", ")), ..done }, stays_on_record))
}

/// The removal of one set as it goes on.
struct Removal<'a> {
    kube: &'a Kube,
    parent: &'a str,
    kind: SetKind,
    progress: &'a Progress,
    gone: Vec<Key>,
    /// Stacks that came to use the component since: what is left of it is theirs.
    users: BTreeSet<String>,
}

impl Removal<'_> {
    fn goes_on(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether somebody has joined meanwhile.
    async fn look(&mut self) -> Result<()> {
        if self.goes_on() && self.kind == SetKind::Component {
            self.users = self.kube.read_parent(self.parent).await?.map(|parent| parent.users).unwrap_or_default();
        }
        Ok(())
    }

    /// Deletes wave by wave, for as long as nobody has joined the component.
    async fn waves(&mut self, waves: &[Vec<Value>], options: DeleteOptions) -> Result<()> {
        for wave in waves.iter().filter(|wave| !wave.is_empty()) {
            self.look().await?;
            if !self.goes_on() {
                return Ok(());
            }
            let gone = self.kube.delete_waves(std::slice::from_ref(wave), options, self.progress).await?;
            self.gone.extend(gone);
        }
        Ok(())
    }
}

/// What is kept stays on record, or nobody would find it again.
async fn keep_on_record(kube: &Kube, recorded: Option<&Parent>, id: &str, name: &str, kept: &[Kept]) -> Result<()> {
    let parent = Parent {
        name: name.to_owned(),
        id: id.to_owned(),
        kinds: kept.iter().map(|kept| KindRef::any_version(&kept.key.group, &kept.key.kind)).collect(),
        namespaces: kept.iter().filter_map(|kept| kept.key.namespace.clone()).collect(),
        // Those that are on record are kept by the write.
        users: BTreeSet::new(),
        ..recorded.cloned().unwrap_or_default()
    };
    kube.write_parent(&parent, Write::Narrow).await.map(drop)
}

/// Where the Secret of a private registry went and its namespace stays, nothing may name it any more.
pub async fn detach(kube: &Kube, removed: &[Key]) -> Result<()> {
    let is_gone = |namespace: &str| {
        removed.iter().any(|key| key.kind == "Namespace" && key.group.is_empty() && key.name == namespace)
    };
    for namespace in removed.iter().filter_map(|key| key.namespace.as_deref()) {
        if removed.contains(&pull_secret::key(namespace)) && !is_gone(namespace) {
            kube.detach_pull_secret(namespace).await?;
        }
    }
    Ok(())
}

/// The namespace of the sets' records, if we made it and nothing is recorded any more.
pub async fn inventory(run: &Run<'_>, progress: &Progress) -> Result<Done> {
    let kube = run.kube().await?;
    let left: BTreeMap<String, Parent> = kube.read_parents().await?;
    let key = Key { group: String::new(), kind: "Namespace".into(), namespace: None, name: SYSTEM_NAMESPACE.into() };
    let namespace = kube.get(&key).await?.filter(|namespace| json::label(namespace, CREATED_LABEL).is_some());
    let Some(namespace) = namespace.filter(|_| left.is_empty()) else {
        return Ok(Done::unchanged());
    };
    let spared = spare::namespaces(kube, vec![namespace], &[], false).await?;
    for kept in &spared.kept {
        run.machine.events.warn(kept.to_string());
    }
    let options = DeleteOptions { foreground: false, timeout: None };
    let deleted = kube.delete_waves(&[spared.empty, spared.go], options, progress).await?;
    Ok(removed(&deleted, Vec::new()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{event::Events, kube::testing::Fake};

    #[tokio::test]
    async fn a_stack_that_joins_a_component_keeps_what_is_left_of_it() {
        const RECORD: &str = "/api/v1/namespaces/stackctl-system/configmaps/component-metrics";
        let path = |name: &str| format!("/api/v1/namespaces/n/configmaps/{name}");
        // Another stack joins as soon as the first object goes.
        let fake = Fake::start(move |request, objects| {
            if request.method == "DELETE" && objects.all.contains_key(RECORD) {
                objects.all.get_mut(RECORD).unwrap()["metadata"]["annotations"]["stackctl.io/users"] = "mesh".into();
            }
            None
        })
        .await;
        let parent = Parent { name: "component-metrics".into(), id: "a".into(), ..Parent::default() };
        fake.kube.write_parent(&parent, Write::Widen).await.unwrap();
        let waves = ["first", "second"].map(|name| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}});
            fake.objects().put(&path(name), object);
            vec![fake.objects().all[&path(name)].clone()]
        });
        let progress = Events::channel().0.progress("test");
        let mut removal = Removal {
            kube: &fake.kube,
            parent: &parent.name,
            kind: SetKind::Component,
            progress: &progress,
            gone: Vec::new(),
            users: BTreeSet::new(),
        };
        let options = DeleteOptions { foreground: true, timeout: Some(Duration::from_secs(5)) };
        removal.waves(&waves, options).await.unwrap();
        assert_eq!(removal.gone.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["first"]);
        assert_eq!(removal.users, BTreeSet::from(["mesh".to_owned()]));
        assert!(fake.objects().all.contains_key(&path("second")));
    }
}
