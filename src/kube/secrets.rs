//! Secrets with random values, made in the cluster if absent. Values exist here and there only, never in a log or a plan.

use super::ownership::survey::is_copy;
use std::collections::BTreeMap;

use ::kube::api::PostParams;
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, distr::Alphanumeric};
use serde_json::{Map, Value, json};

use super::{
    CREATION_MANAGER, Kube, PART_OF,
    discovery::core,
    failure::{self, Subject},
};
use crate::error::Result;
use crate::object::{GeneratedSecret, Key};
use crate::{kube::ownership::adopt, object::json};

/// `length` random letters and digits from a cryptographically secure generator.
fn random(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

/// The base64 of every key that `present` lacks.
fn missing(secret: &GeneratedSecret, present: Option<&Value>) -> Map<String, Value> {
    let has = |key: &str| present.and_then(|present| present.get("data")?.get(key)).is_some();
    let fixed = secret.fixed.iter().filter(|(key, _)| !has(key)).map(|(key, text)| (key.clone(), text.clone()));
    let generated = secret.keys.iter().filter(|(key, _)| !has(key)).map(|(key, length)| (key.clone(), random(*length)));
    generated.chain(fixed).map(|(key, text)| (key, BASE64_STANDARD.encode(text).into())).collect()
}

/// What a Secret as the API server tells it holds under a key; None where it has no such key, or bytes that are no text.
pub fn text_of(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}

impl Kube {
    /// Creates the Secret if it is absent, and adds keys that it lacks; what is there is never overwritten.
    /// Returns whether anything was written.
    pub async fn ensure_secret(&self, secret: &GeneratedSecret, labels: &BTreeMap<String, String>) -> Result<bool> {
        let at = core("Secret");
        let key = Key {
            group: String::new(),
            kind: "Secret".into(),
            namespace: Some(secret.namespace.clone()),
            name: secret.name.clone(),
        };
        let failed = |error: ::kube::Error| {
            failure::refused("create", &Subject { key: &key, origin: None }, &self.server, &error)
        };
        let namespace = Some(secret.namespace.as_str());
        loop {
            let present = self.get_opt(&at, namespace, &secret.name).await.map_err(failed)?;
            let data = missing(secret, present.as_ref());
            let Some(present) = present else {
                let body = json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": secret.name, "namespace": secret.namespace, "labels": labels},
                    "type": "Opaque",
                    "data": data,
                });
                let params = PostParams { field_manager: Some(CREATION_MANAGER.to_owned()), dry_run: false };
                match self.create(&at, namespace, &params, &body).await {
                    Ok(_) => return Ok(true),
                    Err(::kube::Error::Api(status)) if status.is_already_exists() => continue,
                    Err(error) => return Err(failed(error)),
                }
            };
            if data.is_empty() {
                // The plan has seen that another set of the stack had it until now.
                let moved =
                    json::label(&present, PART_OF).is_some_and(|set| labels.get(PART_OF).is_some_and(|to| to != set));
                return if moved && !is_copy(&present) { self.hand_over(&present, labels).await } else { Ok(false) };
            }
            if is_copy(&present) || json::label(&present, PART_OF) != labels.get(PART_OF).map(String::as_str) {
                let subject = Subject { key: &key, origin: None };
                let keys = data.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(subject
                    .error(adopt::foreign(&subject.name(), &present))
                    .detail(format!("what is in it would be used, but it lacks {keys}"))
                    .hint("add what it lacks, or generate a Secret of another name"));
            }
            // The version seen: a key that someone else adds in between is not overwritten.
            let version = json::text(&present, "/metadata/resourceVersion").unwrap_or_default();
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
            match self.merge(&at, namespace, &secret.name, &patch).await {
                Ok(_) => return Ok(true),
                Err(::kube::Error::Api(status)) if status.is_conflict() => continue,
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::Fake;

    #[test]
    fn values_have_the_length_asked_for_and_differ() {
        let (a, b) = (random(32), random(32));
        assert_eq!(a.len(), 32);
        assert!(a.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(a, b);
    }

    #[test]
    fn only_absent_keys_are_made() {
        let secret = GeneratedSecret {
            name: "grafana".into(),
            namespace: "n".into(),
            keys: [("password".to_owned(), 16), ("token".to_owned(), 8)].into(),
            fixed: [("user".to_owned(), "admin".to_owned())].into(),
        };
        assert_eq!(missing(&secret, None).len(), 3);
        let present = json!({"data": {"password": "eA==", "user": "eA=="}});
        let added = missing(&secret, Some(&present));
        assert_eq!(added.keys().collect::<Vec<_>>(), ["token"]);
        assert_eq!(BASE64_STANDARD.decode(added["token"].as_str().unwrap()).unwrap().len(), 8);
    }

    #[tokio::test]
    async fn a_secret_of_somebody_else_is_used_and_never_added_to() {
        let secret = GeneratedSecret {
            name: "admin".into(),
            namespace: "n".into(),
            keys: [("password".to_owned(), 16)].into(),
            fixed: BTreeMap::new(),
        };
        let labels = BTreeMap::from([(PART_OF.to_owned(), "a".to_owned())]);
        let ensured = async |data: Value| {
            let fake = Fake::plain().await;
            let there = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "admin", "namespace": "n"}, "data": data});
            fake.objects().put("/api/v1/namespaces/n/secrets/admin", there);
            let done = fake.kube.ensure_secret(&secret, &labels).await;
            (done, fake.objects().all.values().next().unwrap()["data"].clone())
        };
        let theirs = json!({"password": "eA=="});
        let (done, data) = ensured(theirs.clone()).await;
        assert_eq!((done.unwrap(), data), (false, theirs));
        let other = json!({"user": "eA=="});
        let (refused, data) = ensured(other.clone()).await;
        let error = refused.unwrap_err();
        assert!(
            error.message.contains("Secret/admin in namespace n") && error.details[0].contains("password"),
            "{error:?}"
        );
        assert_eq!(data, other);
    }

    #[tokio::test]
    async fn a_copy_of_a_generated_secret_is_neither_taken_nor_added_to() {
        let labels = BTreeMap::from([(PART_OF.to_owned(), "a".to_owned())]);
        for (set, keys) in [("b", "password"), ("a", "another")] {
            let secret = GeneratedSecret {
                name: "admin".into(),
                namespace: "n".into(),
                keys: [(keys.to_owned(), 16)].into(),
                fixed: BTreeMap::new(),
            };
            let fake = Fake::plain().await;
            let copy = json!({"apiVersion": "v1", "kind": "Secret", "data": {"password": "eA=="}, "metadata": {
                "name": "admin", "namespace": "n", "labels": {PART_OF: set},
                "managedFields": [{"manager": "kubectl-client-side-apply"}]}});
            fake.objects().put("/api/v1/namespaces/n/secrets/admin", copy);
            let before = fake.objects().all.clone();
            let done = fake.kube.ensure_secret(&secret, &labels).await;
            assert_eq!(done.is_err(), keys == "another", "one that has all keys is used");
            assert_eq!(fake.objects().all, before);
        }
    }

    #[test]
    fn what_was_made_can_be_read() {
        let secret =
            json!({"data": {"user": BASE64_STANDARD.encode("admin"), "bytes": BASE64_STANDARD.encode([0xff])}});
        assert_eq!(text_of(&secret, "user").as_deref(), Some("admin"));
        assert_eq!(text_of(&secret, "bytes"), None);
        assert_eq!(text_of(&secret, "password"), None);
    }
}
