//! Which steps are shown together: what belongs to the cluster, to images, to a stack or component, to the edge.

use super::{Action, Step};
use crate::{
    event::Group,
    stack::{desired::DesiredSet, model::SetKind},
};

impl Step {
    /// None: a barrier, which is not shown.
    pub(super) fn group(&self, sets: &[DesiredSet]) -> Option<Group> {
        let group = match &self.action {
            Action::Barrier => return None,
            Action::Provider(step) => step.group(),
            Action::AwaitNetwork | Action::DeleteInventory => Group::Cluster,
            Action::Build { .. }
            | Action::Push { .. }
            | Action::Preload { .. }
            | Action::Tag { .. }
            | Action::ProvideAgent
            | Action::CollectGarbage => Group::Images,
            Action::WriteInventory { set }
            | Action::CreateSecret { set, .. }
            | Action::IssueCertificate { set }
            | Action::ProvidePullSecret { set, .. }
            | Action::Apply { set, .. }
            | Action::RelaxWebhook { set, .. }
            | Action::PruneFirst { set }
            | Action::Prune { set }
            | Action::AwaitAddress { set, .. }
            | Action::Await { set, .. } => of_set(sets[*set].kind, &sets[*set].name),
            Action::DeleteSet { kind, name } => of_set(*kind, name),
            Action::LeaveComponent { name } => of_set(SetKind::Component, name),
            Action::EndDisruption | Action::Prove => Group::Proofs,
            Action::RunJob { .. } => Group::Job,
            Action::Load { .. } | Action::AwaitScaleDown => Group::Load,
        };
        Some(group)
    }
}

fn of_set(kind: SetKind, name: &str) -> Group {
    match kind {
        SetKind::Stack => Group::Stack { name: name.into() },
        SetKind::Component => Group::Component { name: name.into() },
    }
}
