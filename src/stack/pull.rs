//! Which ServiceAccounts need the Secret of a private registry: those of the pods that run a service's image.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{SetKind, Stack, Template};
use crate::object::podspec;

/// By namespace. The agent's pods, which proofs run in, use the namespace's own account.
pub fn accounts(stack: &Stack) -> BTreeMap<String, BTreeSet<String>> {
    let mut accounts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |namespace: &str, account: &str| {
        accounts.entry(namespace.to_owned()).or_default().insert(account.to_owned());
    };
    add(&stack.namespace, "default");
    let sets = stack.sets.iter().filter(|set| set.kind == SetKind::Stack);
    let declared = sets.flat_map(|set| set.objects.iter().map(|object| (object, &set.namespace)));
    let jobs = stack.jobs.values().filter_map(|job| match &job.template {
        Template::Job(object) => Some((object.as_ref(), &stack.namespace)),
        Template::CronJob(_) => None,
    });
    for (object, namespace) in declared.chain(jobs) {
        if !podspec::images(&object.value).iter().any(|image| stack.services.contains_key(*image)) {
            continue;
        }
        let account = podspec::spec(&object.value).and_then(|spec| spec.get("serviceAccountName")?.as_str());
        add(object.key().namespace.as_ref().unwrap_or(namespace), account.unwrap_or("default"));
    }
    accounts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{Object, Origin};
    use crate::stack::model::{Scope, Service, Set, Source};

    #[test]
    fn pods_with_images_of_ours_and_the_agents() {
        let deployment = |namespace: &str, image: &str, account: Value| Object {
            value: json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": namespace},
                "spec": {"template": {"spec": {"serviceAccountName": account, "containers": [{"image": image}]}}},
            }),
            origin: Origin::default(),
        };
        let mut stack = Stack::named("shop");
        let web = Service {
            name: "web".to_owned(),
            context: Source::Folder("web".into()),
            dockerfile: "Dockerfile".to_owned(),
            target: None,
            args: BTreeMap::new(),
        };
        stack.services.insert("web".to_owned(), web);
        stack.sets.push(Set {
            kind: SetKind::Stack,
            name: "shop".to_owned(),
            namespace: "shop".to_owned(),
            objects: vec![
                deployment("shop", "web", json!("writer")),
                deployment("batch", "web", Value::Null),
                deployment("cache", "redis:7", json!("redis")),
            ],
            secrets: Vec::new(),
            yields: Vec::new(),
            certificate: None,
            background: false,
            steps_aside: false,
            needs: Vec::new(),
            namespace_labels: BTreeMap::new(),
            scope: Scope::Stack,
        });
        let found = accounts(&stack);
        let names = |namespace: &str| found[namespace].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["batch", "shop"]);
        assert_eq!((names("shop"), names("batch")), (vec!["default", "writer"], vec!["default"]));
    }
}
