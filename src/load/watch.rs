//! Looks at the stack's workloads while a load runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, timeout},
};

use super::scaling::{self, Look, Restarts, Scaling, Watched};
use crate::event::load::ClusterSample;
use crate::object::Key;
use crate::{
    error::Result,
    kube::{Kube, selector::pod_selector},
    object::json,
};

const INTERVAL: Duration = Duration::from_secs(1);
/// A look that takes longer is left out: the next one is due.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What was seen until now.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Ascending; their `at` is not set.
    looks: Vec<(Instant, ClusterSample)>,
    /// The newest state of each workload.
    pub scaling: Vec<Scaling>,
}

impl Course {
    /// Samples with times counted from `zero`, in seconds.
    pub fn samples(&self, zero: Instant) -> Vec<ClusterSample> {
        let placed = |(at, sample): &(Instant, ClusterSample)| ClusterSample { at: since(zero, *at), ..sample.clone() };
        self.looks.iter().map(placed).collect()
    }

    /// The newest sample of each workload.
    pub fn newest(&self, zero: Instant) -> Vec<ClusterSample> {
        let Some((last, _)) = self.looks.last() else { return Vec::new() };
        let newest = self.looks.iter().rev().take_while(|(at, _)| at == last);
        let mut samples: Vec<_> =
            newest.map(|(at, sample)| ClusterSample { at: since(zero, *at), ..sample.clone() }).collect();
        samples.reverse();
        samples
    }
}

/// Seconds from `zero` to `at`; negative before it.
pub fn since(zero: Instant, at: Instant) -> f64 {
    match at.checked_duration_since(zero) {
        Some(after) => after.as_secs_f64(),
        None => -zero.duration_since(at).as_secs_f64(),
    }
}

/// Looks once a second until it is dropped.
#[derive(Debug)]
pub struct Watch {
    course: Arc<Mutex<Course>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Returns after the first look, so that the state before the load is on record.
    pub async fn start(kube: &Kube, watched: Vec<Watched>) -> Watch {
        let course = Arc::<Mutex<Course>>::default();
        let mut watcher = Watcher {
            kube: kube.clone(),
            restarts: watched.iter().map(|_| Restarts::default()).collect(),
            watched,
            course: course.clone(),
        };
        watcher.look().await;
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                watcher.look().await;
            }
        });
        Watch { course, task }
    }

    pub fn course(&self) -> Course {
        self.course.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads from what was seen without copying it.
    pub fn read<T>(&self, read: impl FnOnce(&Course) -> T) -> T {
        read(&self.course.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watcher {
    kube: Kube,
    watched: Vec<Watched>,
    /// One for each of `watched`.
    restarts: Vec<Restarts>,
    course: Arc<Mutex<Course>>,
}

struct Objects {
    workload: Value,
    autoscaler: Option<Value>,
    pods: Vec<Value>,
}

impl Watcher {
    /// A workload that cannot be read now is left out: what a broken verdict means is said by what was seen.
    async fn look(&mut self) {
        let at = Instant::now();
        let looks = self.watched.iter().map(|watched| timeout(TIMEOUT, objects(&self.kube, watched)));
        let looks = join_all(looks).await;
        let mut samples = Vec::new();
        let mut scaling = Vec::new();
        for (objects, restarts) in looks.into_iter().zip(&mut self.restarts) {
            let Ok(Ok(Some(objects))) = objects else { continue };
            restarts.look(&objects.pods);
            let look =
                Look { workload: &objects.workload, autoscaler: objects.autoscaler.as_ref(), pods: &objects.pods };
            samples.push((at, scaling::sample(0.0, look, restarts.count())));
            scaling.push(scaling::scaling(look, restarts.ends().to_vec()));
        }
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.looks.extend(samples);
        for state in scaling {
            match course.scaling.iter_mut().find(|known| known.workload == state.workload) {
                Some(known) => *known = state,
                None => course.scaling.push(state),
            }
        }
    }
}

/// None: the workload is not there.
async fn objects(kube: &Kube, watched: &Watched) -> Result<Option<Objects>> {
    let autoscaler = async {
        match &watched.autoscaler {
            Some(key) => kube.get(key).await,
            None => Ok(None),
        }
    };
    let (workload, autoscaler) = tokio::try_join!(kube.get(&watched.workload), autoscaler)?;
    let Some(workload) = workload else { return Ok(None) };
    let pods = match (pod_selector(&workload), &watched.workload.namespace) {
        (Some(selector), Some(namespace)) => kube.selected_pods(namespace, &selector).await?,
        _ => Vec::new(),
    };
    Ok(Some(Objects { workload, autoscaler, pods }))
}

/// Why resource metrics cannot be had; None: they can, or nobody may know.
pub async fn metrics_api_problem(kube: &Kube) -> Option<String> {
    const NAME: &str = "v1beta1.metrics.k8s.io";
    let key = Key {
        group: "apiregistration.k8s.io".to_owned(),
        kind: "APIService".to_owned(),
        namespace: None,
        name: NAME.to_owned(),
    };
    let missing = "the cluster has no metrics API (metrics.k8s.io), so the autoscaler sees no value";
    match timeout(TIMEOUT, kube.get(&key)).await {
        Ok(Ok(None)) => Some(missing.to_owned()),
        Ok(Ok(Some(service))) => match json::condition(&service, "Available") {
            Some(condition) if condition["status"] == "False" => {
                Some(format!("{missing}: {}", json::reason(condition)))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn times_count_from_the_start_of_the_measurement() {
        let zero = Instant::now() + Duration::from_secs(10);
        let sample = |workload: &str| ClusterSample {
            at: 0.0,
            workload: workload.into(),
            replicas: 2,
            ready: 2,
            desired: None,
            metric: None,
            value: None,
            target: None,
            restarts: 0,
        };
        let early = zero - Duration::from_secs(2);
        let late = zero + Duration::from_millis(500);
        let looks = vec![(early, sample("a")), (early, sample("b")), (late, sample("a")), (late, sample("b"))];
        let course = Course { looks, scaling: Vec::new() };
        let times: Vec<f64> = course.samples(zero).iter().map(|sample| sample.at).collect();
        assert_eq!(times, [-2.0, -2.0, 0.5, 0.5]);
        let newest: Vec<_> = course.newest(zero).into_iter().map(|sample| (sample.at, sample.workload)).collect();
        assert_eq!(newest, [(0.5, "a".to_owned()), (0.5, "b".to_owned())]);
    }
}
