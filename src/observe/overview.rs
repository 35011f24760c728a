//! All that `status` shows, gathered side by side; what cannot be learned is left out rather than waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Result,
    image::{self, git::tree::LABEL_TREE},
    kube::{
        Kube,
        status::{self, ObjectStatus},
    },
    machine::Machine,
    object::{Key, json},
    observe::{self, entrance},
    plan::observed::LiveState,
    proof::result::LastProof,
    provider::ClusterState,
};

/// For a question to a Prometheus.
const ASKED_FOR: Duration = Duration::from_secs(3);
/// On a Service that leads to a Prometheus: its port and the path before `/api`, such as `9090/prometheus`.
const PROMETHEUS: &str = "stackctl.io/prometheus";

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The cluster's, or the context's where stackctl did not make it.
    pub name: String,
    pub cluster: ClusterState,
    /// `v1.36.3`
    pub version: Option<String>,
    pub stacks: Vec<String>,
    /// `metrics-server`, and of a stack's own `hello.collector`.
    pub components: Vec<String>,
    pub objects: Vec<ObjectStatus>,
    pub images: Vec<Image>,
    /// By stack, where its edge is reached on this machine.
    pub edges: BTreeMap<String, Vec<String>>,
    pub proofs: Vec<LastProof>,
    /// None: no stack has a Prometheus that answers.
    pub alerts: Option<Vec<Alert>>,
}

/// An image of ours that runs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// `hello/hello:d7202dfbf77f`
    pub name: String,
    /// From which tree; None: nobody here knows.
    pub built_from: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub namespace: String,
    pub name: String,
    pub severity: Option<String>,
    pub summary: Option<String>,
}

/// Of the whole cluster, or of one stack and what it uses.
pub async fn look(machine: &Machine, only: Option<&str>) -> Result<Overview> {
    let cluster = machine.provider.observe().await?;
    // The cluster of a context has no other name.
    let name = match machine.provider.traits().is_ours() {
        true => machine.name.clone(),
        false => machine.provider.access().await?.context,
    };
    let mut overview = Overview {
        name,
        version: None,
        stacks: Vec::new(),
        components: Vec::new(),
        objects: Vec::new(),
        images: Vec::new(),
        edges: BTreeMap::new(),
        proofs: Vec::new(),
        alerts: None,
        cluster,
    };
    if overview.cluster != (ClusterState::Ours { stopped: false }) {
        return Ok(overview);
    }
    let kube = machine.kube().await?;
    overview.version = Some(kube.server_version().to_owned());
    let recorded = observe::recorded_objects(kube, only).await?;
    overview.stacks = recorded.stacks().map(str::to_owned).collect();
    overview.components = recorded.components().map(|(name, _)| name.to_owned()).collect();
    let mut keys: Vec<_> = recorded.live.objects.keys().filter(|key| status::is_shown(key)).collect();
    keys.sort_by_key(|key| (&key.namespace, &key.kind, &key.name));
    let objects: Vec<_> = keys.iter().map(|key| recorded.live.objects[*key].clone()).collect();
    let (objects, trees, edges, alerts) =
        tokio::join!(kube.status(&objects), trees(machine), edges(machine), alerts(kube, &recorded));
    overview.objects = objects?;
    overview.images = images(&overview.objects, &trees);
    overview.edges = edges;
    overview.edges.extend(entrance::balanced(of_stacks(&recorded)));
    overview.edges.retain(|stack, _| only.is_none_or(|only| only == stack));
    overview.alerts = alerts;
    overview.proofs = overview.stacks.iter().filter_map(|stack| LastProof::kept(machine.folder(), stack)).collect();
    Ok(overview)
}

/// Images that carry our hash as their tag, each once.
fn images(objects: &[ObjectStatus], trees: &BTreeMap<String, String>) -> Vec<Image> {
    let running = objects.iter().filter_map(|object| object.workload.as_ref()).flat_map(|workload| &workload.images);
    let ours = running.filter_map(|reference| {
        let name = reference.split_once('@').map_or(reference.as_str(), |(name, _)| name);
        let (repository, tag) = name.rsplit_once(':')?;
        let is_hash = tag.len() == 20 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut parts = repository.rsplitn(3, '/');
        let (service, stack) = (parts.next()?, parts.next()?);
        is_hash.then(|| Image { name: format!("{stack}/{service}:{tag}"), built_from: trees.get(tag).cloned() })
    });
    ours.collect::<BTreeSet<_>>().into_iter().collect()
}

/// By tag, what the engine's images say about themselves.
async fn trees(machine: &Machine) -> BTreeMap<String, String> {
    let Ok(engine) = machine.engine().await else { return BTreeMap::new() };
    let labelled = image::store::tag::labelled(engine, LABEL_TREE).await.unwrap_or_default();
    let tagged =
        labelled.into_iter().filter_map(|(reference, tree)| Some((reference.rsplit_once(':')?.1.to_owned(), tree)));
    tagged.collect()
}

/// All objects of stacks, each with the name of its stack.
fn of_stacks(recorded: &LiveState) -> impl Iterator<Item = (&str, &Value)> {
    let stacks = recorded.parents.iter().filter_map(|(name, parent)| Some((name.strip_prefix("stack-")?, parent)));
    stacks.flat_map(|(stack, parent)| recorded.live.of_set(&parent.id).map(move |(_, object)| (stack, object)))
}

async fn edges(machine: &Machine) -> BTreeMap<String, Vec<String>> {
    let found = machine.provider.edges().await.unwrap_or_default();
    let urls = |published: BTreeMap<u16, u16>| {
        let urls = published.into_iter().rev().map(|(inside, port)| match inside {
            8443 => format!("https://localhost:{port}"),
            _ => format!("http://localhost:{port}"),
        });
        urls.collect()
    };
    found.into_iter().map(|(stack, published)| (stack, urls(published))).collect()
}

/// Firing alerts of every Prometheus that a stack or a component declares as such.
async fn alerts(kube: &Kube, recorded: &LiveState) -> Option<Vec<Alert>> {
    let places = recorded.live.objects.iter().filter_map(|(key, object)| prometheus(key, object));
    let asked = places.map(|(namespace, service, path)| async move {
        let answer = kube.ask_service(namespace, &service, &path, ASKED_FOR).await;
        answer.filter(|answer| answer["status"] == "success").map(|answer| firing(namespace, &answer))
    });
    let mut found: Option<Vec<Alert>> = None;
    for alerts in join_all(asked).await.into_iter().flatten() {
        found.get_or_insert_default().extend(alerts);
    }
    if let Some(alerts) = &mut found {
        alerts.sort();
    }
    found
}

/// The namespace, `SERVICE:PORT` and the path of the alerts, of a Service that says that it leads to a Prometheus.
fn prometheus<'a>(key: &'a Key, object: &Value) -> Option<(&'a str, String, String)> {
    let place = json::annotation(object, PROMETHEUS).filter(|_| key.kind == "Service" && key.group.is_empty())?;
    let (port, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = if prefix.is_empty() { String::new() } else { format!("/{}", prefix.trim_end_matches('/')) };
    Some((key.namespace.as_deref()?, format!("{}:{port}", key.name), format!("{prefix}/api/v1/alerts")))
}

fn firing(namespace: &str, answer: &Value) -> Vec<Alert> {
    let alerts = json::list(answer, "/data/alerts").iter().filter(|alert| alert["state"] == "firing");
    let text = |alert: &Value, pointer: &str| json::text(alert, pointer).map(str::to_owned);
    let alert = |alert: &Value| Alert {
        namespace: namespace.to_owned(),
        name: text(alert, "/labels/alertname").unwrap_or_default(),
        severity: text(alert, "/labels/severity"),
        summary: text(alert, "/annotations/summary"),
    };
    alerts.map(alert).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_firing_alerts_count() {
        let answer = json!({"status": "success", "data": {"alerts": [
            {"state": "pending", "labels": {"alertname": "Slow"}},
            {"state": "firing", "labels": {"alertname": "Errors", "severity": "page"}, "annotations": {"summary": "5 % fail"}}]}});
        let found = firing("hello", &answer);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].severity.as_deref()), ("Errors", Some("page")));
    }

    #[test]
    fn a_prometheus_says_what_it_is_and_where_it_answers() {
        let key =
            Key { group: String::new(), kind: "Service".into(), namespace: Some("n".into()), name: "metrics".into() };
        let place = |says: &str| {
            let service = json!({"metadata": {"annotations": {PROMETHEUS: says}}});
            prometheus(&key, &service).map(|(_, service, path)| format!("{service}{path}"))
        };
        assert_eq!(place("9090/prometheus").as_deref(), Some("metrics:9090/prometheus/api/v1/alerts"));
        assert_eq!(place("web").as_deref(), Some("metrics:web/api/v1/alerts"));
        assert_eq!(prometheus(&key, &json!({"metadata": {}})), None, "a name says nothing");
    }

    #[test]
    fn images_of_ours_are_known_by_their_hash() {
        let mut object = ObjectStatus {
            kind: "Deployment".into(),
            name: "web".into(),
            namespace: None,
            state: "ready",
            note: None,
            workload: None,
            autoscaler: None,
        };
        let images_of =
            ["registry.stackctl.internal/hello/hello:0123456789abcdef0123@sha256:1", "docker.io/library/redis:7"];
        object.workload = Some(status::Workload {
            ready: 1,
            desired: 1,
            images: images_of.map(str::to_owned).into(),
            pods: Vec::new(),
        });
        let trees = [("0123456789abcdef0123".to_owned(), "3f2a91c04b7d".to_owned())].into();
        let found = images(&[object.clone(), object], &trees);
        assert_eq!(
            found,
            [Image { name: "hello/hello:0123456789abcdef0123".into(), built_from: Some("3f2a91c04b7d".into()) }]
        );
    }
}
