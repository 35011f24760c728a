use std::{collections::BTreeSet, sync::Mutex};

use super::*;
use crate::{
    event::interrupt::until_cancelled,
    plan::{Action, Graph, Images},
};

/// a ─▶ c, b ─▶ c, c ─▶ d
fn diamond() -> Plan {
    let mut graph = Graph::default();
    let a = graph.add("a", &[], Action::Barrier);
    let b = graph.add("b", &[], Action::Barrier);
    let c = graph.add("c", &[a, b], Action::Barrier);
    graph.add("d", &[c], Action::Barrier);
    graph.into()
}

#[tokio::test]
async fn independent_steps_overlap_and_needs_come_first() {
    let plan = diamond();
    let (events, _receiver) = Events::channel();
    let both = tokio::sync::Barrier::new(2);
    let log = Mutex::new(Vec::new());
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        let id = step.id.to_string();
        let (both, log) = (&both, &log);
        Box::pin(async move {
            if id == "a" || id == "b" {
                both.wait().await;
            }
            log.lock().unwrap().push(id);
            Ok(Done::default())
        })
    };
    let cancel = CancellationToken::new();
    let run = run(&plan, &events, &cancel, act);
    tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
    assert_eq!(log.lock().unwrap()[2..], ["c", "d"]);
}

#[tokio::test]
async fn a_failure_starts_nothing_more_but_lets_work_end() {
    let plan = diamond();
    let (events, mut receiver) = Events::channel();
    let ended = Mutex::new(false);
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        let (id, ended) = (step.id.to_string(), &ended);
        Box::pin(async move {
            match id.as_str() {
                "a" => Err(Error::new(Kind::Build, "no")),
                "b" => {
                    tokio::task::yield_now().await;
                    *ended.lock().unwrap() = true;
                    Ok(Done::default())
                }
                other => panic!("{other} must not start"),
            }
        })
    };
    let error = run(&plan, &events, &CancellationToken::new(), act).await.unwrap_err();
    assert_eq!(error.kind, Kind::Build);
    assert!(*ended.lock().unwrap());
    drop(events);
    let mut skipped = Vec::new();
    while let Some(event) = receiver.recv().await {
        if let Event::Finished { step, outcome: Outcome::Skipped, .. } = event {
            skipped.push(step.to_string());
        }
    }
    assert_eq!(skipped, ["c", "d"]);
}

#[tokio::test]
async fn every_failure_is_told_with_all_that_it_says() {
    let plan = diamond();
    let (events, _receiver) = Events::channel();
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        let id = step.id.to_string();
        Box::pin(async move { Err(Error::new(Kind::Refused, id.clone()).detail(format!("why {id}"))) })
    };
    let error = run(&plan, &events, &CancellationToken::new(), act).await.unwrap_err();
    assert_eq!(error.others.len(), 1);
    assert_eq!(error.others[0].details, [format!("why {}", error.others[0].message)]);
}

#[tokio::test]
async fn a_step_that_nothing_needs_never_delays_the_end() {
    let mut graph = Graph::default();
    let optional = Action::Preload { images: Images::Named(BTreeSet::new()) };
    let a = graph.add("a", &[], Action::Barrier);
    let slow = graph.add("slow", &[a], optional.clone());
    graph.add("after slow", &[slow], optional);
    graph.add("b", &[a], Action::Barrier);
    let plan = graph.into();
    let (events, mut receiver) = Events::channel();
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        match &*step.id {
            "slow" => Box::pin(futures::future::pending()),
            _ => Box::pin(std::future::ready(Ok(Done::default()))),
        }
    };
    let cancel = CancellationToken::new();
    let run = run(&plan, &events, &cancel, act);
    tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
    drop(events);
    let mut skipped = Vec::new();
    while let Some(event) = receiver.recv().await {
        if let Event::Finished { step, outcome: Outcome::Skipped, note: Some(note), .. } = event {
            skipped.push(format!("{step}: {note}"));
        }
    }
    assert_eq!(skipped, ["slow: nothing needs it any more", "after slow: nothing needs it any more"]);
}

#[tokio::test]
async fn a_failure_does_not_wait_for_what_is_optional() {
    let mut graph = Graph::default();
    graph.add("slow", &[], Action::Preload { images: Images::Named(BTreeSet::new()) });
    graph.add("a", &[], Action::Barrier);
    let plan = graph.into();
    let (events, _receiver) = Events::channel();
    let act = |step: &Step, _, cancel: CancellationToken| -> LocalBoxFuture<'_, Result<Done>> {
        match &*step.id {
            "slow" => Box::pin(async move { until_cancelled(&cancel, futures::future::pending()).await }),
            _ => Box::pin(std::future::ready(Err(Error::new(Kind::Build, "no")))),
        }
    };
    let cancel = CancellationToken::new();
    let run = run(&plan, &events, &cancel, act);
    let error = tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::Build);
}

#[tokio::test]
async fn what_is_not_ready_for_one_reason_is_gathered() {
    let mut graph = Graph::default();
    for id in ["first", "second", "never"] {
        graph.add(id, &[], Action::AwaitNetwork);
    }
    let plan: Plan = graph.into();
    let (events, _receiver) = Events::channel();
    let act = |step: &Step, _, token: CancellationToken| -> LocalBoxFuture<'_, Result<Done>> {
        let id = step.id.to_string();
        Box::pin(async move {
            match id.as_str() {
                "never" => {
                    token.cancelled().await;
                    return Err(interrupted());
                }
                "second" => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => {}
            }
            let what = cause::What::Image(format!("{id}:1"));
            let mut error = Error::new(Kind::NotReady, id.clone());
            error.roots.push(cause::Root { subject: id, what });
            Err(error)
        })
    };
    let (quiet, cancel) = (Duration::from_secs(3), CancellationToken::new());
    let ended = run_within(GRACE, quiet, &plan, &events, &cancel, act).await;
    assert_eq!(ended.unwrap_err().message, "2 images cannot be pulled: first:1, second:1");
}

#[tokio::test]
async fn an_interruption_ends_even_steps_that_do_not_listen() {
    let plan = diamond();
    let (events, _receiver) = Events::channel();
    let cancel = CancellationToken::new();
    let act = |_: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        cancel.cancel();
        Box::pin(futures::future::pending())
    };
    let error = run_within(Duration::from_millis(1), QUIET, &plan, &events, &cancel, act).await.unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
}

#[tokio::test]
async fn steps_that_end_after_an_interruption_do_not_prolong_its_grace() {
    let mut graph = Graph::default();
    for nth in 0..1000 {
        graph.add(nth, &[], Action::Barrier);
    }
    let plan = Plan::from(graph);
    let (events, _receiver) = Events::channel();
    let cancel = CancellationToken::new();
    // One ends every 20 ms, for 20 s in all.
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
        let nth: u64 = step.id.parse().unwrap();
        cancel.cancel();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20 * nth)).await;
            Ok(Done::default())
        })
    };
    let run = run_within(Duration::from_millis(200), QUIET, &plan, &events, &cancel, act);
    let ended = tokio::time::timeout(Duration::from_secs(10), run).await;
    assert_eq!(ended.expect("each step began the grace anew").unwrap_err().kind, Kind::Interrupted);
}

#[tokio::test]
async fn nothing_begins_after_an_interruption() {
    let plan = diamond();
    let (events, _receiver) = Events::channel();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> { panic!("{} began", step.id) };
    assert_eq!(run(&plan, &events, &cancel, act).await.unwrap_err().kind, Kind::Interrupted);
}
