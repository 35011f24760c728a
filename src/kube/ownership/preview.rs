//! What an adoption would make of an object, without making it.

use serde_json::{Map, Value};

use super::{adopt::taken_fields, survey::is_copy};
use crate::error::Result;
use crate::object::Object;
use crate::{
    kube::{Kube, PART_OF, apply::ApplyOptions, discovery::Resolved, failure, failure::Subject, noop},
    object::json,
};

/// Whether the first apply of the object would meet somebody else's.
pub(crate) fn is_foreign(desired: &Value, there: &Value) -> bool {
    json::label(desired, PART_OF).is_some()
        && match json::label(there, PART_OF) {
            None => true,
            set => set == json::label(desired, PART_OF) && is_copy(there),
        }
        && json::kind(desired) != "Namespace"
}

impl Kube {
    /// The object after `up --adopt`: the server merges what is declared, then is shown the whole without what was theirs
    /// and is not declared.
    pub(crate) async fn preview_adoption(&self, at: &Resolved, object: &Object, there: &Value) -> Result<Value> {
        let options = ApplyOptions { dry_run: true, force_conflicts: true, ..ApplyOptions::default() };
        let mut whole = self.apply(object, Some(there), &options).await?.object;
        let desired = noop::prepared(&object.value);
        for (field, below) in &taken_fields(there) {
            take_away(&mut whole, field, below, Some(&desired));
        }
        let key = object.key();
        let subject = Subject { key: &key, origin: Some(&object.origin) };
        let previewed = self.replace_dry_run(at, &whole).await;
        previewed.map_err(|error| failure::refused("adopt", &subject, &self.server, &error))
    }
}

/// Takes a field that is owned away where it is not desired, as an apply does with what its manager no longer has.
fn take_away(value: &mut Value, step: &str, below: &Value, desired: Option<&Value>) {
    let below = below.as_object();
    let within = |value: &mut Value, desired: Option<&Value>| {
        for (step, below) in below.into_iter().flatten() {
            take_away(value, step, below, desired);
        }
    };
    if let Some(field) = step.strip_prefix("f:") {
        let wanted = desired.and_then(|desired| desired.get(field));
        let Some(fields) = value.as_object_mut() else { return };
        let Some(inner) = fields.get_mut(field) else { return };
        within(inner, wanted);
        let is_whole = below.is_none_or(Map::is_empty);
        if wanted.is_none() && (is_whole || is_empty(inner)) {
            fields.remove(field);
        }
    } else if let Some(keys) = step.strip_prefix("k:") {
        let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else { return };
        let has = |item: &&Value, may_omit| noop::has_keys(item, &keys, may_omit);
        let wanted = desired.and_then(Value::as_array).and_then(|items| items.iter().find(|item| has(item, true)));
        let Some(items) = value.as_array_mut() else { return };
        let Some(index) = items.iter().position(|item| has(&item, false)) else { return };
        match wanted {
            Some(_) => within(&mut items[index], wanted),
            None => {
                items.remove(index);
            }
        }
    } else if let Some(item) = step.strip_prefix("v:") {
        let Ok(item) = serde_json::from_str::<Value>(item) else { return };
        let wanted = desired.and_then(Value::as_array).is_some_and(|items| items.contains(&item));
        if let Some(items) = value.as_array_mut().filter(|_| !wanted) {
            items.retain(|there| *there != item);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_theirs_goes_where_it_is_not_declared_and_nothing_else_does() {
        let owned = json!({
            "f:metadata": {"f:annotations": {".": {}, "f:theirs": {}}},
            "f:data": {"f:keep": {}, "f:legacy": {}},
            "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}}},
            "f:tags": {"v:\"x\"": {}, "v:\"y\"": {}},
        });
        let mut value = json!({
            "metadata": {"annotations": {"theirs": "1"}, "labels": {"a-controllers": "1"}},
            "data": {"keep": "1", "legacy": "2", "a-controllers": "3"},
            "env": [{"name": "A", "value": "1"}, {"name": "B"}, {"name": "C"}],
            "tags": ["x", "y"],
        });
        let desired = json!({"data": {"keep": "1"}, "env": [{"name": "A", "value": "1"}], "tags": ["x"]});
        for (step, below) in owned.as_object().unwrap() {
            take_away(&mut value, step, below, Some(&desired));
        }
        assert_eq!(
            value,
            json!({
                "metadata": {"labels": {"a-controllers": "1"}},
                "data": {"keep": "1", "a-controllers": "3"},
                "env": [{"name": "A", "value": "1"}, {"name": "C"}],
                "tags": ["x"],
            })
        );
    }
}
