//! What a stack.yaml or a component.yaml says, read but not yet acted upon.

use std::collections::BTreeMap;

use crate::object::Origin;
use crate::stack::{
    files::Folder,
    format::{self, Found, FromFound, Section},
    jobs::JobDecl,
    located::{self, Node},
    model::{LoadProfile, Proof, Scope},
    plain::Scalars,
    problems::{Problems, suggestion},
    proofs,
    reader::{Item, Located, with_field},
    routes::{self, EdgeDecl, RouteDecl},
    setter::Setter,
    values::ValueDecl,
};

/// What `--provider` can name.
pub const PROVIDERS: [&str; 4] = ["kind", "minikube", "eks", "existing"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Stack,
    Component,
}

#[derive(Debug, Default)]
pub struct Declaration {
    pub name: Option<Located<String>>,
    pub description: Option<String>,
    /// Of a component.
    pub namespace: Option<String>,
    /// Of a component.
    pub scope: Scope,
    /// Of a stack: the Pod Security Standard that its namespace enforces.
    pub pod_security: Option<String>,
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
    pub dockerfile: Located<String>,
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

    pub(super) fn read(document: &Node, file: &str, role: Role, problems: &mut Problems) -> Option<Declaration> {
        let table = if role == Role::Stack { &format::STACK } else { &format::COMPONENT };
        let at = format::check(&Item::document(document, file), table, problems)?;
        let values: Vec<ValueDecl> = named(&at, "values", |key, at| ValueDecl::read(key, at, problems));
        let variants = at.sections("variants").filter_map(|at| VariantDecl::read(at, &values, problems)).collect();
        let generate: Vec<SecretDecl> =
            at.sections("generate").filter_map(|at| SecretDecl::read(at, problems)).collect();
        let proofs: Vec<ProofDecl> = at.sections("proofs").filter_map(|at| proofs::proof(at, problems)).collect();
        let manifests: Vec<Located<String>> = at.get("manifests").unwrap_or_default();
        unique(proofs.iter().map(|decl| (&decl.proof.name, &decl.proof.origin)), "proof", problems);
        unique(generate.iter().map(|decl| (&decl.name, &decl.origin)), "generated secret", problems);
        unique(manifests.iter().map(|path| (&path.value, &path.origin)), "manifest", problems);
        let mut declaration = Declaration {
            name: at.get("name"),
            description: at.get("description")?,
            manifests,
            values,
            variants,
            generate,
            proofs,
            yields: at.get("yields")?,
            ..Declaration::default()
        };
        match role {
            Role::Stack => declaration.read_stack(&at, problems)?,
            Role::Component => declaration.read_component(&at, problems)?,
        }
        Some(declaration)
    }

    /// What only a stack has.
    fn read_stack(&mut self, at: &Section, problems: &mut Problems) -> Option<()> {
        self.services = named(at, "services", ServiceDecl::read);
        self.needs = at.get("components")?;
        self.edge = at.given("edge").and_then(|found| EdgeDecl::read(found, problems));
        self.routes = at.get("routes")?;
        self.pod_security = at.get("podSecurity")?;
        self.load = at.get("load")?;
        self.jobs = named(at, "jobs", |key, at| JobDecl::read(key, at, problems));
        routes::unique(&self.routes, problems);
        Some(())
    }

    /// What only a component has.
    fn read_component(&mut self, at: &Section, problems: &mut Problems) -> Option<()> {
        self.needs = at.get("needs")?;
        self.namespace = at.get("namespace")?;
        self.background = at.get::<String>("await")? == "background";
        self.scope = at.get("scope")?;
        self.steps_aside = at.get::<String>("foreign")? == "use";
        if let (Scope::Stack, Some(namespace)) = (self.scope, at.given("namespace")) {
            namespace.problem(problems, "with `scope: stack` it lives in the stack's namespace");
        }
        Some(())
    }
}

impl FromFound for Scope {
    fn from_found(found: &Found) -> Option<Scope> {
        Some(if found.text()? == "stack" { Scope::Stack } else { Scope::Cluster })
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

/// The entries of a map of names whose values are maps.
pub fn named<T>(
    at: &Section,
    key: &'static str,
    mut read: impl FnMut(&Located<String>, &Section) -> Option<T>,
) -> Vec<T> {
    at.entries(key).iter().filter_map(|(name, found)| read(name, found.section()?)).collect()
}

impl ServiceDecl {
    fn read(name: &Located<String>, at: &Section) -> Option<ServiceDecl> {
        let context: Located<String> = at.get("context")?;
        let mut dockerfile: Located<String> = at.get("dockerfile")?;
        if at.given("dockerfile").is_none() {
            dockerfile.origin.clone_from(&context.origin);
        }
        let (target, args) = (at.get("target")?, at.get("args")?);
        Some(ServiceDecl { name: name.value.clone(), context, dockerfile, target, args })
    }
}

impl VariantDecl {
    fn read(at: &Section, values: &[ValueDecl], problems: &mut Problems) -> Option<VariantDecl> {
        let mut when = Vec::new();
        for (key, found) in at.entries("when") {
            let wanted: Vec<Located<String>> = FromFound::from_found(found)?;
            check_condition(key, &wanted, &found.path, values, problems);
            when.push((key.clone(), wanted));
        }
        Some(VariantDecl { when, add: at.get("add")?, patch: at.get("patch")?, remove: at.get("remove")? })
    }
}

/// The name of a condition must be known, and each of its values one that there can be.
fn check_condition(
    key: &Located<String>,
    wanted: &[Located<String>],
    path: &str,
    values: &[ValueDecl],
    problems: &mut Problems,
) {
    let value = values.iter().find(|value| value.name == key.value);
    for wanted in wanted {
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
            problems.at(wanted.origin.clone(), with_field(&message, path));
        }
    }
    if value.is_none() && !["provider", "without"].contains(&key.value.as_str()) {
        let names = values.iter().map(|value| value.name.as_str()).chain(["provider", "without"]);
        let hint = suggestion(&key.value, names);
        let message = format!("`{}` is neither `provider`, `without` nor a value{hint}", key.value);
        problems.at(key.origin.clone(), with_field(&message, path));
    }
}

impl SecretDecl {
    fn read(at: &Section, problems: &mut Problems) -> Option<SecretDecl> {
        let keys: BTreeMap<String, usize> = at.get("keys").unwrap_or_default();
        for (key, found) in at.entries("fixed").iter().filter(|(key, _)| keys.contains_key(&key.value)) {
            found.problem(problems, format!("key `{}` is both generated and fixed", key.value));
        }
        Some(SecretDecl { name: at.get("name")?, keys, fixed: at.get("fixed")?, origin: at.origin.clone() })
    }
}
