//! A change that the server calls invalid: is it the object that is invalid, or can what is there not become it?
//!
//! The server is asked whether it would take the object as a new one, in a dry run under another name. What it objects to
//! then as well is wrong with the object. What it objects to only in the change cannot be changed on the object that is
//! there: an immutable field, or a default that the server set itself and that no longer fits. Such defaults are nobody's,
//! so they are taken away with the change.

use std::collections::BTreeSet;

use ::kube::{
    api::PostParams,
    core::{Status, response::StatusCause},
};
use serde_json::{Value, json};

use crate::object::Object;
use crate::{
    kube::{
        Kube, MANAGER,
        apply::ApplyOptions,
        discovery::Resolved,
        failure::refuser::refuser,
        noop,
        ownership::{owned, owned::Path},
    },
    object::json,
};

type Answer<T> = Result<T, ::kube::Error>;

/// No object of a stack has this name. It is valid for every kind.
const NAME_AS_NEW: &str = "stackctl-dry-run";

/// A change that is refused although the object is valid.
pub(crate) struct Refused {
    /// As it is in the cluster.
    pub old: Value,
    pub causes: Vec<StatusCause>,
}

/// Invalid, as the object's kind has it, not as somebody in admission does.
pub(crate) fn is_invalid(status: &Status) -> bool {
    status.is_invalid() && refuser(&status.message).is_none()
}

fn causes(status: &Status) -> Vec<StatusCause> {
    status.details.iter().flat_map(|details| details.causes.clone()).collect()
}

impl Refused {
    /// Fields that nobody wants and that are in the way of the change: those that the server has set itself and nobody owns,
    /// and with `force` those that others have set.
    pub fn in_the_way(&self, desired: &Value, force: bool) -> Vec<Path> {
        self.unwanted(desired).into_iter().filter(|path| force || owned::owners(&self.old, path).is_empty()).collect()
    }

    /// Who has set what is in the way of the change, if somebody has.
    pub fn owners(&self, desired: &Value) -> BTreeSet<String> {
        self.unwanted(desired).iter().flat_map(|path| owned::owners(&self.old, path)).collect()
    }

    fn unwanted(&self, desired: &Value) -> Vec<Path> {
        let mut found: Vec<Path> = Vec::new();
        for cause in &self.causes {
            let Some(path) = Path::parse(&cause.field, desired, &self.old) else { continue };
            // What was ours alone goes with the change by itself, or the server would not have it go at all.
            let is_unwanted = |path: &Path| {
                path.of(&self.old).is_some_and(|value| !value.is_null())
                    && path.of(desired).is_none_or(Value::is_null)
                    && !owned::owners(&self.old, path).iter().any(|owner| owner == MANAGER)
            };
            let mut unwanted: Vec<Path> = Some(path.clone()).filter(is_unwanted).into_iter().collect();
            // Of two that exclude each other the server names the new one, and not the one that is there.
            if path.of(&self.old).is_none() && path.of(desired).is_some() {
                unwanted.extend(path.siblings(&self.old).filter(is_unwanted));
            }
            for path in unwanted {
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Where the object would be changed.
    pub fn differing(&self, desired: &Value) -> Vec<String> {
        match noop::unchanged(desired, &self.old) {
            noop::Verdict::Different(paths) => paths,
            _ => Vec::new(),
        }
    }
}

impl Kube {
    /// None: the object is not there, or it would not be taken as a new one either.
    pub(crate) async fn refused_change(
        &self,
        at: &Resolved,
        object: &Object,
        status: &Status,
    ) -> Answer<Option<Refused>> {
        let key = object.key();
        let Some(old) = self.get_opt(at, key.namespace.as_deref(), &key.name).await? else { return Ok(None) };
        let as_new = self.objections_to_new(at, object).await?;
        let mut causes = causes(status);
        match as_new {
            Some(as_new) => causes.retain(|cause| !as_new.iter().any(|new| is_same(new, cause))),
            // It cannot be tried: what the field itself says of it is left.
            None => causes.retain(|cause| cause.message.ends_with("field is immutable")),
        }
        Ok((!causes.is_empty()).then_some(Refused { old, causes }))
    }

    /// What the server has against the object as a new one. None: it does not say, as where the right to create is missing.
    async fn objections_to_new(&self, at: &Resolved, object: &Object) -> Answer<Option<Vec<StatusCause>>> {
        let mut new = noop::prepared(&object.value).into_owned();
        new["metadata"]["name"] = NAME_AS_NEW.into();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), dry_run: true };
        match self.create(at, json::namespace(&object.value), &params, &new).await {
            Ok(_) => Ok(Some(Vec::new())),
            Err(::kube::Error::Api(status)) => Ok(match refuser(&status.message) {
                // Two of them may be more than a quota allows.
                Some(who) => who.comes_after_validation().then(Vec::new),
                None => status.is_invalid().then(|| causes(&status)),
            }),
            Err(error) => Err(error),
        }
    }

    /// What the object would be if it were changed without these fields, which an apply alone cannot take away. The server
    /// merges all else, then is shown the whole.
    pub(crate) async fn dry_run_without(
        &self,
        at: &Resolved,
        object: &Object,
        old: &Value,
        stale: &[Path],
        options: &ApplyOptions,
    ) -> Answer<Value> {
        let mut without = object.clone();
        let parts: Vec<Path> = stale.iter().map(Path::above).collect();
        for part in &parts {
            if let (Some(wanted), Some(there)) = (part.of_mut(&mut without.value), part.of(old)) {
                *wanted = there.clone();
            }
        }
        let (mut whole, _) = self.apply_once(at, &without, options).await?;
        for part in &parts {
            if let (Some(wanted), Some(merged)) = (part.of(&object.value), part.of_mut(&mut whole)) {
                *merged = wanted.clone();
            }
        }
        self.replace_dry_run(at, &whole).await
    }

    /// Makes these fields of the object ours alone without changing them, so that the next apply, which does not want them,
    /// removes them together with what it changes.
    pub(crate) async fn own_fields(&self, at: &Resolved, seen: &Value, fields: &[Path]) -> Answer<()> {
        let key = json::key(seen);
        let mut seen = seen.clone();
        let mut tries = 0;
        loop {
            let Some(managed) = owned::with_fields(&seen, fields) else { return Ok(()) };
            let version = &seen["metadata"]["resourceVersion"];
            let patch = json!({"metadata": {"resourceVersion": version, "managedFields": managed}});
            match self.merge(at, key.namespace.as_deref(), &key.name, &patch).await {
                Ok(_) => return Ok(()),
                // Its controller wrote in between.
                Err(::kube::Error::Api(status)) if status.is_conflict() && tries < 10 => tries += 1,
                Err(error) => return Err(error),
            }
            let Some(now) = self.get_opt(at, key.namespace.as_deref(), &key.name).await? else { return Ok(()) };
            seen = now;
        }
    }
}

fn is_same(one: &StatusCause, other: &StatusCause) -> bool {
    one.field == other.field && one.message == other.message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::{
        apply::ApplyOutcome,
        testing::{Fake, Reply},
    };
    use crate::object::Origin;

    const PATH: &str = "/apis/apps/v1/namespaces/n/deployments/web";

    fn deployment(strategy: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
            "spec": {"strategy": strategy}})
    }

    /// As the server has it: with a default of its own that nobody owns.
    fn live() -> Value {
        let mut live = deployment(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}));
        live["metadata"]["managedFields"] = json!([{"manager": MANAGER, "operation": "Apply", "apiVersion": "apps/v1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        live
    }

    /// A server that takes the change only from one who owns the default, and so takes it away.
    async fn server(live: Value) -> Fake {
        let fake = Fake::start(|request, objects| {
            let owned = |objects: &crate::kube::testing::Objects| {
                let entry = &objects.all[PATH]["metadata"]["managedFields"][0];
                entry.pointer("/fieldsV1/f:spec/f:strategy/f:rollingUpdate").is_some()
            };
            let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
            if request.method != "PATCH" {
                return None;
            }
            if let Some(managed) = body["metadata"].get("managedFields") {
                let mut object = objects.all[PATH].clone();
                object["metadata"]["managedFields"] = managed.clone();
                objects.put(PATH, object);
                return Some(Reply::Answer(200, objects.all[PATH].to_string()));
            }
            let refused = body["spec"]["strategy"]["type"] == "Recreate"
                && (!owned(objects) || body["spec"]["strategy"].get("rollingUpdate").is_some());
            let cause = json!({"reason": "FieldValueForbidden", "field": "spec.strategy.rollingUpdate",
                "message": "Forbidden: may not be specified when strategy `type` is 'Recreate'"});
            let status = json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "x is invalid",
                "details": {"causes": [cause]}});
            refused.then(|| Reply::Answer(422, status.to_string()))
        })
        .await;
        fake.objects().put(PATH, live);
        fake
    }

    async fn apply(fake: &Fake, value: Value, dry_run: bool) -> crate::error::Result<ApplyOutcome> {
        apply_with(fake, value, ApplyOptions { dry_run, ..ApplyOptions::default() }).await
    }

    async fn apply_with(fake: &Fake, value: Value, options: ApplyOptions) -> crate::error::Result<ApplyOutcome> {
        let object = Object { value, origin: Origin::default() };
        fake.kube.apply(&object, Some(&live()), &options).await.map(|applied| applied.outcome)
    }

    #[tokio::test]
    async fn a_default_that_no_longer_fits_goes_with_the_change() {
        for wanted in [json!({"type": "Recreate"}), json!({"type": "Recreate", "rollingUpdate": null})] {
            let fake = server(live()).await;
            apply(&fake, deployment(wanted.clone()), true).await.unwrap();
            assert_eq!(fake.objects().all[PATH]["spec"], live()["spec"], "a dry run stores nothing");
            assert_eq!(apply(&fake, deployment(wanted), false).await.unwrap(), ApplyOutcome::Configured);
            assert_eq!(fake.objects().all[PATH]["spec"]["strategy"], json!({"type": "Recreate"}));
        }
    }

    #[tokio::test]
    async fn what_somebody_has_set_goes_only_by_force() {
        let mut theirs = live();
        let entry = json!({"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
            "fieldsV1": {"f:spec": {"f:paused": {}, "f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}}});
        theirs["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
        let fake = server(theirs.clone()).await;
        let wanted = deployment(json!({"type": "Recreate"}));
        let error = apply(&fake, wanted.clone(), false).await.unwrap_err();
        assert!(error.message.contains("\"kubectl\"") && error.hints[0].contains("--force-conflicts"), "{error:?}");
        assert_eq!(fake.objects().all[PATH]["metadata"]["managedFields"], theirs["metadata"]["managedFields"]);
        apply_with(&fake, wanted, ApplyOptions { force_conflicts: true, ..ApplyOptions::default() }).await.unwrap();
        let managed = fake.objects().all[PATH]["metadata"]["managedFields"].clone();
        assert_eq!(managed[1]["fieldsV1"]["f:spec"], json!({"f:paused": {}}), "{managed}");
    }

    #[tokio::test]
    async fn an_apply_that_is_accepted_asks_for_nothing_more() {
        let fake = server(live()).await;
        apply(&fake, deployment(json!({"type": "RollingUpdate"})), false).await.unwrap();
        assert_eq!(fake.requests(), [format!("PATCH {PATH}")]);
    }
}
