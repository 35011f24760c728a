//! The Secret with which nodes pull from a private registry, and its place in ServiceAccounts.
//!
//! In a ServiceAccount this owns `imagePullSecrets` and nothing else, as a field manager of its own: the rest stays with
//! whoever declared it.

use std::collections::{BTreeMap, BTreeSet};

use ::kube::api::PatchParams;
use serde_json::{Value, json};

use super::{
    Kube, MANAGER, PART_OF,
    apply::ApplyOptions,
    discovery::core,
    failure::{self, Subject},
};
use crate::error::Result;
use crate::object::json;
use crate::object::{Key, Object, Origin};

pub const NAME: &str = "stackctl-registry";
const PULL_MANAGER: &str = "stackctl-registry";
const DEFAULT_ACCOUNT: &str = "default";

/// The key of that Secret in a namespace.
pub fn key(namespace: &str) -> Key {
    named("Secret", namespace, NAME)
}

fn named(kind: &str, namespace: &str, name: &str) -> Key {
    Key { group: String::new(), kind: kind.to_owned(), namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

/// Whether a Secret holds just this content (base64 of `.dockerconfigjson`).
pub fn holds(secret: &Value, content: &str) -> bool {
    secret["type"] == "kubernetes.io/dockerconfigjson" && secret["data"][".dockerconfigjson"] == content
}

fn names_of(account: &Value) -> impl Iterator<Item = &str> {
    json::list(account, "/imagePullSecrets").iter().filter_map(|secret| secret["name"].as_str())
}

/// What an account must list, or None where it is right as it is. One whose manifest lists Secrets itself is left alone:
/// the list has a single owner.
fn wanted(account: Option<&Value>) -> Option<Vec<Value>> {
    let account = account.unwrap_or(&Value::Null);
    let entries = json::list(account, "/metadata/managedFields").iter();
    let declared = entries
        .filter(|entry| entry["manager"] == MANAGER)
        .any(|entry| entry.pointer("/fieldsV1/f:imagePullSecrets").is_some());
    if declared || names_of(account).any(|name| name == NAME) {
        return None;
    }
    Some(names_of(account).chain([NAME]).map(|name| json!({ "name": name })).collect())
}

impl Kube {
    /// Whether the accounts of a namespace list the Secret. Those that are not there yet need it.
    pub async fn pull_secret_is_attached(&self, namespace: &str, accounts: &BTreeSet<String>) -> Result<bool> {
        let keys: Vec<Key> = accounts.iter().map(|account| named("ServiceAccount", namespace, account)).collect();
        let found = futures::future::try_join_all(keys.iter().map(|key| self.get(key))).await?;
        Ok(found.iter().all(|account| wanted(account.as_ref()).is_none()))
    }

    /// Writes the Secret and adds it to the accounts, each only where it differs. Returns whether anything did.
    pub async fn ensure_pull_secret(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        accounts: &BTreeSet<String>,
        content: &str,
    ) -> Result<bool> {
        let mut wrote = false;
        let there = self.get(&key(namespace)).await?;
        // Another stack in the namespace may have made it: it stays that one's, whoever wrote its content last.
        let labels = &kept_labels(there.as_ref(), labels);
        if !there.as_ref().is_some_and(|secret| holds(secret, content) && has_labels(secret, labels)) {
            let value = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": content},
            });
            let origin = Origin { file: "--registry".to_owned(), line: 1, column: 1 };
            self.apply(&Object { value, origin }, there.as_ref(), &ApplyOptions::default()).await?;
            wrote = true;
        }
        for account in accounts {
            wrote |= self.attach(namespace, account).await?;
        }
        Ok(wrote)
    }

    async fn attach(&self, namespace: &str, account: &str) -> Result<bool> {
        let key = named("ServiceAccount", namespace, account);
        let there = self.get(&key).await?;
        // Every namespace gets that one; any other must be declared, and its absence is told where it is missed.
        if there.is_none() && account != DEFAULT_ACCOUNT {
            return Ok(false);
        }
        let Some(list) = wanted(there.as_ref()) else { return Ok(false) };
        let body = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": namespace},
            "imagePullSecrets": list,
        });
        // What others had put into the list is in ours too, so it is taken over, not taken away.
        let params = PatchParams::apply(PULL_MANAGER).force();
        let done = self.patch(&core("ServiceAccount"), Some(namespace), account, &params, &body).await;
        done.map_err(|error| {
            failure::refused("attach the pull Secret to", &Subject { key: &key, origin: None }, &self.server, &error)
        })?;
        Ok(true)
    }

    /// Takes the Secret off the accounts of a namespace that stays when its stack goes.
    pub async fn detach_pull_secret(&self, namespace: &str) -> Result<()> {
        let at = core("ServiceAccount");
        let kind = super::discovery::KindRef::any_version("", "ServiceAccount");
        for account in self.list_all(&kind, Some(namespace)).await? {
            if !names_of(&account).any(|name| name == NAME) {
                continue;
            }
            let key = json::key(&account);
            let rest: Vec<Value> =
                names_of(&account).filter(|name| *name != NAME).map(|name| json!({ "name": name })).collect();
            let rest = if rest.is_empty() { Value::Null } else { Value::from(rest) };
            let version = json::text(&account, "/metadata/resourceVersion").unwrap_or_default();
            let patch = json!({"metadata": {"resourceVersion": version}, "imagePullSecrets": rest});
            match self.merge(&at, Some(namespace), &key.name, &patch).await {
                Ok(_) => {}
                // On its way out with its namespace, or changed by somebody who sees it now.
                Err(::kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                Err(error) => {
                    let subject = Subject { key: &key, origin: None };
                    return Err(failure::refused("take the pull Secret off", &subject, &self.server, &error));
                }
            }
        }
        Ok(())
    }
}

fn kept_labels(there: Option<&Value>, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_set = there.is_some_and(|there| json::label(there, PART_OF).is_some());
    let there = |key: &str| there.filter(|_| is_set).and_then(|there| json::label(there, key));
    labels.iter().map(|(key, value)| (key.clone(), there(key).unwrap_or(value).to_owned())).collect()
}

fn has_labels(secret: &Value, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| json::label(secret, key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_the_secret_once_and_keeps_what_it_had() {
        let list = |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({ "name": name })).collect() };
        assert_eq!(wanted(None), Some(list(&[NAME])));
        assert_eq!(wanted(Some(&json!({"imagePullSecrets": list(&["theirs"])}))), Some(list(&["theirs", NAME])));
        assert_eq!(wanted(Some(&json!({"imagePullSecrets": list(&["theirs", NAME])}))), None);
        let declared = |manager: &str| {
            let entry = json!({"manager": manager, "fieldsV1": {"f:imagePullSecrets": {}}});
            json!({"imagePullSecrets": list(&["own"]), "metadata": {"managedFields": [entry]}})
        };
        assert_eq!(wanted(Some(&declared(MANAGER))), None);
        assert_eq!(wanted(Some(&declared("kubectl"))), Some(list(&["own", NAME])));
    }

    #[test]
    fn a_secret_of_another_stack_stays_its_own() {
        let ours = BTreeMap::from([(PART_OF.to_owned(), "a".to_owned())]);
        assert_eq!(kept_labels(None, &ours), ours);
        assert_eq!(kept_labels(Some(&json!({"metadata": {}})), &ours), ours);
        let theirs = json!({"metadata": {"labels": {PART_OF: "b", "x": "y"}}});
        assert_eq!(kept_labels(Some(&theirs), &ours), [(PART_OF.to_owned(), "b".to_owned())].into());
    }

    #[test]
    fn only_the_same_content_of_the_same_type_counts() {
        let secret = json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}});
        assert!(holds(&secret, "eA=="));
        assert!(!holds(&secret, "eQ=="));
        assert!(!holds(&json!({"type": "Opaque", "data": {".dockerconfigjson": "eA=="}}), "eA=="));
    }
}
