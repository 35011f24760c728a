//! Which components a stack uses, in which order, and which are left out.

use std::collections::BTreeMap;

use crate::stack::{
    declaration::{Declaration, Role},
    edge,
    embedded::Tree,
    files::Folder,
    model::{Scope, SetKind},
    problems::{Problems, closest, suggestion},
    reader::Located,
    scalar,
};

pub struct Component {
    pub folder: Folder,
    pub declaration: Declaration,
}

pub struct Components<'a> {
    tree: Tree,
    /// Of the stack.
    folder: &'a Folder,
    without: &'a [String],
    /// None: it could not be read, which is reported.
    loaded: BTreeMap<String, Option<Component>>,
    /// What is needed comes before what needs it.
    order: Vec<String>,
    /// Component to the one because of which it may be missing: itself, or one that needs it.
    gone: BTreeMap<String, String>,
}

impl<'a> Components<'a> {
    /// Reads the components in `needs` and all that they need.
    pub fn load(
        tree: Tree,
        folder: &'a Folder,
        needs: &[Located<String>],
        without: &'a [String],
        problems: &mut Problems,
    ) -> Components<'a> {
        let (loaded, order, gone) = Default::default();
        let mut components = Components { tree, folder, without, loaded, order, gone };
        for need in needs {
            components.visit(need, &mut Vec::new(), problems);
        }
        // Not a component, but left out as one.
        if without.iter().any(|name| name == edge::NAME) {
            components.gone.insert(edge::NAME.to_owned(), edge::NAME.to_owned());
        }
        components.check_without(problems);
        components
    }

    /// Whether the stack uses a component of that name, or would if it were not left out.
    pub fn knows(&self, name: &str) -> bool {
        self.loaded.contains_key(name) || self.gone.contains_key(name) || name == edge::NAME
    }

    /// In the order in which they need each other.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), self.loaded.get(name)?.as_ref()?)))
    }

    /// Depth first over `needs`; `path` holds the components being visited.
    fn visit(&mut self, reference: &Located<String>, path: &mut Vec<String>, problems: &mut Problems) {
        let name = &reference.value;
        if let Some(start) = path.iter().position(|above| above == name) {
            let cycle: Vec<&str> = path[start..].iter().map(String::as_str).chain([name.as_str()]).collect();
            problems
                .at(reference.origin.clone(), format!("dependency cycle between components: {}", cycle.join(" → ")));
            return;
        }
        if self.without.contains(name) {
            if let Some(user) = path.last() {
                let message =
                    format!("component `{user}` needs `{name}`, which is left out; leave `{user}` out as well");
                problems.at(reference.origin.clone(), message);
            }
            self.leave_out(reference, name, problems);
            return;
        }
        if self.loaded.contains_key(name) {
            return;
        }
        let component = self.read(reference, problems);
        let needs = component.as_ref().map(|component| {
            component
                .declaration
                .needs
                .iter()
                .map(|need| Located { value: need.value.clone(), origin: need.origin.clone() })
        });
        let needs: Vec<Located<String>> = needs.into_iter().flatten().collect();
        self.loaded.insert(name.clone(), component);
        path.push(name.clone());
        for need in &needs {
            self.visit(need, path, problems);
            self.check_scopes(name, need, problems);
        }
        path.pop();
        self.order.push(name.clone());
    }

    /// What all stacks share cannot wait for what one of them has.
    fn check_scopes(&self, user: &str, need: &Located<String>, problems: &mut Problems) {
        if self.scope(user) == Some(Scope::Cluster) && self.scope(&need.value) == Some(Scope::Stack) {
            let message =
                format!("component `{user}` has the scope of the cluster, but `{}` that of a stack", need.value);
            problems.at(need.origin.clone(), message);
        }
    }

    /// None: the stack has no such component.
    pub fn scope(&self, name: &str) -> Option<Scope> {
        self.loaded.get(name)?.as_ref().map(|component| component.declaration.scope)
    }

    /// Whether the stack uses the component.
    pub fn has(&self, name: &str) -> bool {
        self.loaded.contains_key(name)
    }

    /// `when: { without: NAME }`: in a stack NAME is one of its components, in a component any that there is.
    pub fn check_without_of(&self, declaration: &Declaration, kind: SetKind, problems: &mut Problems) {
        let conditions = declaration.variants.iter().flat_map(|variant| &variant.when);
        for name in conditions.filter(|(key, _)| key.value == "without").flat_map(|(_, names)| names) {
            let used = self.has(&name.value) || self.gone.contains_key(&name.value);
            if used || kind == SetKind::Component && self.find(&name.value).is_some() {
                continue;
            }
            let hint = suggestion(&name.value, self.loaded.keys().map(String::as_str));
            let message = format!("the stack has no component `{}`{hint} (variants.when.without)", name.value);
            problems.at(name.origin.clone(), message);
        }
    }

    /// Remembers what goes with a component that is left out: all that nothing else needs.
    fn leave_out(&mut self, reference: &Located<String>, because: &str, problems: &mut Problems) {
        let known = self.gone.contains_key(&reference.value);
        if !known || reference.value == because {
            self.gone.insert(reference.value.clone(), because.to_owned());
        }
        if known {
            return;
        }
        let component = self.read(reference, problems);
        for need in component.iter().flat_map(|component| &component.declaration.needs) {
            self.leave_out(need, because, problems);
        }
    }

    /// The component's folder: beside the stack's own, else in the binary.
    fn find(&self, name: &str) -> Option<Folder> {
        let embedded = Folder::embedded(self.tree, "manifests/components");
        let beside = self.folder.folder("../components");
        let single = scalar::is_label(name);
        [beside, Some(embedded)]
            .into_iter()
            .flatten()
            .find_map(|folder| folder.folder(name).filter(|folder| single && folder.has("component.yaml")))
    }

    fn read(&self, reference: &Located<String>, problems: &mut Problems) -> Option<Component> {
        let name = &reference.value;
        let Some(folder) = self.find(name) else {
            let known = self.tree.components();
            let hint = suggestion(name, known.iter().map(String::as_str));
            problems.at(reference.origin.clone(), format!("there is no component `{name}`{hint}"));
            return None;
        };
        let declaration = Declaration::of(&folder, Role::Component, problems)?;
        if let Some(own) = declaration.name.as_ref().filter(|own| own.value != *name) {
            problems
                .at(own.origin.clone(), format!("the component in folder `{name}` is named `{}` (name)", own.value));
        }
        Some(Component { folder, declaration })
    }

    /// The component that was left out, if for that reason there is none of this name.
    pub fn left_out(&self, name: &str) -> Option<String> {
        self.gone.get(name).filter(|_| !self.loaded.contains_key(name)).cloned()
    }

    /// A misspelt `--without` would otherwise go unnoticed; a configured one may be meant for another stack.
    fn check_without(&self, problems: &mut Problems) {
        for name in self.without.iter().filter(|name| !self.gone.contains_key(*name)) {
            let near = closest(name, self.loaded.keys().map(String::as_str));
            if let Some(near) = near.filter(|_| !self.tree.components().contains(name)) {
                problems.option(format!("--without {name}: no such component; did you mean `{near}`?"));
            }
        }
    }

    /// What was asked for in this run is meant for this stack.
    pub fn check_asked(&self, asked: &[String], problems: &mut Problems) {
        for name in asked.iter().filter(|name| !self.knows(name)) {
            let near = closest(name, self.loaded.keys().map(String::as_str));
            // A near name has been told.
            if near.is_none() || self.tree.components().contains(name) {
                let known: Vec<&str> = self.loaded.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                problems.option(format!("--without {name}: the stack has no such component; it has {known}"));
            }
        }
    }

    /// The component without which a proof is skipped.
    pub fn missing(&self, needs: &[Located<String>], kind: SetKind) -> Option<String> {
        needs.iter().find_map(|need| {
            // A component's proof may be about another one that this stack does not use.
            let unused = || (kind == SetKind::Component && !self.has(&need.value)).then(|| need.value.clone());
            self.left_out(&need.value).or_else(unused)
        })
    }

    pub fn check_proof_needs(&self, needs: &[Located<String>], kind: SetKind, problems: &mut Problems) {
        for need in needs {
            if kind == SetKind::Component && self.find(&need.value).is_some() {
                continue;
            }
            if !self.knows(&need.value) {
                let hint = suggestion(&need.value, self.loaded.keys().map(String::as_str));
                problems.at(
                    need.origin.clone(),
                    format!("the stack has no component `{}`{hint} (proofs.needs)", need.value),
                );
            }
        }
    }
}
