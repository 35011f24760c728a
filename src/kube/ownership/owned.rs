//! Who owns a field of an object, by its managed fields, and how the fields of ours come to be more.

use serde_json::{Map, Value};

use crate::{kube::MANAGER, object::json};

/// A field's place in an object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// An item of a list, as it stands there.
    Item(Value),
}

impl Path {
    /// From the text in which the server names a field of the object that it was given, such as
    /// `spec.template.spec.volumes[0].secret`. An index is that of the desired list; the item is the one of that name in
    /// the object that is there. None: the text cannot be followed.
    pub fn parse(text: &str, desired: &Value, old: &Value) -> Option<Path> {
        let (mut steps, mut wanted, mut there) = (Vec::new(), Some(desired), Some(old));
        for part in text.split('.') {
            let (field, indices) = part.split_once('[').map_or((part, ""), |(field, rest)| (field, rest));
            if field.is_empty() {
                return None;
            }
            steps.push(Step::Field(field.to_owned()));
            (wanted, there) = (wanted.and_then(|value| value.get(field)), there.and_then(|value| value.get(field)));
            for index in indices.split('[').filter(|index| !index.is_empty()) {
                let index: usize = index.strip_suffix(']')?.parse().ok()?;
                let item = wanted?.as_array()?.get(index)?;
                let found = there?.as_array()?.iter().find(|found| is_item(found, item))?;
                steps.push(Step::Item(found.clone()));
                (wanted, there) = (Some(item), Some(found));
            }
        }
        Some(Path(steps))
    }

    /// The value there.
    pub fn of<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Item(item) => value.as_array()?.iter().find(|found| is_item(found, item)),
        })
    }

    /// The other fields beside it.
    pub fn siblings(&self, object: &Value) -> impl Iterator<Item = Path> {
        let above = self.above();
        let names: Vec<String> =
            above.of(object).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
        let own = self.0.last().cloned();
        let beside = names.into_iter().map(Step::Field).filter(move |step| Some(step) != own.as_ref());
        beside.map(move |step| Path(above.0.iter().cloned().chain([step]).collect()))
    }

    /// What it is a field of.
    pub fn above(&self) -> Path {
        Path(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// Leaves the field out, if it is there.
    pub fn remove_from(&self, object: &mut Value) {
        if let (Some(Step::Field(name)), Some(above)) = (self.0.last(), self.above().of_mut(object))
            && let Some(fields) = above.as_object_mut()
        {
            fields.remove(name);
        }
    }

    /// As `of`.
    pub fn of_mut<'a>(&self, object: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Item(item) => value.as_array_mut()?.iter_mut().find(|found| is_item(found, item)),
        })
    }
}

/// Items of lists are told apart by their name nearly everywhere, ports by their numbers.
fn is_item(one: &Value, other: &Value) -> bool {
    let keys = ["name", "containerPort", "port", "mountPath", "topologyKey", "ip", "devicePath", "uid", "type"];
    match keys.iter().find(|key| other.get(**key).is_some()) {
        Some(key) => one.get(*key) == other.get(*key),
        None => one == other,
    }
}

fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    json::list(object, "/metadata/managedFields").iter()
}

/// The managers that own the field, a part of it, or a whole that it is part of.
pub fn owners(object: &Value, path: &Path) -> Vec<String> {
    let owning = entries(object).filter(|entry| entry["fieldsV1"].as_object().is_some_and(|it| owns(it, &path.0)));
    owning.filter_map(|entry| entry["manager"].as_str().map(str::to_owned)).collect()
}

fn owns(fields: &Map<String, Value>, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    let Some(below) = key_of(fields, step).and_then(|key| fields[&key].as_object()) else { return false };
    // A leaf is owned with all that is in it.
    below.is_empty() || owns(below, rest)
}

/// The key of a step among those that are recorded.
fn key_of(fields: &Map<String, Value>, step: &Step) -> Option<String> {
    match step {
        Step::Field(name) => Some(format!("f:{name}")).filter(|key| fields.contains_key(key)),
        Step::Item(item) => fields.keys().find(|key| names_item(key, item)).cloned(),
    }
}

fn names_item(key: &str, item: &Value) -> bool {
    if let Some(keys) = key.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        return !keys.is_empty() && keys.iter().all(|(name, value)| item.get(name) == Some(value));
    }
    key.strip_prefix("v:").and_then(|value| serde_json::from_str::<Value>(value).ok()).as_ref() == Some(item)
}

/// The object's managed fields with these taken from whoever has them and added to what we have applied. None: we have
/// applied nothing, or nothing of the list that holds the field.
pub fn with_fields(object: &Value, paths: &[Path]) -> Option<Value> {
    let mut managed = object.pointer("/metadata/managedFields")?.clone();
    let is_ours = |entry: &Value| {
        entry["manager"] == MANAGER && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    };
    let mut added = false;
    for entry in managed.as_array_mut()? {
        let ours = is_ours(entry);
        let Some(fields) = entry.get_mut("fieldsV1").and_then(Value::as_object_mut) else { continue };
        for path in paths {
            match ours {
                true => added |= add(fields, &path.0, path.of(object)?),
                false => take(fields, &path.0),
            }
        }
    }
    added.then_some(managed)
}

/// Leaves out what is recorded of a field, and what then holds nothing.
fn take(fields: &mut Map<String, Value>, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let Some(key) = key_of(fields, step) else { return };
    if rest.is_empty() {
        fields.remove(&key);
        return;
    }
    let Some(below) = fields.get_mut(&key).and_then(Value::as_object_mut) else { return };
    let had = !below.is_empty();
    take(below, rest);
    if had && below.is_empty() {
        fields.remove(&key);
    }
}

fn add(fields: &mut Map<String, Value>, path: &[Step], value: &Value) -> bool {
    let Some((step, rest)) = path.split_first() else {
        fields.extend(leaves(value));
        return true;
    };
    let key = match (key_of(fields, step), step) {
        (Some(key), _) => key,
        (None, Step::Field(name)) => format!("f:{name}"),
        // How the list is keyed is known only from an item that is recorded.
        (None, Step::Item(_)) => return false,
    };
    let below = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
    below.as_object_mut().is_some_and(|below| add(below, rest, value))
}

fn leaves(value: &Value) -> Map<String, Value> {
    let below = |(name, value): (&String, &Value)| (format!("f:{name}"), Value::Object(leaves(value)));
    value.as_object().into_iter().flatten().map(below).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": {"managedFields": [
                {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {
                    "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:name": {}}}}}}}},
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}]},
            "spec": {"replicas": 1, "paused": true, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "template": {"spec": {"volumes": [{"name": "other"}, {"name": "tmp", "emptyDir": {}}]}}}
        })
    }

    fn path(text: &str) -> Path {
        let desired = json!({"spec": {"template": {"spec": {"volumes": [{"name": "tmp", "secret": {}}]}}}});
        Path::parse(text, &desired, &deployment()).unwrap()
    }

    #[test]
    fn what_only_the_server_set_is_nobodys() {
        let object = deployment();
        let owners = |text: &str| owners(&object, &path(text));
        assert_eq!((owners("spec.replicas"), owners("spec.paused")), (vec![MANAGER.into()], vec!["kubectl".into()]));
        assert_eq!(owners("spec.template"), [MANAGER], "a part of it is ours");
        assert!(owners("spec.strategy.rollingUpdate").is_empty());
        assert!(owners("spec.template.spec.volumes[0].emptyDir").is_empty());
        assert_eq!(owners("spec.template.spec.volumes[0].name"), [MANAGER]);
    }

    #[test]
    fn an_index_counts_in_the_desired_list_and_means_the_item_of_that_name() {
        let found = path("spec.template.spec.volumes[0].secret");
        assert_eq!(found.of(&deployment()), None);
        let beside: Vec<Path> = found.siblings(&deployment()).collect();
        assert!(beside.contains(&path("spec.template.spec.volumes[0].emptyDir")), "{beside:?}");
        assert_eq!(Path::parse("spec.volumes[7].x", &json!({}), &deployment()), None);
        let mut object = deployment();
        path("spec.strategy.rollingUpdate").remove_from(&mut object);
        assert_eq!(object["spec"]["strategy"], json!({"type": "RollingUpdate"}));
        *path("spec.strategy.rollingUpdate").above().of_mut(&mut object).unwrap() = json!({"type": "Recreate"});
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    }

    #[test]
    fn fields_are_added_to_ours_alone() {
        let paths = [path("spec.strategy.rollingUpdate"), path("spec.template.spec.volumes[0].emptyDir")];
        let managed = with_fields(&deployment(), &paths).unwrap();
        let ours = &managed[0]["fieldsV1"]["f:spec"];
        assert_eq!(ours["f:strategy"], json!({"f:rollingUpdate": {"f:maxSurge": {}}}));
        let volume = &ours["f:template"]["f:spec"]["f:volumes"]["k:{\"name\":\"tmp\"}"];
        assert_eq!(volume["f:emptyDir"], json!({}));
        assert_eq!(managed[1], deployment()["metadata"]["managedFields"][1]);
        assert_eq!(with_fields(&json!({"metadata": {}}), &paths), None);
    }
}
