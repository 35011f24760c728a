//! Waiting until an object is ready, or until it is clear that it never will be.

use std::{pin::Pin, time::Duration};

use ::kube::{api::ListParams, runtime::watcher};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Kube,
    discovery::{KindRef, Resolved, core},
    failure, json,
    readiness::{self, Failure, Readiness, Since, Surroundings, readiness},
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    stack::model::Key,
};

/// Between two looks at least, however much happens.
const PAUSE: Duration = Duration::from_millis(150);
/// Where watching fails.
const POLL: Duration = Duration::from_millis(500);
/// What no watch shows, such as events, is looked at this often.
const TICK: Duration = Duration::from_secs(2);
const LOG_LINES: i64 = 20;

#[derive(Debug, Clone, Copy)]
pub struct WaitOptions {
    pub deadline: Instant,
    /// An autoscaler may add nodes larger than those there are: what fits none is not lost yet.
    pub nodes_may_grow: bool,
}

type Changes = Pin<Box<dyn Stream<Item = ()> + Send>>;

impl Kube {
    /// Returns the object once it is ready. `known` is the object as an apply returned it or a list showed it: what is
    /// ready by that alone costs no request.
    pub async fn wait_ready(
        &self,
        key: &Key,
        known: Option<&Value>,
        options: WaitOptions,
        progress: &Progress,
    ) -> Result<Value> {
        if let Some(known) = known
            .filter(|known| readiness(known, &Surroundings::default()) == Readiness::Ready && !needs_definition(known))
        {
            return Ok(known.clone());
        }
        let (begun, wait) = (Instant::now(), self.clock.now());
        let at = match known {
            Some(known) => self.resolve(&KindRef::of_value(known)).await?,
            None => self.resolve(&KindRef::any_version(&key.group, &key.kind)).await?,
        };
        let mut changes: Option<Changes> = None;
        let mut said = String::new();
        loop {
            let looked = Instant::now();
            let (object, mut around) = self.look(&at, key, options).await?;
            around.since = Some(Since { run: self.clock.began(), wait, waited: begun.elapsed() });
            let state = match object.as_ref().map(|object| readiness(object, &around)) {
                Some(Readiness::Ready) => return Ok(object.unwrap_or_default()),
                Some(Readiness::Failed(failure)) => return Err(self.failed(key, failure).await),
                Some(Readiness::Waiting(state)) => state,
                None => "it does not exist".to_owned(),
            };
            if Instant::now() >= options.deadline {
                return Err(self.too_late(key, &state, &around, begun.elapsed()).await);
            }
            if state != said {
                progress.say(state.as_str());
                said = state;
            }
            let changes = changes.get_or_insert_with(|| self.changes(&at, key, object.as_ref()));
            tokio::time::sleep_until((looked + PAUSE).min(options.deadline)).await;
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep_until((looked + TICK).min(options.deadline)) => {}
            }
        }
    }

    /// The object and all that its readiness depends on, now. One more request per thing that matters.
    async fn look(&self, at: &Resolved, key: &Key, options: WaitOptions) -> Result<(Option<Value>, Surroundings)> {
        let failed = |error: ::kube::Error| failure::request_failed(&format!("look at {key}"), &self.server, &error);
        let Some(object) = self.get_opt(at, key.namespace.as_deref(), &key.name).await.map_err(failed)? else {
            return Ok((None, Surroundings::default()));
        };
        let around = self.surroundings(at, &object, options.nodes_may_grow).await.map_err(failed)?;
        Ok((Some(object), around))
    }

    pub(super) async fn surroundings(
        &self,
        at: &Resolved,
        object: &Value,
        nodes_may_grow: bool,
    ) -> std::result::Result<Surroundings, ::kube::Error> {
        let mut around = Surroundings { nodes_may_grow, ..Surroundings::default() };
        let namespace = json::namespace(object);
        match json::kind(object) {
            "Service" => around.endpoint_slices = self.slices(namespace, json::name(object)).await?,
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                for (namespace, service) in readiness::service::webhook_services(object) {
                    around.endpoint_slices.extend(self.slices(Some(namespace), service).await?);
                }
            }
            "PersistentVolumeClaim" => around.events = self.events(namespace, &[object]).await?,
            _ if readiness(object, &around) == Readiness::Ready && !needs_definition(object) => {}
            "Pod" => {
                around.events = self.events(namespace, &[object]).await?;
                around.pods = vec![object.clone()];
            }
            _ => match pod_selector(object) {
                Some(selector) => self.around_pods(object, &selector, &mut around).await?,
                None if needs_definition(object) => {
                    let name = format!("{}.{}", at.resource.plural, at.resource.group);
                    around.definition = self.get_opt(&core("CustomResourceDefinition"), None, &name).await?;
                }
                None => {}
            },
        }
        if around
            .pods
            .iter()
            .any(|pod| json::condition(pod, "PodScheduled").is_some_and(|found| found["reason"] == "Unschedulable"))
        {
            // Without the right to list nodes the deadline decides.
            around.nodes = self.list(&core("Node"), None, &ListParams::default()).await.unwrap_or_default();
        }
        Ok(around)
    }

    async fn around_pods(
        &self,
        object: &Value,
        selector: &str,
        around: &mut Surroundings,
    ) -> std::result::Result<(), ::kube::Error> {
        let namespace = json::namespace(object);
        let params = ListParams::default().labels(selector);
        around.pods = self.list(&core("Pod"), namespace, &params).await?;
        if json::kind(object) == "Deployment" {
            around.replica_sets = self.list(&core("ReplicaSet"), namespace, &params).await?;
        }
        let about: Vec<&Value> = std::iter::once(object).chain(&around.replica_sets).chain(&around.pods).collect();
        around.events = self.events(namespace, &about).await?;
        Ok(())
    }

    async fn slices(&self, namespace: Option<&str>, service: &str) -> std::result::Result<Vec<Value>, ::kube::Error> {
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        self.list(&core("EndpointSlice"), namespace, &params).await
    }

    async fn events(
        &self,
        namespace: Option<&str>,
        about: &[&Value],
    ) -> std::result::Result<Vec<Value>, ::kube::Error> {
        let params = match about {
            [one] => ListParams::default().fields(&format!("involvedObject.uid={}", json::uid(one))),
            _ => ListParams::default(),
        };
        let mut events = self.list(&core("Event"), namespace, &params).await?;
        events.retain(|event| about.iter().any(|object| event["involvedObject"]["uid"] == json::uid(object)));
        Ok(events)
    }

    /// Yields whenever the object, its pods or its endpoints change; at a slow pace where watching fails.
    fn changes(&self, at: &Resolved, key: &Key, object: Option<&Value>) -> Changes {
        let mut all: Vec<Changes> = vec![self.watch(
            at,
            key.namespace.as_deref(),
            watcher::Config::default().fields(&format!("metadata.name={}", key.name)),
        )];
        if let Some(selector) = object.and_then(pod_selector) {
            all.push(self.watch(&core("Pod"), key.namespace.as_deref(), watcher::Config::default().labels(&selector)));
        }
        if key.kind == "Service" {
            let labels = format!("kubernetes.io/service-name={}", key.name);
            all.push(self.watch(
                &core("EndpointSlice"),
                key.namespace.as_deref(),
                watcher::Config::default().labels(&labels),
            ));
        }
        Box::pin(stream::select_all(all))
    }

    fn watch(&self, at: &Resolved, namespace: Option<&str>, config: watcher::Config) -> Changes {
        let events = watcher::watcher(self.metadata_api(at, namespace), config);
        Box::pin(events.then(|event| async move {
            if event.is_err() {
                tokio::time::sleep(POLL).await;
            }
        }))
    }

    async fn failed(&self, key: &Key, failure: Failure) -> Error {
        let mut error = Error::new(Kind::NotReady, format!("{key} will not become ready: {}", failure.why))
            .details(failure.details);
        error.hints = failure.hints;
        match &failure.logs_of {
            Some(container) => error.details(self.tail(container, LOG_LINES).await),
            None => error,
        }
    }

    async fn too_late(&self, key: &Key, state: &str, around: &Surroundings, waited: Duration) -> Error {
        let mut error = Error::new(Kind::NotReady, format!("{key} is not ready after {} s: {state}", waited.as_secs()));
        let warnings = readiness::warnings(&around.events);
        error = error.details(warnings.iter().skip(warnings.len().saturating_sub(5)));
        let unready = |pod: &&Value| json::condition_status(pod, "Ready") != Some(true) && !json::is_being_deleted(pod);
        if let Some(container) = around.pods.iter().find(unready).and_then(talkative) {
            error = error.details(self.tail(&container, LOG_LINES).await);
        }
        error.hint("give it longer with --timeout, or look closer with `stackctl status` and `stackctl logs`")
    }

    /// The last lines of a container's log, each with its origin; empty if there are none.
    pub async fn tail(&self, container: &readiness::Container, lines: i64) -> Vec<String> {
        let mut text = self.log_text(container, container.previous, lines).await;
        if container.previous && text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            text = self.log_text(container, false, lines).await;
        }
        let text = text.unwrap_or_default();
        text.lines().map(|line| format!("{}/{}: {line}", container.pod, container.container)).collect()
    }
}

/// The first container that is not ready and has run: only those have something to say.
fn talkative(pod: &Value) -> Option<readiness::Container> {
    let statuses =
        json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    let ran = |status: &&Value| {
        status["ready"] != true
            && (status.pointer("/state/running").is_some()
                || status.pointer("/lastState/terminated").is_some()
                || status.pointer("/state/terminated").is_some())
    };
    let status = statuses
        .filter(ran)
        .find(|status| status.pointer("/state/terminated/exitCode").is_none_or(|code| code != 0))?;
    Some(readiness::Container {
        namespace: json::namespace(pod)?.to_owned(),
        pod: json::name(pod).to_owned(),
        container: status["name"].as_str()?.to_owned(),
        previous: status.pointer("/state/running").is_none() && status.pointer("/state/terminated").is_none(),
    })
}

/// A custom resource that reports nothing: whether it should is in its definition.
fn needs_definition(object: &Value) -> bool {
    let group = json::group(object);
    group.contains('.') && !group.ends_with(".k8s.io") && json::list(object, "/status/conditions").is_empty()
}

/// The label selector of a workload's pods.
pub fn pod_selector(object: &Value) -> Option<String> {
    if !matches!(
        json::kind(object),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job"
    ) {
        return None;
    }
    if json::kind(object) == "ReplicationController" {
        return json::selector(object.pointer("/spec/selector"));
    }
    let mut parts: Vec<String> = json::selector(object.pointer("/spec/selector/matchLabels")).into_iter().collect();
    for expression in json::list(object, "/spec/selector/matchExpressions") {
        let key = expression["key"].as_str()?;
        let values: Vec<_> = json::list(expression, "/values").iter().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_of_workloads_are_label_selectors() {
        let object = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b", "c": "d"},
            "matchExpressions": [{"key": "e", "operator": "NotIn", "values": ["f", "g"]}, {"key": "h", "operator": "DoesNotExist"}]}}});
        assert_eq!(pod_selector(&object).unwrap(), "a=b,c=d,e notin (f,g),!h");
        assert_eq!(pod_selector(&json!({"kind": "Service", "spec": {"selector": {"a": "b"}}})), None);
    }

    #[test]
    fn only_custom_resources_without_conditions_need_their_definition() {
        assert!(needs_definition(&json!({"apiVersion": "cert-manager.io/v1", "kind": "Issuer"})));
        assert!(!needs_definition(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"})));
        assert!(!needs_definition(&json!({"apiVersion": "apps/v1", "kind": "Deployment"})));
        assert!(!needs_definition(
            &json!({"apiVersion": "x.io/v1", "kind": "X", "status": {"conditions": [{"type": "Ready"}]}})
        ));
    }
}
