//! What may be deleted to be created anew where a field of it cannot be changed.

use ::kube::core::response::StatusCause;
use serde_json::Value;

use crate::error::Result;
use crate::object::Object;
use crate::{
    kube::{
        PART_OF, failure,
        failure::Subject,
        ownership::{
            adopt,
            holds::{holds_data, may_delete},
        },
    },
    object::json,
};

/// Fails where nobody may have meant the object as it is to go: another's, or one with data.
pub(crate) fn allowed(
    subject: &Subject<'_>,
    old: &Value,
    desired: &Object,
    prune_data: bool,
    refused: &[StatusCause],
) -> Result<()> {
    let set = json::label(&desired.value, PART_OF);
    if adopt::is_adopted(old) {
        return Err(subject
            .error(format!(
                "{} is not replaced: it was taken over from somebody else, and is not deleted",
                subject.name()
            ))
            .details(refused.iter().map(failure::line))
            .hint("delete it yourself if nobody needs it, then run this again"));
    }
    let ours = set.is_some() && json::label(old, PART_OF) == set && may_delete(old);
    if ours && (prune_data || !holds_data(subject.key)) {
        return Ok(());
    }
    let name = subject.name();
    let error = if ours {
        subject
            .error(format!("{name} is not replaced: the data that it holds would be lost"))
            .hint("--prune-data with --replace deletes it all the same, with its data")
    } else {
        subject
            .error(format!("{name} is not replaced: it is not part of the set that declares it"))
            .hint(format!("if nobody needs it: kubectl delete {}, then run this again", subject.key.for_kubectl()))
    };
    let names = refused.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>().join(", ");
    let error = error.details(refused.iter().map(failure::line));
    Err(error.hint(format!("or leave {names} as it is in the cluster")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Origin;
    use crate::{
        error::Kind,
        kube::{
            apply::{Applied, ApplyOptions, ApplyOutcome},
            testing::{Fake, Reply},
        },
    };

    /// A server that refuses to change what `path` names, and to take as new what `wrong` says. What is left of it, and
    /// the outcome.
    async fn changed(
        path: &str,
        live: Value,
        desired: Value,
        wrong: Option<&'static str>,
        options: &ApplyOptions,
    ) -> (bool, Result<Applied>) {
        let fake = Fake::start(move |request, objects| {
            let invalid = |message: &str| {
                let cause = json!({"field": "spec.x", "message": message});
                let status = json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "x is invalid",
                    "details": {"causes": [cause]}});
                Some(Reply::Answer(422, status.to_string()))
            };
            let there = objects.all.contains_key(request.path.split('?').next().unwrap());
            match request.method.as_str() {
                "PATCH" if there => invalid(wrong.unwrap_or("Forbidden: not any more")),
                "POST" => invalid(wrong?),
                _ => None,
            }
        })
        .await;
        fake.objects().put(path, live);
        let uid = json::uid(&fake.objects().all[path]).to_owned();
        let object = Object { value: desired, origin: Origin::default() };
        let done = fake.kube.apply(&object, None, options).await;
        let left = fake.objects().all.get(path).is_some_and(|object| json::uid(object) == uid);
        (left, done)
    }

    async fn replaced(path: &str, live: Value, desired: Value, prune_data: bool) -> (bool, Result<Applied>) {
        changed(path, live, desired, None, &ApplyOptions { replace: true, prune_data, ..ApplyOptions::default() }).await
    }

    #[tokio::test]
    async fn what_only_the_change_makes_invalid_is_immutable_whatever_the_words() {
        let (path, service) = ("/api/v1/namespaces/n/services/x", of_set("Service", "a"));
        let options = ApplyOptions::default();
        let (left, refused) = changed(path, service.clone(), service.clone(), None, &options).await;
        let error = refused.map(|_| ()).unwrap_err();
        assert!(left && error.message.contains("cannot change spec.x"), "{error:?}");
        assert!(error.hints[0].contains("--replace"), "{error:?}");
    }

    #[tokio::test]
    async fn what_is_invalid_in_itself_is_never_deleted_for_it() {
        let (path, service) = ("/api/v1/namespaces/n/services/x", of_set("Service", "a"));
        let options = ApplyOptions { replace: true, ..ApplyOptions::default() };
        let (left, refused) = changed(path, service.clone(), service, Some("field is immutable"), &options).await;
        let error = refused.map(|_| ()).unwrap_err();
        assert!(left && error.message.ends_with("is invalid") && error.hints.is_empty(), "{error:?}");
    }

    fn of_set(kind: &str, id: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "n", "labels": {PART_OF: id}}})
    }

    #[tokio::test]
    async fn a_claim_is_replaced_only_where_its_data_may_go() {
        let (path, claim) = ("/api/v1/namespaces/n/persistentvolumeclaims/x", of_set("PersistentVolumeClaim", "a"));
        let (left, refused) = replaced(path, claim.clone(), claim.clone(), false).await;
        let error = refused.map(|_| ()).unwrap_err();
        assert!(left && error.message.contains("PersistentVolumeClaim/x in namespace n"), "{error:?}");
        assert!(error.hints[0].contains("--prune-data"), "{error:?}");
        let (left, done) = replaced(path, claim.clone(), claim, true).await;
        assert!(!left && done.unwrap().outcome == ApplyOutcome::Replaced);
    }

    #[tokio::test]
    async fn only_what_belongs_to_the_set_is_replaced() {
        let path = "/api/v1/namespaces/n/services/x";
        let (left, done) = replaced(path, of_set("Service", "a"), of_set("Service", "a"), false).await;
        assert!(!left && done.unwrap().outcome == ApplyOutcome::Replaced);
        let mut unlabelled = of_set("Service", "b");
        unlabelled["metadata"]["labels"].take();
        for theirs in [of_set("Service", "b"), unlabelled] {
            let (left, refused) = replaced(path, theirs, of_set("Service", "a"), true).await;
            let error = refused.map(|_| ()).unwrap_err();
            assert!(left && error.kind == Kind::Refused && error.message.contains("not part of the set"), "{error:?}");
            assert!(error.hints.iter().any(|hint| hint.contains("kubectl delete service x -n n")), "{error:?}");
        }
    }
}
