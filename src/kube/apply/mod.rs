//! Server-side apply of one object, and what to do when the server does not take it.

pub mod change;
pub mod replace;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use ::kube::api::{DeleteParams, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    CREATION_MANAGER, Kube, MANAGER, PART_OF,
    discovery::{KindRef, Resolved},
    failure::{self, Subject},
    noop, pull_secret, scale,
};
use crate::object::{Object, remove_namespace};
use crate::{
    error::{Error, Result},
    event::Progress,
};
use crate::{kube::ownership::holds::is_namespace, object::json};

/// How long a path may take to be served.
const UNSERVED: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Take over fields that other managers own.
    pub force_conflicts: bool,
    /// Delete and create anew where an immutable field changes.
    pub replace: bool,
    /// And even where data goes with the object.
    pub prune_data: bool,
    /// Take over an object that somebody else made.
    pub adopt: bool,
    /// The server computes the result and stores nothing.
    pub dry_run: bool,
    /// `spec.replicas` to start with, where an autoscaler rules afterwards.
    pub initial_replicas: Option<i64>,
    /// Who says what is waited for.
    pub progress: Option<Progress>,
    /// An autoscaler rules its replicas.
    pub scaled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyOutcome {
    Created,
    /// It was somebody else's until now.
    Adopted,
    Configured,
    Unchanged,
    Replaced,
}

#[derive(Debug, Clone)]
pub struct Applied {
    pub outcome: ApplyOutcome,
    /// The object as the server has it now.
    pub object: Value,
}

impl Applied {
    fn configured(object: Value) -> Applied {
        Applied { outcome: ApplyOutcome::Configured, object }
    }
}

impl Kube {
    /// Applies one object. `live` is the object as last seen, if it was there; what the plan knew, not a precondition.
    pub async fn apply(&self, object: &Object, live: Option<&Value>, options: &ApplyOptions) -> Result<Applied> {
        let declared = |error: Error| error.detail(format!("declared at {}", object.origin));
        let at = self.resolve(&KindRef::of(object)).await.map_err(declared)?;
        let key = object.key();
        let subject = Subject { key: &key, origin: Some(&object.origin) };
        let failed = |error: ::kube::Error| match error {
            ::kube::Error::Api(status) if failure::is_too_large(&status) => {
                failure::too_large(&subject, Some(size(&object.value)), &status)
            }
            error => failure::refused("apply", &subject, &self.server, &error),
        };
        let mut made_here = false;
        if key.kind == "Namespace" && key.group.is_empty() && live.is_none() && !options.dry_run {
            made_here = self.ensure_namespace(&key.name, &BTreeMap::new()).await?;
        }
        let before = live.and_then(|live| json::text(live, "/metadata/resourceVersion"));
        let (mut freed, mut replaced) = (false, false);
        let mut sent = Cow::Borrowed(object);
        let keep = |sent: &mut Cow<'_, Object>, live: &Value| {
            if let Cow::Owned(value) = scale::keeping_replicas(&sent.value, live) {
                sent.to_mut().value = value;
            }
        };
        if let Some(live) = live.filter(|live| options.scaled && scale::owns_replicas(live)) {
            // Looked at again, for the autoscaler may have changed it since.
            let now = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
            keep(&mut sent, now.as_ref().unwrap_or(live));
        }
        // What the plan did not see may be there all the same, and somebody else's.
        let set = json::label(&object.value, PART_OF).filter(|_| live.is_none() && !options.dry_run);
        let mut must_be_new = set.filter(|_| !is_namespace(&key) && key.name != pull_secret::NAME);
        let mut adopted = false;
        loop {
            let answer = match must_be_new {
                Some(_) => self.apply_once(&at, &only_new(&sent), options).await,
                None => self.apply_once(&at, &sent, options).await,
            };
            match answer {
                Ok((found, _)) if json::is_being_deleted(&found) && !options.dry_run => {
                    // The apply was taken by an object that is on its way out.
                    self.until_gone(&at, &found, self.going, options.progress.as_ref()).await?;
                }
                Ok((found, created)) => {
                    // The answer to the creation may have been lost, and what came is that to the second try.
                    let created = created || live.is_none() && is_new(&found);
                    if created && !options.dry_run {
                        self.set_once(&at, &found, options).await?;
                    }
                    let outcome = match json::text(&found, "/metadata/resourceVersion") {
                        _ if replaced => ApplyOutcome::Replaced,
                        _ if adopted => ApplyOutcome::Adopted,
                        _ if created || made_here => ApplyOutcome::Created,
                        now if now.is_some() && now == before => ApplyOutcome::Unchanged,
                        // Others may have moved it since it was seen; nothing of ours did.
                        _ if live.is_some_and(|live| noop::fingerprint(live) == noop::fingerprint(&found)) => {
                            ApplyOutcome::Unchanged
                        }
                        _ => ApplyOutcome::Configured,
                    };
                    return Ok(Applied { outcome, object: found });
                }
                Err(::kube::Error::Api(status)) if change::is_invalid(&status) && !replaced => {
                    let Some(refused) = self.refused_change(&at, object, &status).await.map_err(failed)? else {
                        return Err(failed(::kube::Error::Api(status)));
                    };
                    let stale = refused.in_the_way(&object.value, options.force_conflicts);
                    if !stale.is_empty() && !freed {
                        freed = true;
                        if options.dry_run {
                            let after = self.dry_run_without(&at, object, &refused.old, &stale, options).await;
                            return after.map(Applied::configured).map_err(failed);
                        }
                        self.own_fields(&at, &refused.old, &stale).await.map_err(failed)?;
                        // The server takes a null for a wish to keep what is below.
                        for path in &stale {
                            path.remove_from(&mut sent.to_mut().value);
                        }
                    } else if options.replace {
                        replace::allowed(&subject, &refused.old, object, options.prune_data, &refused.causes)?;
                        if options.dry_run {
                            return Ok(Applied { outcome: ApplyOutcome::Replaced, object: object.value.clone() });
                        }
                        self.delete_seen(&at, &refused.old, DeleteParams::foreground()).await.map_err(failed)?;
                        self.until_gone(&at, &refused.old, self.going, options.progress.as_ref()).await?;
                        replaced = true;
                    } else {
                        let owners = refused.owners(&object.value);
                        if !owners.is_empty() && !options.force_conflicts {
                            return Err(failure::in_the_way(&subject, &refused.causes, &owners));
                        }
                        let differing = refused.differing(&object.value);
                        return Err(failure::immutable(&subject, &refused.causes, &differing));
                    }
                }
                Err(::kube::Error::Api(status)) if must_be_new.is_some() && status.is_conflict() => {
                    let found = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
                    match (found, must_be_new) {
                        (Some(found), _) if json::is_being_deleted(&found) => {
                            self.until_gone(&at, &found, self.going, options.progress.as_ref()).await?;
                        }
                        (Some(found), Some(set)) => {
                            let claimed = self.claim(&at, found, &subject, set, options.adopt).await?;
                            if let Some(now) = claimed.as_ref().filter(|_| options.scaled) {
                                keep(&mut sent, now);
                            }
                            adopted = claimed.is_some();
                            must_be_new = None;
                        }
                        // It went meanwhile.
                        _ => must_be_new = None,
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// One apply, waiting out namespaces that are going and paths that are coming.
    pub(super) async fn apply_once(
        &self,
        at: &Resolved,
        object: &Object,
        options: &ApplyOptions,
    ) -> std::result::Result<(Value, bool), ::kube::Error> {
        let mut params = PatchParams::apply(MANAGER).validation_strict();
        params.force = options.force_conflicts;
        params.dry_run = options.dry_run;
        let mut body = noop::prepared(&object.value);
        if !at.namespaced && json::namespace(&body).is_some() {
            // Nobody knew that the kind lives outside namespaces until its definition came.
            remove_namespace(body.to_mut());
        }
        let (namespace, name) = (json::namespace(&object.value), json::name(&object.value));
        let begun = Instant::now();
        loop {
            let error = match self.patch(at, namespace, name, &params, &body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let limit = match &error {
                error if failure::is_terminating_namespace(error) => self.going,
                error if failure::is_unserved(error) => UNSERVED,
                _ => return Err(error),
            };
            if options.dry_run || begun.elapsed() > limit {
                return Err(error);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is set at creation and then left alone: the number of replicas to start with.
    async fn set_once(&self, at: &Resolved, created: &Value, options: &ApplyOptions) -> Result<()> {
        let Some(replicas) = options.initial_replicas else { return Ok(()) };
        let (key, params) = (json::key(created), PatchParams::apply(CREATION_MANAGER).force());
        let body = json!({
            "apiVersion": created["apiVersion"],
            "kind": created["kind"],
            "metadata": {"name": key.name, "uid": created["metadata"]["uid"]},
            "spec": {"replicas": replicas},
        });
        let done = self.patch(at, key.namespace.as_deref(), &key.name, &params, &body).await;
        done.map_err(|error| {
            failure::refused("set the first replicas of", &Subject { key: &key, origin: None }, &self.server, &error)
        })?;
        Ok(())
    }
}

/// An apply that creates the object or is a conflict, and changes nothing that is there: no object ever has this version.
fn only_new(object: &Object) -> Object {
    let mut object = object.clone();
    object.value["metadata"]["resourceVersion"] = "1".into();
    object
}

/// In bytes, of what the limit is on: a ConfigMap's or Secret's data, else all of it.
fn size(object: &Value) -> usize {
    let texts = |field: &str| {
        let values = object.get(field).and_then(Value::as_object).into_iter().flatten();
        values.filter_map(|(_, value)| value.as_str()).map(str::len).sum::<usize>()
    };
    let base64 = |field: &str| texts(field) / 4 * 3;
    match json::kind(object) {
        "ConfigMap" => texts("data") + base64("binaryData"),
        "Secret" => base64("data") + texts("stringData"),
        _ => object.to_string().len(),
    }
}

/// Nobody but us has written to it, and we only when it was created.
fn is_new(object: &Value) -> bool {
    let created = &object["metadata"]["creationTimestamp"];
    let mut writes =
        json::list(object, "/metadata/managedFields").iter().filter(|entry| entry.get("subresource").is_none());
    writes.all(|entry| entry["manager"] == MANAGER && entry["time"] == *created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Origin;
    use crate::{
        error::Kind,
        kube::{ownership::adopt, testing::Fake},
    };

    #[test]
    fn an_object_that_only_we_wrote_at_its_creation_is_new() {
        let entry = |manager: &str, time: &str| json!({"manager": manager, "operation": "Apply", "time": time});
        let object = |entries: Vec<Value>| json!({"metadata": {"creationTimestamp": "2026-11-21T02:00:00Z", "managedFields": entries}});
        let (ours, later) = (entry(MANAGER, "2026-11-21T02:00:00Z"), entry(MANAGER, "2026-11-21T02:00:09Z"));
        assert!(is_new(&object(vec![ours.clone()])));
        assert!(!is_new(&object(vec![later])));
        assert!(!is_new(&object(vec![ours.clone(), entry(CREATION_MANAGER, "2026-11-21T02:00:00Z")])));
        let status = json!({"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-11-21T02:00:01Z"});
        assert!(is_new(&object(vec![ours, status])));
    }

    #[tokio::test]
    async fn what_somebody_else_made_is_refused_or_taken_over_and_never_just_overwritten() {
        let path = "/api/v1/namespaces/n/configmaps/x";
        let object = |owner: Option<&str>, data: &str| {
            let labels = owner.map(|owner| json!({PART_OF: owner})).unwrap_or(json!({}));
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"by": data},
                "metadata": {"name": "x", "namespace": "n", "labels": labels, "managedFields": [{"manager": "kubectl-create"}]}})
        };
        let applied = async |there: Value, adopt: bool| {
            let fake = Fake::plain().await;
            fake.objects().put(path, there);
            let desired = Object { value: object(Some("a"), "us"), origin: Origin::default() };
            let done = fake.kube.apply(&desired, None, &ApplyOptions { adopt, ..ApplyOptions::default() }).await;
            let now = fake.objects().all[path].clone();
            (done.map(|applied| applied.outcome), now)
        };
        let (refused, now) = applied(object(None, "them"), false).await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind, &now["data"]["by"]), (Kind::Refused, &json!("them")));
        assert!(
            error.message.contains("ConfigMap/x in namespace n") && error.message.contains("kubectl-create"),
            "{error:?}"
        );
        assert!(error.hints[0].contains("--adopt"), "{error:?}");
        let (adopted, now) = applied(object(None, "them"), true).await;
        assert_eq!((adopted.unwrap(), &now["data"]["by"]), (ApplyOutcome::Adopted, &json!("us")));
        assert!(adopt::is_adopted(&now) && json::label(&now, PART_OF) == Some("a"), "{now}");
        let (refused, now) = applied(object(Some("b"), "them"), true).await;
        assert!(refused.unwrap_err().message.contains("another ApplySet") && now["data"]["by"] == "them");
        // Another run of the same stack was faster.
        let mut ours = object(Some("a"), "us before");
        ours["metadata"]["managedFields"] = json!([{"manager": MANAGER}, {"manager": "kubectl-edit"}]);
        let (done, now) = applied(ours, false).await;
        assert!(done.unwrap() == ApplyOutcome::Configured && !adopt::is_adopted(&now));
        let (copied, now) = applied(object(Some("a"), "them"), false).await;
        assert!(copied.is_err() && now["data"]["by"] == "them", "a copy of an object of the set");
    }

    #[tokio::test]
    async fn replicas_that_an_autoscaler_rules_are_not_reset_by_leaving_them_out() {
        let path = "/apis/apps/v1/namespaces/n/deployments/web";
        let fake = Fake::plain().await;
        let object = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}, "spec": spec});
        let mut there = object(json!({"replicas": 4}));
        there["metadata"]["managedFields"] =
            json!([{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        fake.objects().put(path, there.clone());
        let desired = Object { value: object(json!({"paused": false})), origin: Origin::default() };
        let options = ApplyOptions { scaled: true, ..ApplyOptions::default() };
        fake.kube.apply(&desired, Some(&there), &options).await.unwrap();
        assert_eq!(fake.objects().all[path]["spec"], json!({"paused": false, "replicas": 4}));
    }

    #[tokio::test]
    async fn a_creation_is_one_request() {
        let fake = Fake::plain().await;
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "n", "labels": {PART_OF: "a"}}});
        let desired = Object { value, origin: Origin::default() };
        let done = fake.kube.apply(&desired, None, &ApplyOptions::default()).await.unwrap();
        assert_eq!((done.outcome, fake.requests().len()), (ApplyOutcome::Created, 1));
    }
}
