//! Finds a stack and makes it whole; reports everything that is wrong with it at once.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    error::{Error, Kind, Result},
    stack::{
        assemble::{Assembled, Assembly},
        declaration::{Declaration, Role, ServiceDecl},
        embedded::{BUILT_IN, Tree},
        files::Folder,
        located,
        model::{Check, Key, Object, Origin, Service, Set, SetKind, SkippedProof, Stack},
        podspec,
        problems::{Problems, closest, suggestion},
        reader::Located,
        scalar,
    },
};

/// What to load, and how.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// An embedded stack's name, or a folder.
    pub stack: String,
    pub provider: String,
    /// `--set`: a value's name, or `COMPONENT.NAME`, to its text.
    pub values: BTreeMap<String, String>,
    /// Components to leave out; those that the stack does not use are ignored.
    pub without: Vec<String>,
    /// In place of the stack's name.
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StackSummary {
    pub name: String,
    pub description: Option<String>,
    pub services: Vec<String>,
    pub components: Vec<String>,
}

/// Reads files only. Err: `Kind::Usage` with one detail per problem, `file:line:column: message (field)`.
pub fn load(request: &LoadRequest) -> Result<Stack> {
    load_from(BUILT_IN, request)
}

/// The embedded stacks, by name.
pub fn list() -> Vec<StackSummary> {
    list_from(BUILT_IN)
}

pub fn list_from(tree: Tree) -> Vec<StackSummary> {
    let summary = |name: String| {
        let folder = Folder::embedded(tree, &format!("manifests/{name}"));
        let declaration = declaration(&folder, Role::Stack, &mut Problems::default())?;
        let names = |located: &[Located<String>]| located.iter().map(|name| name.value.clone()).collect();
        Some(StackSummary {
            name,
            services: declaration.services.iter().map(|service| service.name.clone()).collect(),
            components: names(&declaration.needs),
            description: declaration.description,
        })
    };
    tree.stacks().into_iter().filter_map(summary).collect()
}

pub fn load_from(tree: Tree, request: &LoadRequest) -> Result<Stack> {
    let folder = find(tree, &request.stack)?;
    let mut problems = Problems::default();
    let declaration = declaration(&folder, Role::Stack, &mut problems);
    let shown = declaration.as_ref().and_then(|declaration| declaration.name.as_ref());
    let name = shown.map_or_else(|| request.stack.clone(), |name| name.value.clone());
    let stack = declaration.map(|declaration| {
        let mut loader = Loader {
            tree,
            request,
            folder: &folder,
            problems: &mut problems,
            components: BTreeMap::new(),
            order: Vec::new(),
            gone: BTreeMap::new(),
        };
        loader.run(&name, &declaration)
    });
    problems.into_result(&name)?;
    stack.ok_or_else(|| Error::new(Kind::Usage, format!("{}/stack.yaml is empty", folder.shown)))
}

fn find(tree: Tree, name: &str) -> Result<Folder> {
    let embedded = tree.stacks();
    if embedded.iter().any(|stack| stack == name) {
        return Ok(Folder::embedded(tree, &format!("manifests/{name}")));
    }
    let path = Path::new(name);
    if !name.contains(['/', '.']) && !path.join("stack.yaml").is_file() {
        let mut error = Error::new(Kind::Usage, format!("no stack named {name}"));
        if let Some(near) = closest(name, embedded.iter().map(String::as_str)) {
            error = error.hint(format!("did you mean {near}?"));
        }
        return Err(error.hint(format!(
            "the stacks are {}; a folder with a stack.yaml is named by its path, such as ./{name}",
            embedded.join(", ")
        )));
    }
    let shape = "a stack's folder holds a stack.yaml with `name:` and `manifests:`";
    let folder = Folder::disk(path)
        .map_err(|error| Error::new(Kind::Usage, format!("no stack in {name}")).cause(error).hint(shape))?;
    if !folder.has("stack.yaml") {
        return Err(Error::new(Kind::Usage, format!("no stack in {name}"))
            .cause("there is no stack.yaml in it")
            .hint(shape));
    }
    Ok(folder)
}

/// None: the file is missing, empty or not well-formed, which is reported.
fn declaration(folder: &Folder, role: Role, problems: &mut Problems) -> Option<Declaration> {
    let path = if role == Role::Stack { "stack.yaml" } else { "component.yaml" };
    let file = folder.shown_file(path);
    let start = || Origin { file: file.clone(), line: 1, column: 1 };
    let bytes = match folder.read(path) {
        Ok(bytes) => bytes,
        Err(message) => {
            problems.at(start(), message);
            return None;
        }
    };
    let (documents, broken) = located::parse(&file, &bytes, problems);
    if let Some(second) = documents.get(1) {
        problems.at(second.mark.in_file(&file), "a second document; one is expected");
    }
    if documents.is_empty() && !broken {
        problems.at(start(), "the file is empty");
    }
    Declaration::read(documents.first()?, &file, role, problems)
}

struct Component {
    folder: Folder,
    declaration: Declaration,
}

struct Loader<'a> {
    tree: Tree,
    request: &'a LoadRequest,
    folder: &'a Folder,
    problems: &'a mut Problems,
    /// None: it could not be read, which is reported.
    components: BTreeMap<String, Option<Component>>,
    /// What is needed comes before what needs it.
    order: Vec<String>,
    /// Component to the one because of which it may be missing: itself, or one that needs it.
    gone: BTreeMap<String, String>,
}

impl Loader<'_> {
    fn run(&mut self, name: &str, declaration: &Declaration) -> Stack {
        let mut path = Vec::new();
        for component in &declaration.needs {
            self.visit(component, &mut path);
        }
        self.check_without();
        let namespace = self.request.namespace.clone().unwrap_or_else(|| name.to_owned());
        if !scalar::is_label(&namespace) {
            self.problems.option(format!("--namespace {namespace}: no valid name"));
        }
        let mut chosen = self.chosen(declaration);
        let mut sets = Vec::new();
        let mut proofs = Vec::new();
        let mut incomplete = false;
        for component in std::mem::take(&mut self.order) {
            let Some(Some(Component { folder, declaration })) = self.components.get(&component) else { continue };
            let assembled = Assembly {
                kind: SetKind::Component,
                name: &component,
                declaration,
                folder,
                provider: &self.request.provider,
                namespace: None,
                chosen: &chosen.remove(&component).unwrap_or_default(),
            }
            .run(self.problems);
            incomplete |= assembled.incomplete;
            for proof in &declaration.proofs {
                let mut proof = proof.proof.clone();
                proof.component = Some(component.clone());
                proofs.push((proof, assembled.set.namespace.clone()));
            }
            sets.push(assembled.set);
        }
        let Assembled { set, incomplete: unsure } = Assembly {
            kind: SetKind::Stack,
            name,
            declaration,
            folder: self.folder,
            provider: &self.request.provider,
            namespace: Some(&namespace),
            chosen: &chosen.remove("").unwrap_or_default(),
        }
        .run(self.problems);
        incomplete |= unsure;
        sets.push(set);
        let mut skipped_proofs = Vec::new();
        for decl in &declaration.proofs {
            self.check_proof_needs(&decl.needs);
            match decl.needs.iter().find_map(|need| self.left_out(&need.value)) {
                Some(component) => skipped_proofs.push(SkippedProof { name: decl.proof.name.clone(), component }),
                None => proofs.push((decl.proof.clone(), namespace.clone())),
            }
        }
        let proofs = proofs.into_iter().map(|(mut proof, namespace)| {
            if let Check::Autoscaler(check) = &mut proof.check {
                if check.namespace.is_empty() {
                    check.namespace = namespace;
                }
                if !incomplete && !has_autoscaler(&sets, &check.namespace, &check.name) {
                    let message = format!("there is no HorizontalPodAutoscaler/{} in {}", check.name, check.namespace);
                    self.problems.at(proof.origin.clone(), message);
                }
            }
            proof
        });
        let proofs = proofs.collect();
        self.check_unique(&sets);
        let services = self.services(&declaration.services);
        self.check_images(&sets, &services);
        Stack {
            name: name.to_owned(),
            description: declaration.description.clone(),
            namespace,
            services,
            sets,
            proofs,
            skipped_proofs,
            load: declaration.load.clone(),
            without: self.gone.iter().filter(|(name, because)| name == because).map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Depth first over `needs`; `path` holds the components being visited.
    fn visit(&mut self, reference: &Located<String>, path: &mut Vec<String>) {
        let name = &reference.value;
        if let Some(start) = path.iter().position(|above| above == name) {
            let cycle: Vec<&str> = path[start..].iter().map(String::as_str).chain([name.as_str()]).collect();
            self.problems
                .at(reference.origin.clone(), format!("components need each other in a circle: {}", cycle.join(" → ")));
            return;
        }
        if self.request.without.contains(name) {
            if let Some(user) = path.last() {
                let message =
                    format!("component `{user}` needs `{name}`, which is left out; leave `{user}` out as well");
                self.problems.at(reference.origin.clone(), message);
            }
            self.leave_out(reference, name);
            return;
        }
        if self.components.contains_key(name) {
            return;
        }
        let component = self.component(reference);
        let needs = component.as_ref().map(|component| {
            component
                .declaration
                .needs
                .iter()
                .map(|need| Located { value: need.value.clone(), origin: need.origin.clone() })
        });
        let needs: Vec<Located<String>> = needs.into_iter().flatten().collect();
        self.components.insert(name.clone(), component);
        path.push(name.clone());
        for need in &needs {
            self.visit(need, path);
        }
        path.pop();
        self.order.push(name.clone());
    }

    /// Remembers what goes with a component that is left out: all that nothing else needs.
    fn leave_out(&mut self, reference: &Located<String>, because: &str) {
        let known = self.gone.contains_key(&reference.value);
        if !known || reference.value == because {
            self.gone.insert(reference.value.clone(), because.to_owned());
        }
        if known {
            return;
        }
        let component = self.component(reference);
        for need in component.iter().flat_map(|component| &component.declaration.needs) {
            self.leave_out(need, because);
        }
    }

    fn component(&mut self, reference: &Located<String>) -> Option<Component> {
        let name = &reference.value;
        let embedded = Folder::embedded(self.tree, "manifests/components");
        let beside = self.folder.folder("../components");
        let single = scalar::is_label(name);
        let folder = [beside, Some(embedded)]
            .into_iter()
            .flatten()
            .find_map(|folder| folder.folder(name).filter(|folder| single && folder.has("component.yaml")));
        let Some(folder) = folder else {
            let known = self.tree.components();
            let hint = suggestion(name, known.iter().map(String::as_str));
            self.problems.at(reference.origin.clone(), format!("there is no component `{name}`{hint}"));
            return None;
        };
        let declaration = declaration(&folder, Role::Component, self.problems)?;
        if let Some(own) = declaration.name.as_ref().filter(|own| own.value != *name) {
            self.problems
                .at(own.origin.clone(), format!("the component in folder `{name}` is named `{}` (name)", own.value));
        }
        Some(Component { folder, declaration })
    }

    /// The component that was left out, if for that reason there is none of this name.
    fn left_out(&self, name: &str) -> Option<String> {
        self.gone.get(name).filter(|_| !self.components.contains_key(name)).cloned()
    }

    /// A misspelt `--without` would otherwise go unnoticed; a configured one may be meant for another stack.
    fn check_without(&mut self) {
        for name in self.request.without.iter().filter(|name| !self.gone.contains_key(*name)) {
            let near = closest(name, self.components.keys().map(String::as_str));
            if let Some(near) = near.filter(|_| !self.tree.components().contains(name)) {
                self.problems.option(format!("--without {name}: no such component; did you mean `{near}`?"));
            }
        }
    }

    fn check_proof_needs(&mut self, needs: &[Located<String>]) {
        for need in needs {
            if !self.components.contains_key(&need.value) && !self.gone.contains_key(&need.value) {
                let hint = suggestion(&need.value, self.components.keys().map(String::as_str));
                self.problems.at(
                    need.origin.clone(),
                    format!("the stack has no component `{}`{hint} (proofs.needs)", need.value),
                );
            }
        }
    }

    /// `--set` by component, the stack's own under the empty name.
    fn chosen(&mut self, declaration: &Declaration) -> BTreeMap<String, BTreeMap<String, Value>> {
        let mut known = BTreeMap::new();
        for value in &declaration.values {
            known.insert(value.name.clone(), (String::new(), value));
        }
        for (name, component) in &self.components {
            for value in component.iter().flat_map(|component| &component.declaration.values) {
                known.insert(format!("{name}.{}", value.name), (name.clone(), value));
            }
        }
        let mut chosen: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for (key, raw) in &self.request.values {
            let outcome = match known.get(key) {
                Some((set, value)) => value.parse(raw).map(|parsed| {
                    chosen.entry(set.clone()).or_default().insert(value.name.clone(), parsed);
                }),
                None if key.split_once('.').is_some_and(|(component, _)| self.left_out(component).is_some()) => Ok(()),
                None => {
                    let hint = suggestion(key, known.keys().map(String::as_str));
                    let all: Vec<&str> = known.keys().map(String::as_str).collect();
                    Err(match all.is_empty() {
                        true => "the stack declares no values".to_owned(),
                        false if hint.is_empty() => format!("no such value; there are {}", all.join(", ")),
                        false => format!("no such value{hint}"),
                    })
                }
            };
            if let Err(message) = outcome {
                self.problems.option(format!("--set {key}={raw}: {message}"));
            }
        }
        chosen
    }

    fn check_unique(&mut self, sets: &[Set]) {
        let mut seen: BTreeMap<Key, &Origin> = BTreeMap::new();
        for object in sets.iter().flat_map(|set| &set.objects) {
            let key = object.key();
            match seen.get(&key) {
                Some(first) => {
                    let message = format!("{key} is declared twice, first at {first}");
                    self.problems.at(object.origin.clone(), message);
                }
                None => {
                    seen.insert(key, &object.origin);
                }
            }
        }
    }

    fn services(&mut self, declared: &[ServiceDecl]) -> BTreeMap<String, Service> {
        let mut services = BTreeMap::new();
        for decl in declared {
            let context = self.folder.context(&decl.context.value);
            let Some((folder, source)) = context.and_then(|folder| folder.source().map(|source| (folder, source)))
            else {
                let message = format!("there is no folder `{}` (services.{}.context)", decl.context.value, decl.name);
                self.problems.at(decl.context.origin.clone(), message);
                continue;
            };
            let dockerfile = decl.dockerfile.as_ref().map_or("Dockerfile", |path| &path.value);
            if !folder.has(dockerfile) {
                let origin = &decl.dockerfile.as_ref().unwrap_or(&decl.context).origin;
                let message = format!("there is no `{dockerfile}` in {} (services.{})", folder.shown, decl.name);
                self.problems.at(origin.clone(), message);
            }
            services.insert(
                decl.name.clone(),
                Service {
                    name: decl.name.clone(),
                    context: source,
                    dockerfile: dockerfile.to_owned(),
                    target: decl.target.clone(),
                    args: decl.args.clone(),
                },
            );
        }
        services
    }

    /// An image that is nearly a service's name would be pulled from Docker Hub, in vain at best.
    fn check_images(&mut self, sets: &[Set], services: &BTreeMap<String, Service>) {
        for object in sets.iter().filter(|set| set.kind == SetKind::Stack).flat_map(|set| &set.objects) {
            for image in podspec::images(&object.value) {
                if services.contains_key(image) || image.contains(['/', ':', '@']) {
                    continue;
                }
                let near = services.keys().find(|name| strsim::osa_distance(image, name) == 1);
                if let Some(near) = near {
                    let message = format!(
                        "{} wants image `{image}`: no such service; did you mean `{near}`, or docker.io/library/{image}?",
                        object.key()
                    );
                    self.problems.at(object.origin.clone(), message);
                }
            }
        }
    }
}

fn has_autoscaler(sets: &[Set], namespace: &str, name: &str) -> bool {
    sets.iter().flat_map(|set| &set.objects).map(Object::key).any(|key| {
        key.kind == "HorizontalPodAutoscaler" && key.namespace.as_deref() == Some(namespace) && key.name == name
    })
}

#[cfg(test)]
mod tests;
