//! The workers' pods, and how they get ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ::kube::{
    Api,
    api::{ListParams, LogParams},
};
use k8s_openapi::api::core::v1::{Event, Pod};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    control::{Connecting, Duplex, Held, PORT, State as Line, Wish},
    job,
    run::{Fleet, REQUEST},
};
use crate::{
    error::{Error, Kind, Result},
    kube::agent_pod::{self, State},
};

const POLL: Duration = Duration::from_millis(300);
/// How long a node may take to come for a pod that no node takes.
const SCHEDULING: Duration = Duration::from_secs(90);
/// How long a worker that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// When pods that are not there yet become worth a question.
const HESITATION: Duration = Duration::from_secs(3);

/// What is known of the pods of a Job, looked at again and again until it is dropped.
#[derive(Debug)]
pub struct Pods {
    newest: watch::Receiver<Vec<Pod>>,
    task: JoinHandle<()>,
}

impl Pods {
    pub fn watch(api: Api<Pod>, job: &str) -> Pods {
        let selection = ListParams::default().labels(&job::pods_of(job));
        let (sender, newest) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            loop {
                if let Ok(Ok(pods)) = timeout(REQUEST, api.list(&selection)).await {
                    sender.send_replace(pods.items);
                }
                sleep(POLL).await;
            }
        });
        Pods { newest, task }
    }

    /// With the worker that each is: more than one where the Job's controller has replaced one.
    pub fn newest(&self) -> Vec<(u32, Pod)> {
        let newest = self.newest.borrow();
        newest.iter().filter_map(|pod| Some((job::index(pod)?, pod.clone()))).collect()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A worker that is ready.
#[derive(Debug)]
pub struct Member {
    pub pod: String,
    /// It stops when this is dropped.
    _line: Held,
}

/// Brings all workers to the point from which they can start together.
pub async fn gather(
    fleet: &Fleet<'_>,
    job: &str,
    pods: &Pods,
    wish: &watch::Receiver<Wish>,
) -> Result<BTreeMap<u32, Member>> {
    let api: Api<Pod> = Api::namespaced(fleet.kube.client().clone(), fleet.namespace);
    let began = Instant::now();
    let mut lines: BTreeMap<u32, (String, Held, Instant)> = BTreeMap::new();
    let mut unschedulable: Option<Instant> = None;
    let mut asked = began + HESITATION;
    let mut said = String::new();
    loop {
        let workers = fleet.order.workers;
        let seen: BTreeMap<u32, Pod> = pods.newest().into_iter().collect();
        let mut waits = Vec::new();
        let mut homeless = None;
        for (index, pod) in &seen {
            let name = pod.metadata.name.clone().unwrap_or_default();
            match agent_pod::state(pod) {
                State::Running => {
                    let (_, line, since) = lines.entry(*index).or_insert_with(|| {
                        let connect = connect(api.clone(), name.clone());
                        (name.clone(), Held::start(fleet.order.clone(), wish.clone(), connect), Instant::now())
                    });
                    match line.state() {
                        Line::Ready => {}
                        Line::Reaching(why) if since.elapsed() > ANSWER => {
                            return Err(unfit(fleet, &api, &name, why, true).await);
                        }
                        Line::Reaching(why) => waits.push(why),
                        Line::Unable(why) => {
                            let what = format!("worker {index} cannot send the load: nothing was sent");
                            return Err(Error::new(Kind::Preflight, what).cause(why));
                        }
                    }
                }
                State::Ended(why) => {
                    let why = why.unwrap_or_else(|| "it ended before the load began".to_owned());
                    return Err(unfit(fleet, &api, &name, why, true).await);
                }
                State::Broken(why) => return Err(unfit(fleet, &api, &name, why, false).await),
                State::Starting(why) => waits.push(why),
                State::Unschedulable(why) => {
                    homeless = Some(why.clone());
                    waits.push(why);
                }
            }
        }
        let ready = lines.values().filter(|(_, line, _)| line.state() == Line::Ready).count();
        if u32::try_from(ready).is_ok_and(|ready| ready == workers) {
            let member = |(index, (pod, line, _))| (index, Member { pod, _line: line });
            return Ok(lines.into_iter().map(member).collect());
        }
        let waits: BTreeSet<&str> = waits.iter().map(String::as_str).collect();
        let waits: Vec<&str> = waits.into_iter().collect();
        let waits = if waits.is_empty() { "no pod is there yet".to_owned() } else { waits.join("; ") };
        let state = format!("{ready} of {workers} workers ready: {waits}");
        if state != said {
            fleet.progress.say(state.clone());
            said = state;
        }
        if seen.is_empty() && Instant::now() >= asked {
            asked = Instant::now() + HESITATION;
            if let Some(why) = refusal(fleet, job).await {
                let what = format!("the workers' pods were not admitted to namespace {}", fleet.namespace);
                return Err(Error::new(Kind::Refused, what).cause(why));
            }
        }
        unschedulable = homeless.as_ref().map(|_| unschedulable.unwrap_or_else(Instant::now));
        let no_room = unschedulable.is_some_and(|since| since.elapsed() > SCHEDULING);
        if no_room || began.elapsed() > fleet.starting {
            let error = Error::new(Kind::NotReady, format!("{ready} of {workers} workers got ready")).cause(waits);
            let events = format!("look at the nodes and the events: kubectl -n {} get events", fleet.namespace);
            return Err(match homeless {
                Some(_) => error.hint("start fewer with --workers, or give the cluster room"),
                None => error.hint(events),
            });
        }
        sleep(POLL).await;
    }
}

/// A way to the port on which a worker takes its orders.
fn connect(api: Api<Pod>, pod: String) -> impl Fn() -> Connecting {
    move || {
        let (api, pod) = (api.clone(), pod.clone());
        Box::pin(async move {
            let forwarder = api.portforward(&pod, &[PORT]).await;
            let mut forwarder = forwarder.map_err(|error| format!("no connection to pod {pod}: {error}"))?;
            let stream = forwarder.take_stream(PORT).ok_or_else(|| format!("no stream to pod {pod}"))?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// The error of a worker that cannot work; what it said goes with it.
async fn unfit(fleet: &Fleet<'_>, api: &Api<Pod>, name: &str, why: String, ran: bool) -> Error {
    let error =
        Error::new(Kind::NotReady, format!("the worker {}/{name} did not get ready", fleet.namespace)).cause(why);
    if !ran {
        return error.hint(format!("is the image {} where the nodes can pull it?", fleet.image));
    }
    let parameters = LogParams { tail_lines: Some(20), ..LogParams::default() };
    let log = match timeout(REQUEST, api.logs(name, &parameters)).await {
        Ok(Ok(log)) => log,
        _ => String::new(),
    };
    error
        .details(log.lines().filter(|line| !line.trim().is_empty()))
        .hint(format!("is {} an image of this version of stackctl for the nodes' architecture?", fleet.image))
}

/// Why the Job's controller cannot create pods, as it says in events.
async fn refusal(fleet: &Fleet<'_>, job: &str) -> Option<String> {
    let api: Api<Event> = Api::namespaced(fleet.kube.client().clone(), fleet.namespace);
    let selection = ListParams::default().fields(&format!("involvedObject.name={job},reason=FailedCreate"));
    let events = timeout(REQUEST, api.list(&selection)).await.ok()?.ok()?;
    events.items.into_iter().find_map(|event| event.message)
}
