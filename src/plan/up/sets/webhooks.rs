//! When webhooks that pods of the set answer are in force.

use super::{Begun, SetPlanner};
use crate::{
    plan::{Action, Node, up::webhooks},
    stack::desired::DesiredSet,
};

impl SetPlanner<'_> {
    /// Webhooks in force that have to admit the pods which answer them let these pass, where none may answer for a while;
    /// they are applied as declared once there are such pods.
    pub(super) fn relax(&mut self, begun: &mut Begun) {
        let (index, set) = (begun.index, &self.given.sets[begun.index]);
        for (object, desired) in set.objects.iter().enumerate() {
            let key = desired.object.key();
            let there = self.live().and_then(|live| live.live.objects.get(&key));
            let Some(there) = there.filter(|_| webhooks::is_configuration(&key)) else { continue };
            let backends = webhooks::backends(set, &desired.object.value);
            let may_be_alone = |&backend: &usize| {
                let value = &set.objects[backend].object.value;
                let live = self.live().and_then(|live| live.live.objects.get(&set.objects[backend].object.key()));
                let stops = begun.changed.contains(&backend) && webhooks::may_stop_all(value, live);
                webhooks::guards(there, value) && (stops || !self.is_ready(set, backend))
            };
            if !backends.iter().any(may_be_alone) {
                continue;
            }
            let id = self.graph.object_step("relax", &key, &set.namespace);
            let relaxed = self.graph.add(id, &begun.gate, Action::RelaxWebhook { set: index, object });
            begun.gate.push(relaxed);
            begun.planned.applied.push(relaxed);
            if !begun.changed.contains(&object) {
                begun.changed.push(object);
                begun.planned.unchanged -= 1;
            }
        }
    }

    fn is_ready(&self, set: &DesiredSet, object: usize) -> bool {
        let key = set.objects[object].object.key();
        self.live().is_some_and(|live| live.ready.contains(&key))
    }

    /// After these the pods that answer the webhooks of the object are there. Nothing for an object without webhooks.
    pub(super) fn behind_webhooks(&mut self, begun: &mut Begun, object: usize) -> Vec<Node> {
        let (index, set) = (begun.index, &self.given.sets[begun.index]);
        let configuration = &set.objects[object].object;
        if !webhooks::is_configuration(&configuration.key()) {
            return Vec::new();
        }
        let mut nodes = Vec::new();
        for backend in webhooks::backends(set, &configuration.value) {
            let key = set.objects[backend].object.key();
            if !begun.changed.contains(&backend) && self.is_ready(set, backend) {
                continue;
            }
            let known = self.awaited.get(&key).copied();
            nodes.push(known.unwrap_or_else(|| {
                let ready = self.await_ready(index, backend, &begun.gate);
                begun.planned.awaited.push(ready);
                ready
            }));
        }
        nodes
    }
}
