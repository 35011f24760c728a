//! An API server that is a map of objects: enough of one to meet what a real one does only when two runs collide.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value, json};

use super::Kube;
use crate::object::json;
use crate::proof::testing::Server;
pub use crate::proof::testing::{Reply, Request};

#[derive(Default)]
pub struct Objects {
    /// By path.
    pub all: BTreeMap<String, Value>,
    version: u64,
}

pub struct Fake {
    pub kube: Kube,
    server: Server,
    objects: Arc<Mutex<Objects>>,
}

pub fn failure(code: u16, reason: &str, message: &str) -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    Reply::Answer(code, status.to_string())
}

/// The answer to a question for the kinds that there are: group, plural, kind; namespaced, in version v1.
pub fn discovery(request: &Request, kinds: &[(&str, &str, &str)]) -> Option<Reply> {
    let of = |core: bool| -> Vec<Value> {
        let kinds = kinds.iter().filter(|(group, ..)| group.is_empty() == core);
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (group, plural, kind) in kinds {
            let resource = json!({"resource": plural, "scope": "Namespaced", "singularResource": "", "verbs": ["list"],
                "responseKind": {"group": group, "version": "v1", "kind": kind}});
            groups.entry(group).or_default().push(resource);
        }
        let groups = groups.into_iter().map(|(group, resources)| {
            json!({"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]})
        });
        groups.collect()
    };
    let items = match request.path.as_str() {
        "/api" => of(true),
        "/apis" => of(false),
        _ => return None,
    };
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
    Some(Reply::Answer(200, list.to_string()))
}

impl Fake {
    /// `before` sees every request first and may answer it, or do what another run would do just then.
    pub async fn start(before: impl Fn(&Request, &mut Objects) -> Option<Reply> + Send + Sync + 'static) -> Fake {
        let objects: Arc<Mutex<Objects>> = Arc::default();
        let shared = Arc::clone(&objects);
        let server = Server::start(move |request, _| {
            let mut objects = shared.lock().unwrap();
            before(request, &mut objects).unwrap_or_else(|| objects.answer(request))
        })
        .await;
        let kube = Kube::at(&format!("http://{}", server.address));
        Fake { kube, server, objects }
    }

    pub async fn plain() -> Fake {
        Fake::start(|_, _| None).await
    }

    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// Methods and paths so far, without queries.
    pub fn requests(&self) -> Vec<String> {
        let line = |request: &Request| format!("{} {}", request.method, path_of(request));
        self.server.requests().iter().map(line).collect()
    }
}

fn path_of(request: &Request) -> &str {
    request.path.split('?').next().unwrap().trim_end_matches('/')
}

/// What comes after the version, without the namespace: a kind's plural, and a name if it is one object's path.
fn resource(path: &str) -> (String, Vec<&str>) {
    let all: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (root, rest) = all.split_at(if all[0] == "api" { 2 } else { 3 });
    let rest = if rest.len() > 2 && rest[0] == "namespaces" { &rest[2..] } else { rest };
    (root.join("/"), rest.to_vec())
}

fn is_selected(object: &Value, selector: &str) -> bool {
    // Commas between terms are followed by no space and those within a term's list by none either: terms are told apart
    // by their brackets.
    let mut depth = 0;
    let terms = selector.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    terms.filter(|term| !term.is_empty()).all(|term| {
        let values = |list: &str| list.trim_end_matches(')').split(',').map(str::to_owned).collect::<Vec<_>>();
        let has =
            |key: &str, list: &str| json::label(object, key).is_some_and(|it| values(list).iter().any(|v| v == it));
        if let Some((key, list)) = term.split_once(" notin (") {
            !has(key, list)
        } else if let Some((key, list)) = term.split_once(" in (") {
            has(key, list)
        } else if let Some((key, value)) = term.split_once('=') {
            json::label(object, key) == Some(value)
        } else {
            json::label(object, term).is_some()
        }
    })
}

impl Objects {
    pub fn put(&mut self, path: &str, mut object: Value) {
        // The first version of a store is that of an empty one.
        self.version = self.version.max(1) + 1;
        if json::uid(&object).is_empty() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.all.insert(path.to_owned(), object);
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let path = path_of(request);
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let gone = || failure(404, "NotFound", "not found");
        // A dry run answers as if, and leaves all as it is.
        if request.path.contains("dryRun=All") {
            let mut tried = Objects { all: self.all.clone(), version: self.version };
            let path = request.path.replace("dryRun=All", "");
            return tried.answer(&Request { path, ..request.clone() });
        }
        let is_list = resource(path).1.len() == 1;
        match request.method.as_str() {
            "GET" if is_list => self.list(request),
            "GET" => self.all.get(path).map_or_else(gone, |object| Reply::Answer(200, object.to_string())),
            "POST" => {
                let path = format!("{path}/{}", json::name(&body));
                if self.all.contains_key(&path) {
                    return failure(409, "AlreadyExists", "it is there already");
                }
                self.put(&path, body);
                Reply::Answer(201, self.all[&path].to_string())
            }
            "PUT" => {
                self.put(path, body);
                Reply::Answer(200, self.all[path].to_string())
            }
            "PATCH" => self.patch(path, &body, request.head.contains("apply-patch")),
            "DELETE" => {
                let Some(there) = self.all.get(path) else { return gone() };
                let wanted = |field: &str| body["preconditions"].get(field).filter(|value| !value.is_null());
                let differs = |field: &str| wanted(field).is_some_and(|wanted| *wanted != there["metadata"][field]);
                if differs("uid") || differs("resourceVersion") {
                    return failure(409, "Conflict", "the precondition does not hold");
                }
                let held = !json::list(there, "/metadata/finalizers").is_empty();
                if !held {
                    self.all.remove(path);
                    return Reply::Answer(200, json!({"kind": "Status", "status": "Success"}).to_string());
                }
                let mut going = there.clone();
                going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                self.put(path, going);
                Reply::Answer(200, self.all[path].to_string())
            }
            other => panic!("{other}"),
        }
    }

    fn list(&self, request: &Request) -> Reply {
        let url = url::Url::parse(&format!("http://x{}", request.path)).unwrap();
        let selector = url.query_pairs().find(|(key, _)| key == "labelSelector").map(|(_, value)| value.into_owned());
        let (path, selector) = (path_of(request), selector.unwrap_or_default());
        let (root, wanted) = resource(path);
        let within = if path.contains("/namespaces/") { path.to_owned() } else { format!("/{root}") };
        let items = self.all.iter().filter(|(at, object)| {
            let (its_root, its) = resource(at);
            at.starts_with(&format!("{within}/"))
                && its_root == root
                && its.first() == wanted.first()
                && is_selected(object, &selector)
        });
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        Reply::Answer(200, json!({"kind": "List", "apiVersion": "v1", "items": items}).to_string())
    }

    fn patch(&mut self, path: &str, body: &Value, apply: bool) -> Reply {
        let wanted = |field: &str| body["metadata"].get(field);
        let Some(there) = self.all.get(path) else {
            if !apply {
                return failure(404, "NotFound", "not found");
            }
            if wanted("uid").is_some() {
                return failure(409, "Conflict", "uid mismatch: no existing object was found");
            }
            self.put(path, body.clone());
            return Reply::Answer(201, self.all[path].to_string());
        };
        if ["uid", "resourceVersion"]
            .iter()
            .any(|field| wanted(field).is_some_and(|it| *it != there["metadata"][field]))
        {
            return failure(409, "Conflict", "the object has been modified");
        }
        let mut next = there.clone();
        for (field, value) in body.as_object().unwrap().iter().filter(|(field, _)| *field != "metadata") {
            next[field] = value.clone();
        }
        if let Some(annotations) = body["metadata"].get("annotations") {
            next["metadata"]["annotations"] = annotations.clone();
        }
        for (label, value) in body["metadata"]["labels"].as_object().into_iter().flatten() {
            next["metadata"]["labels"][label] = value.clone();
        }
        let same = next == *there;
        if !same {
            self.put(path, next);
        }
        Reply::Answer(200, self.all[path].to_string())
    }
}
