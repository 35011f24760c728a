//! Reads manifest and patch files: plain Kubernetes YAML, several documents to a file.

use serde_json::Value;

use crate::object::Object;
use crate::{
    object::retired::Retired,
    stack::{
        assemble::SYSTEM_NAMESPACE,
        builtin, exported,
        files::Folder,
        located::{self, Content, Node},
        plain::Scalars,
        problems::Problems,
        reader::{Item, Located},
        scalar,
    },
};

const RESERVED: &str = "stackctl keeps its records in namespace stackctl-system; put the object into another one";

/// What the documents of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Objects,
    /// What changes of objects, with directives such as `$patch: delete`.
    Patches,
}

pub struct Read {
    pub objects: Vec<Object>,
    /// Part of the file could not be understood: what it declares is not known in full.
    pub incomplete: bool,
}

/// The objects of a file that was named at `path`; problems are reported there or within the file.
pub fn read(folder: &Folder, path: &Located<String>, form: Form, problems: &mut Problems) -> Read {
    let bytes = match folder.read(&path.value) {
        Ok(bytes) => bytes,
        Err(message) => {
            problems.at(path.origin.clone(), message);
            return Read { objects: Vec::new(), incomplete: false };
        }
    };
    let file = folder.shown_file(&path.value);
    let (documents, mut incomplete) = located::parse(&file, &bytes, Scalars::Kubectl, problems);
    let mut objects = Vec::new();
    for mut node in documents.into_iter().flat_map(flatten) {
        let taken = exported::take(&mut node);
        match object(&Item::document(&node, &file), form, problems) {
            Some(object) => {
                if !taken.is_empty() {
                    let message = format!(
                        "{} is applied without what Kubernetes sets itself: {}",
                        object.key(),
                        taken.join(", ")
                    );
                    problems.note(object.origin.clone(), message);
                }
                objects.push(object);
            }
            None => incomplete = true,
        }
    }
    // An editor that failed, or a full disk, leaves such a file; all that it declared before would be pruned.
    if objects.is_empty() && !incomplete {
        problems.at(path.origin.clone(), format!("{} declares no objects", path.value));
    }
    Read { objects, incomplete }
}

/// The items of a `kind: List`, or the object itself. A list has no name; an object of a kind that is called so has one.
fn flatten(node: Node) -> Vec<Node> {
    let list = node.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    let named = node.get("metadata").is_some_and(|metadata| metadata.get("name").is_some());
    if list
        && !named
        && let Content::Mapping(entries) = &node.content
        && let Some(items) = entries.iter().find(|entry| entry.key == "items")
        && let Content::Sequence(items) = &items.value.content
    {
        return items.iter().cloned().flat_map(flatten).collect();
    }
    vec![node]
}

fn object(item: &Item, form: Form, problems: &mut Problems) -> Option<Object> {
    let before = problems.len();
    let fields = item.fields(problems)?;
    let missing = ["apiVersion", "kind", "metadata"].map(|key| (key, fields.get(key).is_none()));
    let missing: Vec<&str> = missing.into_iter().filter(|(_, missing)| *missing).map(|(key, _)| key).collect();
    if !missing.is_empty() {
        item.problem(problems, format!("not a Kubernetes object: no {}", missing.join(", no ")));
        return None;
    }
    let version = fields.get("apiVersion")?;
    let api_version = version.text(problems).unwrap_or_default();
    let kind = fields.get("kind")?.text(problems).unwrap_or_default();
    if let Some(retired) = Retired::find(&api_version, &kind).filter(Retired::everywhere) {
        version.problem(problems, retired.to_string());
    }
    if let Some(items) = fields.get("items") {
        items.problem(
            problems,
            format!(
                "the API server takes an object with `items` at its top for a list, and does not store it as a {kind}; \
                     such a field needs another name"
            ),
        );
    }
    let metadata = fields.get("metadata")?.fields(problems)?;
    match (metadata.get("name"), metadata.get("generateName")) {
        (Some(name), _) => check_name(&name, &api_version, problems),
        (None, Some(generate)) => generate.problem(
            problems,
            "an object with `generateName` cannot be applied: each run would create another one; write a `name`",
        ),
        (None, None) => metadata.item.problem(problems, "`name` is missing"),
    }
    if let Some(namespace) = metadata.get("namespace") {
        namespace.name(problems);
        if namespace.node.as_str() == Some(SYSTEM_NAMESPACE) {
            namespace.problem(problems, RESERVED);
        }
    }
    if let Some(name) = metadata.get("name").filter(|_| api_version == "v1" && kind == "Namespace")
        && name.node.as_str() == Some(SYSTEM_NAMESPACE)
    {
        name.problem(problems, RESERVED);
    }
    for map in ["labels", "annotations"] {
        for (_, value) in metadata.get(map).map(|item| item.entries(problems)).unwrap_or_default() {
            value.text(problems);
        }
    }
    builtin::check(item.node, form == Form::Patches, item.file, problems);
    (problems.len() == before).then(|| Object { value: item.node.to_value(), origin: item.origin() })
}

fn check_name(item: &Item, api_version: &str, problems: &mut Problems) {
    let Some(text) = item.text(problems) else { return };
    // RBAC allows names such as `system:auth-delegator`.
    let rbac = api_version.starts_with("rbac.authorization.k8s.io/");
    let fine = if rbac { !text.is_empty() && !text.contains(['/', '%']) } else { scalar::is_subdomain(&text) };
    if !fine {
        item.problem(problems, format!("`{text}` is no valid name: lower-case letters, digits, `-` and `.`"));
    }
}

/// Whether the API server keeps objects of the kind outside namespaces; `definitions` are the set's own CRDs.
pub fn is_cluster_scoped<'a>(group: &str, kind: &str, definitions: impl IntoIterator<Item = &'a Value>) -> bool {
    const KINDS: [(&str, &[&str]); 13] = [
        ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
        ("admissionregistration.k8s.io", &["*"]),
        ("apiextensions.k8s.io", &["*"]),
        ("apiregistration.k8s.io", &["*"]),
        ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
        ("authorization.k8s.io", &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]),
        ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
        ("flowcontrol.apiserver.k8s.io", &["*"]),
        ("networking.k8s.io", &["IngressClass", "IPAddress", "ServiceCIDR"]),
        ("node.k8s.io", &["*"]),
        ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
        ("scheduling.k8s.io", &["*"]),
        ("storage.k8s.io", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
    ];
    if let Some((_, kinds)) = KINDS.iter().find(|(known, _)| *known == group) {
        return kinds.contains(&"*") || kinds.contains(&kind);
    }
    if group == "resource.k8s.io" {
        return matches!(kind, "DeviceClass" | "ResourceSlice");
    }
    definitions.into_iter().any(|definition| {
        let text = |pointer| definition.pointer(pointer).and_then(Value::as_str);
        text("/kind") == Some("CustomResourceDefinition")
            && text("/spec/group") == Some(group)
            && text("/spec/names/kind") == Some(kind)
            && text("/spec/scope") == Some("Cluster")
    })
}
