//! `KIND/NAME path.to.field`: names one field of one object.

use std::fmt;

use serde_json::Value;

use crate::{
    object::Key,
    stack::field::{Step, as_text, steps},
};

/// Such as `Deployment/app spec.template.spec.containers[name=app].env[name=MODE].value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setter {
    pub kind: String,
    pub name: String,
    pub(super) path: Vec<Step>,
    text: String,
}

impl Setter {
    pub fn parse(text: &str) -> Result<Setter, String> {
        let wrong = || format!("expected `KIND/NAME path.to.field`, found `{text}`");
        let (object, path) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let (kind, name) = object.split_once('/').ok_or_else(wrong)?;
        if kind.is_empty() || name.is_empty() {
            return Err(wrong());
        }
        let path = path.trim();
        let path = steps(path)
            .ok_or_else(|| format!("`{path}` is no path: `spec.list[name=x].field`, `[0]`, `[\"a.b/c\"]`"))?;
        Ok(Setter { kind: kind.into(), name: name.into(), path, text: text.trim().into() })
    }

    /// Puts the value into the field. Text stays text: a number set into a string field, or into an environment
    /// variable, is written as text. Err: how far the path led, as `no spec.maxReplicas`.
    pub fn apply(&self, object: &mut Value, value: &Value) -> Result<(), String> {
        let mut at = object;
        let mut walked = String::new();
        for (index, step) in self.path.iter().enumerate() {
            if !walked.is_empty() && !matches!(step, Step::Index(_) | Step::Where(..)) {
                walked.push('.');
            }
            walked += &step.to_string();
            // The one field that may be absent: an environment variable that has no value yet.
            if self.is_env_value(index)
                && let Value::Object(variable) = at
            {
                if variable.contains_key("valueFrom") {
                    return Err(format!("its {walked} comes from `valueFrom`"));
                }
                variable.insert("value".into(), Value::String(as_text(value)));
                return Ok(());
            }
            at = step.enter(at).ok_or_else(|| format!("it has no {walked}"))?;
        }
        if at.is_object() || at.is_array() {
            return Err(format!("{walked} is not a single value"));
        }
        *at = if at.is_string() { Value::String(as_text(value)) } else { value.clone() };
        Ok(())
    }

    /// Whether it names a field of the object with this key.
    pub fn is_of(&self, key: &Key) -> bool {
        key.kind == self.kind && key.name == self.name
    }

    /// What the field holds; None: there is none, or nothing in it.
    pub fn find<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(object, |at, step| step.look(at))
    }

    fn is_env_value(&self, index: usize) -> bool {
        let key = |at: Option<usize>, name: &str| {
            at.and_then(|at| self.path.get(at)).is_some_and(|step| matches!(step, Step::Key(key) if key == name))
        };
        index + 1 == self.path.len()
            && key(Some(index), "value")
            && key(index.checked_sub(2), "env")
            && matches!(self.path.get(index.wrapping_sub(1)), Some(Step::Where(key, _)) if key == "name")
    }
}

impl fmt::Display for Setter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(object: Value, setter: &str, value: Value) -> Result<Value, String> {
        let mut object = object;
        Setter::parse(setter).unwrap().apply(&mut object, &value).map(|()| object)
    }

    #[test]
    fn paths_by_key_index_and_name() {
        let object =
            json!({"spec": {"n": 1, "list": [{"name": "a", "v": "x"}, {"name": "b", "v": "y"}], "m": {"a.b/c": "z"}}});
        assert_eq!(set(object.clone(), "D/x spec.n", json!(5)).unwrap().pointer("/spec/n"), Some(&json!(5)));
        assert_eq!(
            set(object.clone(), "D/x spec.list[name=b].v", json!(5)).unwrap()["spec"]["list"][1]["v"],
            json!("5")
        );
        assert_eq!(set(object.clone(), "D/x spec.list[0].v", json!("q")).unwrap()["spec"]["list"][0]["v"], json!("q"));
        assert_eq!(
            set(object.clone(), "D/x spec.m[\"a.b/c\"]", json!(true)).unwrap()["spec"]["m"]["a.b/c"],
            json!("true")
        );
        assert_eq!(set(object.clone(), "D/x spec.list[name=c].v", json!(1)), Err("it has no spec.list[name=c]".into()));
        assert_eq!(set(object.clone(), "D/x spec.list[7]", json!(1)), Err("it has no spec.list[7]".into()));
        assert_eq!(set(object, "D/x spec.m", json!(1)), Err("spec.m is not a single value".into()));
    }

    #[test]
    fn an_environment_variable_needs_no_value_yet() {
        let object = json!({"env": [{"name": "A"}, {"name": "B", "valueFrom": {}}]});
        assert_eq!(set(object.clone(), "D/x env[name=A].value", json!(7)).unwrap()["env"][0]["value"], json!("7"));
        assert!(set(object.clone(), "D/x env[name=B].value", json!(7)).is_err());
        assert!(set(object.clone(), "D/x env[name=C].value", json!(7)).is_err());
        assert!(set(object, "D/x env[name=A].values", json!(7)).is_err());
    }

    #[test]
    fn malformed_setters() {
        for wrong in [
            "",
            "Deployment",
            "Deployment/x",
            "/x spec",
            "D/ spec",
            "D/x a..b",
            "D/x .a",
            "D/x a.",
            "D/x a[",
            "D/x a[x]",
            "D/x a[=1]",
            "D/x a[0]b",
            "D/x a.[0]",
        ] {
            assert!(Setter::parse(wrong).is_err(), "{wrong}");
        }
    }
}
