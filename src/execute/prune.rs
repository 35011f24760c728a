//! Pruning: what left a set goes, except data and what others still need.

use serde_json::Value;

use super::{Done, delete, run::Run, share, spare};
use crate::object::Key;
use crate::{
    error::{Result, words::few},
    event::Progress,
    kube::{
        Kube,
        delete::DeleteOptions,
        ownership::{
            holds::{Kept, Why, is_definition, is_namespace},
            inventory::Write,
            prune::Candidates,
        },
    },
    object::json,
    plan::{
        observed::{LiveState, leaving, other_user},
        up,
    },
    stack::desired::DesiredSet,
};

/// What holds something that the run is about to need. Its pods, too, must be gone.
pub async fn first(
    run: &Run<'_>,
    live: &LiveState,
    set: &DesiredSet,
    keys: &[Key],
    progress: &Progress,
) -> Result<Done> {
    let mut remove = up::stale_objects(set, live, run.options.change.prune_data).remove;
    remove.retain(|object| keys.contains(&json::key(object)));
    let mut removal = Removal::new(run, live, set, true, progress).await?;
    removal.run(remove).await?;
    Ok(removal.done())
}

/// All else that left the set.
pub async fn prune(
    run: &Run<'_>,
    live: &LiveState,
    set: &DesiredSet,
    keys: &[Key],
    progress: &Progress,
) -> Result<Done> {
    let Candidates { mut remove, release, keep } = up::stale_objects(set, live, run.options.change.prune_data);
    remove.retain(|object| keys.contains(&json::key(object)));
    // What this run applied has not left the stack, whatever name it was looked for under.
    remove.retain(|object| !run.outputs.has_applied(json::uid(object)));
    let mut removal = Removal::new(run, live, set, false, progress).await?;
    removal.kept = keep;
    removal.run(remove).await?;
    let released = share::release(removal.kube, release).await?;
    for kept in &removal.kept {
        run.machine.events.warn(kept.to_string());
    }
    if removal.kept.is_empty() && set.is_empty() {
        removal.kube.delete_parent(&set.parent()).await?;
    } else {
        let parent = up::inventory_with(set, run.stack, &removal.kept);
        removal.kube.write_parent(&parent, Write::Narrow).await?;
    }
    let done = removal.done();
    let unchanged = done.unchanged && released.is_empty() && !set.is_empty();
    let lines: Vec<String> = done.note.into_iter().chain(released).collect();
    Ok(Done { note: (!lines.is_empty()).then(|| lines.join(", ")), ..Done::changed(!unchanged) })
}

struct Removal<'a> {
    run: &'a Run<'a>,
    kube: &'a Kube,
    set: &'a DesiredSet,
    /// Of all sets of the stack.
    ids: Vec<String>,
    options: DeleteOptions,
    progress: &'a Progress,
    removed: Vec<Key>,
    kept: Vec<Kept>,
}

impl<'a> Removal<'a> {
    async fn new(
        run: &'a Run<'a>,
        live: &LiveState,
        set: &'a DesiredSet,
        foreground: bool,
        progress: &'a Progress,
    ) -> Result<Removal<'a>> {
        let kube = run.kube().await?;
        let mut ids = leaving(&live.parents, &run.stack.name, &[]);
        ids.push(set.applyset_id());
        let options = DeleteOptions { foreground, timeout: Some(run.machine.timeout) };
        Ok(Removal { run, kube, set, ids, options, progress, removed: Vec::new(), kept: Vec::new() })
    }

    async fn run(&mut self, remove: Vec<Value>) -> Result<()> {
        let (mut namespaces, mut secrets, mut definitions, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for object in remove {
            match json::key(&object) {
                key if is_namespace(&key) => namespaces.push(object),
                key if is_definition(&key) => definitions.push(object),
                key if share::is_shareable(&key) => secrets.push(object),
                _ => rest.push(object),
            }
        }
        let (alone, _) = share::hand_over(self.kube, &self.set.parent(), "", secrets).await?;
        self.delete(spare::backwards(rest.into_iter().chain(alone))).await?;
        let prune_data = self.run.options.change.prune_data;
        // With these all goes that they hold, so they go last and only after another look.
        let spared = spare::definitions(self.kube, definitions, &self.ids, prune_data).await?;
        self.kept.extend(spared.kept);
        self.delete(vec![spared.go]).await?;
        let namespaces = self.unshared(namespaces).await?;
        let spared = spare::namespaces(self.kube, namespaces, &self.ids, prune_data).await?;
        self.kept.extend(spared.kept);
        let unwaited = DeleteOptions { timeout: None, ..self.options };
        self.removed.extend(self.kube.delete_waves(&[spared.empty], unwaited, self.progress).await?);
        self.delete(vec![spared.go]).await?;
        delete::detach(self.kube, &self.removed).await
    }

    async fn delete(&mut self, waves: Vec<Vec<Value>>) -> Result<()> {
        self.removed.extend(self.kube.delete_waves(&waves, self.options, self.progress).await?);
        Ok(())
    }

    /// Namespaces that no other set uses by now.
    async fn unshared(&mut self, namespaces: Vec<Value>) -> Result<Vec<Value>> {
        if namespaces.is_empty() {
            return Ok(namespaces);
        }
        let parents = self.kube.read_parents().await?;
        let (mut alone, parent) = (Vec::new(), self.set.parent());
        for namespace in namespaces {
            let key = json::key(&namespace);
            match other_user(&parents, &parent, &key.name) {
                Some(other) => self.kept.push(Kept { key, why: Why::Shared(other.name.clone()) }),
                None => alone.push(namespace),
            }
        }
        Ok(alone)
    }

    fn done(&self) -> Done {
        let count = self.removed.len();
        let note = (count > 0).then(|| format!("removed {}", few(self.removed.iter().map(Key::place))));
        Done { note, ..Done::changed(count > 0) }
    }
}
