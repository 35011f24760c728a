use super::*;
use crate::event::load::Latency;

const NAME: &str = "Deployment/hello-service";

/// One sample each 10 s from -10 s on: what the autoscaler wants, what is ready, its metric.
fn samples(course: &[(u32, u32, Option<f64>)]) -> Vec<ClusterSample> {
    let sample = |(index, (desired, ready, value)): (usize, &(u32, u32, Option<f64>))| ClusterSample {
        at: index as f64 * 10.0 - 10.0,
        workload: NAME.into(),
        replicas: *desired,
        ready: *ready,
        desired: Some(*desired),
        metric: Some("cpu".into()),
        value: *value,
        target: Some(50.0),
        restarts: 0,
    };
    course.iter().enumerate().map(sample).collect()
}

fn scaling() -> Scaling {
    let autoscaler =
        Autoscaler { name: "hello".into(), minimum: 2, maximum: 5, resource_metric: true, ..Autoscaler::default() };
    Scaling { workload: NAME.into(), autoscaler: Some(autoscaler), ..Scaling::default() }
}

fn totals() -> Totals {
    Totals {
        requests: 10_000,
        succeeded: 9_999,
        failed: 1,
        error_rate: 0.0001,
        rate: 99.987,
        latency: Latency { p99: 250.0, ..Latency::default() },
        errors: [("timeout".to_owned(), 1)].into(),
        ..Totals::default()
    }
}

fn judged(verdict: &Verdict, samples: &[ClusterSample], scaling: &[Scaling], problem: Option<&str>) -> VerdictDocument {
    let run = Run { totals: &totals(), samples, scaling, metrics_problem: problem, load_end: 60.0 };
    judge(verdict, &run).unwrap()
}

/// Held, what was measured, and why not.
fn up(goal: ScaleUp, samples: &[ClusterSample], scaling: Scaling, problem: Option<&str>) -> (bool, String, String) {
    let verdict = Verdict { scale_up: Some(goal), ..Verdict::default() };
    let condition = judged(&verdict, samples, &[scaling], problem).conditions.remove(0);
    assert_eq!(condition.name, "scaleUp");
    (condition.held, condition.measured, condition.why.unwrap_or_default())
}

fn why(goal: ScaleUp, samples: &[ClusterSample], scaling: Scaling, problem: Option<&str>) -> String {
    let (held, _, why) = up(goal, samples, scaling, problem);
    assert!(!held);
    why
}

#[test]
fn nothing_asked_is_nothing_judged() {
    let totals = totals();
    let run = Run { totals: &totals, samples: &[], scaling: &[], metrics_problem: None, load_end: 0.0 };
    assert_eq!(judge(&Verdict::default(), &run), None);
}

#[test]
fn flags_come_before_the_profile() {
    let profile = Verdict {
        max_error_rate: Some(0.1),
        min_rate: Some(5.0),
        scale_up: Some(ScaleUp::Any),
        no_restarts: true,
        ..Verdict::default()
    };
    let flags =
        Verdict { max_error_rate: Some(0.0), scale_up: Some(ScaleUp::To(4)), scale_down: true, ..Verdict::default() };
    let both = merged(profile, flags);
    assert_eq!((both.max_error_rate, both.min_rate, both.scale_up), (Some(0.0), Some(5.0), Some(ScaleUp::To(4))));
    assert!(both.scale_down && both.no_restarts);
}

#[test]
fn numbers_are_compared_and_named() {
    let verdict = |rate, p99, minimum| Verdict {
        max_error_rate: Some(rate),
        max_p99: Some(Duration::from_millis(p99)),
        min_rate: Some(minimum),
        ..Verdict::default()
    };
    let held = judged(&verdict(0.001, 250, 99.0), &[], &[], None);
    assert!(held.passed);
    let measured: Vec<&str> = held.conditions.iter().map(|condition| condition.measured.as_str()).collect();
    assert_eq!(measured, ["0.01 % (1 of 10000 requests)", "250 ms", "99.99 requests/s"]);
    let broken = judged(&verdict(0.0, 249, 100.0), &[], &[], None);
    assert!(broken.conditions.iter().all(|condition| !condition.held));
    assert_eq!(broken.conditions[0].why.as_deref(), Some("1 × no whole answer came within the timeout"));
    let error = failure(&broken).unwrap();
    assert_eq!((error.kind, error.details.len()), (Kind::LoadFailed, 3));
    assert_eq!(
        error.details[0],
        "maxErrorRate: at most 0 %, measured 0.01 % (1 of 10000 requests) (1 × no whole answer came within the timeout)"
    );
    assert!(failure(&held).is_none());
}

#[test]
fn a_run_without_answers_holds_nothing() {
    let totals = Totals::default();
    let run = Run { totals: &totals, samples: &[], scaling: &[], metrics_problem: None, load_end: 0.0 };
    let verdict = Verdict {
        max_error_rate: Some(1.0),
        max_p99: Some(Duration::from_secs(9)),
        no_restarts: true,
        ..Verdict::default()
    };
    let verdict = judge(&verdict, &run).unwrap();
    assert!(verdict.conditions.iter().all(|condition| !condition.held), "{verdict:?}");
}

#[test]
fn what_is_not_nothing_is_not_shown_as_nothing() {
    assert_eq!(
        (percent(0.0), percent(0.000_001), percent(0.001)),
        ("0 %".into(), "less than 0.01 %".into(), "0.1 %".into())
    );
    assert_eq!((millis(1.5), millis(2500.0), short(100.0)), ("1.5 ms".into(), "2.5 s".into(), "100".into()));
}

#[test]
fn a_scale_up_counts_once_its_pods_serve() {
    let course =
        samples(&[(2, 2, None), (2, 2, Some(80.0)), (4, 2, Some(120.0)), (4, 3, Some(120.0)), (5, 5, Some(90.0))]);
    assert_eq!(scaled_up(ScaleUp::Any, &course[..3]), None);
    assert_eq!(scaled_up(ScaleUp::Any, &course), Some(20.0));
    assert_eq!(scaled_up(ScaleUp::To(5), &course), Some(30.0));
    let (held, measured, _) = up(ScaleUp::Any, &course, scaling(), None);
    assert_eq!((held, measured.as_str()), (true, "2 → 3 replicas after 20 s (5 at most)"));
    let (_, measured, _) = up(ScaleUp::To(5), &course, scaling(), None);
    assert_eq!(measured, "2 → 5 replicas after 30 s");
    let (held, measured, _) = up(ScaleUp::To(2), &course, scaling(), None);
    assert_eq!((held, measured.as_str()), (true, "2 replicas before the load (5 at most)"));
}

/// An earlier load's replicas are still going away.
#[test]
fn a_scale_up_starts_from_the_lowest_point() {
    let course = samples(&[(5, 5, None), (2, 5, Some(9.0)), (2, 2, Some(80.0)), (3, 3, Some(90.0))]);
    assert_eq!(scaled_up(ScaleUp::Any, &course[..3]), None, "what goes away is no scale-up");
    assert_eq!(up(ScaleUp::Any, &course, scaling(), None).1, "2 → 3 replicas after 20 s");
}

#[test]
fn the_surge_of_a_rollout_is_no_scale_up() {
    let mut course = samples(&[(2, 2, Some(1.0)), (2, 3, Some(1.0))]);
    course[1].replicas = 3;
    assert_eq!(scaled_up(ScaleUp::Any, &course), None);
}

#[test]
fn without_an_autoscaler_nothing_scales() {
    let mut course = samples(&[(2, 2, None)]);
    course[0].desired = None;
    assert_eq!(why(ScaleUp::Any, &course, scaling(), None), "the stack has no HorizontalPodAutoscaler");
    let verdict = judged(&Verdict { scale_down: true, ..Verdict::default() }, &course, &[scaling()], None);
    assert!(!verdict.passed);
}

#[test]
fn no_metrics_api() {
    let course = samples(&[(2, 2, None), (2, 2, None)]);
    assert_eq!(why(ScaleUp::Any, &course, scaling(), Some("no metrics API")), "no metrics API");
    let mut other = scaling();
    other.autoscaler.as_mut().unwrap().resource_metric = false;
    assert_eq!(
        why(ScaleUp::Any, &course, other, Some("no metrics API")),
        "HorizontalPodAutoscaler/hello never had a value of its metric",
        "metrics of other kinds come from elsewhere"
    );
}

#[test]
fn what_cannot_come_is_not_waited_for() {
    let course = samples(&[(2, 2, None)]);
    let hopeless = |up, course: &[ClusterSample], problem| hopeless(up, course, &[scaling()], problem);
    assert_eq!(hopeless(ScaleUp::Any, &course, None), None);
    assert_eq!(hopeless(ScaleUp::Any, &course, Some("no metrics API")), Some("no metrics API".into()));
    assert_eq!(hopeless(ScaleUp::To(6), &course, None), Some("maxReplicas is 5".into()));
    assert_eq!(hopeless(ScaleUp::To(5), &course, None), None);
    let full = samples(&[(5, 5, None)]);
    assert_eq!(hopeless(ScaleUp::Any, &full, None), Some("it has maxReplicas (5) already".into()));
    assert_eq!(super::hopeless(ScaleUp::Any, &[], &[], None), Some("the stack has no HorizontalPodAutoscaler".into()));
}

#[test]
fn no_request() {
    let course = samples(&[(2, 2, None), (2, 2, None)]);
    let facts = Scaling { without_request: Some("cpu of container hello".into()), ..scaling() };
    assert_eq!(why(ScaleUp::Any, &course, facts, None), "there is no request for cpu of container hello");
}

#[test]
fn the_autoscalers_own_words() {
    let course = samples(&[(2, 2, None), (2, 2, None)]);
    let mut facts = scaling();
    facts.autoscaler.as_mut().unwrap().no_metric = Some("FailedGetResourceMetric: no pods".into());
    assert!(why(ScaleUp::Any, &course, facts, None).ends_with("FailedGetResourceMetric: no pods"));
}

#[test]
fn the_metric_below_its_target() {
    let course = samples(&[(2, 2, Some(10.0)), (2, 2, Some(43.0)), (2, 2, Some(40.0))]);
    let expected = "the metric stayed below its target: cpu reached 43 of a target of 50";
    assert_eq!(up(ScaleUp::Any, &course, scaling(), None), (false, "2 replicas at most".into(), expected.into()));
    let course = samples(&[(2, 2, Some(54.0))]);
    assert!(why(ScaleUp::Any, &course, scaling(), None).contains("tolerance"));
    let course = samples(&[(2, 2, Some(80.0))]);
    assert!(why(ScaleUp::Any, &course, scaling(), None).starts_with("the autoscaler asked for no more than 2"));
}

#[test]
fn no_room_in_the_cluster() {
    let course = samples(&[(2, 2, Some(80.0)), (4, 2, Some(180.0))]);
    let facts = Scaling { no_room: Some("0/1 nodes are available: 1 Insufficient cpu".into()), ..scaling() };
    assert_eq!(
        why(ScaleUp::Any, &course, facts, None),
        "the autoscaler asked for 4, but there is no room in the cluster: 0/1 nodes are available: 1 Insufficient cpu"
    );
    assert!(why(ScaleUp::Any, &course, scaling(), None).ends_with("but no more than 2 became ready"));
}

#[test]
fn max_replicas_reached() {
    let course = samples(&[(5, 5, Some(80.0)), (5, 5, Some(180.0))]);
    assert_eq!(why(ScaleUp::Any, &course, scaling(), None), "it had maxReplicas (5) already at the start");
    let course = samples(&[(2, 2, Some(80.0)), (5, 5, Some(180.0))]);
    let (held, measured, reason) = up(ScaleUp::To(6), &course, scaling(), None);
    assert_eq!((held, measured.as_str(), reason.as_str()), (false, "5 replicas at most", "maxReplicas is 5"));
}

fn down(course: &[ClusterSample]) -> Condition {
    let verdict = Verdict { scale_down: true, ..Verdict::default() };
    judged(&verdict, course, &[scaling()], None).conditions.remove(0)
}

#[test]
fn a_scale_down_is_timed_from_the_end_of_the_load() {
    let mut course = samples(&[(2, 2, None), (5, 5, Some(90.0)), (5, 5, Some(90.0))]);
    for (at, desired, replicas) in [(70.0, 5, 5), (100.0, 2, 5), (110.0, 2, 2), (120.0, 2, 2)] {
        let last = course.last().cloned().unwrap();
        course.push(ClusterSample { at, desired: Some(desired), replicas, value: Some(3.0), ..last });
    }
    let seen = down(&course);
    assert_eq!((seen.held, seen.measured.as_str()), (true, "5 → 2 replicas 50 s after the load"));
    assert!(scaled_down(&course[6..], &[scaling()]) && !scaled_down(&course[4..5], &[scaling()]));
    let early = down(&course[..4]);
    assert_eq!((early.held, early.measured.as_str()), (false, "5 replicas 10 s after the load"));
    assert!(early.why.unwrap().starts_with("the autoscaler asks for 5: cpu is at 3 of a target of 50"));
    assert!(down(&course[..5]).why.unwrap().contains("not followed yet"));
}

#[test]
fn who_never_went_up_is_down() {
    let seen = down(&samples(&[(2, 2, None), (2, 2, None)]));
    assert_eq!((seen.held, seen.measured.as_str()), (true, "2 replicas, never more"));
    let seen = down(&samples(&[(4, 4, None), (2, 2, None)]));
    assert_eq!(seen.measured, "4 → 2 replicas before the load ended");
}

#[test]
fn restarts_break_with_their_causes() {
    let verdict = Verdict { no_restarts: true, ..Verdict::default() };
    let mut course = samples(&[(2, 2, None), (2, 2, None)]);
    assert!(judged(&verdict, &course, &[scaling()], None).passed);
    course[1].restarts = 1;
    let facts = Scaling { ends: vec!["a: OOMKilled (exit code 137)".into()], ..scaling() };
    let broken = judged(&verdict, &course, &[facts], None).conditions.remove(0);
    assert_eq!((broken.held, broken.measured.as_str()), (false, "1 restart"));
    assert_eq!(broken.why.as_deref(), Some("a: OOMKilled (exit code 137)"));
}
