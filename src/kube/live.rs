//! What the cluster has of our sets: one LIST per kind, all at the same time.

use std::collections::{BTreeSet, HashMap};

use ::kube::api::ListParams;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{Kube, PART_OF, discovery::KindRef, failure, json};
use crate::{error::Result, stack::model::Key};

/// Objects that carry the label of one of the ApplySets asked for.
#[derive(Debug, Default, Clone)]
pub struct Live {
    pub objects: HashMap<Key, Value>,
}

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

    async fn live_of_kind(&self, kind: &KindRef, params: &ListParams, namespaces: &[String]) -> Result<Vec<Value>> {
        let Some(at) = self.resolve_opt(kind).await? else { return Ok(Vec::new()) };
        let failed = |error: ::kube::Error| {
            failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error)
        };
        match self.list(&at, None, params).await {
            Ok(items) => Ok(items),
            Err(::kube::Error::Api(status)) if status.is_forbidden() && at.namespaced && !namespaces.is_empty() => {
                let namespaces: BTreeSet<_> = namespaces.iter().collect();
                let mut items = Vec::new();
                for namespace in namespaces {
                    items.extend(self.list(&at, Some(namespace), params).await.map_err(failed)?);
                }
                Ok(items)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Objects of any kind that carry the label of this ApplySet, whatever its record says.
    pub async fn members(&self, ids: &[String]) -> Result<Vec<Value>> {
        let params = ListParams::default().labels(&format!("{PART_OF} in ({})", ids.join(",")));
        let kinds = self.every_kind().await?;
        let lists = stream::iter(&kinds).map(|at| async {
            let listed = self.list(at, None, &params).await;
            listed
                .map_err(|error| failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error))
        });
        let lists: Vec<Vec<Value>> = lists.buffer_unordered(32).try_collect().await?;
        Ok(lists.concat())
    }

    /// All objects of a kind, in one namespace or in all. A kind that the server does not serve has none.
    pub async fn list_all(&self, kind: &KindRef, namespace: Option<&str>) -> Result<Vec<Value>> {
        let Some(at) = self.resolve_opt(kind).await? else { return Ok(Vec::new()) };
        let listed = self.list(&at, namespace, &ListParams::default()).await;
        listed.map_err(|error| failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error))
    }

    /// The object as it is now; None if it is absent or of a kind that the server does not serve.
    pub async fn get(&self, key: &Key) -> Result<Option<Value>> {
        let Some(at) = self.resolve_opt(&KindRef::any_version(&key.group, &key.kind)).await? else { return Ok(None) };
        let found = self.get_opt(&at, key.namespace.as_deref(), &key.name).await;
        found.map_err(|error| failure::request_failed(&format!("get {key}"), &self.server, &error))
    }
}
