//! Finds a stack and makes it whole; reports everything that is wrong with it at once.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    error::{Error, Kind, Result},
    stack::{
        assemble::{Assembly, SYSTEM_NAMESPACE},
        checks,
        components::Components,
        declaration::{Declaration, Role},
        edge,
        embedded::{BUILT_IN, Tree},
        facts,
        files::Folder,
        jobs,
        model::{SetKind, SkippedProof, Stack},
        origin,
        problems::{Problems, closest},
        reader::Located,
        references::{self, Declarer},
        scalar, sizes,
    },
};

/// What to load, and how.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// An embedded stack's name, or a folder.
    pub stack: String,
    pub provider: String,
    /// A generated edge listens on the nodes: the provider leads from there to this machine.
    pub edge_on_nodes: bool,
    /// The cluster makes a load balancer for a generated edge.
    pub edge_balanced: Option<edge::Balanced>,
    /// `--set`: a value's name, or `COMPONENT.NAME`, to its text.
    pub values: BTreeMap<String, String>,
    /// The values are meant for several stacks: those that this one does not have are ignored.
    pub for_several: bool,
    /// Components to leave out; those that the stack does not use are ignored.
    pub without: Vec<String>,
    /// Of these, those that were asked for in this run: the stack must know them.
    pub left_out_now: Vec<String>,
    /// In place of the stack's name.
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
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

/// The name of the stack that `stack` means, though the rest of it may be invalid: what a removal needs. A folder that
/// is gone counts by its own name.
pub fn name_of(stack: &str) -> Result<String> {
    if BUILT_IN.stacks().iter().any(|embedded| embedded == stack) {
        return Ok(stack.to_owned());
    }
    let named = find(BUILT_IN, stack).ok().and_then(|folder| {
        Declaration::of(&folder, Role::Stack, &mut Problems::default())?.name.map(|name| name.value)
    });
    let folder = || Path::new(stack).file_name().and_then(|name| name.to_str()).map(str::to_owned);
    named.or_else(folder).ok_or_else(|| Error::new(Kind::Usage, format!("{stack} names no stack")))
}

/// Whether it is an embedded stack, or a folder that declares one.
pub fn is_known(stack: &str) -> bool {
    find(BUILT_IN, stack).is_ok()
}

/// Where the stack that `stack` means comes from. None: it is named alone, and not by its folder, or its folder is gone.
pub fn origin_of(stack: &str) -> Option<String> {
    let is_folder = stack.contains(['/', '.']);
    is_folder.then(|| find(BUILT_IN, stack).ok().map(|folder| origin::of(&folder))).flatten()
}

/// The embedded stacks, by name.
pub fn list() -> Vec<StackSummary> {
    list_from(BUILT_IN)
}

pub fn list_from(tree: Tree) -> Vec<StackSummary> {
    let summary = |name: String| {
        let folder = Folder::embedded(tree, &format!("manifests/{name}"));
        let declaration = Declaration::of(&folder, Role::Stack, &mut Problems::default())?;
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
    let declaration = Declaration::of(&folder, Role::Stack, &mut problems);
    let shown = declaration.as_ref().and_then(|declaration| declaration.name.as_ref());
    let name = shown.map_or_else(|| request.stack.clone(), |name| name.value.clone());
    let stack = declaration.map(|declaration| assemble(tree, request, &folder, &declaration, &name, &mut problems));
    let notes = problems.take_notes();
    problems.into_result(&name)?;
    let empty = || Error::new(Kind::Usage, format!("{}/stack.yaml is empty", folder.shown));
    stack.map(|stack| Stack { notes, ..stack }).ok_or_else(empty)
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

/// Puts the sets together and checks them against each other.
fn assemble(
    tree: Tree,
    request: &LoadRequest,
    folder: &Folder,
    declaration: &Declaration,
    name: &str,
    problems: &mut Problems,
) -> Stack {
    let components = Components::load(tree, folder, &declaration.needs, &request.without, problems);
    components.check_asked(&request.left_out_now, problems);
    let namespace = request.namespace.clone().unwrap_or_else(|| name.to_owned());
    // A name that is missing or wrong is a mistake of its own, told where it stands.
    if request.namespace.is_some() && !scalar::is_label(&namespace) {
        problems.option(format!("--namespace {namespace}: no valid name"));
    }
    if namespace == SYSTEM_NAMESPACE {
        problems
            .option(format!("namespace {namespace} is stackctl's own: give the stack another one with --namespace"));
    }
    let mut ignored_values = BTreeSet::new();
    let mut chosen = checks::chosen(request, declaration, &components, &mut ignored_values, problems);
    let own = (SetKind::Stack, name, declaration, folder);
    let all = components
        .iter()
        .map(|(name, component)| (SetKind::Component, name, &component.declaration, &component.folder));
    let mut sets = Vec::new();
    let mut proofs = Vec::new();
    let mut skipped_proofs = Vec::new();
    let mut references = BTreeMap::new();
    let mut incomplete = false;
    for (kind, own_name, declaration, folder) in all.chain([own]) {
        let component = (kind == SetKind::Component).then(|| own_name.to_owned());
        let chosen = chosen.remove(component.as_deref().unwrap_or_default()).unwrap_or_default();
        components.check_without_of(declaration, kind, problems);
        let assembly = Assembly {
            kind,
            name: own_name,
            stack: name,
            declaration,
            folder,
            provider: &request.provider,
            namespace: &namespace,
            components: &components,
            chosen: &chosen,
        };
        let assembled = assembly.run(problems);
        incomplete |= assembled.incomplete;
        for decl in &declaration.proofs {
            components.check_proof_needs(&decl.needs, kind, problems);
            let missing = components.missing(&decl.needs, kind).map(|component| format!("{component} is left out"));
            if let Some(reason) = missing.or_else(|| checks::unfit(decl, declaration, &chosen, problems)) {
                skipped_proofs.push(SkippedProof {
                    name: decl.proof.name.clone(),
                    kind: decl.proof.check.kind(),
                    reason,
                });
                continue;
            }
            let mut proof = decl.proof.clone();
            if !assembled.incomplete {
                let declarer = Declarer { component: component.as_deref(), declaration, set: &assembled.set };
                references::collect(&mut proof, &declarer, &mut references, problems);
            }
            proof.check.settle_namespace(&assembled.set.namespace);
            proofs.push(proof);
        }
        sets.push(assembled.set);
    }
    facts::settle_across(&mut sets);
    let edge_request = edge::Request {
        declaration,
        components: &components,
        on_nodes: request.edge_on_nodes,
        balanced: request.edge_balanced,
        left_out: request.without.iter().any(|name| name == edge::NAME),
        incomplete,
    };
    let edge = edge::assemble(&edge_request, &mut sets, problems);
    // A proof may be about the edge.
    for proof in proofs.iter_mut().filter(|_| !incomplete) {
        checks::complete(proof, &sets, &namespace, problems);
    }
    proofs.extend(edge.proofs);
    skipped_proofs.extend(edge.skipped);
    checks::unique(&sets, problems);
    sizes::check(&sets, problems);
    let services = checks::services(folder, &declaration.services, problems);
    checks::images(&sets, &services, problems);
    let around = jobs::Surroundings { folder, namespace: &namespace, sets: &sets, services: &services, incomplete };
    let image_hashes = checks::image_hashes(declaration, &components, &services, problems);
    let jobs = jobs::assemble(&declaration.jobs, &around, problems);
    Stack {
        name: name.to_owned(),
        origin: origin::of(folder),
        namespace,
        services,
        sets,
        proofs,
        skipped_proofs,
        edge: edge.edge,
        load: declaration.load.clone(),
        jobs,
        image_hashes,
        references,
        ignored_values,
        notes: Vec::new(),
    }
}
