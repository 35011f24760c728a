//! A stack of the same name that came from elsewhere is another stack until somebody says otherwise.

use std::collections::BTreeSet;

use super::{
    observed::LiveState,
    up::{inventory, stale_objects},
};
use crate::{
    error::{Error, Kind, Result},
    object::json,
    stack::{
        desired::{self, DesiredSet},
        model::{SetKind, Stack},
        origin::describe,
    },
};

/// So many objects are named that would be deleted.
const NAMED: usize = 20;

/// Fails with `Kind::Preflight` where the stack on record came from elsewhere.
pub fn check(stack: &Stack, sets: &[DesiredSet], live: &LiveState, take_over: bool) -> Result<()> {
    let Some(set) = sets.iter().find(|set| set.kind == SetKind::Stack).filter(|_| !take_over) else { return Ok(()) };
    let wanted = inventory(set, stack);
    let Some(recorded) = live.parents.get(&wanted.name).filter(|recorded| wanted.is_from_elsewhere(recorded)) else {
        return Ok(());
    };
    let removed = stale_objects(set, live, false).remove;
    let named = removed.iter().take(NAMED).map(|object| format!("this stack does not declare {}", json::key(object)));
    let more = removed.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("nor {more} further objects of it"));
    Err(elsewhere(&stack.name, recorded.origin().unwrap_or_default(), &stack.origin)
        .details(named.chain(more))
        .hint("give one of the two another name: `name:` in its stack.yaml")
        .hint("--take-over makes it this one from now on, and deletes what this one does not declare"))
}

/// The same for a removal. `origin`: of the folder that was named; None: none was, so the name alone counts.
pub fn check_removal(name: &str, origin: Option<&str>, live: &LiveState) -> Result<()> {
    let recorded = live.parents.get(&desired::parent_name(SetKind::Stack, name)).and_then(|parent| parent.origin());
    match (origin, recorded) {
        (Some(here), Some(there)) if here != there => Err(elsewhere(name, there, here)
            .hint(format!("to remove it all the same, name it without a folder: stackctl down {name}"))),
        _ => Ok(()),
    }
}

/// Fails with `Kind::Usage` where the namespace that was asked for is none of those that the stack has objects in.
pub fn check_namespace(name: &str, asked: Option<&str>, live: &LiveState) -> Result<()> {
    let has: Vec<&str> = live.namespaces(name).collect();
    match asked {
        Some(asked) if !has.is_empty() && !has.contains(&asked) => {
            let has = has.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
            Err(Error::new(Kind::Usage, format!("the stack {name} is in namespace {has}, not in {asked}"))
                .hint("leave --namespace out to remove it where it is"))
        }
        _ => Ok(()),
    }
}

fn elsewhere(name: &str, there: &str, here: &str) -> Error {
    Error::new(Kind::Preflight, format!("the stack {name} in this cluster comes from another place"))
        .detail(format!("in the cluster: {}", describe(there)))
        .detail(format!("here: {}", describe(here)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::ownership::inventory::Parent;

    #[test]
    fn a_removal_from_a_namespace_that_the_stack_is_not_in_is_refused() {
        let parent = Parent { namespaces: ["shop".to_owned()].into(), ..Parent::default() };
        let live = LiveState { parents: [("stack-shop".to_owned(), parent)].into(), ..LiveState::default() };
        assert!(check_namespace("shop", None, &live).is_ok() && check_namespace("shop", Some("shop"), &live).is_ok());
        assert!(check_namespace("gone", Some("other"), &live).is_ok(), "nothing is known of it");
        let error = check_namespace("shop", Some("other"), &live).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(error.message, "the stack shop is in namespace shop, not in other");
    }
}
