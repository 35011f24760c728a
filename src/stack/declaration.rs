//! What a stack.yaml or a component.yaml says, read but not yet acted upon.

use std::collections::BTreeMap;

use crate::object::Origin;
use crate::stack::{
    files::Folder,
    jobs::JobDecl,
    located::{self, Content, Node},
    model::{LoadProfile, Proof, Scope},
    plain::Scalars,
    problems::{Problems, suggestion},
    proofs,
    reader::{Fields, Item, Located},
    routes::{self, EdgeDecl, RouteDecl},
    scalar,
    setter::Setter,
    values::ValueDecl,
};

/// What `--provider` can name.
pub const PROVIDERS: [&str; 4] = ["kind", "minikube", "eks", "existing"];

/// The Pod Security Standards.
const POD_SECURITY: [&str; 3] = ["privileged", "baseline", "restricted"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Stack,
    Component,
}

#[derive(Debug)]
pub struct Declaration {
    pub name: Option<Located<String>>,
    pub description: Option<String>,
    /// Of a component.
    pub namespace: Option<String>,
    /// Of a component.
    pub scope: Scope,
    /// Of a stack: the Pod Security Standard that its namespace enforces.
    pub pod_security: Option<&'static str>,
    pub background: bool,
    /// Of a component: where its objects are there already, made by somebody else, those are used and not its own.
    pub steps_aside: bool,
    /// A stack's `components:` or a component's `needs:`.
    pub needs: Vec<Located<String>>,
    pub services: Vec<ServiceDecl>,
    pub manifests: Vec<Located<String>>,
    pub values: Vec<ValueDecl>,
    pub variants: Vec<VariantDecl>,
    pub generate: Vec<SecretDecl>,
    pub proofs: Vec<ProofDecl>,
    /// Fields that controllers take over.
    pub yields: Vec<Located<Setter>>,
    /// None: not said.
    pub edge: Option<EdgeDecl>,
    pub routes: Vec<RouteDecl>,
    pub load: BTreeMap<String, LoadProfile>,
    pub jobs: Vec<JobDecl>,
}

#[derive(Debug)]
pub struct ServiceDecl {
    pub name: String,
    pub context: Located<String>,
    pub dockerfile: Option<Located<String>>,
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct VariantDecl {
    /// `provider`, `without` or a value's name, and the values of which one must hold.
    pub when: Vec<(Located<String>, Vec<Located<String>>)>,
    pub add: Vec<Located<String>>,
    pub patch: Vec<Located<String>>,
    /// `KIND/NAME`
    pub remove: Vec<Located<String>>,
}

#[derive(Debug)]
pub struct SecretDecl {
    pub name: String,
    pub keys: BTreeMap<String, usize>,
    pub fixed: BTreeMap<String, String>,
    pub origin: Origin,
}

#[derive(Debug)]
pub struct ProofDecl {
    pub proof: Proof,
    /// Components without which the proof cannot hold.
    pub needs: Vec<Located<String>>,
    /// Values that must be set, and that must not.
    pub set: Vec<Located<String>>,
    pub unset: Vec<Located<String>>,
}

impl Declaration {
    /// None: the file is missing, empty or not well-formed, which is reported.
    pub fn of(folder: &Folder, role: Role, problems: &mut Problems) -> Option<Declaration> {
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
        let (documents, broken) = located::parse(&file, &bytes, Scalars::Core, problems);
        if let Some(second) = documents.get(1) {
            problems.at(second.mark.in_file(&file), "a second document; one is expected");
        }
        if documents.is_empty() && !broken {
            problems.at(start(), "the file is empty");
        }
        Declaration::read(documents.first()?, &file, role, problems)
    }

    fn read(document: &Node, file: &str, role: Role, problems: &mut Problems) -> Option<Declaration> {
        let item = Item::document(document, file);
        let mut fields = item.fields(problems)?;
        let name = fields.required("name").and_then(|item| item.name(problems).map(|name| item.located(name)));
        let description = fields.get("description").and_then(|item| item.text(problems));
        let component = role == Role::Component;
        let services = match component {
            true => Vec::new(),
            false => named(fields.get("services"), problems, service),
        };
        let needs = fields.get(if component { "needs" } else { "components" });
        let needs = needs.map(|item| item.texts(problems)).unwrap_or_default();
        let manifests = fields.required("manifests").map(|item| item.texts(problems)).unwrap_or_default();
        let values = named(fields.get("values"), problems, ValueDecl::read);
        let variants = each(fields.get("variants"), problems, |item, problems| variant(item, &values, problems));
        let generate = each(fields.get("generate"), problems, secret);
        let proofs = each(fields.get("proofs"), problems, proofs::proof);
        let yields = each(fields.get("yields"), problems, setter);
        let mut namespace = None;
        let mut scope = Scope::Cluster;
        let mut pod_security = None;
        let (mut background, mut steps_aside) = (false, false);
        let (mut load, mut jobs) = (BTreeMap::new(), Vec::new());
        let (mut edge, mut routes) = (None, Vec::new());
        if component {
            namespace = fields.get("namespace").and_then(|item| item.name(problems));
            let wait = fields.get("await").and_then(|item| item.one_of(&["ready", "background"], problems));
            background = wait == Some("background");
            let foreign = fields.get("foreign").and_then(|item| item.one_of(&["refuse", "use"], problems));
            steps_aside = foreign == Some("use");
            let declared = fields.get("scope").and_then(|item| item.one_of(&["cluster", "stack"], problems));
            if declared == Some("stack") {
                scope = Scope::Stack;
                if let Some(item) = fields.get("namespace") {
                    item.problem(problems, "with `scope: stack` it lives in the stack's namespace");
                }
            }
        } else {
            edge = fields.get("edge").and_then(|item| routes::edge(&item, problems));
            routes = each(fields.get("routes"), problems, routes::route);
            pod_security = fields.get("podSecurity").and_then(|item| item.one_of(&POD_SECURITY, problems));
            load = named(fields.get("load"), problems, proofs::load_profile).into_iter().collect();
            jobs = named(fields.get("jobs"), problems, JobDecl::read);
        }
        fields.finish(problems);
        unique(proofs.iter().map(|decl| (&decl.proof.name, &decl.proof.origin)), "proof", problems);
        unique(generate.iter().map(|decl| (&decl.name, &decl.origin)), "generated secret", problems);
        routes::unique(&routes, problems);
        unique(manifests.iter().map(|path| (&path.value, &path.origin)), "manifest", problems);
        Some(Declaration {
            name,
            description,
            namespace,
            scope,
            pod_security,
            background,
            steps_aside,
            needs,
            services,
            manifests,
            values,
            variants,
            generate,
            proofs,
            yields,
            edge,
            routes,
            load,
            jobs,
        })
    }
}

fn unique<'a>(all: impl Iterator<Item = (&'a String, &'a Origin)>, what: &str, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
    for (name, origin) in all {
        match seen.get(name.as_str()) {
            Some(first) => problems.at(origin.clone(), format!("{what} `{name}` is there twice, first at {first}")),
            None => {
                seen.insert(name, origin);
            }
        }
    }
}

/// The entries of a map of names, each read by `read`; an invalid name is reported.
pub fn named<T>(
    item: Option<Item>,
    problems: &mut Problems,
    mut read: impl FnMut(&Located<String>, &Item, &mut Problems) -> Option<T>,
) -> Vec<T> {
    let entries = item.map(|item| item.entries(problems)).unwrap_or_default();
    entries.iter().filter_map(|(key, item)| read(key, item, problems)).collect()
}

fn each<T>(
    item: Option<Item>,
    problems: &mut Problems,
    mut read: impl FnMut(&Item, &mut Problems) -> Option<T>,
) -> Vec<T> {
    let items = item.map(|item| item.list(problems)).unwrap_or_default();
    items.iter().filter_map(|item| read(item, problems)).collect()
}

pub fn text_map(item: Option<Item>, problems: &mut Problems) -> BTreeMap<String, String> {
    named(item, problems, |key, item, problems| Some((key.value.clone(), item.raw(problems)?))).into_iter().collect()
}

fn texts(fields: &mut Fields, key: &'static str, problems: &mut Problems) -> Vec<Located<String>> {
    fields.get(key).map(|item| item.texts(problems)).unwrap_or_default()
}

fn service(key: &Located<String>, item: &Item, problems: &mut Problems) -> Option<ServiceDecl> {
    if !scalar::is_label(&key.value) {
        problems.at(
            key.origin.clone(),
            format!("`{}` is no valid name: lower-case letters, digits and `-`, at most 63 (services)", key.value),
        );
    }
    let mut fields = item.fields(problems)?;
    let context = fields.required("context").and_then(|item| item.text(problems).map(|text| item.located(text)));
    let dockerfile = fields.get("dockerfile").and_then(|item| item.text(problems).map(|text| item.located(text)));
    let target = fields.get("target").and_then(|item| item.text(problems));
    let args = text_map(fields.get("args"), problems);
    fields.finish(problems);
    Some(ServiceDecl { name: key.value.clone(), context: context?, dockerfile, target, args })
}

fn variant(item: &Item, values: &[ValueDecl], problems: &mut Problems) -> Option<VariantDecl> {
    let mut fields = item.fields(problems)?;
    let mut when = Vec::new();
    for (key, item) in fields.required("when").map(|item| item.entries(problems)).unwrap_or_default() {
        let wanted: Vec<Located<String>> = match item.node.content {
            Content::Sequence(_) => {
                item.list(problems).iter().filter_map(|item| item.raw(problems).map(|raw| item.located(raw))).collect()
            }
            _ => item.raw(problems).map(|raw| item.located(raw)).into_iter().collect(),
        };
        let value = values.iter().find(|value| value.name == key.value);
        for wanted in &wanted {
            let check = match value {
                Some(value) => value.parse(&wanted.value).map(|_| ()),
                None if key.value == "provider" && !PROVIDERS.contains(&wanted.value.as_str()) => Err(format!(
                    "no provider named `{}`{}; there are {}",
                    wanted.value,
                    suggestion(&wanted.value, PROVIDERS),
                    PROVIDERS.join(", ")
                )),
                None => Ok(()),
            };
            if let Err(message) = check {
                problems.at(wanted.origin.clone(), format!("{message} ({})", item.path));
            }
        }
        if value.is_none() && !["provider", "without"].contains(&key.value.as_str()) {
            let names = values.iter().map(|value| value.name.as_str()).chain(["provider", "without"]);
            let hint = suggestion(&key.value, names);
            problems.at(
                key.origin.clone(),
                format!("`{}` is neither `provider`, `without` nor a value{hint} ({})", key.value, item.path),
            );
        }
        when.push((key, wanted));
    }
    let add = texts(&mut fields, "add", problems);
    let patch = texts(&mut fields, "patch", problems);
    let remove = texts(&mut fields, "remove", problems);
    fields.finish(problems);
    Some(VariantDecl { when, add, patch, remove })
}

fn setter(item: &Item, problems: &mut Problems) -> Option<Located<Setter>> {
    let text = item.text(problems)?;
    Setter::parse(&text).map(|setter| item.located(setter)).map_err(|message| item.problem(problems, message)).ok()
}

fn secret(item: &Item, problems: &mut Problems) -> Option<SecretDecl> {
    let mut fields = item.fields(problems)?;
    let name = fields.required("name").and_then(|item| item.name(problems));
    let keys = named(fields.required("keys"), problems, |key, item, problems| {
        secret_key(key, problems);
        let length = item.integer_within(8..=1024, problems)?;
        Some((key.value.clone(), usize::try_from(length).ok()?))
    });
    let fixed = fields.get("fixed");
    for (key, item) in fixed.as_ref().map(|item| item.entries(problems)).unwrap_or_default() {
        secret_key(&key, problems);
        if keys.iter().any(|(name, _)| *name == key.value) {
            item.problem(problems, format!("key `{}` is both generated and fixed", key.value));
        }
    }
    let fixed = text_map(fixed, problems);
    fields.finish(problems);
    Some(SecretDecl { name: name?, keys: keys.into_iter().collect(), fixed, origin: item.origin() })
}

fn secret_key(key: &Located<String>, problems: &mut Problems) {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.value.is_empty() || !key.value.chars().all(fine) {
        problems
            .at(key.origin.clone(), format!("`{}` is no key of a Secret: letters, digits, `-`, `_`, `.`", key.value));
    }
}
