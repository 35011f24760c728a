//! What is checked across the files of a stack: `--set`, names, services and their images.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::object::{Key, Object, Origin};
use crate::{
    object::podspec,
    stack::{
        claims::{AutoscalerCheck, Check},
        components::Components,
        dashboards,
        declaration::{Declaration, ProofDecl, ServiceDecl},
        disruption::{self, has_pods},
        files::Folder,
        load::LoadRequest,
        model::{ImageHash, Proof, Service, Set, SetKind},
        problems::{Problems, suggestion},
        reader::Located,
        values::ValueDecl,
    },
};

/// `--set` by component, the stack's own under the empty name. `ignored`: gets what is meant for other stacks.
pub fn chosen(
    request: &LoadRequest,
    declaration: &Declaration,
    components: &Components,
    ignored: &mut BTreeSet<String>,
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
            None if request.for_several => {
                ignored.insert(key.clone());
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
        let dockerfile = &decl.dockerfile.value;
        if !folder.has(dockerfile) {
            let message = format!("there is no `{dockerfile}` in {} (services.{})", folder.shown, decl.name);
            problems.at(decl.dockerfile.origin.clone(), message);
        }
        services.insert(
            decl.name.clone(),
            Service {
                name: decl.name.clone(),
                context: source,
                dockerfile: dockerfile.clone(),
                target: decl.target.clone(),
                args: decl.args.clone(),
            },
        );
    }
    services
}

/// An image that is nearly a service's name would be pulled from Docker Hub, in vain at best.
pub fn images(sets: &[Set], services: &BTreeMap<String, Service>, problems: &mut Problems) {
    let own = sets.iter().filter(|set| set.kind == SetKind::Stack).flat_map(|set| &set.objects);
    own.for_each(|object| images_of(object, services, problems));
}

/// The same of one object.
pub fn images_of(object: &Object, services: &BTreeMap<String, Service>, problems: &mut Problems) {
    for image in podspec::images(&object.value) {
        if services.contains_key(image) || image.contains(['/', '@']) {
            continue;
        }
        let (name, tag) = image.split_once(':').unwrap_or((image, ""));
        if services.contains_key(name) {
            let message = format!(
                "{} wants image `{image}`: did you mean `{name}`, which is built here (without a tag), or \
                 docker.io/library/{image}?",
                object.key()
            );
            problems.at(object.origin.clone(), message);
            continue;
        }
        // Another image of another name may well be one letter away from a service.
        let near = || services.keys().find(|service| strsim::osa_distance(name, service) == 1);
        if let Some(near) = matches!(tag, "" | "latest").then(near).flatten() {
            let message = format!(
                "{} wants image `{image}`: no such service; did you mean `{near}`, or docker.io/library/{image}?",
                object.key()
            );
            problems.at(object.origin.clone(), message);
        }
    }
}

/// The fields that hold the content hashes of images. Only a stack has services.
pub fn image_hashes(
    declaration: &Declaration,
    components: &Components,
    services: &BTreeMap<String, Service>,
    problems: &mut Problems,
) -> Vec<ImageHash> {
    let of_components = components.iter().flat_map(|(_, component)| &component.declaration.values);
    for service in of_components.filter_map(ValueDecl::located_service) {
        problems.at(service.origin.clone(), "a component has no services, so no value is `setFrom: image.hash`");
    }
    let mut found = Vec::new();
    for value in &declaration.values {
        let Some(service) = value.located_service() else { continue };
        let declared = declaration.services.iter().map(|service| service.name.as_str());
        if !services.contains_key(&service.value) && !declared.clone().any(|name| name == service.value) {
            let hint = suggestion(&service.value, declared);
            let message = format!("there is no service `{}`{hint} (values.{}.service)", service.value, value.name);
            problems.at(service.origin.clone(), message);
        }
        let setters = value.setters.iter().map(|setter| setter.value.clone());
        found.extend(setters.map(|setter| ImageHash { service: service.value.clone(), setter }));
    }
    found
}

/// Why a proof is skipped, by what `--set` says.
pub fn unfit(
    decl: &ProofDecl,
    declaration: &Declaration,
    chosen: &BTreeMap<String, Value>,
    problems: &mut Problems,
) -> Option<String> {
    for (names, field) in [(&decl.set, "set"), (&decl.unset, "unset")] {
        for name in names.iter().filter(|name| !declaration.values.iter().any(|value| value.name == name.value)) {
            let hint = suggestion(&name.value, declaration.values.iter().map(|value| value.name.as_str()));
            problems.at(name.origin.clone(), format!("there is no value `{}`{hint} (proofs.{field})", name.value));
        }
    }
    // An empty text is as good as none.
    let is_set = |name: &&Located<String>| chosen.get(&name.value).is_some_and(|value| value.as_str() != Some(""));
    let missing = decl.set.iter().find(|name| !is_set(name)).map(|name| format!("{} is not set", name.value));
    missing.or_else(|| decl.unset.iter().find(is_set).map(|name| format!("{} is set", name.value)))
}

/// What a proof names must be there; a check of dashboards gets their expressions.
pub fn complete(proof: &mut Proof, sets: &[Set], namespace: &str, problems: &mut Problems) {
    if let Err(message) = completed(&mut proof.check, sets, namespace) {
        problems.at(proof.origin.clone(), message);
    }
}

fn completed(check: &mut Check, sets: &[Set], namespace: &str) -> Result<(), String> {
    let find = |kind: &str, namespace: &str, name: &str| {
        sets.iter().flat_map(|set| &set.objects).find(|object| {
            let key = object.key();
            key.kind == kind && key.namespace.as_deref() == Some(namespace) && key.name == name
        })
    };
    let there = |kind: &str, namespace: &str, name: &str| {
        find(kind, namespace, name).ok_or_else(|| format!("there is no {kind}/{name} in {namespace}"))
    };
    match check {
        Check::Autoscaler(AutoscalerCheck { name, namespace, .. }) => {
            there("HorizontalPodAutoscaler", namespace, name).map(|_| ())
        }
        Check::Rbac(check) => there("ServiceAccount", namespace, &check.service_account).map(|_| ()),
        Check::Dashboards(check) => {
            let object = there("ConfigMap", namespace, &check.config_map)?;
            let expressions = dashboards::expressions(&object.value);
            check.expressions =
                expressions.map_err(|why| format!("ConfigMap/{} ({}): {why}", check.config_map, object.origin))?;
            Ok(())
        }
        Check::Logs(check) => check.pods.iter().try_for_each(|claim| has_pods(&claim.selector, sets, namespace)),
        Check::Replicas(check) => {
            let (name, elsewhere, _) = check.service().ok_or("the request's URL names no Service")?;
            there("Service", elsewhere.as_deref().unwrap_or(namespace), &name).map(|_| ())
        }
        Check::During(check) => {
            disruption::check(&check.disruption, sets, namespace)?;
            check.parts_mut().try_for_each(|part| completed(&mut part.check, sets, namespace))
        }
        Check::Http(_)
        | Check::Trace(_)
        | Check::Promql(_)
        | Check::Targets(_)
        | Check::Alert(_)
        | Check::Count(_)
        | Check::Number(_) => Ok(()),
    }
}
