//! Logs of many pods as one stream, which pods that come later join.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ::kube::{
    api::{ListParams, LogParams},
    core::Request,
};
use futures::{AsyncBufReadExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Kube,
    discovery::{KindRef, core},
    failure,
    readiness::Container,
    selector::pod_selector,
};
use crate::error::Result;
use crate::object::Key;
use crate::object::json;

/// How soon new pods and restarted containers are found.
const POLL: Duration = Duration::from_millis(500);
const TAIL_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Go on until dropped.
    pub follow: bool,
    /// Only lines younger than this.
    pub since: Option<Duration>,
    /// Only so many of the last lines of each container.
    pub tail: Option<i64>,
    /// Of the run before the current one.
    pub previous: bool,
    /// Only containers of this name; None: all.
    pub container: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    pub pod: String,
    pub container: String,
    pub line: String,
}

/// Lines as they come; those of one container in order. Dropping it closes all connections.
pub struct Logs {
    lines: mpsc::Receiver<LogLine>,
    _tasks: JoinSet<()>,
}

impl Logs {
    /// None: all logs have been read to their end (never when following).
    pub async fn next(&mut self) -> Option<LogLine> {
        self.lines.recv().await
    }
}

impl Kube {
    /// Logs of the pods that the label selector matches. Without pods the stream is empty, or waits for some to come.
    pub async fn logs(&self, namespace: &str, selector: &str, options: LogOptions) -> Result<Logs> {
        let pods = self.selected_pods(namespace, selector).await?;
        let (sender, lines) = mpsc::channel(1024);
        let mut tasks = JoinSet::new();
        let reader = Reader { kube: self.clone(), namespace: namespace.to_owned(), options, sender };
        tasks.spawn(reader.run(selector.to_owned(), pods));
        Ok(Logs { lines, _tasks: tasks })
    }

    /// The pods that the label selector matches, as they are now.
    pub async fn selected_pods(&self, namespace: &str, selector: &str) -> Result<Vec<Value>> {
        let pods = self.pods(namespace, selector).await;
        pods.map_err(|error| {
            let what = format!("list the pods of {selector} in namespace {namespace}");
            failure::request_failed(&what, &self.server, &error)
        })
    }

    /// The selector of the pods that a workload or a Service of that name has; None if there is neither.
    pub async fn pods_of(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let kinds =
            [("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "Job"), ("", "Service")];
        for (group, kind) in kinds {
            let key = Key {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            };
            if let Some(object) = self.get(&key).await? {
                let selector = pod_selector(&object).or_else(|| json::selector(object.pointer("/spec/selector")));
                if selector.is_some() {
                    return Ok(selector);
                }
            }
        }
        self.pods_of_image(namespace, &format!("/{name}:")).await
    }

    /// The selector of the workload whose image has this in its name: services are called otherwise than workloads.
    async fn pods_of_image(&self, namespace: &str, part: &str) -> Result<Option<String>> {
        for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
            for workload in self.list_all(&KindRef::any_version("apps", kind), Some(namespace)).await? {
                let containers = json::list(&workload, "/spec/template/spec/containers");
                let mut images = containers.iter().filter_map(|container| json::text(container, "/image"));
                if images.any(|image| image.contains(part)) {
                    return Ok(pod_selector(&workload));
                }
            }
        }
        Ok(None)
    }

    /// The last lines of every container of these pods, by `POD.CONTAINER`; those that cannot be had are left out.
    pub async fn tails(&self, pods: &[Value], lines: i64) -> Vec<(String, String)> {
        let containers = pods.iter().flat_map(|pod| {
            json::list(pod, "/spec/containers").iter().map(|container| Container {
                namespace: json::namespace(pod).unwrap_or_default().to_owned(),
                pod: json::name(pod).to_owned(),
                container: json::text(container, "/name").unwrap_or_default().to_owned(),
                previous: false,
            })
        });
        let texts = containers.map(|container| async move {
            let text = self.log_text(&container, false, lines).await?;
            Some((format!("{}.{}", container.pod, container.container), text))
        });
        futures::future::join_all(texts).await.into_iter().flatten().collect()
    }

    async fn pods(&self, namespace: &str, selector: &str) -> std::result::Result<Vec<Value>, ::kube::Error> {
        self.list(&core("Pod"), Some(namespace), &ListParams::default().labels(selector)).await
    }

    /// A whole short log; None if there is none to be had.
    pub(super) async fn log_text(&self, container: &Container, previous: bool, lines: i64) -> Option<String> {
        let params = LogParams {
            container: Some(container.container.clone()),
            previous,
            tail_lines: Some(lines),
            ..LogParams::default()
        };
        let request = request(&container.namespace, &container.pod, &params)?;
        tokio::time::timeout(TAIL_DEADLINE, self.client.request_text(request)).await.ok()?.ok()
    }
}

fn request(namespace: &str, pod: &str, params: &LogParams) -> Option<http::Request<Vec<u8>>> {
    Request::new(format!("/api/v1/namespaces/{namespace}/pods")).logs(pod, params).ok()
}

/// Which run of a container a stream reads: a restart makes a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    pod: String,
    uid: String,
    container: String,
    restart: i64,
}

/// The runs of a pod's containers that have a log.
fn runs(pod: &Value, options: &LogOptions) -> Vec<Run> {
    let statuses =
        json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    let run = |status: &Value| {
        let container = status["name"].as_str()?;
        let wanted = options.container.as_deref().is_none_or(|wanted| wanted == container);
        let restarts = json::int(status, "/restartCount").unwrap_or(0);
        let has_log = if options.previous {
            restarts > 0
        } else {
            status.pointer("/state/running").is_some() || status.pointer("/state/terminated").is_some() || restarts > 0
        };
        let run = Run {
            pod: json::name(pod).to_owned(),
            uid: json::uid(pod).to_owned(),
            container: container.to_owned(),
            restart: restarts,
        };
        (wanted && has_log).then_some(run)
    };
    statuses.filter_map(run).collect()
}

#[derive(Clone)]
struct Reader {
    kube: Kube,
    namespace: String,
    options: LogOptions,
    sender: mpsc::Sender<LogLine>,
}

impl Reader {
    async fn run(self, selector: String, mut pods: Vec<Value>) {
        let mut streams: JoinSet<(Run, Option<Timestamp>)> = JoinSet::new();
        let mut begun: HashSet<Run> = HashSet::new();
        // The last line of each container, so that a run that is read again goes on behind it.
        let mut last: HashMap<(String, String), Timestamp> = HashMap::new();
        let mut first = true;
        loop {
            for run in pods.iter().flat_map(|pod| runs(pod, &self.options)) {
                if begun.insert(run.clone()) {
                    let after = last.get(&(run.uid.clone(), run.container.clone())).copied();
                    let reader = self.clone();
                    streams.spawn(async move {
                        let last = reader.stream(&run, after, first).await;
                        (run, last)
                    });
                }
            }
            first = false;
            if !self.options.follow {
                while streams.join_next().await.is_some() {}
                return;
            }
            tokio::time::sleep(POLL).await;
            while let Some(Ok((run, seen))) = streams.try_join_next() {
                if let Some(seen) = seen {
                    last.insert((run.uid.clone(), run.container.clone()), seen);
                }
                // A connection that broke while the container runs on is taken up again.
                let goes_on = pods.iter().any(|pod| json::uid(pod) == run.uid && is_running(pod, &run.container));
                if goes_on {
                    begun.remove(&run);
                }
            }
            if self.sender.is_closed() {
                return;
            }
            if let Ok(found) = self.kube.pods(&self.namespace, &selector).await {
                pods = found;
            }
        }
    }

    /// Reads one run to its end. Returns the time of its last line.
    async fn stream(&self, run: &Run, after: Option<Timestamp>, from_the_start: bool) -> Option<Timestamp> {
        let mut params = LogParams {
            container: Some(run.container.clone()),
            follow: self.options.follow,
            previous: self.options.previous,
            // The time in front of each line says where to go on; it is cut off again.
            timestamps: true,
            ..LogParams::default()
        };
        if from_the_start {
            params.tail_lines = self.options.tail;
            params.since_seconds =
                self.options.since.map(|since| i64::try_from(since.as_secs().max(1)).unwrap_or(i64::MAX));
        }
        // Whole seconds only: what comes twice is left out below.
        params.since_time = after.and_then(|after| Timestamp::from_second(after.as_second()).ok());
        let mut last = after;
        let Ok(stream) = self.kube.client.request_stream(request(&self.namespace, &run.pod, &params)?).await else {
            return last;
        };
        let mut lines = std::pin::pin!(stream.lines());
        while let Ok(Some(line)) = lines.try_next().await {
            let (time, text) = timed(&line);
            if time.is_some() && time <= after {
                continue;
            }
            last = time.or(last);
            let line = LogLine { pod: run.pod.clone(), container: run.container.clone(), line: text.to_owned() };
            if self.sender.send(line).await.is_err() {
                break;
            }
        }
        last
    }
}

fn is_running(pod: &Value, container: &str) -> bool {
    let statuses =
        json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    statuses.filter(|status| status["name"] == container).any(|status| status.pointer("/state/running").is_some())
}

/// Cuts the time off a line.
fn timed(line: &str) -> (Option<Timestamp>, &str) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first.parse() {
        Ok(time) => (Some(time), rest),
        Err(_) => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_is_cut_off_and_an_empty_line_stays_one() {
        assert_eq!(timed("2026-11-21T02:00:00.123456789Z hello  world").1, "hello  world");
        let (time, text) = timed("2026-11-21T02:00:00.123456789Z");
        assert!(time.is_some() && text.is_empty());
        assert_eq!(timed("no time here"), (None, "no time here"));
    }

    #[test]
    fn only_containers_with_a_log_are_read() {
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "status": {"containerStatuses": [
            {"name": "a", "restartCount": 0, "state": {"running": {}}},
            {"name": "b", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
            {"name": "c", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        let names = |options: &LogOptions| runs(&pod, options).into_iter().map(|run| run.container).collect::<Vec<_>>();
        assert_eq!(names(&LogOptions::default()), ["a", "c"]);
        assert_eq!(names(&LogOptions { previous: true, ..Default::default() }), ["c"]);
        assert_eq!(names(&LogOptions { container: Some("a".into()), ..Default::default() }), ["a"]);
    }
}
