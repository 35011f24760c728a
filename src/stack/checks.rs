//! What is checked across the files of a stack: `--set`, names, services and their images.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::{
    components::Components,
    declaration::{Declaration, ServiceDecl},
    files::Folder,
    load::LoadRequest,
    model::{Key, Object, Origin, Service, Set, SetKind},
    podspec,
    problems::{Problems, suggestion},
};

/// `--set` by component, the stack's own under the empty name.
pub fn chosen(
    request: &LoadRequest,
    declaration: &Declaration,
    components: &Components,
    problems: &mut Problems,
) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut known = BTreeMap::new();
    for value in &declaration.values {
        known.insert(value.name.clone(), (String::new(), value));
    }
    for (name, component) in components.iter() {
        for value in &component.declaration.values {
            let name_of_value = format!("{name}.{}", value.name);
            if let Some((_, own)) = known.insert(name_of_value.clone(), (name.to_owned(), value)) {
                let message =
                    format!("`{name_of_value}` is also value `{}` of component `{name}` (values)", value.name);
                problems.at(own.origin.clone(), message);
            }
        }
    }
    let mut chosen: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (key, raw) in &request.values {
        let outcome = match known.get(key) {
            Some((set, value)) => value.parse(raw).map(|parsed| {
                chosen.entry(set.clone()).or_default().insert(value.name.clone(), parsed);
            }),
            None if key.split_once('.').is_some_and(|(component, _)| components.left_out(component).is_some()) => {
                Ok(())
            }
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
            problems.option(format!("--set {key}={raw}: {message}"));
        }
    }
    chosen
}

pub fn unique(sets: &[Set], problems: &mut Problems) {
    let mut seen: BTreeMap<Key, &Origin> = BTreeMap::new();
    for object in sets.iter().flat_map(|set| &set.objects) {
        let key = object.key();
        match seen.get(&key) {
            Some(first) => {
                let message = format!("{key} is declared twice, first at {first}");
                problems.at(object.origin.clone(), message);
            }
            None => {
                seen.insert(key, &object.origin);
            }
        }
    }
}

pub fn services(folder: &Folder, declared: &[ServiceDecl], problems: &mut Problems) -> BTreeMap<String, Service> {
    let mut services = BTreeMap::new();
    for decl in declared {
        let context = folder.context(&decl.context.value);
        let Some((folder, source)) = context.and_then(|folder| folder.source().map(|source| (folder, source))) else {
            let message = format!("there is no folder `{}` (services.{}.context)", decl.context.value, decl.name);
            problems.at(decl.context.origin.clone(), message);
            continue;
        };
        let dockerfile = decl.dockerfile.as_ref().map_or("Dockerfile", |path| &path.value);
        if !folder.has(dockerfile) {
            let origin = &decl.dockerfile.as_ref().unwrap_or(&decl.context).origin;
            let message = format!("there is no `{dockerfile}` in {} (services.{})", folder.shown, decl.name);
            problems.at(origin.clone(), message);
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
pub fn images(sets: &[Set], services: &BTreeMap<String, Service>, problems: &mut Problems) {
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
                problems.at(object.origin.clone(), message);
            }
        }
    }
}

pub fn has_autoscaler(sets: &[Set], namespace: &str, name: &str) -> bool {
    sets.iter().flat_map(|set| &set.objects).map(Object::key).any(|key| {
        key.kind == "HorizontalPodAutoscaler" && key.namespace.as_deref() == Some(namespace) && key.name == name
    })
}
