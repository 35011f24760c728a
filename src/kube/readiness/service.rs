//! What pods stand behind, and what only has to be taken in by the cluster.

use serde_json::Value;

use super::{Failure, Readiness, Surroundings, references, waiting, workload};
use crate::object::json;

/// Ready addresses behind a Service.
fn endpoints(around: &Surroundings, namespace: Option<&str>, service: &str) -> usize {
    let slices = around.endpoint_slices.iter().filter(|slice| {
        json::namespace(slice) == namespace && json::label(slice, "kubernetes.io/service-name") == Some(service)
    });
    let ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
    slices.map(|slice| json::list(slice, "/endpoints").iter().filter(ready).count()).sum()
}

pub fn service(object: &Value, around: &Surroundings) -> Readiness {
    let type_ = json::text(object, "/spec/type").unwrap_or("ClusterIP");
    if type_ == "ExternalName" {
        return Readiness::Ready;
    }
    if has_no_pods(object, around) {
        return without_pods(object, around);
    }
    if type_ == "LoadBalancer" && json::list(object, "/status/loadBalancer/ingress").is_empty() {
        return without_address(object, around);
    }
    Readiness::Ready
}

/// It selects pods, and none that is ready stands behind it.
pub(in crate::kube) fn has_no_pods(object: &Value, around: &Surroundings) -> bool {
    let selector = object.pointer("/spec/selector").and_then(Value::as_object);
    selector.is_some_and(|selector| !selector.is_empty())
        && endpoints(around, json::namespace(object), json::name(object)) == 0
}

/// No pod is to be expected behind it where all that it selects is meant to have none, and none will come where it
/// selects nothing.
fn without_pods(object: &Value, around: &Surroundings) -> Readiness {
    const NONE: &str = "no ready pod stands behind it";
    let Some(workloads) = around.workloads.as_ref().filter(|_| around.pods.is_empty()) else { return waiting(NONE) };
    let wanted = json::selector(object.pointer("/spec/selector")).unwrap_or_default();
    let labels = |workload: &&Value| {
        let labels = workload.pointer("/spec/template/metadata/labels");
        let selector = object.pointer("/spec/selector").and_then(Value::as_object);
        selector.into_iter().flatten().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let selected: Vec<&Value> = workloads.iter().filter(labels).collect();
    if selected.is_empty() {
        let why = format!("{NONE}: nothing in its namespace has the labels {wanted} that it selects");
        if around.pods_may_come || !around.hurried && !around.has_settled() {
            return waiting(why);
        }
        let others = workloads.iter().filter_map(|workload| {
            let labels = json::selector(workload.pointer("/spec/template/metadata/labels"))?;
            Some(format!("the pods of {}/{} have {labels}", json::kind(workload), json::name(workload)))
        });
        let failure = Failure::new(why).hint("correct spec.selector, or the labels of the pods' template");
        return others.take(5).fold(failure, Failure::detail).into();
    }
    let rests: Option<Vec<String>> = selected.iter().map(|workload| workload::rests(workload)).collect();
    match rests {
        Some(rests) => Readiness::Settled(format!("no pod stands behind it: {}", rests.join(", "))),
        None => waiting(NONE),
    }
}

/// Who may give a Service of type LoadBalancer its address.
#[derive(Debug, Clone)]
pub struct Balancing {
    /// All of the cluster's.
    pub services: Vec<Value>,
    pub nodes: Vec<Value>,
    /// Definitions of something that is there for it.
    pub installed: bool,
}

/// On kind, whoever hands out addresses has said so by then.
const HANDED_OUT: u64 = 5;

fn without_address(object: &Value, around: &Surroundings) -> Readiness {
    let Some(balancing) = &around.balancing else { return waiting("it has no address yet") };
    let provider = |node: &Value| json::text(node, "/spec/providerID").unwrap_or_default().to_owned();
    let kind = balancing.nodes.iter().all(|node| provider(node).starts_with("kind://"));
    let nobody = !balancing.nodes.is_empty()
        && balancing.nodes.iter().all(|node| provider(node).is_empty() || provider(node).starts_with("kind://"))
        && !balancing.installed
        && json::text(object, "/spec/loadBalancerClass").is_none()
        && !balancing.services.iter().any(is_balanced)
        && !around.events.iter().any(|event| event["involvedObject"]["uid"] == json::uid(object));
    let waited = if kind { around.has_waited(HANDED_OUT) } else { around.has_settled() };
    if !nobody || !waited && !around.hurried {
        return waiting("it has no address yet");
    }
    let port = |field: &str| json::int(object, &format!("/spec/ports/0/{field}"));
    let forward = port("port").map_or(String::new(), |port| {
        let namespace = json::namespace(object).map_or(String::new(), |namespace| format!(" --namespace {namespace}"));
        format!("; `stackctl forward {}:{port}{namespace}` reaches it", json::name(object))
    });
    let node = port("nodePort").map_or(String::new(), |port| format!(", and so does port {port} of each node"));
    Readiness::Settled(format!(
        "it gets no address: nothing in this cluster hands out addresses to load balancers{forward}{node}"
    ))
}

/// It has an address, or somebody has begun to give it one.
fn is_balanced(service: &Value) -> bool {
    let finalizers = json::list(service, "/metadata/finalizers");
    json::text(service, "/spec/type") == Some("LoadBalancer")
        && (!json::list(service, "/status/loadBalancer/ingress").is_empty()
            || finalizers.iter().any(|finalizer| finalizer == "service.kubernetes.io/load-balancer-cleanup"))
}

pub fn autoscaler(_object: &Value, around: &Surroundings) -> Readiness {
    let gone = references::lacking(around).find(|(looked, _)| !looked.may_come);
    gone.map_or(Readiness::Ready, |(_, what)| Readiness::Settled(format!("it scales nothing: {what} does not exist")))
}

pub fn ingress(object: &Value, around: &Surroundings) -> Readiness {
    const ANNOTATION: &str = "kubernetes.io/ingress.class";
    if let Some((_, what)) = references::lacking(around).find(|(looked, _)| !looked.may_come) {
        return Readiness::Settled(format!("nothing serves it: {what} does not exist"));
    }
    let names_none =
        json::text(object, "/spec/ingressClassName").is_none() && json::annotation(object, ANNOTATION).is_none();
    match names_none && around.ingress_classes.as_ref().is_some_and(Vec::is_empty) {
        true => Readiness::Settled("nothing serves it: the cluster has no IngressClass, and it names none".to_owned()),
        false => Readiness::Ready,
    }
}

pub fn namespace(object: &Value) -> Readiness {
    match json::text(object, "/status/phase") {
        Some("Active") => Readiness::Ready,
        _ => waiting("it is not active yet"),
    }
}

pub fn definition(object: &Value) -> Readiness {
    if let Some(condition) = json::condition(object, "NamesAccepted").filter(|condition| condition["status"] == "False")
    {
        return Failure::new(format!("its names are taken: {}", json::reason(condition))).into();
    }
    match json::condition_status(object, "Established") {
        Some(true) => Readiness::Ready,
        _ => waiting("it is not served yet"),
    }
}

pub fn api_service(object: &Value, around: &Surroundings) -> Readiness {
    if object.pointer("/spec/service").is_none_or(Value::is_null)
        || json::condition_status(object, "Available") == Some(true)
    {
        return Readiness::Ready;
    }
    if let Some(failure) = references::trouble(around) {
        return failure.into();
    }
    match json::condition(object, "Available") {
        Some(condition) => waiting(json::reason(condition)),
        None => waiting("its server has not been asked yet"),
    }
}

/// The Services, as namespace and name, that the webhooks call.
pub fn webhook_services(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    json::list(object, "/webhooks").iter().filter_map(|webhook| {
        let service = webhook.pointer("/clientConfig/service")?;
        Some((service["namespace"].as_str()?, service["name"].as_str()?))
    })
}

pub fn webhooks(object: &Value, around: &Surroundings) -> Readiness {
    match webhook_services(object).find(|(namespace, name)| endpoints(around, Some(namespace), name) == 0) {
        Some((namespace, name)) => match references::trouble(around) {
            Some(failure) => failure.into(),
            None => waiting(format!("its service {namespace}/{name} has no ready pod")),
        },
        None => Readiness::Ready,
    }
}
