//! Changes to what is there that are to be seen by nobody's apply: a restart, a number of replicas for a while, a node that
//! takes no pods, an eviction.

use ::kube::api::{DeleteParams, PatchParams};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Kube, MANAGER, SYSTEM_NAMESPACE,
    discovery::{KindRef, core},
    failure, noop,
    request::soon,
    scale,
};
use crate::{
    error::{Error, Kind, Result},
    object::{Key, json},
};

/// Owns what a disturbance sets and no apply has: the mark of a restart, the record of what is to be undone.
const DISRUPTION_MANAGER: &str = "stackctl-disruption";
/// What `kubectl rollout restart` sets.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// Of others' writes in between.
const TRIES: usize = 10;

/// What became of a request to evict a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// Or gone already.
    Going,
    /// A PodDisruptionBudget does not allow it now.
    Blocked(String),
}

impl Kube {
    /// Has a workload replace its pods.
    pub async fn restart(&self, key: &Key) -> Result<()> {
        let at = self.resolve(&KindRef::any_version(&key.group, &key.kind)).await?;
        let annotations = json!({ RESTARTED: Timestamp::now().to_string() });
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let done = self.merge_as(DISRUPTION_MANAGER, &at, key.namespace.as_deref(), &key.name, &patch).await;
        done.map(|_| ()).map_err(|error| self.not_done(&format!("restart {key}"), &error))
    }

    /// Gives a workload another number of replicas. Where the number is ours by an apply it stays so, and the next apply
    /// finds nothing that differs once it is what it was. `only_from`: not if it has another number by now.
    pub async fn set_replicas(&self, key: &Key, replicas: i64, only_from: Option<i64>) -> Result<()> {
        let at = self.resolve(&KindRef::any_version(&key.group, &key.kind)).await?;
        let namespace = key.namespace.as_deref();
        let failed = |error: ::kube::Error| self.not_done(&format!("scale {key} to {replicas}"), &error);
        for _ in 0..TRIES {
            let Some(live) = self.get_opt(&at, namespace, &key.name).await.map_err(failed)? else { return Ok(()) };
            let now = json::int(&live, "/spec/replicas");
            if now == Some(replicas) || only_from.is_some_and(|from| now != Some(from)) {
                return Ok(());
            }
            let done = match applied(&live).filter(|_| scale::owns_replicas(&live)) {
                Some(mut body) => {
                    body["spec"]["replicas"] = replicas.into();
                    // What somebody applies meanwhile must not be taken back.
                    for field in ["uid", "resourceVersion"] {
                        body["metadata"][field] = live["metadata"][field].clone();
                    }
                    let params = PatchParams::apply(MANAGER).force();
                    self.patch(&at, namespace, &key.name, &params, &body).await.map(|_| ())
                }
                None => {
                    let version = &live["metadata"]["resourceVersion"];
                    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}});
                    self.merge_as(DISRUPTION_MANAGER, &at, namespace, &key.name, &patch).await.map(|_| ())
                }
            };
            match done {
                // Its controller wrote in between.
                Err(::kube::Error::Api(status)) if status.is_conflict() => {}
                done => return done.map_err(failed),
            }
        }
        Err(Error::new(Kind::Platform, format!("cannot scale {key} to {replicas}"))
            .cause("others changed it each time between the look and the change"))
    }

    /// Deletes the pod that was seen; with `force` it gets no time to end.
    pub async fn delete_pod(&self, pod: &Value, force: bool) -> Result<()> {
        let params = if force { DeleteParams::default().grace_period(0) } else { DeleteParams::default() };
        let done = self.delete_seen(&core("Pod"), pod, params).await;
        done.map(|_| ()).map_err(|error| self.not_done(&format!("delete pod {}", json::name(pod)), &error))
    }

    /// Asks once for the pod to leave its node.
    pub async fn evict(&self, pod: &Value) -> Result<Eviction> {
        let (namespace, name) = (json::namespace(pod).unwrap_or_default(), json::name(pod));
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": json::uid(pod)}},
        });
        let what = format!("evict pod {name}");
        let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes());
        let request =
            request.map_err(|error| Error::new(Kind::Unexpected, format!("cannot {what}")).caused_by(&error))?;
        match self.attempt_once(request).await {
            Ok(_) => Ok(Eviction::Going),
            Err(::kube::Error::Api(status)) if status.code == 429 => Ok(Eviction::Blocked(status.message.clone())),
            // Gone, or another pod of that name by now.
            Err(::kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(Eviction::Going),
            Err(error) => Err(self.not_done(&what, &error)),
        }
    }

    /// All nodes, as they are now.
    pub async fn nodes(&self) -> Result<Vec<Value>> {
        self.list_all(&KindRef::any_version("", "Node"), None).await
    }

    /// Whether pods may come to the node. One that is gone is as good.
    pub async fn set_schedulable(&self, node: &str, schedulable: bool) -> Result<()> {
        let value = if schedulable { Value::Null } else { true.into() };
        let patch = json!({"spec": {"unschedulable": value}});
        match self.merge_as(DISRUPTION_MANAGER, &core("Node"), None, node, &patch).await {
            Ok(_) => Ok(()),
            Err(::kube::Error::Api(status)) if status.is_not_found() && schedulable => Ok(()),
            Err(error) => {
                let verb = if schedulable { "uncordon" } else { "cordon" };
                Err(self.not_done(&format!("{verb} node {node}"), &error))
            }
        }
    }

    /// Writes an annotation on the record of a set, beside what an apply has there; None takes it away.
    pub async fn note_on_record(&self, parent: &str, annotation: &str, text: Option<&str>) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {annotation: text}}});
        let at = core("ConfigMap");
        match self.merge_as(DISRUPTION_MANAGER, &at, Some(SYSTEM_NAMESPACE), parent, &patch).await {
            Ok(_) => Ok(()),
            Err(::kube::Error::Api(status)) if status.is_not_found() && text.is_none() => Ok(()),
            Err(error) => Err(self.not_done(&format!("write on the record {parent}"), &error)),
        }
    }

    /// One attempt: a refusal is an answer here, and not something that passes.
    async fn attempt_once(&self, request: http::Request<Vec<u8>>) -> std::result::Result<Value, ::kube::Error> {
        match self.send(request.clone(), tokio::time::Instant::now()).await {
            // Another answer than a refusal may come from a server that restarts.
            Err(error) if !matches!(&error, ::kube::Error::Api(_)) => self.send(request, soon()).await,
            answer => answer,
        }
    }

    fn not_done(&self, what: &str, error: &::kube::Error) -> Error {
        failure::request_failed(what, &self.server, error)
    }
}

/// What we have applied of the object, with the values that it has now. None: nothing, or in several versions.
fn applied(live: &Value) -> Option<Value> {
    let mut entries = noop::entries(live);
    let (entry, None) = (entries.next()?, entries.next()) else { return None };
    let mut body = owned(entry["fieldsV1"].as_object()?, live);
    body["apiVersion"] = entry["apiVersion"].clone();
    body["kind"] = live["kind"].clone();
    body["metadata"]["name"] = live["metadata"]["name"].clone();
    if let Some(namespace) = json::namespace(live) {
        body["metadata"]["namespace"] = namespace.into();
    }
    Some(body)
}

/// The part of a value that is recorded as owned.
fn owned(fields: &Map<String, Value>, live: &Value) -> Value {
    if fields.is_empty() {
        return live.clone();
    }
    let below = |key: &str| fields.get(key).and_then(Value::as_object);
    match live {
        Value::Object(values) => {
            let part =
                |(name, value): (&String, &Value)| Some((name.clone(), owned(below(&format!("f:{name}"))?, value)));
            Value::Object(values.iter().filter_map(part).collect())
        }
        Value::Array(items) => {
            let keyed = |item: &Value| {
                fields.iter().find_map(|(step, below)| {
                    let keys: Map<String, Value> = serde_json::from_str(step.strip_prefix("k:")?).ok()?;
                    noop::has_keys(item, &keys, false).then(|| owned(below.as_object().unwrap_or(&Map::new()), item))
                })
            };
            let member = |item: &Value| {
                let mut values =
                    fields.keys().filter_map(|step| serde_json::from_str::<Value>(step.strip_prefix("v:")?).ok());
                values.any(|value| value == *item).then(|| item.clone())
            };
            items.iter().filter_map(|item| keyed(item).or_else(|| member(item))).collect()
        }
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::{
        noop::Verdict,
        testing::{Fake, Reply, failure},
    };

    const PATH: &str = "/apis/apps/v1/namespaces/n/statefulsets/redis";

    fn live() -> Value {
        let fields = json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {
                "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}},
                "f:containers": {"k:{\"name\":\"redis\"}": {".": {}, "f:name": {}, "f:args": {},
                    "f:ports": {"k:{\"containerPort\":6379,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}},
        });
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "redis", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"app": "redis", "theirs": "x"},
                "managedFields": [{"manager": MANAGER, "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": fields}]},
            "spec": {"replicas": 1, "revisionHistoryLimit": 10, "template": {"spec": {
                "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "theirs"}],
                "containers": [{"name": "redis", "args": ["--appendonly", "yes"], "ports": [{"containerPort": 6379, "protocol": "TCP"}]}]}}},
        })
    }

    #[test]
    fn what_we_applied_can_be_told_from_what_is_there() {
        let body = applied(&live()).unwrap();
        assert_eq!(noop::unchanged(&body, &live()), Verdict::Same);
        assert_eq!(body["metadata"]["labels"], json!({"app": "redis"}));
        assert_eq!(body["spec"]["template"]["spec"]["volumes"], json!([{"name": "tmp", "emptyDir": {}}]));
        let container = &body["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&container["ports"], &container["args"][1]), (&json!([{"containerPort": 6379}]), &json!("yes")));
        assert_eq!(applied(&json!({"metadata": {}})), None);
    }

    fn key() -> Key {
        Key { group: "apps".into(), kind: "StatefulSet".into(), namespace: Some("n".into()), name: "redis".into() }
    }

    #[tokio::test]
    async fn replicas_that_are_ours_are_changed_by_an_apply_of_all_that_is_ours() {
        let conflicts = std::sync::atomic::AtomicBool::new(true);
        let fake = Fake::start(move |request, _| {
            let first = request.method == "PATCH" && conflicts.swap(false, std::sync::atomic::Ordering::SeqCst);
            first.then(|| failure(409, "Conflict", "it has been modified"))
        })
        .await;
        fake.objects().put(PATH, live());
        fake.kube.set_replicas(&key(), 0, None).await.unwrap();
        let now = fake.objects().all[PATH].clone();
        assert_eq!((&now["spec"]["replicas"], &now["metadata"]["labels"]["app"]), (&json!(0), &json!("redis")));
        fake.kube.set_replicas(&key(), 3, Some(2)).await.unwrap();
        assert_eq!(fake.objects().all[PATH]["spec"]["replicas"], 0, "somebody else has scaled it since");
    }

    #[tokio::test]
    async fn an_eviction_that_a_budget_forbids_is_told_at_once() {
        let fake = Fake::start(|request, _| {
            let evicts = request.path.ends_with("/eviction");
            evicts.then(|| match request.path.contains("/a/") {
                true => {
                    failure(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
                }
                false => Reply::Answer(201, json!({"kind": "Status", "status": "Success"}).to_string()),
            })
        })
        .await;
        let pod = |name: &str| json!({"metadata": {"name": name, "namespace": "n", "uid": "u"}});
        let Eviction::Blocked(why) = fake.kube.evict(&pod("a")).await.unwrap() else { panic!() };
        assert!(why.contains("disruption budget"));
        assert_eq!(fake.kube.evict(&pod("b")).await.unwrap(), Eviction::Going);
    }
}
