//! What the cluster has of our sets: one LIST per kind, all at the same time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use ::kube::api::ListParams;
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Kube, PART_OF,
    discovery::{KindRef, Resolved, core},
    failure,
    request::soon,
};
use crate::error::Result;
use crate::object::Key;
use crate::{
    kube::ownership::survey::{is_copy, is_made_along, is_of_kubernetes, is_somebodys},
    object::json,
};

/// Objects that carry the label of one of the ApplySets asked for.
#[derive(Debug, Default, Clone)]
pub struct Live {
    pub objects: HashMap<Key, Value>,
}

/// What carries the label of a set.
#[derive(Debug, Default, Clone)]
pub struct Members {
    pub objects: Vec<Value>,
    /// What bears the label and was made by somebody else.
    pub copies: Vec<Key>,
    /// Kinds of which nobody knows, as `kubectl` names them, and why.
    pub unlisted: BTreeMap<String, String>,
}

/// So many objects of a kind are asked for one by one.
const FEW: usize = 8;

/// How long a kind that may be broken for good is asked for.
const BRIEFLY: Duration = Duration::from_secs(5);

impl Live {
    /// Those of one ApplySet.
    pub fn of_set<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.objects.iter().filter(move |(_, object)| json::label(object, PART_OF) == Some(id))
    }
}

impl Kube {
    /// Lists objects of these kinds that belong to these ApplySets, in all namespaces; where that is forbidden, in
    /// `namespaces`. A kind that the server does not serve has no objects.
    pub async fn live(&self, ids: &[&str], kinds: &[KindRef], namespaces: &[String]) -> Result<Live> {
        if ids.is_empty() {
            return Ok(Live::default());
        }
        let params = ListParams::default().labels(&format!("{PART_OF} in ({})", ids.join(",")));
        // One request per kind even if several versions of it were asked for.
        let mut wanted: HashMap<(&str, &str), &KindRef> = HashMap::new();
        for kind in kinds {
            let slot = wanted.entry((&kind.group, &kind.kind)).or_insert(kind);
            if slot.version.is_none() {
                *slot = kind;
            }
        }
        let lists = stream::iter(wanted.into_values())
            .map(|kind| self.live_of_kind(kind, &params, namespaces))
            .buffer_unordered(64);
        let lists: Vec<Vec<Value>> = lists.try_collect().await?;
        Ok(Live { objects: lists.into_iter().flatten().map(|object| (json::key(&object), object)).collect() })
    }

    /// Those of the objects wanted that are there and part of none of these ApplySets: another's, or nobody's. Where many
    /// are wanted in one place, they are told by their metadata alone. What this user may not see is not told.
    pub async fn of_others(&self, ids: &[&str], wanted: &BTreeSet<Key>) -> Result<Live> {
        let mut places: BTreeMap<_, Vec<&Key>> = BTreeMap::new();
        for key in wanted {
            places.entry((&key.group, &key.kind, key.namespace.as_deref())).or_default().push(key);
        }
        let asked = stream::iter(places).map(|((group, kind, namespace), keys)| async move {
            let Some(at) = self.resolve_opt(&KindRef::any_version(group, kind)).await? else { return Ok(Vec::new()) };
            let found = match keys.as_slice() {
                few if few.len() <= FEW => {
                    let found = few.iter().map(|key| self.get_opt(&at, namespace, &key.name));
                    try_join_all(found).await.map(|found| found.into_iter().flatten().collect())
                }
                _ => self.list_metadata(&at, namespace, &ListParams::default(), soon()).await,
            };
            match found {
                Err(::kube::Error::Api(status)) if status.is_forbidden() => Ok(Vec::new()),
                found => found.map_err(|error| {
                    failure::request_failed(&format!("look for {}", at.resource.plural), &self.server, &error)
                }),
            }
        });
        let found: Vec<Vec<Value>> = asked.buffer_unordered(64).try_collect().await?;
        let is_other =
            |object: &Value| json::label(object, PART_OF).is_none_or(|id| !ids.contains(&id)) || is_copy(object);
        let others = found.into_iter().flatten().filter(is_other).map(|object| (json::key(&object), object));
        Ok(Live { objects: others.filter(|(key, _)| wanted.contains(key)).collect() })
    }

    async fn live_of_kind(&self, kind: &KindRef, params: &ListParams, namespaces: &[String]) -> Result<Vec<Value>> {
        let Some(at) = self.resolve_opt(kind).await? else { return Ok(Vec::new()) };
        let listed = self.list_allowed(&at, params, namespaces, soon()).await;
        let listed = listed
            .map_err(|error| failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error))?;
        // Controllers copy labels to what they make for an object; that is not declared, and goes with the object.
        Ok(listed.into_iter().filter(|object| !is_made_along(object) && !is_copy(object)).collect())
    }

    /// In all namespaces; where that is forbidden, in these.
    async fn list_allowed(
        &self,
        at: &Resolved,
        params: &ListParams,
        namespaces: &[String],
        deadline: Instant,
    ) -> ::std::result::Result<Vec<Value>, ::kube::Error> {
        match self.list_until(at, None, params, deadline).await {
            Err(::kube::Error::Api(status)) if status.is_forbidden() && at.namespaced && !namespaces.is_empty() => {
                let namespaces: BTreeSet<_> = namespaces.iter().collect();
                let mut items = Vec::new();
                for namespace in namespaces {
                    items.extend(self.list_until(at, Some(namespace), params, deadline).await?);
                }
                Ok(items)
            }
            listed => listed,
        }
    }

    /// Objects of any kind that carry the label of one of these ApplySets, whatever its record says, apart from what
    /// controllers make for them. What this user may not list, or a broken server behind the API server does not, is
    /// named and no error.
    pub async fn members(&self, ids: &[String], namespaces: &[String]) -> Result<Members> {
        let params = ListParams::default().labels(&format!("{PART_OF} in ({})", ids.join(",")));
        let kinds = self.every_kind().await?;
        let deadline = Instant::now() + BRIEFLY;
        let lists = stream::iter(&kinds)
            .map(|at| async { (&at.resource, self.list_allowed(at, &params, namespaces, deadline).await) });
        let lists: Vec<_> = lists.buffer_unordered(32).collect().await;
        let mut found = Members::default();
        for (resource, listed) in lists {
            match listed {
                Ok(items) => {
                    let (copies, ours): (Vec<_>, Vec<_>) =
                        items.into_iter().filter(|item| !is_made_along(item)).partition(is_copy);
                    let somebodys = copies.iter().filter(|copy| is_somebodys(copy) && !is_of_kubernetes(copy));
                    found.copies.extend(somebodys.map(json::key));
                    found.objects.extend(ours);
                }
                Err(::kube::Error::Api(status)) if status.code != 401 => {
                    let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
                    found.unlisted.insert(format!("{}{group}", resource.plural), status.message.clone());
                }
                Err(error) => {
                    let operation = format!("list {}", resource.plural);
                    return Err(failure::request_failed(&operation, &self.server, &error));
                }
            }
        }
        Ok(found)
    }

    /// All objects of a kind, in one namespace or in all. A kind that the server does not serve has none.
    pub async fn list_all(&self, kind: &KindRef, namespace: Option<&str>) -> Result<Vec<Value>> {
        let Some(at) = self.resolve_opt(kind).await? else { return Ok(Vec::new()) };
        let listed = self.list(&at, namespace, &ListParams::default()).await;
        listed.map_err(|error| failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error))
    }

    /// HorizontalPodAutoscalers of a namespace, whoever made them; none where this user may not list them.
    pub async fn autoscalers(&self, namespace: &str) -> Result<Vec<Value>> {
        let at = core("HorizontalPodAutoscaler");
        match self.list(&at, Some(namespace), &ListParams::default()).await {
            Ok(found) => Ok(found.into_iter().filter(|found| !json::is_being_deleted(found)).collect()),
            Err(::kube::Error::Api(status)) if status.is_forbidden() => Ok(Vec::new()),
            Err(error) => Err(failure::request_failed("list autoscalers", &self.server, &error)),
        }
    }

    /// The object as it is now; None if it is absent or of a kind that the server does not serve.
    pub async fn get(&self, key: &Key) -> Result<Option<Value>> {
        let Some(at) = self.resolve_opt(&KindRef::any_version(&key.group, &key.kind)).await? else { return Ok(None) };
        let found = self.get_opt(&at, key.namespace.as_deref(), &key.name).await;
        found.map_err(|error| failure::request_failed(&format!("get {key}"), &self.server, &error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::testing::{Fake, Reply, Request, failure};

    /// Discovery of config maps, secrets and of somebody's broken API.
    fn kinds(request: &Request) -> Option<Reply> {
        let resource = |name: &str, kind: &str| {
            let kind = json!({"group": "", "version": "v1", "kind": kind});
            json!({"resource": name, "scope": "Namespaced", "singularResource": "", "verbs": ["list"], "responseKind": kind})
        };
        let groups = match request.path.as_str() {
            "/api" => json!([{"metadata": {"name": ""}, "versions": [{"version": "v1", "freshness": "Current",
                "resources": [resource("configmaps", "ConfigMap"), resource("secrets", "Secret")]}]}]),
            "/apis" => json!([{"metadata": {"name": "x.io"}, "versions": [{"version": "v1", "freshness": "Stale",
                "resources": [resource("foxes", "Fox")]}]}]),
            _ => return None,
        };
        let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups});
        Some(Reply::Answer(200, list.to_string()))
    }

    #[tokio::test]
    async fn objects_of_other_sets_are_found_where_they_are_wanted() {
        let fake = Fake::plain().await;
        let object = |name: &str, id: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "labels": {PART_OF: id}}});
        for (name, id) in [("ours", "a"), ("theirs", "b"), ("unwanted", "b")] {
            fake.objects().put(&format!("/api/v1/namespaces/n/configmaps/{name}"), object(name, id));
        }
        let nobodys =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nobodys", "namespace": "n"}});
        fake.objects().put("/api/v1/namespaces/n/configmaps/nobodys", nobodys);
        let key = |name: &str| json::key(&object(name, "a"));
        let found = async |wanted: BTreeSet<Key>| {
            let found = fake.kube.of_others(&["a"], &wanted).await.unwrap();
            found.objects.into_keys().map(|key| key.name).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let mut wanted: BTreeSet<Key> = ["ours", "theirs", "nobodys", "absent"].map(key).into();
        assert_eq!(found(wanted.clone()).await, ["nobodys", "theirs"]);
        assert_eq!(fake.requests().len(), 4);
        wanted.extend((0..FEW).map(|n| key(&format!("absent-{n}"))));
        assert_eq!(found(wanted).await, ["nobodys", "theirs"]);
        assert_eq!(fake.requests().len(), 5, "many are asked for at once");
        assert!(found(BTreeSet::new()).await.is_empty());
        assert_eq!(fake.requests().len(), 5, "nothing is missing, nothing is asked");
    }

    #[tokio::test]
    async fn kinds_that_cannot_be_listed_are_named_and_the_others_looked_at() {
        let fake = Fake::start(|request, _| match request.path.split('?').next().unwrap() {
            "/api/v1/secrets" => Some(failure(403, "Forbidden", "secrets is forbidden: User \"u\" cannot list")),
            "/api/v1/configmaps" => Some(failure(403, "Forbidden", "configmaps is forbidden: User \"u\" cannot list")),
            "/api/v1/namespaces/n/secrets" => Some(failure(403, "Forbidden", "not here either")),
            "/apis/x.io/v1/foxes" => Some(failure(500, "InternalError", "nobody is there")),
            _ => kinds(request),
        })
        .await;
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "labels": {PART_OF: "a"}}});
        fake.objects().put("/api/v1/namespaces/n/configmaps/c", object);
        let found = fake.kube.members(&["a".to_owned()], &["n".to_owned()]).await.unwrap();
        assert_eq!(found.objects.iter().map(json::name).collect::<Vec<_>>(), ["c"]);
        let unlisted: Vec<_> = found.unlisted.iter().map(|(kind, why)| (kind.as_str(), why.as_str())).collect();
        assert_eq!(unlisted, [("foxes.x.io", "nobody is there"), ("secrets", "not here either")]);
    }
}
