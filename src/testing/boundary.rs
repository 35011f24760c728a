//! Who may know a provider by its name. All others decide by `provider::Traits`.

use std::{collections::BTreeSet, path::Path};

use super::arrows::{imported, is_for_tests, without_tests};

/// The room whose work it is to know them: it has one in each part.
const KNOWS_ALL: &str = "provider/";

/// What else names one, with the reason. A place that no longer does must leave this list.
const ALLOWED: [(&str, &str); 2] = [
    ("commands/eks_token.rs", "is about nothing else: kubeconfigs of such clusters name it"),
    ("commands/eks_policy.rs", "is about nothing else"),
];

/// A provider's name, or a variant of an enum of them.
const NAMES: [&str; 8] = [
    "Choice::Kind",
    "Choice::Minikube",
    "Choice::Eks",
    "Choice::Existing",
    "KindCluster",
    "MinikubeCluster",
    "EksCluster",
    "ExistingCluster",
];
/// Modules of `provider` that are about one of them.
const MODULES: [&str; 4] = ["kind", "minikube", "eks", "existing"];

/// Rooms that know a provider's steps as data alone, and so nothing of how they are done.
const KNOW_STEPS_ALONE: [&str; 2] = ["plan/", "execute/"];
/// What the providers of clusters on this machine share.
const HOW: &str = "local";

/// What names a provider in this file of the room.
fn named(room: &str, code: &str) -> BTreeSet<String> {
    let names = NAMES.iter().filter(|name| code.contains(**name)).map(|name| (*name).to_owned());
    let paths = code.match_indices("provider::").flat_map(|(at, path)| imported(&code[at + path.len()..]));
    let is_how = |module: &str| module == HOW && KNOW_STEPS_ALONE.contains(&room);
    let modules = paths.filter(|module| MODULES.contains(module) || is_how(module));
    names.chain(modules.map(|module| format!("provider::{module}"))).collect()
}

#[test]
fn nobody_else_decides_by_a_providers_name() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for entry in walkdir::WalkDir::new(&source).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let path = entry.path().strip_prefix(&source).unwrap().display().to_string();
        if !path.ends_with(".rs") || is_for_tests(&path) || path.starts_with(KNOWS_ALL) {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let code: Vec<&str> =
            without_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let room = path.split_inclusive('/').next().unwrap_or_default();
        let found = named(room, &code.join("\n"));
        if found.is_empty() {
            continue;
        }
        match ALLOWED.iter().find(|(allowed, _)| *allowed == path) {
            Some((allowed, _)) => _ = used.insert(*allowed),
            None => wrong.push(format!("src/{path} names {}", found.into_iter().collect::<Vec<_>>().join(", "))),
        }
    }
    assert!(wrong.is_empty(), "ask provider.traits() instead:\n{}", wrong.join("\n"));
    let unused: Vec<&str> = ALLOWED.iter().map(|(path, _)| *path).filter(|path| !used.contains(path)).collect();
    assert!(unused.is_empty(), "allowed and not needed: {}", unused.join(", "));
}

#[test]
fn a_name_is_found_in_a_path_and_in_a_tree_of_imports() {
    let found = |code: &str| named("machine/", code).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found("use crate::{\n    a,\n    provider::{\n        B,\n        kind::access::c,\n    },\n};"),
        ["provider::kind"]
    );
    assert_eq!(found("provider::existing::is_remote(x)"), ["provider::existing"]);
    assert_eq!(found("settings.choice == Choice::Existing"), ["Choice::Existing"]);
    assert!(found("machine.provider.traits().is_ours() && provider::local::kind(x)").is_empty());
    assert_eq!(named("plan/", "provider::local::proxy::Port").into_iter().collect::<Vec<_>>(), ["provider::local"]);
}
