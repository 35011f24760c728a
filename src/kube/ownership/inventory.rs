//! ApplySets (KEP-3659): which kinds and namespaces hold the objects of a set, written down before the first is applied.

use std::collections::{BTreeMap, BTreeSet};

use ::kube::api::{DeleteParams, ListParams, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::{
    kube::{
        CREATION_MANAGER, Kube, MANAGER, SYSTEM_NAMESPACE,
        discovery::{KindRef, core},
        failure,
    },
    object::json,
};

const ID: &str = "applyset.kubernetes.io/id";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const USERS: &str = "stackctl.io/users";
const ORIGIN: &str = "stackctl.io/origin";
/// What a proof has changed for a while. Beside what an apply writes, by another field manager.
pub const DISRUPTED: &str = "stackctl.io/disrupted";
const TOOL: &str = "stackctl/v1";

/// The parent of an ApplySet: a ConfigMap in `stackctl-system`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parent {
    /// The ConfigMap's name, such as `stack-hello` or `component-metrics-server`.
    pub name: String,
    /// The value of the part-of label on every member.
    pub id: String,
    pub kinds: BTreeSet<KindRef>,
    pub namespaces: BTreeSet<String>,
    /// Stacks that use a component; the last one removes it. Empty for a stack's own set.
    pub users: BTreeSet<String>,
    /// Further annotations of ours, `stackctl.io/…`.
    pub notes: BTreeMap<String, String>,
    /// What a proof that was stopped has left changed.
    pub disrupted: Option<String>,
}

/// What changes about a parent; all else that is recorded stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Before applying: kinds, namespaces and users are added to those on record.
    Widen,
    /// The same, wherever the set on record came from.
    TakeOver,
    /// After pruning: the kinds and namespaces are exactly these; users are still added.
    Narrow,
}

/// How a parent came to be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What was on record.
    pub before: Option<Parent>,
    /// False if that was right already.
    pub wrote: bool,
}

fn split(text: Option<&str>) -> impl Iterator<Item = String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

fn join(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    parts.into_iter().map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}

impl Parent {
    pub fn parse(object: &Value) -> Parent {
        let kinds = split(json::annotation(object, GROUP_KINDS)).map(|text| {
            let (kind, group) = text.split_once('.').unwrap_or((&text, ""));
            KindRef::any_version(group, kind)
        });
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
        let notes = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with("stackctl.io/"));
        let notes = notes.filter(|(key, _)| ![USERS, DISRUPTED].contains(&key.as_str()));
        Parent {
            name: json::name(object).to_owned(),
            id: json::label(object, ID).unwrap_or_default().to_owned(),
            kinds: kinds.collect(),
            namespaces: split(json::annotation(object, NAMESPACES)).collect(),
            users: split(json::annotation(object, USERS)).collect(),
            notes: notes.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
            disrupted: json::annotation(object, DISRUPTED).map(str::to_owned),
        }
    }

    fn render(&self) -> Value {
        let kinds: BTreeSet<_> = self.kinds.iter().map(KindRef::group_kind).collect();
        let mut annotations: BTreeMap<&str, String> =
            self.notes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        annotations.insert(TOOLING, TOOL.to_owned());
        annotations.insert(GROUP_KINDS, join(kinds));
        annotations.insert(NAMESPACES, join(&self.namespaces));
        if !self.users.is_empty() {
            annotations.insert(USERS, join(&self.users));
        }
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": SYSTEM_NAMESPACE,
                "labels": {ID: self.id, "app.kubernetes.io/managed-by": MANAGER},
                "annotations": annotations,
            },
        })
    }

    /// With where its stack comes from.
    pub fn with_origin(mut self, origin: &str) -> Parent {
        self.notes.insert(ORIGIN.to_owned(), origin.to_owned());
        self
    }

    /// Where its stack comes from, where that is on record.
    pub fn origin(&self) -> Option<&str> {
        self.notes.get(ORIGIN).map(String::as_str)
    }

    /// Whether both tell where they come from, and it is not the same place.
    pub fn is_from_elsewhere(&self, recorded: &Parent) -> bool {
        matches!((self.origin(), recorded.origin()), (Some(here), Some(there)) if here != there)
    }

    /// What a write would leave on record, given what is there.
    fn merged(&self, recorded: Option<&Parent>, write: Write) -> Parent {
        let mut merged = self.clone();
        // Versions are not on record: the same kind in two versions is one entry.
        merged.kinds = merged.kinds.iter().map(|kind| KindRef::any_version(&kind.group, &kind.kind)).collect();
        if let Some(recorded) = recorded {
            merged.disrupted.clone_from(&recorded.disrupted);
            merged.users.extend(recorded.users.iter().cloned());
            if write != Write::Narrow {
                merged.kinds.extend(recorded.kinds.iter().cloned());
                merged.namespaces.extend(recorded.namespaces.iter().cloned());
            }
        }
        merged
    }
}

/// The parents among ConfigMaps, by name.
fn parents(items: &[Value]) -> BTreeMap<String, Parent> {
    items
        .iter()
        .filter(|item| json::annotation(item, TOOLING) == Some(TOOL))
        .map(|item| (json::name(item).to_owned(), Parent::parse(item)))
        .collect()
}

impl Kube {
    /// Every set that this program has in the cluster, by the parent's name. One LIST.
    pub async fn read_parents(&self) -> Result<BTreeMap<String, Parent>> {
        let items = self.list(&core("ConfigMap"), Some(SYSTEM_NAMESPACE), &ListParams::default().labels(ID)).await;
        let items = items.map_err(|error| failure::request_failed("read the list of sets", &self.server, &error))?;
        Ok(parents(&items))
    }

    /// One of them, as it is now; None if there is no such set.
    pub async fn read_parent(&self, name: &str) -> Result<Option<Parent>> {
        let found = self.get_opt(&core("ConfigMap"), Some(SYSTEM_NAMESPACE), name).await;
        let failed = |error| failure::request_failed(&format!("read the record of set {name}"), &self.server, &error);
        Ok(parents(found.map_err(failed)?.as_slice()).remove(name))
    }

    /// Writes the parent, merged with what is on record, unless nothing changes. Safe against another run that writes the
    /// same parent at the same time.
    pub async fn write_parent(&self, parent: &Parent, write: Write) -> Result<Written> {
        let elsewhere = |recorded: &Parent| write != Write::TakeOver && parent.is_from_elsewhere(recorded);
        let change =
            |recorded: Option<&Parent>| (!recorded.is_some_and(elsewhere)).then(|| parent.merged(recorded, write));
        let (_, written) = self.change_parent(&parent.name, change).await?;
        if written.before.as_ref().is_some_and(elsewhere) {
            let name = parent.name.replacen('-', " ", 1);
            let message = format!("{name} was brought up from another place while this run was planned");
            return Err(Error::new(Kind::Refused, message).hint("run the same command again: it tells from where"));
        }
        Ok(written)
    }

    /// Takes a stack off a component's users. Returns the users that are left; None if there is no such parent. Of runs
    /// that do this at the same time, just one sees that nobody is left.
    pub async fn remove_user(&self, parent: &str, user: &str) -> Result<Option<BTreeSet<String>>> {
        let (now, _) = self
            .change_parent(parent, |recorded| {
                let mut next = recorded?.clone();
                next.users.remove(user);
                Some(next)
            })
            .await?;
        Ok(now.map(|parent| parent.users))
    }

    /// The last step of removing a set. False if it was gone already.
    pub async fn delete_parent(&self, name: &str) -> Result<bool> {
        self.delete_record(name, |_| true).await
    }

    /// As `delete_parent`, unless a stack has come to use the component meanwhile: then false too.
    pub async fn delete_unused_parent(&self, name: &str) -> Result<bool> {
        self.delete_record(name, |parent| parent.users.is_empty()).await
    }

    async fn delete_record(&self, name: &str, may_go: impl Fn(&Parent) -> bool) -> Result<bool> {
        let at = core("ConfigMap");
        let failed = |error: ::kube::Error| {
            failure::request_failed(&format!("remove the record of set {name}"), &self.server, &error)
        };
        loop {
            let Some(found) = self.get_opt(&at, Some(SYSTEM_NAMESPACE), name).await.map_err(failed)? else {
                return Ok(false);
            };
            if json::annotation(&found, TOOLING) != Some(TOOL) {
                return Err(Error::new(Kind::Refused, format!("ConfigMap {SYSTEM_NAMESPACE}/{name} is not ours")));
            }
            if !may_go(&Parent::parse(&found)) {
                return Ok(false);
            }
            if self.delete_version(&at, &found, DeleteParams::background()).await.map_err(failed)? {
                return Ok(true);
            }
        }
    }

    /// Returns what is on record now, and how it came to that.
    async fn change_parent(
        &self,
        name: &str,
        change: impl Fn(Option<&Parent>) -> Option<Parent>,
    ) -> Result<(Option<Parent>, Written)> {
        let at = core("ConfigMap");
        let failed =
            |error: ::kube::Error| failure::request_failed(&format!("write down set {name}"), &self.server, &error);
        let mut tries = 0;
        loop {
            let found = self.get_opt(&at, Some(SYSTEM_NAMESPACE), name).await.map_err(failed)?;
            let before = found.as_ref().map(Parent::parse);
            let Some(next) = change(before.as_ref()) else {
                return Ok((before.clone(), Written { before, wrote: false }));
            };
            if before.as_ref() == Some(&next) {
                return Ok((before.clone(), Written { before, wrote: false }));
            }
            let seen = match found {
                Some(found) => found,
                None => match self.create_parent(&next).await? {
                    Some(created) => created,
                    // Another run was faster: what it wrote down stays.
                    None => continue,
                },
            };
            let mut body = next.render();
            // The version seen, so that a write in between is a conflict and not lost; and nothing is made anew.
            for field in ["uid", "resourceVersion"] {
                body["metadata"][field] = seen["metadata"][field].clone();
            }
            let params = PatchParams::apply(MANAGER).force().validation_strict();
            match self.patch(&at, Some(SYSTEM_NAMESPACE), name, &params, &body).await {
                Ok(_) => return Ok((Some(next), Written { before, wrote: true })),
                Err(::kube::Error::Api(status)) if status.is_conflict() && tries < 10 => tries += 1,
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// A record of the set that says nothing yet: an apply alone cannot tell that it made what it wrote. None if there is
    /// one already.
    async fn create_parent(&self, parent: &Parent) -> Result<Option<Value>> {
        self.ensure_namespace(SYSTEM_NAMESPACE, &BTreeMap::new()).await?;
        let bare = Parent { name: parent.name.clone(), id: parent.id.clone(), ..Parent::default() };
        let mut body = bare.render();
        // Whoever owns an annotation too keeps it from being taken away later.
        body["metadata"]["annotations"] = json!({TOOLING: TOOL});
        let params = PostParams { field_manager: Some(CREATION_MANAGER.to_owned()), dry_run: false };
        match self.create(&core("ConfigMap"), Some(SYSTEM_NAMESPACE), &params, &body).await {
            Ok(created) => Ok(Some(created)),
            Err(::kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => {
                Err(failure::request_failed(&format!("write down set {}", parent.name), &self.server, &error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::{Fake, failure};

    fn parent(kinds: &[(&str, &str)], users: &[&str]) -> Parent {
        Parent {
            name: "component-metrics-server".into(),
            id: "applyset-x-v1".into(),
            kinds: kinds.iter().map(|(group, kind)| KindRef::any_version(group, kind)).collect(),
            namespaces: ["kube-system".to_owned()].into(),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            notes: [("stackctl.io/set".to_owned(), "component".to_owned())].into(),
            disrupted: None,
        }
    }

    #[test]
    fn a_parent_survives_being_written_and_read() {
        let parent = parent(
            &[("apps", "Deployment"), ("", "Service"), ("rbac.authorization.k8s.io", "Role")],
            &["hello", "mesh"],
        );
        let rendered = parent.render();
        assert_eq!(Parent::parse(&rendered), parent);
        assert_eq!(
            rendered["metadata"]["annotations"][GROUP_KINDS],
            "Deployment.apps,Role.rbac.authorization.k8s.io,Service"
        );
        assert_eq!(parents(&[rendered]).len(), 1);
    }

    #[test]
    fn widening_keeps_what_was_and_narrowing_drops_it_but_never_a_user() {
        let old = parent(&[("", "Secret")], &["mesh"]);
        let new = parent(&[("", "Service")], &["hello"]);
        let wide = new.merged(Some(&old), Write::Widen);
        assert_eq!(wide.kinds.iter().map(KindRef::group_kind).collect::<Vec<_>>(), ["Secret", "Service"]);
        let narrow = new.merged(Some(&wide), Write::Narrow);
        assert_eq!(narrow.kinds.iter().map(KindRef::group_kind).collect::<Vec<_>>(), ["Service"]);
        assert_eq!(narrow.users.iter().map(String::as_str).collect::<Vec<_>>(), ["hello", "mesh"]);
    }

    const PATH: &str = "/api/v1/namespaces/stackctl-system/configmaps/component-metrics-server";

    fn users(fake: &Fake) -> Vec<String> {
        fake.objects().all.get(PATH).map(Parent::parse).into_iter().flat_map(|parent| parent.users).collect()
    }

    #[tokio::test]
    async fn of_two_first_runs_neither_loses_its_user() {
        // Both have looked before either writes: to the first look of the second, nothing is there.
        let blind = std::sync::atomic::AtomicBool::new(true);
        let fake = Fake::start(move |request, objects| {
            let looks = request.method == "GET" && request.path == PATH && !objects.all.contains_key(PATH);
            if looks && blind.swap(false, std::sync::atomic::Ordering::SeqCst) {
                objects.put(PATH, parent(&[], &["mesh"]).render());
                return Some(failure(404, "NotFound", "not found"));
            }
            None
        })
        .await;
        let written = fake.kube.write_parent(&parent(&[], &["hello"]), Write::Widen).await.unwrap();
        assert!(written.wrote && written.before.is_some());
        assert_eq!(users(&fake), ["hello", "mesh"]);
    }

    #[tokio::test]
    async fn a_write_between_look_and_write_is_not_lost() {
        let once = std::sync::atomic::AtomicBool::new(true);
        let fake = Fake::start(move |request, objects| {
            if request.method == "PATCH" && once.swap(false, std::sync::atomic::Ordering::SeqCst) {
                let mut other = parent(&[], &["mesh"]).render();
                other["metadata"]["uid"] = objects.all[PATH]["metadata"]["uid"].clone();
                objects.put(PATH, other);
            }
            None
        })
        .await;
        fake.kube.write_parent(&parent(&[], &["hello"]), Write::Widen).await.unwrap();
        assert_eq!(users(&fake), ["hello", "mesh"]);
    }

    #[tokio::test]
    async fn a_set_on_record_from_elsewhere_is_left_alone_unless_it_is_taken_over() {
        let fake = Fake::plain().await;
        let from = |origin: &str| parent(&[], &[]).with_origin(origin);
        let recorded = |fake: &Fake| Parent::parse(&fake.objects().all[PATH]).origin().map(str::to_owned);
        fake.objects().put(PATH, parent(&[], &[]).render());
        fake.kube.write_parent(&from("path:a"), Write::Widen).await.unwrap();
        assert_eq!(recorded(&fake).as_deref(), Some("path:a"), "a record of before tells no origin");
        let error = fake.kube.write_parent(&from("path:b"), Write::Widen).await.unwrap_err();
        assert!(error.kind == Kind::Refused && error.message.contains("another place"), "{error:?}");
        assert!(fake.kube.write_parent(&from("path:b"), Write::Narrow).await.is_err());
        assert_eq!(recorded(&fake).as_deref(), Some("path:a"));
        fake.kube.write_parent(&from("path:b"), Write::TakeOver).await.unwrap();
        assert_eq!(recorded(&fake).as_deref(), Some("path:b"));
    }

    #[tokio::test]
    async fn the_last_of_two_that_leave_is_told_so() {
        let fake = Fake::plain().await;
        fake.objects().put(PATH, parent(&[], &["hello", "mesh"]).render());
        let leave = |user: &'static str| fake.kube.remove_user("component-metrics-server", user);
        let (one, other) = tokio::join!(leave("hello"), leave("mesh"));
        let mut left = [one.unwrap().unwrap().len(), other.unwrap().unwrap().len()];
        left.sort_unstable();
        assert_eq!(left, [0, 1]);
    }

    #[tokio::test]
    async fn the_record_of_a_component_stays_with_whoever_joined_meanwhile() {
        let joins = std::sync::atomic::AtomicBool::new(true);
        let fake = Fake::start(move |request, objects| {
            if request.method == "DELETE" && joins.swap(false, std::sync::atomic::Ordering::SeqCst) {
                let mut joined = parent(&[], &["mesh"]).render();
                joined["metadata"]["uid"] = objects.all[PATH]["metadata"]["uid"].clone();
                objects.put(PATH, joined);
            }
            None
        })
        .await;
        fake.objects().put(PATH, parent(&[], &[]).render());
        assert!(!fake.kube.delete_unused_parent("component-metrics-server").await.unwrap());
        assert_eq!(users(&fake), ["mesh"]);
        assert!(fake.kube.delete_parent("component-metrics-server").await.unwrap());
    }

    #[test]
    fn what_a_proof_left_changed_stays_on_record_and_is_no_part_of_a_write() {
        let mut found = parent(&[], &[]).render();
        found["metadata"]["annotations"][DISRUPTED] = json!("redis");
        let recorded = Parent::parse(&found);
        assert_eq!((recorded.disrupted.as_deref(), recorded.notes.len()), (Some("redis"), 1));
        let next = parent(&[], &[]).merged(Some(&recorded), Write::Widen);
        assert_eq!(next, recorded, "nothing is to be written");
        assert!(next.render()["metadata"]["annotations"].get(DISRUPTED).is_none());
    }

    #[test]
    fn a_foreign_applyset_is_not_ours() {
        let mut foreign = parent(&[], &[]).render();
        foreign["metadata"]["annotations"][TOOLING] = json!("kubectl/v1.36");
        assert!(parents(&[foreign]).is_empty());
    }
}
