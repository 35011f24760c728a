//! Namespaces: created with our mark, so that one that was there before is never deleted.

use std::{collections::BTreeMap, time::Duration};

use ::kube::api::PostParams;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Result},
    event::Progress,
};
use crate::{
    kube::{CREATED_LABEL, CREATION_MANAGER, Kube, PART_OF, discovery::core, failure},
    object::json,
};

const POLL: Duration = Duration::from_millis(250);

impl Kube {
    /// The namespace, if it is there and may be looked at.
    pub async fn namespace_now(&self, name: &str) -> Result<Option<Value>> {
        match self.get_opt(&core("Namespace"), None, name).await {
            Err(::kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
            found => found
                .map_err(|error| failure::request_failed(&format!("look at namespace {name}"), &self.server, &error)),
        }
    }

    /// As `namespace`; returns whether it was created.
    pub async fn ensure_namespace(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<bool> {
        self.namespace(name, labels, None).await.map(|(_, created)| created)
    }

    /// Makes the namespace if it is absent, with our mark and these labels; waits for an old one that is on its way out.
    /// Returns it, and whether it was created.
    pub async fn namespace(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        progress: Option<&Progress>,
    ) -> Result<(Value, bool)> {
        let at = core("Namespace");
        let deadline = Instant::now() + self.going;
        let mut told = progress;
        loop {
            let found = self.get_opt(&at, None, name).await;
            let found = found.map_err(|error| {
                failure::request_failed(&format!("look for namespace {name}"), &self.server, &error)
            })?;
            match found {
                Some(namespace) if json::is_being_deleted(&namespace) => {
                    if Instant::now() >= deadline {
                        return Err(Error::new(Kind::NotReady, format!("namespace {name} is being deleted and does not go away"))
                            .details(stuck(&namespace))
                            .hint("remove what holds it (`kubectl get namespace -o yaml` shows its conditions), then run this again"));
                    }
                    if let Some(progress) = told.take() {
                        progress.say("waiting until the namespace of that name that is being deleted is gone");
                    }
                    tokio::time::sleep(POLL).await;
                }
                Some(namespace) => return Ok((namespace, false)),
                None => {
                    let mut labels = labels.clone();
                    labels.insert(CREATED_LABEL.to_owned(), "true".to_owned());
                    let body =
                        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
                    let params = PostParams { field_manager: Some(CREATION_MANAGER.to_owned()), dry_run: false };
                    match self.create(&at, None, &params, &body).await {
                        Ok(namespace) => return Ok((namespace, true)),
                        // Someone else was faster: look at theirs.
                        Err(::kube::Error::Api(status)) if status.is_already_exists() => {}
                        Err(error) => {
                            return Err(failure::request_failed(
                                &format!("create namespace {name}"),
                                &self.server,
                                &error,
                            ));
                        }
                    }
                }
            }
        }
    }
}

impl Kube {
    /// Makes an object of the core group that is part of one ApplySet part of another, with these labels. False if it is
    /// gone or another's by now.
    pub async fn hand_over(&self, object: &Value, labels: &BTreeMap<String, String>) -> Result<bool> {
        let key = json::key(object);
        let at = core(&key.kind);
        let failed = |error: ::kube::Error| failure::request_failed(&format!("hand over {key}"), &self.server, &error);
        loop {
            let now = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
            let same = |now: &Value| {
                json::uid(now) == json::uid(object) && json::label(now, PART_OF) == json::label(object, PART_OF)
            };
            let Some(now) = now.filter(same) else { return Ok(false) };
            let version = json::text(&now, "/metadata/resourceVersion").unwrap_or_default();
            let patch = json!({"metadata": {"resourceVersion": version, "labels": labels}});
            match self.merge(&at, key.namespace.as_deref(), &key.name, &patch).await {
                Ok(_) => return Ok(true),
                Err(::kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// What keeps a namespace from going, in the server's words.
pub fn stuck(namespace: &Value) -> Vec<String> {
    let conditions = json::list(namespace, "/status/conditions");
    conditions.iter().filter(|condition| condition["status"] == "True").map(json::reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::Fake;

    #[tokio::test]
    async fn what_is_handed_over_is_the_others_and_only_once() {
        let fake = Fake::plain().await;
        let labels = |id: &str| BTreeMap::from([(PART_OF.to_owned(), id.to_owned())]);
        let (dev, created) = fake.kube.namespace("dev", &labels("a"), None).await.unwrap();
        assert!(created && json::label(&dev, CREATED_LABEL).is_some());
        let (again, created) = fake.kube.namespace("dev", &labels("b"), None).await.unwrap();
        assert!(!created && json::label(&again, PART_OF) == Some("a"), "it stays whose it is");
        assert!(fake.kube.hand_over(&dev, &labels("b")).await.unwrap());
        let (now, _) = fake.kube.namespace("dev", &labels("c"), None).await.unwrap();
        assert_eq!(json::label(&now, PART_OF), Some("b"));
        assert!(!fake.kube.hand_over(&dev, &labels("c")).await.unwrap());
    }
}
