//! From a stack to the objects that are sent to the API server: images, labels, namespaces, waves.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    object::podspec,
    stack::{
        assemble::SYSTEM_NAMESPACE,
        facts::Facts,
        model::{Scope, Set, SetKind, Stack},
        pull, scalar,
        yields::{self, Yielded},
    },
};
use crate::{
    object::{GeneratedSecret, Key, Object, Origin},
    tls::wanted::Certificate,
};

/// Annotation of a pod template: changes when a ConfigMap or Secret changes that its pods see, so that they roll.
pub const CONFIG_HASH: &str = "stackctl.io/config-hash";

/// Annotation of a pod template: the serial number of the certificate that its pods serve.
const CERTIFICATE: &str = "stackctl.io/certificate";

/// What a set is known by (KEP-3659).
const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// Never made, and so never removed, on behalf of a stack.
const SHARED_NAMESPACES: [&str; 5] = ["default", "kube-node-lease", "kube-public", "kube-system", SYSTEM_NAMESPACE];

/// A set, ready to be applied.
#[derive(Debug, Clone)]
pub struct DesiredSet {
    pub kind: SetKind,
    pub scope: Scope,
    pub name: String,
    pub namespace: String,
    /// By wave, within it in the order of the files.
    pub objects: Vec<DesiredObject>,
    pub secrets: Vec<GeneratedSecret>,
    pub certificate: Option<Certificate>,
    pub background: bool,
    pub steps_aside: bool,
    pub needs: Vec<String>,
    /// By namespace, the ServiceAccounts that need the Secret of a private registry.
    pub pull_accounts: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone)]
pub struct DesiredObject {
    pub object: Object,
    /// 0 is applied first.
    pub wave: u8,
    /// Services whose image it names.
    pub services: BTreeSet<String>,
    /// ConfigMaps and Secrets that its pods see, whoever declares them.
    pub configs: BTreeSet<Key>,
    /// `spec.replicas`, taken out because an autoscaler targets the workload.
    pub initial_replicas: Option<i64>,
    /// An autoscaler targets it.
    pub scaled: bool,
    /// Fields that controllers take over.
    pub yields: Vec<Yielded>,
}

/// The ConfigMap in `stackctl-system` that is the ApplySet's parent.
pub fn parent_name(kind: SetKind, name: &str) -> String {
    match kind {
        SetKind::Component => format!("component-{name}"),
        SetKind::Stack => format!("stack-{name}"),
    }
}

/// Whether two parents are of sets that come and go together: a stack's own one and its instances of components.
pub fn are_of_one_stack(one: &str, other: &str) -> bool {
    let stack = |parent: &str| -> Option<String> {
        let instance = parent.strip_prefix("component-").and_then(|name| name.split_once('.'));
        parent.strip_prefix("stack-").or(instance.map(|(stack, _)| stack)).map(str::to_owned)
    };
    one == other || stack(one).is_some_and(|one| stack(other) == Some(one))
}

impl DesiredSet {
    /// An instance of a component that a stack no longer has.
    pub fn empty_instance(name: &str, namespace: &str) -> DesiredSet {
        DesiredSet {
            kind: SetKind::Component,
            scope: Scope::Stack,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            objects: Vec::new(),
            secrets: Vec::new(),
            certificate: None,
            background: false,
            steps_aside: false,
            needs: Vec::new(),
            pull_accounts: BTreeMap::new(),
        }
    }

    /// Whether nothing is wanted of it any more.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.secrets.is_empty() && self.certificate.is_none()
    }

    /// The name of the ApplySet's parent.
    pub fn parent(&self) -> String {
        parent_name(self.kind, &self.name)
    }

    pub fn applyset_id(&self) -> String {
        applyset_id(self.kind, &self.name)
    }

    /// What every object of the set carries.
    pub fn labels(&self) -> BTreeMap<String, String> {
        labels(&self.name, &self.applyset_id())
    }
}

/// The id of a set's ApplySet (KEP-3659), the value of its label.
pub fn applyset_id(kind: SetKind, name: &str) -> String {
    id_of_parent(&parent_name(kind, name), SYSTEM_NAMESPACE, "ConfigMap", "")
}

fn id_of_parent(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let digest = Sha256::digest(format!("{name}.{namespace}.{kind}.{group}"));
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(digest))
}

/// When an object is applied: all of a wave before any of the next.
pub fn wave(kind: &str, group: &str) -> u8 {
    match (group, kind) {
        ("", "Namespace") => 0,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => 1,
        ("rbac.authorization.k8s.io", _) | ("scheduling.k8s.io", _) | ("", "ServiceAccount") => 2,
        ("storage.k8s.io", _) => 2,
        ("", "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim" | "Service") => 3,
        ("", "LimitRange" | "ResourceQuota") | ("networking.k8s.io", "NetworkPolicy") => 3,
        ("", "Pod" | "ReplicationController") | ("apps" | "batch", _) => 4,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => 6,
        ("apiregistration.k8s.io", "APIService") => 6,
        _ => 5,
    }
}

/// As far as it is known without a cluster.
pub fn desired(stack: &Stack, images: &BTreeMap<String, String>) -> Vec<DesiredSet> {
    desired_in(stack, images, &Facts::default())
}

/// `images`: service to the full reference that pods name; a service that is not in it keeps its bare name.
pub fn desired_in(stack: &Stack, images: &BTreeMap<String, String>, facts: &Facts) -> Vec<DesiredSet> {
    let stack = &*with_image_hashes(stack, images);
    let declared = stack.sets.iter().flat_map(|set| &set.objects);
    let scaled: BTreeSet<Key> = declared.filter_map(|object| yields::scaled_by(&object.value)).collect();
    let configs = configs(stack);
    let finish = |set: &Set| {
        let made = namespace_of(set);
        let mut objects: Vec<DesiredObject> = made
            .iter()
            .chain(&set.objects)
            .map(|object| {
                let mut object = object.clone();
                facts.settle(&mut object.value);
                yields::leave_aggregated_rules(&mut object.value);
                let key = object.key();
                let services = replace_services(&mut object.value, set, stack, images);
                let scaled = scaled.contains(&key) || facts.scaled.contains(&key);
                let initial_replicas = if scaled { yields::take_replicas(&mut object.value) } else { None };
                let seen = configs_seen(&object.value, key.namespace.as_deref());
                mark_config(&mut object.value, &seen, &configs);
                label(&mut object.value, set);
                let wave = wave(&key.kind, &key.group);
                // The cluster may know better than the files that a kind lives outside namespaces.
                let is = |of: &Key| {
                    *of == key
                        || *of == Key { namespace: of.namespace.clone(), ..key.clone() } && key.namespace.is_none()
                };
                let yields = set.yields.iter().filter(|(of, _)| is(of)).map(|(_, yielded)| yielded.clone()).collect();
                DesiredObject { object, wave, services, configs: seen, initial_replicas, scaled, yields }
            })
            .collect();
        objects.sort_by_key(|object| object.wave);
        DesiredSet {
            kind: set.kind,
            scope: set.scope,
            name: set.name.clone(),
            namespace: set.namespace.clone(),
            objects,
            secrets: set.secrets.clone(),
            certificate: set.certificate.clone(),
            background: set.background,
            steps_aside: set.steps_aside,
            needs: set.needs.clone(),
            pull_accounts: match set.kind {
                SetKind::Stack if facts.pull_secret => pull::accounts(stack),
                SetKind::Stack | SetKind::Component => BTreeMap::new(),
            },
        }
    };
    stack.sets.iter().map(finish).collect()
}

/// The stack with the content hashes of its images in the fields that are to hold them, as far as they are known.
fn with_image_hashes<'a>(stack: &'a Stack, images: &BTreeMap<String, String>) -> Cow<'a, Stack> {
    let known = stack.image_hashes.iter().filter_map(|field| Some((field, content_hash(images.get(&field.service)?)?)));
    let mut stack = Cow::Borrowed(stack);
    for (field, hash) in known {
        let own = stack.to_mut().sets.iter_mut().filter(|set| set.kind == SetKind::Stack);
        let object = own.flat_map(|set| &mut set.objects).find(|object| field.setter.is_of(&object.key()));
        if let Some(object) = object {
            // Loading has tried it.
            let _ = field.setter.apply(&mut object.value, &hash.into());
        }
    }
    stack
}

/// The tag of a service's image: the hash of all that it is built from.
pub fn content_hash(reference: &str) -> Option<&str> {
    let name = reference.split('@').next()?;
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

/// The set's namespace, unless it is shared or a manifest declares it.
fn namespace_of(set: &Set) -> Option<Object> {
    let declared = set.objects.iter().map(Object::key).any(|key| key.kind == "Namespace" && key.name == set.namespace);
    // The stack's own set brings the namespace of its components.
    if declared || set.scope == Scope::Stack || SHARED_NAMESPACES.contains(&set.namespace.as_str()) {
        return None;
    }
    let file = match set.kind {
        SetKind::Stack => "stack.yaml",
        SetKind::Component => "component.yaml",
    };
    let mut value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": set.namespace}});
    if !set.namespace_labels.is_empty() {
        value["metadata"]["labels"] = json!(set.namespace_labels);
    }
    Some(Object { value, origin: Origin { file: file.into(), line: 1, column: 1 } })
}

/// The services whose image the object names; only the stack's own objects can name them.
fn replace_services(
    object: &mut Value,
    set: &Set,
    stack: &Stack,
    images: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    if set.kind != SetKind::Stack {
        return BTreeSet::new();
    }
    let named = podspec::images(object).into_iter().filter(|image| stack.services.contains_key(*image));
    let services: BTreeSet<String> = named.map(str::to_owned).collect();
    podspec::replace_images(object, |image| services.contains(image).then(|| images.get(image).cloned()).flatten());
    services
}

/// The content of each ConfigMap and Secret.
type Configs = BTreeMap<Key, String>;

fn configs(stack: &Stack) -> Configs {
    let objects = stack.sets.iter().flat_map(|set| &set.objects);
    let config = |object: &Object| {
        let key = object.key();
        if !key.group.is_empty() || !matches!(key.kind.as_str(), "ConfigMap" | "Secret") {
            return None;
        }
        let parts = ["data", "binaryData", "stringData"].map(|part| object.value.get(part).map(canonical));
        Some((key, format!("{parts:?}")))
    };
    objects.filter_map(config).collect()
}

/// JSON with sorted keys, whatever the order of the file.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> = map.iter().map(|(key, value)| (key, canonical(value))).collect();
            format!("{sorted:?}")
        }
        value => value.to_string(),
    }
}

fn configs_seen(object: &Value, namespace: Option<&str>) -> BTreeSet<Key> {
    let references = podspec::spec(object).map(podspec::references).unwrap_or_default();
    let key = |(kind, name): (&str, String)| Key {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name,
    };
    references.into_iter().map(key).collect()
}

fn mark_config(object: &mut Value, seen: &BTreeSet<Key>, configs: &Configs) {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for key in seen {
        if let Some(content) = configs.get(key) {
            any = true;
            hasher.update(format!("{}/{}={content}\n", key.kind, key.name).as_bytes());
        }
    }
    if !any {
        return;
    }
    let hash = hasher.finalize().to_hex();
    let Some(template) = podspec::rolling_template(object).and_then(Value::as_object_mut) else { return };
    insert(template, "annotations", &[(CONFIG_HASH, &hash[..16])]);
}

/// What the files say about an object stays: only the set's own label is ours alone.
fn label(object: &mut Value, set: &Set) {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    // RBAC names such as `system:x` are no label values.
    let name = if scalar::is_label_value(name) { name.to_owned() } else { set.name.clone() };
    let mut labels = labels(&set.name, &applyset_id(set.kind, &set.name));
    labels.insert("app.kubernetes.io/name".to_owned(), name);
    let written = object.pointer("/metadata/labels").and_then(Value::as_object);
    let is_written = |key: &str| written.is_some_and(|written| written.contains_key(key));
    labels.retain(|key, _| key == PART_OF || !is_written(key));
    let Some(object) = object.as_object_mut() else { return };
    let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    insert(object, "labels", &labels);
}

/// What the objects of the set with this parent carry.
pub fn labels_of_parent(parent: &str) -> BTreeMap<String, String> {
    let set = parent.split_once('-').map_or(parent, |(_, set)| set);
    labels(set, &id_of_parent(parent, SYSTEM_NAMESPACE, "ConfigMap", ""))
}

fn labels(set: &str, applyset_id: &str) -> BTreeMap<String, String> {
    let labels =
        [("app.kubernetes.io/managed-by", "stackctl"), ("app.kubernetes.io/part-of", set), (PART_OF, applyset_id)];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Gives images their digests: `pins` maps references as `desired` was given them to the ones that pods shall name.
pub fn pin_images(object: &mut Value, pins: &BTreeMap<String, String>) {
    // One that was pinned before it was built anew names another digest.
    podspec::replace_images(object, |image| pins.get(image.split('@').next().unwrap_or(image)).cloned());
}

/// Marks pods that see one of these Secrets with the serial number of the certificate in it, so that they roll when it
/// is renewed.
pub fn mark_certificates(object: &mut Value, serials: &BTreeMap<String, String>) {
    for (_, serial) in serials.iter().filter(|(secret, _)| uses_secret(object, secret)).collect::<Vec<_>>() {
        let Some(template) = podspec::rolling_template(object).and_then(Value::as_object_mut) else { return };
        insert(template, "annotations", &[(CERTIFICATE, serial)]);
    }
}

/// Whether pods of the object see the Secret.
pub fn uses_secret(object: &Value, secret: &str) -> bool {
    podspec::spec(object).is_some_and(|spec| podspec::references(spec).contains(&("Secret", secret.to_owned())))
}

/// Puts entries into a map of `metadata`, which is made where absent or empty.
fn insert(object: &mut Map<String, Value>, map: &str, entries: &[(&str, &str)]) {
    let metadata = object.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else { return };
    let map = metadata.entry(map).or_insert(Value::Null);
    if map.is_null() {
        *map = json!({});
    }
    let Some(map) = map.as_object_mut() else { return };
    for (key, value) in entries {
        map.insert((*key).to_owned(), Value::String((*value).to_owned()));
    }
}
