//! The load from inside the cluster, the wait for what follows it, and the document of both.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Done, outputs::Output, run::Run};
use crate::{
    error::{Error, Kind, Result},
    event::{Event, LoadTick, Progress, interrupt::until_cancelled},
    image,
    load::{
        document::LoadDocument,
        fleet::{self, Fleet, Until},
        order::{LoadOrder, Sent},
        outcome::{self, About},
        scaling,
        stats::WorkerResult,
        verdict,
        watch::{self, Watch},
    },
    machine::Machine,
    object::{json, podspec},
    plan::{Step, observed::Observed},
    stack::{
        desired,
        model::{SetKind, Stack},
    },
};

/// What the metric and the pods take to follow, beside the autoscaler's own stabilization window.
const SCALE_DOWN_MARGIN: Duration = Duration::from_secs(180);

pub async fn run(run: &Run<'_>, step: &Step, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let request = request(run)?;
    let image = run.agent(step)?;
    let kube = run.kube().await?;
    let (watch, metrics_problem) =
        tokio::join!(Watch::start(kube, scaling::watched(run.stack)), watch::metrics_api_problem(kube));
    let scale_up = request.verdict.scale_up.filter(|up| {
        let problem = metrics_problem.as_deref();
        let newest = |course: &watch::Course| course.newest(Instant::now());
        let why = watch.read(|course| verdict::hopeless(*up, &newest(course), &course.scaling, problem));
        if let Some(why) = &why {
            run.machine.events.warn(format!("no scale-up can come: {why}"));
        }
        why.is_none()
    });
    let fleet = Fleet {
        kube,
        namespace: &run.stack.namespace,
        image: &image,
        order: &request.order,
        until: scale_up.map_or(Until::Due, Until::ScaleUp),
        starting: run.machine.timeout,
        watch: &watch,
        events: &run.machine.events,
        progress,
    };
    let ran = fleet::run(&fleet, cancel).await?;
    let total = ran.collected.timeline.total();
    let p99 = total.latencies.quantile(0.99) as f64 / 1000.0;
    let note = format!("{} requests, {} failed, p99 {p99:.0} ms", total.requests(), total.failed());
    Ok(Done::note(note).with(Output::Load(Arc::new(Sent { ran, watch, metrics_problem }))))
}

/// Waits until all that an autoscaler targets is back at its minimum, or long enough. Whether it came is the verdict's.
pub async fn await_scale_down(
    run: &Run<'_>,
    step: &Step,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    let sent = run.needed(step, |output| match output {
        Output::Load(sent) => Some(sent),
        _ => None,
    });
    let sent = sent.ok_or_else(|| Error::new(Kind::Unexpected, "no load was sent"))?;
    let is_down = until_cancelled(cancel, async { Ok(down(run, &sent, progress).await) }).await?;
    let after = sent.ran.load_end.elapsed().as_secs();
    Ok(match is_down {
        true => Done::note(format!("{after} s after the load")),
        false => Done::note(format!("not within {after} s")),
    })
}

async fn down(run: &Run<'_>, sent: &Sent, progress: &Progress) -> bool {
    let Sent { ran, watch, .. } = sent;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (samples, scaling) = watch.read(|course| (course.newest(ran.zero), course.scaling.clone()));
        let window = scaling.iter().filter_map(|scaling| Some(scaling.autoscaler.as_ref()?.stabilization)).max();
        let elapsed = ran.zero.elapsed();
        let until = ran.load_end + window.unwrap_or_default() + SCALE_DOWN_MARGIN;
        // A look from before the end of the load says nothing about what follows it.
        let new = samples.first().is_some_and(|sample| sample.at > watch::since(ran.zero, ran.load_end));
        if new && verdict::scaled_down(&samples, &scaling) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        let replicas: Vec<String> = samples
            .iter()
            .filter(|sample| sample.desired.is_some())
            .map(|sample| format!("{} has {} replicas", sample.workload, sample.replicas))
            .collect();
        progress.say(replicas.join(", "));
        let expected = Some(until.saturating_duration_since(ran.zero));
        let tick = LoadTick { phase: "waiting for the scale-down", second: None, elapsed, expected, samples };
        run.machine.events.send(Event::Load(Box::new(tick)));
    }
}

/// The document of a load that was sent to a stack, and the sum of what its workers say of themselves.
pub async fn document(
    machine: &Machine,
    stack: &Stack,
    request: &LoadOrder,
    observed: &Observed,
    sent: &Sent,
) -> Result<(LoadDocument, WorkerResult)> {
    let Sent { ran, watch, metrics_problem } = sent;
    let about = About {
        stack: Some(stack.name.clone()),
        profile: request.profile.clone(),
        cluster: Some(machine.provider.access().await?.context),
        images: images(stack, observed),
        from: "cluster",
    };
    let (sum, timeline) = (ran.collected.sum(), &ran.collected.timeline);
    let mut document = outcome::document(&about, &request.order.spec, ran.started, &sum, timeline, ran.workers.clone());
    let course = watch.course();
    document.cluster_samples = course.samples(ran.zero);
    let run = verdict::Run {
        totals: &document.totals,
        samples: &document.cluster_samples,
        scaling: &course.scaling,
        metrics_problem: metrics_problem.as_deref(),
        load_end: watch::since(ran.zero, ran.load_end),
    };
    document.verdict = verdict::judge(&request.verdict, &run);
    Ok((document, sum))
}

/// What makes a run with a document a failure: its end at the first one, a broken verdict, or a share of the load that
/// was never sent.
pub fn failure(document: &LoadDocument, result: &WorkerResult) -> Option<Error> {
    if let Some(failure) = &result.aborted {
        let error = Error::new(Kind::LoadFailed, format!("the first failure ended the load: {}", failure.sentence()));
        return Some(result.examples.get(failure).into_iter().fold(error, Error::cause));
    }
    let broken = document.verdict.as_ref().and_then(verdict::failure);
    broken.or_else(|| {
        let lost = &document.workers.lost;
        let share: f64 = lost.iter().map(|lost| lost.share).sum();
        let what = || format!("{} of {} workers were lost", lost.len(), document.workers.started);
        let cause = || format!("{:.0} % of the load were not sent to the end", share * 100.0);
        let error = || {
            lost.iter().fold(Error::new(Kind::Platform, what()).cause(cause()), |error, lost| {
                error.detail(format!("worker {}: {}", lost.index, lost.why))
            })
        };
        (!lost.is_empty()).then(error)
    })
}

fn request<'a>(run: &Run<'a>) -> Result<&'a LoadOrder> {
    let request = run.options.load.as_ref();
    request.ok_or_else(|| Error::new(Kind::Unexpected, "it is not said what load to send"))
}

/// The images that the stack's workloads name in the cluster, by service.
fn images(stack: &Stack, observed: &Observed) -> BTreeMap<String, String> {
    let id = desired::applyset_id(SetKind::Stack, &stack.name);
    let objects: Vec<&Value> =
        observed.live.iter().flat_map(|live| live.live.of_set(&id)).map(|(_, value)| value).collect();
    let image_of = |service: &String| {
        let part = format!("/{}:", image::repository(&stack.name, service));
        let workloads = objects.iter().filter(|object| json::group(object) == "apps");
        let image = workloads.flat_map(|object| podspec::images(object)).find(|image| image.contains(&part))?;
        Some((service.clone(), image.to_owned()))
    };
    stack.services.keys().filter_map(image_of).collect()
}
