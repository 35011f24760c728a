//! The entries of a struct of the API, and what was meant by those that it does not have.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, value::BorrowedStrDeserializer};

use super::{
    node::{At, Stop},
    path::Path,
};
use crate::stack::{located::Entry, problems::closest};

/// Fields that releases after the types (Kubernetes 1.33) added, up to 1.37.
const NEWER: [(&str, &[&str]); 20] = [
    ("CSIDriverSpec", &["preventPodSchedulingIfMissing", "serviceAccountTokenInSecrets"]),
    ("ClusterTrustBundleProjection", &["user"]),
    ("ConfigMapVolumeSource", &["defaultUser"]),
    ("Container", &["restartPolicyRules"]),
    ("DownwardAPIVolumeFile", &["user"]),
    ("DownwardAPIVolumeSource", &["defaultUser"]),
    ("EmptyDirVolumeSource", &["mode"]),
    ("EnvVarSource", &["fileKeyRef"]),
    ("EphemeralContainer", &["restartPolicyRules"]),
    ("GRPCAction", &["mode"]),
    ("HTTPGetAction", &["protocol"]),
    ("JobSpec", &["scheduling"]),
    ("KeyToPath", &["user"]),
    ("NodeSpec", &["podPreemptionPolicy"]),
    ("PodSpec", &["evictionResponders", "hostnameOverride", "schedulingGroup", "workloadRef"]),
    ("ProjectedVolumeSource", &["defaultUser"]),
    ("SecretVolumeSource", &["defaultUser"]),
    ("ServiceAccountTokenProjection", &["user"]),
    ("VolumeMount", &["bindMountOptions"]),
    ("VolumeProjection", &["podCertificate"]),
];

fn is_newer(of: &str, field: &str) -> bool {
    NEWER.iter().any(|(name, fields)| *name == of && fields.contains(&field))
}

/// A struct's name and fields; a map has none.
pub type Shape = Option<(&'static str, &'static [&'static str])>;

/// The entries of a map or of a struct, of which only fields that it has are handed on.
pub struct Entries<'de, 'p> {
    at: At<'de, 'p>,
    shape: Shape,
    all: &'de [Entry],
    rest: std::slice::Iter<'de, Entry>,
    value: Option<Value<'de>>,
    unknown: Vec<&'de Entry>,
    /// Fields that are still to be searched for what is unknown here.
    searched: std::slice::Iter<'static, &'static str>,
    search: Search,
}

enum Value<'de> {
    Entry(&'de Entry),
    /// Nothing, in this field: its type tells what it has.
    Field(&'static str),
}

/// The names of unknown fields, and where below they are fields.
#[derive(Debug, Default)]
pub struct Search {
    wanted: Vec<String>,
    found: RefCell<Vec<(String, String)>>,
}

impl Search {
    pub fn visit(&self, path: &str, fields: &[&str]) {
        for wanted in self.wanted.iter().filter(|wanted| fields.contains(&wanted.as_str())) {
            self.found.borrow_mut().push((wanted.clone(), format!("{path}.{wanted}")));
        }
    }
}

impl<'de, 'p> Entries<'de, 'p> {
    pub fn new(at: At<'de, 'p>, shape: Shape, entries: &'de [Entry]) -> Self {
        Entries {
            at,
            shape,
            all: entries,
            rest: entries.iter(),
            value: None,
            unknown: Vec::new(),
            searched: [].iter(),
            search: Search::default(),
        }
    }

    /// The next entry that may be handed on.
    fn next_entry(&mut self) -> Option<&'de Entry> {
        loop {
            let entry = self.rest.next()?;
            let Some((name, fields)) = self.shape else { return Some(entry) };
            let key = entry.key.as_str();
            if fields.contains(&key) {
                // The types insist on their own apiVersion and kind, where the API server takes any.
                if !(matches!(key, "apiVersion" | "kind") && fields.contains(&"metadata")) {
                    return Some(entry);
                }
            } else if !(is_newer(name, key) || self.at.check.patch && key.starts_with('$')) {
                self.unknown.push(entry);
            }
        }
    }

    fn report(&mut self) {
        let Some((name, fields)) = self.shape else { return };
        let found = self.search.found.take();
        for entry in std::mem::take(&mut self.unknown) {
            let absent = |field: &&str| self.all.iter().all(|entry| entry.key != *field);
            let near = closest(&entry.key, fields.iter().copied().filter(absent)).map(str::to_owned);
            let slip = near.clone().filter(|near| strsim::osa_distance(near, &entry.key) <= 2);
            let below = || found.iter().find(|(wanted, _)| *wanted == entry.key).map(|(_, path)| path.clone());
            let meant = slip.or_else(below).or_else(|| self.at.path.above(&entry.key)).or(near);
            let hint = match meant {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => format!("; {name} has no such field"),
            };
            self.at.check.problem(entry.mark, &format!("unknown field `{}`{hint}", entry.key), self.at.path);
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let key = match self.next_entry() {
            Some(entry) => {
                self.value = Some(Value::Entry(entry));
                entry.key.as_str()
            }
            None => {
                if !self.unknown.is_empty() && self.search.wanted.is_empty() {
                    self.search.wanted = self.unknown.iter().map(|entry| entry.key.clone()).collect();
                    self.searched = self.shape.map_or([].iter(), |(_, fields)| fields.iter());
                }
                let common = |field: &&&str| matches!(**field, "apiVersion" | "kind" | "metadata" | "status");
                match self.searched.by_ref().find(|field| !common(field)) {
                    Some(field) => {
                        self.value = Some(Value::Field(field));
                        field
                    }
                    None => {
                        self.report();
                        return Ok(None);
                    }
                }
            }
        };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let fields = self.shape.map_or(&[][..], |(_, fields)| fields);
        match self.value.take() {
            Some(Value::Entry(entry)) => {
                let path = Path::Key(self.at.path, &entry.key, fields);
                let at = At::new(&entry.value, &path, self.at.check);
                seed.deserialize(at).map_err(|stop| stop.report(entry.value.mark, &path, self.at.check))
            }
            Some(Value::Field(field)) => {
                let path = Path::Key(&Path::Root, field, &[]);
                seed.deserialize(At::nothing(&path, self.at.check, Some(&self.search)))
            }
            None => Err(serde::de::Error::custom("a value without a key")),
        }
    }
}

/// The items of a list; for a search below, one of which nothing is known.
pub struct Items<'de, 'p> {
    pub at: At<'de, 'p>,
    pub rest: std::iter::Enumerate<std::slice::Iter<'de, crate::stack::located::Node>>,
    pub searched: bool,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let check = self.at.check;
        if let Some((index, node)) = self.rest.next() {
            let path = Path::Index(self.at.path, index);
            let read = seed.deserialize(At::new(node, &path, check));
            return read.map(Some).map_err(|stop| stop.report(node.mark, &path, check));
        }
        if self.at.search.is_some() && !self.searched {
            self.searched = true;
            return seed.deserialize(At::nothing(&Path::Index(self.at.path, 0), check, self.at.search)).map(Some);
        }
        Ok(None)
    }
}
