//! Judges a run: each condition is held or broken, with what was measured and, where it is known, why. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{
    document::{Condition, Totals, VerdictDocument},
    failure::Failure,
    scaling::{Autoscaler, Scaling},
};
use crate::event::load::ClusterSample;
use crate::{
    error::{Error, Kind},
    stack::model::{ScaleUp, Verdict},
};

/// The autoscaler does nothing while the metric is this close to its target (the API server's default).
const TOLERANCE: f64 = 0.1;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub totals: &'a Totals,
    /// Ascending by time.
    pub samples: &'a [ClusterSample],
    /// The newest state of each workload.
    pub scaling: &'a [Scaling],
    /// Why resource metrics cannot be had.
    pub metrics_problem: Option<&'a str>,
    /// When the last request was sent, in seconds since the start of the measurement.
    pub load_end: f64,
}

/// What the flags say, and where they say nothing what the profile does.
pub fn merged(profile: Verdict, flags: Verdict) -> Verdict {
    Verdict {
        max_error_rate: flags.max_error_rate.or(profile.max_error_rate),
        max_p99: flags.max_p99.or(profile.max_p99),
        min_rate: flags.min_rate.or(profile.min_rate),
        scale_up: flags.scale_up.or(profile.scale_up),
        scale_down: flags.scale_down || profile.scale_down,
        no_restarts: flags.no_restarts || profile.no_restarts,
    }
}

/// None where nothing is to be judged.
pub fn judge(conditions: &Verdict, run: &Run<'_>) -> Option<VerdictDocument> {
    let conditions: Vec<Condition> = [
        conditions.max_error_rate.map(|limit| error_rate(limit, run.totals)),
        conditions.max_p99.map(|limit| p99(limit, run.totals)),
        conditions.min_rate.map(|limit| rate(limit, run.totals)),
        conditions.scale_up.map(|goal| scale_up(goal, run)),
        conditions.scale_down.then(|| scale_down(run)),
        conditions.no_restarts.then(|| no_restarts(run)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let passed = conditions.iter().all(|condition| condition.held);
    (!conditions.is_empty()).then_some(VerdictDocument { passed, conditions })
}

/// The failure that a broken verdict is.
pub fn failure(verdict: &VerdictDocument) -> Option<Error> {
    let broken: Vec<&Condition> = verdict.conditions.iter().filter(|condition| !condition.held).collect();
    if broken.is_empty() {
        return None;
    }
    let all = verdict.conditions.len();
    let error = Error::new(Kind::LoadFailed, format!("{} of {all} conditions of the load are broken", broken.len()));
    Some(broken.into_iter().fold(error, |error, condition| {
        let why = condition.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        error.detail(format!("{}: {}, measured {}{why}", condition.name, condition.expected, condition.measured))
    }))
}

fn condition(name: &str, expected: String, measured: String, held: bool, why: Option<String>) -> Condition {
    Condition { name: name.to_owned(), expected, measured, held, why: why.filter(|_| !held) }
}

fn error_rate(limit: f64, totals: &Totals) -> Condition {
    let (failed, requests) = (totals.failed, totals.requests);
    let measured = match requests {
        0 => "no request".to_owned(),
        _ => format!("{} ({failed} of {requests} requests)", percent(totals.error_rate)),
    };
    let held = requests > 0 && totals.error_rate <= limit;
    condition("maxErrorRate", format!("at most {}", percent(limit)), measured, held, main_errors(totals))
}

/// The classes of failures, the most frequent first.
fn main_errors(totals: &Totals) -> Option<String> {
    let mut errors: Vec<_> = totals.errors.iter().filter(|(_, count)| **count > 0).collect();
    errors.sort_by_key(|(class, count)| (std::cmp::Reverse(**count), class.as_str()));
    let named: Vec<String> =
        errors.iter().take(3).map(|(class, count)| format!("{count} × {}", Failure::sentence_of(class))).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn p99(limit: Duration, totals: &Totals) -> Condition {
    let limit = limit.as_secs_f64() * 1000.0;
    let (measured, held) = match totals.succeeded {
        0 => ("no answer".to_owned(), false),
        _ => (millis(totals.latency.p99), totals.latency.p99 <= limit),
    };
    condition("maxP99", format!("at most {}", millis(limit)), measured, held, None)
}

fn rate(limit: f64, totals: &Totals) -> Condition {
    let per_second = |rate: f64| format!("{} requests/s", short(rate));
    let why = (totals.failed > 0).then(|| format!("{} of {} requests failed", totals.failed, totals.requests));
    condition("minRate", format!("at least {}", per_second(limit)), per_second(totals.rate), totals.rate >= limit, why)
}

/// Pods that serve and that the autoscaler wants: neither the surge of a rollout nor a pod without a node counts.
fn serving(sample: &ClusterSample) -> u32 {
    sample.ready.min(sample.desired.unwrap_or(sample.replicas))
}

/// A workload's way up: what it started from, what it had to reach, and what it reached.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Climb {
    from: u32,
    goal: u32,
    /// When the goal was reached and how many served then.
    reached: Option<(f64, u32)>,
    most: u32,
}

/// `samples` of one workload. It may still be shrinking from an earlier load: its lowest point is where it starts from.
fn climb<'a>(up: ScaleUp, samples: impl Iterator<Item = &'a ClusterSample>) -> Climb {
    let mut climb = Climb { from: u32::MAX, goal: u32::MAX, reached: None, most: 0 };
    for sample in samples {
        let wanted = sample.desired.unwrap_or(sample.replicas);
        if climb.reached.is_none() {
            if wanted < climb.from {
                (climb.from, climb.most) = (wanted, 0);
            }
            climb.goal = match up {
                ScaleUp::Any => climb.from.saturating_add(1),
                ScaleUp::To(goal) => goal,
            };
        }
        let serving = serving(sample);
        climb.most = climb.most.max(serving);
        if climb.reached.is_none() && serving >= climb.goal {
            climb.reached = Some((sample.at, serving));
        }
    }
    climb
}

/// When a workload with an autoscaler had scaled up as far as is asked for, in seconds since the start of the
/// measurement; None: not yet.
pub fn scaled_up(up: ScaleUp, samples: &[ClusterSample]) -> Option<f64> {
    let times = workloads(samples).filter_map(|workload| Some(climb(up, of(samples, workload)).reached?.0));
    times.reduce(f64::min)
}

/// Why no scale-up can come, as far as that is known before the load; None: one may.
pub fn hopeless(
    up: ScaleUp,
    newest: &[ClusterSample],
    scaling: &[Scaling],
    metrics_problem: Option<&str>,
) -> Option<String> {
    let scaled = scaling.iter().filter_map(|scaling| Some((scaling, scaling.autoscaler.as_ref()?)));
    let mut reasons = scaled.map(|(scaling, autoscaler)| {
        let maximum = autoscaler.maximum;
        let now = of(newest, &scaling.workload).last().map_or(0, serving);
        let problem = metrics_problem.filter(|_| autoscaler.resource_metric).map(str::to_owned);
        problem.or_else(|| match up {
            ScaleUp::To(goal) if goal > maximum => Some(format!("maxReplicas is {maximum}")),
            ScaleUp::Any if now >= maximum => Some(format!("it has maxReplicas ({maximum}) already")),
            _ => None,
        })
    });
    match reasons.next() {
        None => Some("the stack has no HorizontalPodAutoscaler".to_owned()),
        // One that may scale up is enough.
        Some(first) => reasons.fold(first, |so_far, reason| so_far.and(reason)),
    }
}

/// Workloads with an autoscaler, each once.
fn workloads(samples: &[ClusterSample]) -> impl Iterator<Item = &str> {
    let names = samples.iter().filter(|sample| sample.desired.is_some()).map(|sample| sample.workload.as_str());
    names.collect::<std::collections::BTreeSet<_>>().into_iter()
}

fn of<'a>(samples: &'a [ClusterSample], workload: &'a str) -> impl Iterator<Item = &'a ClusterSample> {
    samples.iter().filter(move |sample| sample.workload == workload)
}

fn scale_up(up: ScaleUp, run: &Run<'_>) -> Condition {
    let expected = match up {
        ScaleUp::Any => "more replicas than at the start".to_owned(),
        ScaleUp::To(goal) => format!("at least {goal} replicas"),
    };
    let climbs = workloads(run.samples).map(|workload| (workload, climb(up, of(run.samples, workload))));
    // The first to arrive speaks for all; where none did, the one that came furthest.
    let best = climbs.min_by(|(_, a), (_, b)| {
        let arrival = |climb: &Climb| climb.reached.map_or(f64::INFINITY, |(at, _)| at);
        arrival(a).total_cmp(&arrival(b)).then(b.most.cmp(&a.most))
    });
    let Some((workload, climb)) = best else {
        let why = "the stack has no HorizontalPodAutoscaler".to_owned();
        return condition("scaleUp", expected, "nothing that scales".to_owned(), false, Some(why));
    };
    let Climb { from, reached, most, .. } = climb;
    let measured = match reached {
        Some((at, then)) if at <= 0.0 && most > then => format!("{then} replicas before the load ({most} at most)"),
        Some((at, then)) if at <= 0.0 => format!("{then} replicas before the load"),
        Some((at, then)) if most > then => format!("{from} → {then} replicas after {at:.0} s ({most} at most)"),
        Some((at, then)) => format!("{from} → {then} replicas after {at:.0} s"),
        None => format!("{most} replicas at most"),
    };
    let why = reached.is_none().then(|| why_not_up(workload, climb, run)).flatten();
    condition("scaleUp", expected, measured, reached.is_some(), why)
}

/// From the cause that makes the others moot to the one that is left.
fn why_not_up(workload: &str, climb: Climb, run: &Run<'_>) -> Option<String> {
    let scaling = run.scaling.iter().find(|scaling| scaling.workload == workload)?;
    let autoscaler = scaling.autoscaler.as_ref()?;
    if climb.from >= autoscaler.maximum {
        return Some(format!("it had maxReplicas ({}) already at the start", autoscaler.maximum));
    }
    if climb.goal > autoscaler.maximum {
        return Some(format!("maxReplicas is {}", autoscaler.maximum));
    }
    let samples: Vec<&ClusterSample> = of(run.samples, workload).collect();
    let highest = samples.iter().filter_map(|sample| sample.value).reduce(f64::max);
    let Some(highest) = highest else { return Some(why_no_metric(scaling, autoscaler, run)) };
    let wanted = samples.iter().filter_map(|sample| sample.desired).max().unwrap_or(0);
    if wanted >= climb.goal {
        let asked = format!("the autoscaler asked for {wanted}");
        return Some(match &scaling.no_room {
            Some(message) => format!("{asked}, but there is no room in the cluster: {message}"),
            None => format!("{asked}, but no more than {} became ready", climb.most),
        });
    }
    let last = samples.iter().rev().find_map(|sample| Some((sample.metric.as_deref()?, sample.target?)));
    let (metric, target) = last?;
    let seen = format!("{metric} reached {} of a target of {}", short(highest), short(target));
    Some(match highest / target {
        share if share <= 1.0 => format!("the metric stayed below its target: {seen}"),
        share if share <= 1.0 + TOLERANCE => format!("the metric stayed within the autoscaler's tolerance: {seen}"),
        _ => format!("the autoscaler asked for no more than {wanted}, though {seen}"),
    })
}

fn why_no_metric(scaling: &Scaling, autoscaler: &Autoscaler, run: &Run<'_>) -> String {
    let api = run.metrics_problem.filter(|_| autoscaler.resource_metric).map(str::to_owned);
    let request = scaling.without_request.as_ref().map(|what| format!("there is no request for {what}"));
    let said = autoscaler.no_metric.as_ref().map(|why| format!("the autoscaler has no metric: {why}"));
    let unknown = || format!("HorizontalPodAutoscaler/{} never had a value of its metric", autoscaler.name);
    api.or(request).or(said).unwrap_or_else(unknown)
}

/// Whether every workload with an autoscaler is back at its minimum.
pub fn scaled_down(newest: &[ClusterSample], scaling: &[Scaling]) -> bool {
    newest.iter().filter_map(|sample| Some((sample, minimum(&sample.workload, scaling)?))).all(is_down)
}

fn is_down((sample, minimum): (&ClusterSample, u32)) -> bool {
    sample.desired.unwrap_or(0) <= minimum && sample.replicas <= minimum
}

fn minimum(workload: &str, scaling: &[Scaling]) -> Option<u32> {
    let scaling = scaling.iter().find(|scaling| scaling.workload == workload)?;
    Some(scaling.autoscaler.as_ref()?.minimum)
}

fn scale_down(run: &Run<'_>) -> Condition {
    let mut measured = Vec::new();
    let mut why = None;
    let mut held = true;
    for workload in workloads(run.samples) {
        let Some(minimum) = minimum(workload, run.scaling) else { continue };
        let Some(last) = of(run.samples, workload).last() else { continue };
        let most = of(run.samples, workload).map(|sample| sample.replicas).max().unwrap_or(0);
        let down = is_down((last, minimum));
        held &= down;
        // The first sample of the last time below: it may have gone up again in between.
        let up =
            of(run.samples, workload).filter(|sample| !is_down((sample, minimum))).last().map_or(f64::MIN, |s| s.at);
        let back = of(run.samples, workload).find(|sample| sample.at > up).map_or(last.at, |sample| sample.at);
        measured.push(match (down, most > minimum) {
            (true, false) => format!("{} replicas, never more", last.replicas),
            (true, true) if back <= run.load_end => {
                format!("{most} → {} replicas before the load ended", last.replicas)
            }
            (true, true) => format!("{most} → {} replicas {:.0} s after the load", last.replicas, back - run.load_end),
            (false, _) => format!("{} replicas {:.0} s after the load", last.replicas, last.at - run.load_end),
        });
        if !down && why.is_none() {
            why = why_not_down(last, minimum);
        }
    }
    if measured.is_empty() {
        measured.push("nothing that scales".to_owned());
        why = Some("the stack has no HorizontalPodAutoscaler".to_owned());
        held = false;
    }
    condition("scaleDown", "back at minReplicas after the load".to_owned(), measured.join(", "), held, why)
}

fn why_not_down(last: &ClusterSample, minimum: u32) -> Option<String> {
    let desired = last.desired?;
    if desired <= minimum {
        return Some(format!("the autoscaler asks for {desired}, the workload has not followed yet"));
    }
    let (metric, value, target) = (last.metric.as_deref()?, last.value?, last.target?);
    let seen = format!("{metric} is at {} of a target of {}", short(value), short(target));
    Some(format!("the autoscaler asks for {desired}: {seen}, or its stabilization window is not over"))
}

fn no_restarts(run: &Run<'_>) -> Condition {
    let names = run.samples.iter().map(|sample| sample.workload.as_str()).collect::<std::collections::BTreeSet<_>>();
    let last = |name: &&str| of(run.samples, name).last().map_or(0, |sample| sample.restarts);
    let restarts: u32 = names.iter().map(last).sum();
    let measured = match names.len() {
        0 => "no workload was seen".to_owned(),
        _ => format!("{restarts} restart{}", if restarts == 1 { "" } else { "s" }),
    };
    let ends: Vec<&str> = run.scaling.iter().flat_map(|scaling| &scaling.ends).map(String::as_str).collect();
    let why = (!ends.is_empty()).then(|| ends.join(", "));
    condition("noRestarts", "no restart".to_owned(), measured, restarts == 0 && !names.is_empty(), why)
}

/// At most two decimals, none where they say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `0.1 %`; what is not nothing is never shown as nothing.
fn percent(share: f64) -> String {
    match share * 100.0 {
        tiny if tiny > 0.0 && tiny < 0.005 => "less than 0.01 %".to_owned(),
        percent => format!("{} %", short(percent)),
    }
}

fn millis(ms: f64) -> String {
    if ms < 1000.0 { format!("{} ms", short(ms)) } else { format!("{} s", short(ms / 1000.0)) }
}
