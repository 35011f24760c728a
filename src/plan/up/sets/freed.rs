//! The order among objects of which one needs what another one still has.

use std::collections::BTreeSet;

use super::{Begun, SetPlanner};
use crate::{
    object::json,
    plan::{
        Action,
        up::{
            held::{Held, held},
            stale_objects,
        },
    },
    stack::desired::{DesiredObject, DesiredSet},
};

impl SetPlanner<'_> {
    /// What left the set and holds what an object of this run needs goes before all else, or everything that left it.
    pub(super) fn prune_first(&mut self, begun: &mut Begun) {
        let set = &self.given.sets[begun.index];
        let Some(live) = self.live() else { return };
        let stale = stale_objects(set, live, self.given.options.prune_data).remove;
        let wanted: BTreeSet<Held> =
            self.given.sets.iter().flat_map(|set| &set.objects).flat_map(|object| held(&object.object.value)).collect();
        let (first, later): (Vec<_>, Vec<_>) = stale.iter().partition(|object| {
            self.given.options.prune_first || held(object).iter().any(|held| wanted.contains(held))
        });
        begun.stale = later.into_iter().map(json::key).flat_map(|key| live.with_all_that_goes(key)).collect();
        if first.is_empty() {
            return;
        }
        let keys = first.iter().map(|object| json::key(object)).collect();
        let action = Action::PruneFirst { set: begun.index };
        let id = format!("prune-first:{}", set.name);
        let node = self.graph.add_deletion(id, self.given.cluster.as_slice(), action, keys);
        self.freed.extend(first.into_iter().flat_map(held).map(|held| (held, node)));
        if self.given.options.prune_first {
            begun.gate.push(node);
        }
        begun.planned.applied.push(node);
    }

    /// The changed objects of a wave: those that need what another one still has come last.
    pub(super) fn freeing_first(&self, set: &DesiredSet, changed: &[usize], wave: u8) -> Vec<usize> {
        let of_wave = |object: &&usize| set.objects[**object].wave == wave;
        let mut objects: Vec<usize> = changed.iter().filter(of_wave).copied().collect();
        let freed: BTreeSet<Held> = objects.iter().flat_map(|&object| self.freed_by(&set.objects[object])).collect();
        if !freed.is_empty() {
            objects
                .sort_by_key(|&object| held(&set.objects[object].object.value).iter().any(|held| freed.contains(held)));
        }
        objects
    }

    /// What the object has now and will not have any more.
    pub(super) fn freed_by(&self, desired: &DesiredObject) -> BTreeSet<Held> {
        let there = self.live().and_then(|live| live.live.objects.get(&desired.object.key()));
        let Some(mut freed) = there.map(held).filter(|held| !held.is_empty()) else { return BTreeSet::new() };
        for kept in held(&desired.object.value) {
            freed.remove(&kept);
        }
        freed
    }
}
