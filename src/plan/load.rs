//! The plan of `loadgen` from inside the cluster: what is declared must be ready; then the load and what follows it.

use super::{Action, Plan, observed::Observed, test::readied};
use crate::{error::Result, stack::model::Stack};

#[derive(Debug, Clone)]
pub struct Options {
    pub agent_given: bool,
    /// Scheme, host and port.
    pub url: String,
    pub workers: u32,
    /// The verdict asks for it.
    pub scale_down: bool,
}

/// Fails with `Kind::Preflight` where the stack is not there.
pub fn plan(stack: &Stack, options: &Options, observed: &Observed) -> Result<Plan> {
    let (mut graph, sets, needs) = readied(stack, options.agent_given, observed)?;
    let run = Action::Load { url: options.url.clone(), workers: options.workers };
    let run = graph.add("load:run", &needs, run);
    if options.scale_down {
        graph.add("load:scale-down", &[run], Action::AwaitScaleDown);
    }
    Ok(Plan { sets, ..Plan::from(graph) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        error::Kind,
        kube::ownership::inventory::Parent,
        plan::{observed::LiveState, summary::Summary},
        provider::{ClusterState, Observation, existing},
    };

    fn observed(up: bool) -> Observed {
        let parents = BTreeMap::from_iter(up.then(|| ("stack-hello".to_owned(), Parent::default())));
        let provider = Observation::of(ClusterState::Ours { stopped: false });
        let live = LiveState { parents, ..LiveState::default() };
        Observed { live: Some(live), ..Observed::of(existing::TRAITS, provider) }
    }

    fn options(agent_given: bool, scale_down: bool) -> Options {
        Options { agent_given, url: "http://hello-service:8400".into(), workers: 2, scale_down }
    }

    fn ids(plan: &Plan) -> Vec<String> {
        plan.outline().iter().map(|step| format!("{} after {}", step.id, step.needs.join(","))).collect()
    }

    #[test]
    fn the_load_comes_after_the_agent_and_before_the_scale_down() {
        let stack = Stack::named("hello");
        let whole = plan(&stack, &options(false, true), &observed(true)).unwrap();
        assert_eq!(ids(&whole), ["agent after ", "load:run after agent", "load:scale-down after load:run"]);
        let short = plan(&stack, &options(true, false), &observed(true)).unwrap();
        assert_eq!(ids(&short), ["load:run after "]);
        let planned = Summary::of(&short, &observed(true)).load.unwrap();
        assert_eq!((planned.url.as_str(), planned.workers), ("http://hello-service:8400", 2));
    }

    #[test]
    fn a_stack_that_is_not_up_is_said_to_be_so() {
        let error = plan(&Stack::named("hello"), &options(true, false), &observed(false)).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.hints[0].contains("stackctl up hello"), "{error:?}");
    }
}
