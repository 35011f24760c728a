//! Jobs that a person runs: how a stack declares them, and what their parameters put into their templates.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{
    error::{Error, Kind, Result},
    object::{Key, Object},
    stack::{
        checks,
        declaration::named,
        files::Folder,
        format::Section,
        manifests::{self, Form},
        model::{Service, Set},
        problems::{Problems, closest, suggestion},
        reader::Located,
        values::ValueDecl,
    },
};

/// A job as a stack.yaml declares it.
#[derive(Debug)]
pub struct JobDecl {
    name: Located<String>,
    description: Option<String>,
    /// `CronJob/NAME`
    from: Option<Located<String>>,
    manifest: Option<Located<String>>,
    timeout: Option<Duration>,
    parameters: Vec<ValueDecl>,
}

/// Something that a person may run.
#[derive(Debug, Clone)]
pub struct Job {
    pub name: String,
    pub description: Option<String>,
    pub template: Template,
    /// How long a run may take; None: as long as anything is waited for.
    pub timeout: Option<Duration>,
    parameters: Vec<ValueDecl>,
}

/// What a run's Job is made from.
#[derive(Debug, Clone)]
pub enum Template {
    /// The `jobTemplate` of a CronJob, as it is in the cluster.
    CronJob(Key),
    /// A Job of the stack's own, which `up` does not apply.
    Job(Box<Object>),
}

impl JobDecl {
    pub fn read(key: &Located<String>, at: &Section, problems: &mut Problems) -> Option<JobDecl> {
        let from: Option<Located<String>> = at.get("from")?;
        let manifest: Option<Located<String>> = at.get("manifest")?;
        // Both or neither is reported, and no job.
        if from.is_some() == manifest.is_some() {
            return None;
        }
        Some(JobDecl {
            name: key.clone(),
            description: at.get("description")?,
            from,
            manifest,
            timeout: at.get("timeout")?,
            parameters: named(at, "parameters", |key, at| ValueDecl::read(key, at, problems)),
        })
    }
}

/// What the jobs of a stack are checked against.
pub struct Surroundings<'a> {
    pub folder: &'a Folder,
    pub namespace: &'a str,
    pub sets: &'a [Set],
    pub services: &'a BTreeMap<String, Service>,
    /// Part of the stack's files could not be understood.
    pub incomplete: bool,
}

/// The jobs by name, their templates found and their setters tried.
pub fn assemble(decls: &[JobDecl], around: &Surroundings, problems: &mut Problems) -> BTreeMap<String, Job> {
    let job = |decl: &JobDecl| Some((decl.name.value.clone(), decl.assemble(around, problems)?));
    decls.iter().filter_map(job).collect()
}

impl JobDecl {
    fn assemble(&self, around: &Surroundings, problems: &mut Problems) -> Option<Job> {
        let template = match (&self.from, &self.manifest) {
            (Some(from), _) => cron_job(&self.name.value, from, around, problems)?,
            (None, Some(path)) => own_job(path, around, problems)?,
            (None, None) => return None,
        };
        self.try_setters(&template, problems);
        let key = template.key();
        Some(Job {
            name: self.name.value.clone(),
            description: self.description.clone(),
            template: match key.kind.as_str() {
                "CronJob" => Template::CronJob(key),
                _ => Template::Job(Box::new(template)),
            },
            timeout: self.timeout,
            parameters: self.parameters.clone(),
        })
    }

    /// Each names a field of the template.
    fn try_setters(&self, template: &Object, problems: &mut Problems) {
        for parameter in &self.parameters {
            let field = format!("jobs.{}.parameters.{}.sets", self.name.value, parameter.name);
            if parameter.service().is_some() {
                let message =
                    format!("a parameter is what a person sets, so it has a `type` and no `setFrom` ({field})");
                problems.at(parameter.origin.clone(), message);
            }
            for Located { value: setter, origin } in &parameter.setters {
                let key = template.key();
                let probe = parameter.default.clone().unwrap_or_else(|| parameter.probe());
                let outcome = match setter.is_of(&key) {
                    true => setter.apply(&mut template.value.clone(), &probe),
                    false => Err(format!("the job's template is {key}")),
                };
                if let Err(why) = outcome {
                    problems.at(origin.clone(), format!("the setter matches nothing: {why} ({field})"));
                }
            }
        }
    }
}

fn cron_job(job: &str, from: &Located<String>, around: &Surroundings, problems: &mut Problems) -> Option<Object> {
    let objects = || around.sets.iter().flat_map(|set| &set.objects).filter(|object| object.key().kind == "CronJob");
    let found = objects().find(|object| object.key().to_string() == from.value);
    if found.is_none() && !around.incomplete {
        let names: Vec<String> = objects().map(|object| object.key().to_string()).collect();
        let hint = match from.value.starts_with("CronJob/") {
            true => suggestion(&from.value, names.iter().map(String::as_str)),
            false => "; expected `CronJob/NAME`".to_owned(),
        };
        let message = format!("there is no {} in the stack{hint} (jobs.{job}.from)", from.value);
        problems.at(from.origin.clone(), message);
    }
    found.cloned()
}

/// The one Job of a file.
fn own_job(path: &Located<String>, around: &Surroundings, problems: &mut Problems) -> Option<Object> {
    let read = manifests::read(around.folder, path, Form::Objects, problems);
    let mut objects = read.objects.into_iter();
    let (first, more) = (objects.next()?, objects.next());
    let is_job = |object: &Object| object.key().kind == "Job" && object.key().group == "batch";
    if let Some(other) = [Some(&first), more.as_ref()].into_iter().flatten().find(|object| !is_job(object)) {
        let message = format!("{} is no Job: the manifest of a job holds one Job and nothing else", other.key());
        problems.at(other.origin.clone(), message);
        return None;
    }
    if let Some(second) = more {
        problems.at(second.origin, "a second Job; the manifest of a job holds one Job and nothing else");
        return None;
    }
    let mut job = first;
    match job.key().namespace {
        Some(namespace) if namespace != around.namespace => {
            let message = format!("{} names namespace `{namespace}`; a job runs in the stack's", job.key());
            problems.at(job.origin.clone(), message);
        }
        _ => job.value["metadata"]["namespace"] = around.namespace.into(),
    }
    checks::images_of(&job, around.services, problems);
    Some(job)
}

impl Job {
    /// The names of its parameters, each with what it is where nobody says otherwise.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.default.as_ref()))
    }

    /// What `--set` says. Err: `Kind::Usage`, with one detail for each mistake.
    pub fn choose(&self, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>> {
        let mut chosen = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, raw) in given {
            let names = || self.parameters.iter().map(|parameter| parameter.name.as_str());
            let parameter = self.parameters.iter().find(|parameter| parameter.name == *name);
            let parsed = match parameter {
                Some(parameter) => parameter.parse(raw),
                None => Err(match (closest(name, names()), names().collect::<Vec<_>>().as_slice()) {
                    (Some(near), _) => format!("no such parameter; did you mean `{near}`?"),
                    (None, []) => "the job has no parameters".to_owned(),
                    (None, names) => format!("no such parameter; there are {}", names.join(", ")),
                }),
            };
            match parsed {
                Ok(value) => drop(chosen.insert(name.clone(), value)),
                Err(message) => wrong.push(format!("--set {name}={raw}: {message}")),
            }
        }
        match wrong.is_empty() {
            true => Ok(chosen),
            false => Err(Error::new(Kind::Usage, format!("job {} cannot be run like this", self.name)).details(wrong)),
        }
    }

    /// Writes what was chosen, and the defaults of the rest, into the template. Err: what it lacks.
    pub fn fill(&self, template: &mut Value, chosen: &BTreeMap<String, Value>) -> std::result::Result<(), String> {
        for parameter in &self.parameters {
            let Some(value) = chosen.get(&parameter.name).or(parameter.default.as_ref()) else { continue };
            for setter in &parameter.setters {
                setter.value.apply(template, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stack::testing::shop;

    const CRON: &str = "apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: '0 3 * * *'
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox:1.37, env: [{name: KEEP}]}]}}}
";
    const RESTORE: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: restore}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox:1.37, env: [{name: FROM}]}]}}}
";
    const JOBS: &str = "name: shop
manifests: [cron.yaml]
jobs:
  backup:
    description: Copies what there is
    from: CronJob/nightly
    timeout: 2m
    parameters:
      keep: {type: integer, minimum: 1, default: 7, sets: ['CronJob/nightly spec.jobTemplate.spec.template.spec.containers[0].env[name=KEEP].value']}
  restore:
    manifest: restore.yaml
    parameters:
      from: {type: string, sets: ['Job/restore spec.template.spec.containers[0].env[name=FROM].value']}
";

    #[test]
    fn parameters_are_checked_and_written_into_the_template() {
        let stack = shop(JOBS, &[("cron.yaml", CRON), ("restore.yaml", RESTORE)]).stack();
        assert_eq!(stack.sets[0].objects.len(), 1, "what only a run applies is no object of the stack");
        let (backup, restore) = (&stack.jobs["backup"], &stack.jobs["restore"]);
        assert_eq!(backup.timeout, Some(Duration::from_secs(120)));
        assert_eq!(backup.parameters().collect::<Vec<_>>(), [("keep", Some(&json!(7)))]);
        let Template::Job(template) = &restore.template else { panic!("{restore:?}") };
        assert_eq!(template.key().namespace.as_deref(), Some("shop"));
        let set = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let variable = |template: &Value| template.pointer("/spec/template/spec/containers/0/env/0").cloned().unwrap();
        let mut filled = template.value.clone();
        restore.fill(&mut filled, &restore.choose(&set(&[])).unwrap()).unwrap();
        assert_eq!(variable(&filled), json!({"name": "FROM"}), "without a default it is what the template says");
        restore.fill(&mut filled, &restore.choose(&set(&[("from", "monday")])).unwrap()).unwrap();
        assert_eq!(variable(&filled), json!({"name": "FROM", "value": "monday"}));
        let error = backup.choose(&set(&[("keep", "0"), ("kep", "3"), ("zzz", "1")])).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.details[0].starts_with("--set keep=0: 0 is below the minimum 1"), "{error:?}");
        assert_eq!(error.details[1], "--set kep=3: no such parameter; did you mean `keep`?");
        assert_eq!(error.details[2], "--set zzz=1: no such parameter; there are keep");
        let mut other = stack.sets[0].objects[0].value.clone();
        other["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] = json!([]);
        assert!(backup.fill(&mut other, &BTreeMap::new()).unwrap_err().contains("env[name=KEEP]"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let stack = "name: shop
manifests: [cron.yaml]
services: {web: {context: .}}
jobs:
  Backup: {from: CronJob/nightl}
  both: {from: CronJob/nightly, manifest: restore.yaml}
  deployment: {from: Deployment/web}
  map: {manifest: map.yaml}
  two: {manifest: two.yaml}
  wrong:
    manifest: restore.yaml
    timeout: soon
    parameters:
      a: {type: string, sets: [Job/restore spec.nothing, CronJob/nightly spec.schedule]}
      b: {setFrom: image.hash, service: web, sets: []}
";
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\n";
        let two = format!("{RESTORE}---\n{RESTORE}");
        let elsewhere = RESTORE.replace("{name: restore}", "{name: restore, namespace: other}");
        let files = [
            ("cron.yaml", CRON),
            ("map.yaml", map),
            ("two.yaml", &two),
            ("restore.yaml", &elsewhere.replace("busybox:1.37", "web:1")),
            ("Dockerfile", "FROM scratch\n"),
        ];
        let at = |line: &str| format!("manifests/shop/{line}");
        assert_eq!(
            shop(stack, &files).problems(),
            [
                at("map.yaml:1:1: ConfigMap/map is no Job: the manifest of a job holds one Job and nothing else"),
                at("restore.yaml:1:1: Job/restore names namespace `other`; a job runs in the stack's"),
                at(
                    "restore.yaml:1:1: Job/restore wants image `web:1`: did you mean `web`, which is built here (without a \
                    tag), or docker.io/library/web:1?"
                ),
                at("stack.yaml:5:3: `Backup` is no valid name: lower-case letters, digits and `-`, at most 52 (jobs)"),
                at("stack.yaml:5:18: there is no CronJob/nightl in the stack; did you mean `CronJob/nightly`? \
                    (jobs.Backup.from)"),
                at("stack.yaml:6:9: a job has one of `from` and `manifest` (jobs.both)"),
                at("stack.yaml:7:22: there is no Deployment/web in the stack; expected `CronJob/NAME` \
                    (jobs.deployment.from)"),
                at("stack.yaml:12:14: expected a duration such as `500ms`, `60s` or `1m30s`, found the string `soon` \
                    (jobs.wrong.timeout)"),
                at(
                    "stack.yaml:14:32: the setter matches nothing: it has no spec.nothing (jobs.wrong.parameters.a.sets)"
                ),
                at("stack.yaml:14:58: the setter matches nothing: the job's template is Job/restore \
                    (jobs.wrong.parameters.a.sets)"),
                at("stack.yaml:15:7: a parameter is what a person sets, so it has a `type` and no `setFrom` \
                    (jobs.wrong.parameters.b.sets)"),
                at("two.yaml:6:1: a second Job; the manifest of a job holds one Job and nothing else"),
            ]
        );
    }
}
