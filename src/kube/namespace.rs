//! Namespaces: created with our mark, so that one that was there before is never deleted.

use std::{collections::BTreeMap, time::Duration};

use ::kube::api::PostParams;
use serde_json::json;
use tokio::time::Instant;

use super::{CREATED_LABEL, CREATION_MANAGER, Kube, discovery::core, failure, json};
use crate::error::{Error, Kind, Result};

/// How long a namespace of that name may take to disappear.
const TERMINATING: Duration = Duration::from_secs(60);

impl Kube {
    /// Makes the namespace if it is absent, with our mark and these labels; waits for an old one that is on its way out.
    /// Returns whether it was created.
    pub async fn ensure_namespace(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<bool> {
        let at = core("Namespace");
        let deadline = Instant::now() + TERMINATING;
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
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Some(_) => return Ok(false),
                None => {
                    let mut labels = labels.clone();
                    labels.insert(CREATED_LABEL.to_owned(), "true".to_owned());
                    let body =
                        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
                    let params = PostParams { field_manager: Some(CREATION_MANAGER.to_owned()), dry_run: false };
                    match self.create(&at, None, &params, &body).await {
                        Ok(_) => return Ok(true),
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

/// What keeps a namespace from going, in the server's words.
pub fn stuck(namespace: &serde_json::Value) -> Vec<String> {
    let conditions = json::list(namespace, "/status/conditions");
    conditions.iter().filter(|condition| condition["status"] == "True").map(json::reason).collect()
}
