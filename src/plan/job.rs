//! The plan of `run`: one step, with the Job that it makes.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    Action, Graph, Plan,
    observed::{LiveState, Observed},
    test::require_up,
};
use crate::{
    error::{Error, Kind, Result},
    kube::runs,
    object::{Key, json, podspec},
    stack::{
        desired,
        model::{Job, SetKind, Stack, Template},
    },
};

/// A Job that is left behind by a run that was killed is ended by Kubernetes so long after its time, and removed by it so
/// many seconds after its end.
const GRACE: Duration = Duration::from_secs(30);
const KEPT_SECONDS: i64 = 300;

#[derive(Debug, Clone)]
pub struct Options {
    /// What its parameters were set to.
    pub chosen: BTreeMap<String, Value>,
    /// How long the run may take.
    pub timeout: Duration,
}

/// Fails with `Kind::Preflight` where the stack is not there, or not as its files say.
pub fn plan(stack: &Stack, job: &Job, options: &Options, observed: &Observed) -> Result<Plan> {
    let live = require_up(stack, observed)?;
    let object = object(stack, job, options, observed, live)?;
    let mut graph = Graph::default();
    let timeout_seconds = options.timeout.as_secs().max(1);
    graph.add(format!("run:{}", job.name), &[], Action::RunJob { object, timeout_seconds });
    Ok(graph.into())
}

/// The key of the Job of a run.
fn key(stack: &Stack, job: &Job) -> Key {
    let (group, kind) = ("batch".to_owned(), "Job".to_owned());
    Key { group, kind, namespace: Some(stack.namespace.clone()), name: format!("run-{}", job.name) }
}

fn object(stack: &Stack, job: &Job, options: &Options, observed: &Observed, live: &LiveState) -> Result<Value> {
    let again = || format!("`stackctl up {}` brings the cluster to what the files say", stack.name);
    let (mut template, place) = match &job.template {
        Template::CronJob(key) => {
            let there = live.live.objects.get(key).cloned();
            let absent = || Error::new(Kind::Preflight, format!("{} is not in the cluster", key.in_words()));
            (
                there.ok_or_else(|| absent().cause(format!("job {} is made from it", job.name)).hint(again()))?,
                key.in_words(),
            )
        }
        Template::Job(own) => (with_images(own.value.clone(), stack, observed)?, own.origin.to_string()),
    };
    job.fill(&mut template, &options.chosen).map_err(|why| {
        let message = format!("the parameters of job {} do not fit {place}: {why}", job.name);
        Error::new(Kind::Preflight, message).hint(again())
    })?;
    let is_cron_job = json::kind(&template) == "CronJob";
    let of_cron_job = template.pointer_mut("/spec/jobTemplate").map(Value::take);
    let template = of_cron_job.unwrap_or(template);
    let map = |pointer: &str| template.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut labels = map("/metadata/labels");
    let of_set = desired::labels_of_parent(&desired::parent_name(SetKind::Stack, &stack.name));
    labels.extend(of_set.into_iter().map(|(key, value)| (key, value.into())));
    labels.insert(runs::JOB.to_owned(), job.name.as_str().into());
    let mut annotations = map("/metadata/annotations");
    if is_cron_job {
        // As kubectl marks it.
        annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), "manual".into());
    }
    let Key { name, namespace, .. } = key(stack, job);
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": bounded(map("/spec"), options.timeout),
    }))
}

/// The specification of a Job that starts at once, ends, and does not stay.
fn bounded(mut spec: Map<String, Value>, timeout: Duration) -> Map<String, Value> {
    let limit = i64::try_from((timeout + GRACE).as_secs()).unwrap_or(i64::MAX);
    let limit = spec.get("activeDeadlineSeconds").and_then(Value::as_i64).map_or(limit, |own| own.min(limit));
    spec.insert("activeDeadlineSeconds".to_owned(), limit.into());
    spec.insert("ttlSecondsAfterFinished".to_owned(), KEPT_SECONDS.into());
    spec.remove("suspend");
    spec
}

/// The images of the stack's services, pinned as its other pods have them.
fn with_images(mut object: Value, stack: &Stack, observed: &Observed) -> Result<Value> {
    let named: Vec<&str> = podspec::images(&object);
    let missing = named.into_iter().find(|image| {
        let state = observed.images.get(*image);
        stack.services.contains_key(*image) && state.is_none_or(|state| state.digest.is_none())
    });
    if let Some(service) = missing {
        return Err(Error::new(Kind::Preflight, format!("the image of service {service} is not in the registry"))
            .cause("its sources are not those that the stack was brought up with")
            .hint(format!("`stackctl up {}` builds and pushes it", stack.name)));
    }
    podspec::replace_images(&mut object, |image| observed.images.get(image).map(|state| state.pinned()));
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kube::ownership::inventory::Parent,
        plan::observed::ImageState,
        provider::{ClusterState, Observation, existing},
        stack::testing::shop,
    };

    const CRON: &str = "apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: '0 3 * * *'
  jobTemplate:
    metadata: {labels: {app: copy}}
    spec:
      activeDeadlineSeconds: 10
      template: {spec: {restartPolicy: Never, containers: [{name: main, image: web, env: [{name: KEEP}]}]}}
";
    const RESTORE: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: restore}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: main, image: web}]}}}
";
    const STACK: &str = "name: shop
services: {web: {context: .}}
manifests: [cron.yaml]
jobs:
  backup:
    from: CronJob/nightly
    parameters:
      keep: {type: integer, default: 7, sets: ['CronJob/nightly spec.jobTemplate.spec.template.spec.containers[0].env[name=KEEP].value']}
  restore: {manifest: restore.yaml}
";

    fn stack() -> Stack {
        shop(STACK, &[("cron.yaml", CRON), ("restore.yaml", RESTORE), ("Dockerfile", "FROM scratch\n")]).stack()
    }

    fn observed(stack: &Stack, digest: Option<&str>) -> Observed {
        let parents = BTreeMap::from([("stack-shop".to_owned(), Parent::default())]);
        let mut live = LiveState { parents, ..LiveState::default() };
        let mut cron = stack.sets[0].objects[0].clone();
        // What `up` applied, whatever the sources are by now.
        podspec::replace_images(&mut cron.value, |_| Some("registry/shop/web:old@sha256:0".to_owned()));
        live.live.objects.insert(cron.key(), cron.value);
        let image = ImageState {
            reference: "registry/shop/web:new".to_owned(),
            digest: digest.map(str::to_owned),
            tags: Vec::new(),
            doubt: None,
            loaded: false,
        };
        let provider = Observation::of(ClusterState::Ours { stopped: false });
        let images = BTreeMap::from([("web".to_owned(), image)]);
        Observed { images, live: Some(live), ..Observed::of(existing::TRAITS, provider) }
    }

    fn planned(stack: &Stack, job: &str, observed: &Observed) -> Result<Value> {
        let options = Options { chosen: BTreeMap::new(), timeout: Duration::from_secs(120) };
        let plan = plan(stack, &stack.jobs[job], &options, observed)?;
        let Action::RunJob { object, timeout_seconds: 120 } = &plan.steps[0].action else { panic!("{plan:?}") };
        Ok(object.clone())
    }

    #[test]
    fn a_run_of_a_cron_job_is_what_the_cluster_has_of_it() {
        let stack = stack();
        let job = planned(&stack, "backup", &observed(&stack, None)).unwrap();
        assert_eq!((json::name(&job), json::namespace(&job)), ("run-backup", Some("shop")));
        assert_eq!(json::label(&job, "app"), Some("copy"));
        assert_eq!(json::label(&job, runs::JOB), Some("backup"));
        let set = desired::applyset_id(SetKind::Stack, "shop");
        assert_eq!(json::label(&job, crate::kube::PART_OF), Some(set.as_str()), "`down` finds it");
        assert_eq!(json::annotation(&job, "cronjob.kubernetes.io/instantiate"), Some("manual"));
        assert_eq!(podspec::images(&job), ["registry/shop/web:old@sha256:0"]);
        assert_eq!(job.pointer("/spec/template/spec/containers/0/env/0/value"), Some(&json!("7")));
        assert_eq!(json::int(&job, "/spec/activeDeadlineSeconds"), Some(10), "its own is shorter");
    }

    #[test]
    fn a_job_of_its_own_names_the_images_that_the_stack_has() {
        let stack = stack();
        let job = planned(&stack, "restore", &observed(&stack, Some("sha256:1"))).unwrap();
        assert_eq!(podspec::images(&job), ["registry/shop/web:new@sha256:1"]);
        assert_eq!(json::int(&job, "/spec/activeDeadlineSeconds"), Some(150));
        assert_eq!(json::int(&job, "/spec/ttlSecondsAfterFinished"), Some(KEPT_SECONDS));
        assert!(job.pointer("/spec/suspend").is_none(), "somebody starts it just now");
        let error = planned(&stack, "restore", &observed(&stack, None)).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (Kind::Preflight, "the image of service web is not in the registry")
        );
    }

    #[test]
    fn what_is_not_up_cannot_be_run() {
        let stack = stack();
        let mut observed = observed(&stack, None);
        observed.live.as_mut().unwrap().live.objects.clear();
        let error = planned(&stack, "backup", &observed).unwrap_err();
        assert_eq!(error.message, "CronJob/nightly in namespace shop is not in the cluster");
        observed.live = Some(LiveState::default());
        let error = planned(&stack, "backup", &observed).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Preflight, "stack shop is not up"));
    }

    #[test]
    fn a_cron_job_that_was_changed_since_is_told() {
        let stack = stack();
        let mut observed = observed(&stack, None);
        for cron in observed.live.as_mut().unwrap().live.objects.values_mut() {
            cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] = json!([]);
        }
        let error = planned(&stack, "backup", &observed).unwrap_err();
        assert!(error.message.contains("do not fit CronJob/nightly in namespace shop: it has no"), "{error}");
    }
}
