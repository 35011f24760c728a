//! The built-in kinds whose types are known: those of stable versions, whose fields never go.

use k8s_openapi::{
    Resource,
    api::{
        admissionregistration::v1 as admission,
        apps::v1 as apps,
        autoscaling::{v1 as autoscaling_v1, v2 as autoscaling_v2},
        batch::v1 as batch,
        coordination::v1 as coordination,
        core::v1 as core,
        discovery::v1 as discovery,
        flowcontrol::v1 as flowcontrol,
        networking::v1 as networking,
        node::v1 as node,
        policy::v1 as policy,
        rbac::v1 as rbac,
        scheduling::v1 as scheduling,
        storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    kube_aggregator::pkg::apis::apiregistration::v1 as registration,
};
use serde::Deserialize;

use super::node::{At, Stop};
use crate::object::retired::Retired;

type Read = fn(At) -> Result<(), Stop>;

fn read<T: for<'de> Deserialize<'de>>(at: At) -> Result<(), Stop> {
    T::deserialize(at).map(drop)
}

macro_rules! kinds {
    ($($module:ident: $($kind:ident)+;)+) => {
        &[$($((<$module::$kind as Resource>::API_VERSION, <$module::$kind as Resource>::KIND, read::<$module::$kind>)),+),+]
    };
}

const KINDS: &[(&str, &str, Read)] = kinds! {
    core: ConfigMap Endpoints LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate
        ReplicationController ResourceQuota Secret Service ServiceAccount;
    apps: DaemonSet Deployment ReplicaSet StatefulSet;
    batch: CronJob Job;
    autoscaling_v1: HorizontalPodAutoscaler;
    autoscaling_v2: HorizontalPodAutoscaler;
    networking: Ingress IngressClass NetworkPolicy;
    policy: PodDisruptionBudget;
    rbac: ClusterRole ClusterRoleBinding Role RoleBinding;
    storage: CSIDriver StorageClass;
    scheduling: PriorityClass;
    node: RuntimeClass;
    coordination: Lease;
    discovery: EndpointSlice;
    flowcontrol: FlowSchema PriorityLevelConfiguration;
    admission: MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
        ValidatingWebhookConfiguration;
    extensions: CustomResourceDefinition;
    registration: APIService;
};

pub fn find(api_version: &str, kind: &str) -> Option<Read> {
    KINDS.iter().find(|(known, name, _)| *known == api_version && *name == kind).map(|(.., read)| *read)
}

/// Which field of an object names a kind that no API server has, and what was meant. None: nothing is known against it.
pub fn mistake(api_version: &str, kind: &str) -> Option<(&'static str, String)> {
    let served: Vec<&str> =
        KINDS.iter().filter(|(known, ..)| *known == api_version).map(|(_, known, _)| *known).collect();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    // Groups of custom resources have a dot.
    let is_builtin = !served.is_empty() || !group.contains('.');
    if !is_builtin || find(api_version, kind).is_some() || Retired::find(api_version, kind).is_some() {
        return None;
    }
    if let Some((right, ..)) = KINDS.iter().rfind(|(_, known, _)| *known == kind) {
        return Some(("apiVersion", format!("{api_version} has no {kind}; write `apiVersion: {right}`")));
    }
    let near = |known: &&str| strsim::osa_distance(&kind.to_lowercase(), &known.to_lowercase()) <= 2;
    let near = served.into_iter().find(near)?;
    Some(("kind", format!("{api_version} has no {kind}; did you mean `{near}`?")))
}
