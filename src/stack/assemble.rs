//! From a declaration to a set: manifests read, variants chosen, values set, cross-references checked.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::{GeneratedSecret, Key, Object};
use crate::stack::{
    components::Components,
    declaration::{Declaration, VariantDecl},
    files::Folder,
    manifests::{self, Form},
    model::{self, Scope, Set, SetKind},
    patch,
    problems::Problems,
    reader::Located,
    setter::Setter,
    values::ValueDecl,
    yields::Yielded,
};

/// Namespace of components that name none, and of what stackctl itself keeps.
pub const SYSTEM_NAMESPACE: &str = "stackctl-system";

/// Label of a namespace: the Pod Security Standard that pods must meet to be admitted.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

pub struct Assembly<'a> {
    pub kind: SetKind,
    /// As it is declared.
    pub name: &'a str,
    pub stack: &'a str,
    pub declaration: &'a Declaration,
    pub folder: &'a Folder,
    pub provider: &'a str,
    /// The stack's.
    pub namespace: &'a str,
    pub components: &'a Components<'a>,
    /// Chosen by `--set`, already checked.
    pub chosen: &'a BTreeMap<String, Value>,
}

/// A set, and whether part of its files could not be understood.
pub struct Assembled {
    pub set: Set,
    pub incomplete: bool,
}

impl Assembly<'_> {
    pub fn run(&self, problems: &mut Problems) -> Assembled {
        let mut work = Work { objects: Vec::new(), elsewhere: Vec::new(), incomplete: false, problems };
        for path in &self.declaration.manifests {
            work.add(self.folder, path, true);
        }
        for variant in &self.declaration.variants {
            let active = self.holds(variant);
            variant.add.iter().for_each(|path| work.add(self.folder, path, active));
        }
        // After all additions, so that a patch may change what another variant adds.
        for variant in &self.declaration.variants {
            let active = self.holds(variant);
            variant.remove.iter().for_each(|target| work.remove(target, active));
            variant.patch.iter().for_each(|path| work.patch(self.folder, path, active));
        }
        for value in &self.declaration.values {
            if let Some(chosen) = self.chosen.get(&value.name).or(value.default.as_ref()) {
                work.set(value, chosen);
            } else {
                work.clone_for_check().set(value, &value.probe());
            }
        }
        let scoped = self.declaration.scope == Scope::Stack;
        let namespace = match self.kind {
            SetKind::Component if !scoped => own_namespace(self.declaration, &work.objects),
            _ => self.namespace.to_owned(),
        };
        if scoped {
            work.check_confined();
        }
        work.settle_in(&namespace);
        let yields = work.yields(&self.declaration.yields);
        let incomplete = work.incomplete;
        let objects = work.objects;
        let secrets = self.declaration.generate.iter().map(|secret| GeneratedSecret {
            name: secret.name.clone(),
            namespace: namespace.clone(),
            keys: secret.keys.clone(),
            fixed: secret.fixed.clone(),
        });
        let secrets: Vec<GeneratedSecret> = secrets.collect();
        for (secret, declaration) in secrets.iter().zip(&self.declaration.generate) {
            if let Some(object) = objects.iter().find(|object| object.key() == secret_key(secret)) {
                problems.at(
                    declaration.origin.clone(),
                    format!("Secret `{}` is generated here and declared at {}", secret.name, object.origin),
                );
            }
        }
        let label = |level: &str| (ENFORCE.to_owned(), level.to_owned());
        let set = Set {
            kind: self.kind,
            scope: self.declaration.scope,
            name: self.set_name(self.name),
            namespace,
            objects,
            secrets,
            yields,
            certificate: None,
            background: self.declaration.background,
            steps_aside: self.declaration.steps_aside,
            needs: match self.kind {
                SetKind::Component => self.declaration.needs.iter().map(|name| self.set_name(&name.value)).collect(),
                SetKind::Stack => Vec::new(),
            },
            namespace_labels: self.declaration.pod_security.as_deref().map(label).into_iter().collect(),
        };
        Assembled { set, incomplete }
    }

    fn set_name(&self, name: &str) -> String {
        match self.components.scope(name) {
            Some(Scope::Stack) if self.kind == SetKind::Component => model::instance_name(self.stack, name),
            _ => name.to_owned(),
        }
    }

    fn holds(&self, variant: &VariantDecl) -> bool {
        variant.when.iter().all(|(key, wanted)| {
            let value = self.declaration.values.iter().find(|value| value.name == key.value);
            let is = match value {
                None if key.value == "provider" => Some(self.provider.to_owned()),
                None if key.value == "without" => {
                    return wanted.iter().any(|name| !self.components.has(&name.value));
                }
                None => None,
                Some(value) => self.chosen.get(&value.name).or(value.default.as_ref()).map(text),
            };
            is.is_some_and(|is| wanted.iter().any(|wanted| wanted.value == is))
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub fn secret_key(secret: &GeneratedSecret) -> Key {
    Key {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some(secret.namespace.clone()),
        name: secret.name.clone(),
    }
}

/// A component lives where it says, else in the namespace that it brings, else in the first that an object names.
fn own_namespace(declaration: &Declaration, objects: &[Object]) -> String {
    let brought = || objects.iter().map(Object::key).find(|key| key.group.is_empty() && key.kind == "Namespace");
    let named = || objects.iter().find_map(|object| object.key().namespace);
    declaration
        .namespace
        .clone()
        .or_else(|| brought().map(|key| key.name))
        .or_else(named)
        .unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned())
}

struct Work<'a> {
    objects: Vec<Object>,
    /// Of variants that are not chosen: known, so that patches of such variants can be checked.
    elsewhere: Vec<Object>,
    incomplete: bool,
    problems: &'a mut Problems,
}

impl Work<'_> {
    fn add(&mut self, folder: &Folder, path: &Located<String>, active: bool) {
        let read = manifests::read(folder, path, Form::Objects, self.problems);
        self.incomplete |= read.incomplete;
        if active { &mut self.objects } else { &mut self.elsewhere }.extend(read.objects);
    }

    fn remove(&mut self, target: &Located<String>, active: bool) {
        let is = |object: &Object| object.key().to_string() == target.value;
        let found = self.objects.iter().any(is);
        if !found && (active || !self.elsewhere.iter().any(is)) && !self.incomplete {
            self.problems.at(target.origin.clone(), format!("there is no {} to remove", target.value));
        }
        if active {
            self.objects.retain(|object| !is(object));
        }
    }

    fn patch(&mut self, folder: &Folder, path: &Located<String>, active: bool) {
        let read = manifests::read(folder, path, Form::Patches, self.problems);
        for change in read.objects {
            let wanted = change.key();
            let is = |object: &Object| {
                let key = object.key();
                key.kind == wanted.kind
                    && key.name == wanted.name
                    && key.group == wanted.group
                    && (wanted.namespace.is_none() || wanted.namespace == key.namespace)
            };
            let Some(index) = self.objects.iter().position(is) else {
                if (active || !self.elsewhere.iter().any(is)) && !self.incomplete {
                    self.problems.at(change.origin, format!("the patch matches nothing: there is no {wanted}"));
                }
                continue;
            };
            let builtin = !wanted.group.contains('.') || wanted.group.ends_with(".k8s.io");
            let mut object = self.objects[index].value.clone();
            if let Err(message) = patch::apply(&mut object, &change.value, builtin) {
                self.problems.at(change.origin, format!("the patch of {wanted}: {message}"));
            } else if active && patch::deletes(&change.value) {
                self.objects.remove(index);
            } else if active {
                self.objects[index].value = object;
            }
        }
    }

    fn set(&mut self, value: &ValueDecl, chosen: &Value) {
        for Located { value: setter, origin } in &value.setters {
            let outcome = match self.objects.iter_mut().find(|object| setter.is_of(&object.key())) {
                Some(object) => setter
                    .apply(&mut object.value, chosen)
                    .map_err(|why| format!("{}/{} ({}): {why}", setter.kind, setter.name, object.origin)),
                None if self.incomplete => Ok(()),
                None => Err(format!("there is no {}/{}", setter.kind, setter.name)),
            };
            if let Err(why) = outcome {
                let field = format!("values.{}.sets", value.name);
                self.problems.at(origin.clone(), format!("the setter matches nothing: {why} ({field})"));
            }
        }
    }

    /// The fields of these objects that are left to controllers.
    fn yields(&mut self, declared: &[Located<Setter>]) -> Vec<(Key, Yielded)> {
        let mut yields = Vec::new();
        for Located { value: setter, origin } in declared {
            let object = self.objects.iter().find(|object| {
                let key = object.key();
                key.kind == setter.kind && key.name == setter.name
            });
            let found = match object {
                None if self.incomplete => continue,
                None => Err(format!("there is no {}/{}", setter.kind, setter.name)),
                Some(object) => Yielded::of(setter).and_then(|yielded| match yielded.check(&object.value) {
                    Ok(()) => Ok((object.key(), yielded)),
                    Err(why) => Err(format!("{}/{} ({}): {why}", setter.kind, setter.name, object.origin)),
                }),
            };
            match found {
                Ok(found) => yields.push(found),
                Err(why) => self.problems.at(origin.clone(), format!("`{setter}` names no field: {why} (yields)")),
            }
        }
        yields
    }

    /// A value that is not set still has to name fields that exist.
    fn clone_for_check(&mut self) -> Work<'_> {
        Work {
            objects: self.objects.clone(),
            elsewhere: Vec::new(),
            incomplete: self.incomplete,
            problems: self.problems,
        }
    }

    /// Instances for several stacks must not meet.
    fn check_confined(&mut self) {
        let definitions: Vec<Value> = self.objects.iter().map(|object| object.value.clone()).collect();
        for object in &self.objects {
            let key = object.key();
            if manifests::is_cluster_scoped(&key.group, &key.kind, &definitions) {
                let message = format!("{key} lives outside namespaces, which `scope: stack` does not allow");
                self.problems.at(object.origin.clone(), message);
            } else if let Some(namespace) = &key.namespace {
                let message =
                    format!("{key} names namespace `{namespace}`; with `scope: stack` it lives in the stack's");
                self.problems.at(object.origin.clone(), message);
            }
        }
    }

    fn settle_in(&mut self, namespace: &str) {
        let definitions: Vec<Value> = self.objects.iter().map(|object| object.value.clone()).collect();
        for object in &mut self.objects {
            let key = object.key();
            let cluster_scoped = manifests::is_cluster_scoped(&key.group, &key.kind, &definitions);
            match (&key.namespace, cluster_scoped) {
                // The server would leave it out too.
                (Some(_), true) => crate::object::remove_namespace(&mut object.value),
                (None, false) => {
                    if let Some(metadata) = object.value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                        metadata.insert("namespace".into(), namespace.into());
                    }
                }
                _ => {}
            }
        }
    }
}
