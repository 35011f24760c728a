mod components;
mod proofs;
mod values;

use std::time::Duration;

use include_dir::{Dir, DirEntry, File};
use serde_json::json;

use super::*;
use crate::stack::{
    model::{ScaleUp, Scope, Source},
    testing::{DEPLOYMENT, Repository, object, shop},
};

#[test]
fn a_folder_needs_no_more_than_a_name_and_manifests() {
    let stack = shop("name: shop\nmanifests: [web.yaml]\n", &[("web.yaml", DEPLOYMENT)]).stack();
    assert_eq!((stack.name.as_str(), stack.namespace.as_str(), stack.sets.len()), ("shop", "shop", 1));
    let web = object(&stack, "Deployment/web");
    assert_eq!(web.key().namespace.as_deref(), Some("shop"));
    assert!(web.origin.file.ends_with("manifests/shop/web.yaml"), "{}", web.origin);
    assert_eq!((web.origin.line, web.origin.column), (1, 1));
}

#[test]
fn seven_mistakes_in_three_files_are_seven_errors_at_once() {
    let stack = "name: shop
descripton: a typo in a key
components: [metrics]
manifests: [web.yaml, missing.yaml]
values:
  count: {type: integer, minimum: two, sets: [Deployment/web spec.replicas]}
  ratio: {type: string, sets: [Deployment/web spec.ratio]}
";
    let objects = "apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: x}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {b: v, b: z}
---
";
    let repository = Repository::new(&[
        ("manifests/shop/stack.yaml", stack),
        ("manifests/shop/web.yaml", &format!("{objects}{DEPLOYMENT}")),
        ("manifests/components/metrics/component.yaml", "name: metrics\nneeds: [metrics]\nmanifests: []\n"),
    ]);
    assert_eq!(
        repository.problems(),
        [
            "manifests/components/metrics/component.yaml:2:9: dependency cycle between components: metrics → metrics",
            "manifests/shop/stack.yaml:2:1: unknown key `descripton`; did you mean `description`?",
            "manifests/shop/stack.yaml:4:23: there is no file `missing.yaml` in manifests/shop",
            "manifests/shop/stack.yaml:6:35: expected an integer, found the string `two` (values.count.minimum)",
            "manifests/shop/stack.yaml:7:32: the setter matches nothing: Deployment/web (manifests/shop/web.yaml:11:1): \
             it has no spec.ratio (values.ratio.sets)",
            "manifests/shop/web.yaml:6:1: ConfigMap/one is declared twice, first at manifests/shop/web.yaml:1:1",
            "manifests/shop/web.yaml:9:14: duplicate key `b`, first on line 9",
        ]
    );
    let error = repository.error();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "7 problems in stack shop"));
}

#[test]
fn an_unknown_stack_gets_suggestions() {
    let load =
        |name: &str| load_from(tree(), &LoadRequest { stack: name.into(), ..LoadRequest::default() }).unwrap_err();
    let error = load("tiney");
    assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "no stack named tiney"));
    assert_eq!(error.hints[0], "did you mean tiny?");
    assert!(error.hints[1].contains("the stacks are tiny; "), "{:?}", error.hints);
    assert_eq!(load("zzz").hints.len(), 1);
    let error = load("./nowhere");
    assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "no stack in ./nowhere"));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(load(&empty.path().display().to_string()).causes, ["there is no stack.yaml in it"]);
}

static MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n";
static MANIFEST_FILES: [DirEntry<'static>; 2] = [
    DirEntry::Dir(Dir::new("tiny", &[
        DirEntry::File(File::new(
            "tiny/stack.yaml",
            b"name: tiny\ndescription: Small\nservices: {web: {context: services/web}}\ncomponents: [base]\nmanifests: [one.yaml]\n",
        )),
        DirEntry::File(File::new("tiny/one.yaml", MANIFEST.as_bytes())),
    ])),
    DirEntry::Dir(Dir::new("components", &[DirEntry::Dir(Dir::new("components/base", &[
        DirEntry::File(File::new("components/base/component.yaml", b"name: base\nmanifests: [base.yaml]\nawait: background\n")),
        DirEntry::File(File::new("components/base/base.yaml", MANIFEST.as_bytes())),
    ]))])),
];
static MANIFEST_DIR: Dir<'static> = Dir::new("", &MANIFEST_FILES);
static SERVICE_DIR: Dir<'static> =
    Dir::new("", &[DirEntry::Dir(Dir::new("web", &[DirEntry::File(File::new("web/Dockerfile", b"FROM scratch\n"))]))]);

fn tree() -> Tree {
    Tree { manifests: &MANIFEST_DIR, services: &SERVICE_DIR }
}

#[test]
fn an_embedded_stack_has_its_services_and_components() {
    let stack = load_from(tree(), &LoadRequest { stack: "tiny".into(), ..LoadRequest::default() }).unwrap();
    let Source::Embedded(dir) = &stack.services["web"].context else { panic!() };
    assert_eq!(dir.path(), Path::new("web"));
    let sets: Vec<_> =
        stack.sets.iter().map(|set| (set.kind, set.name.as_str(), set.namespace.as_str(), set.background)).collect();
    assert_eq!(sets, [(SetKind::Component, "base", "stackctl-system", true), (SetKind::Stack, "tiny", "tiny", false)]);
    assert_eq!(stack.sets[0].objects[0].origin.to_string(), "manifests/components/base/base.yaml:1:1");
    let summary = StackSummary {
        name: "tiny".into(),
        description: Some("Small".into()),
        services: vec!["web".into()],
        components: vec!["base".into()],
    };
    assert_eq!(list_from(tree()), [summary]);
}

#[test]
fn what_the_binary_carries_is_valid() {
    for summary in list() {
        for provider in crate::stack::declaration::PROVIDERS {
            let request = LoadRequest {
                stack: summary.name.clone(),
                provider: provider.into(),
                edge_on_nodes: provider == "kind",
                ..LoadRequest::default()
            };
            let stack = load(&request).unwrap_or_else(|error| panic!("{error}: {:#?}", error.details));
            assert_eq!(stack.name, summary.name);
        }
    }
}

#[test]
fn a_folder_of_ones_own_uses_embedded_components() {
    let repository = shop("name: shop\ncomponents: [base]\nmanifests: [web.yaml]\n", &[("web.yaml", DEPLOYMENT)]);
    let stack = load_from(tree(), &repository.request).unwrap();
    assert_eq!(stack.sets[0].name, "base");
    let repository = shop("name: shop\ncomponents: [bsae]\nmanifests: []\n", &[]);
    let error = load_from(tree(), &repository.request).unwrap_err();
    assert!(error.details[0].contains("there is no component `bsae`; did you mean `base`?"), "{:?}", error.details);
}

#[test]
fn services_are_checked() {
    let stack = "name: shop
services:
  web: {context: web, dockerfile: Other}
  api: {context: services/api, args: {LEVEL: 3}}
  gone: {context: nowhere}
manifests: [web.yaml]
";
    let repository = Repository::new(&[
        ("manifests/shop/stack.yaml", stack),
        ("manifests/shop/web.yaml", &DEPLOYMENT.replace("image: web", "image: wbe")),
        ("manifests/shop/web/Dockerfile", ""),
        ("services/api/Dockerfile", ""),
    ]);
    assert_eq!(
        repository.problems(),
        [
            "manifests/shop/stack.yaml:3:35: there is no `Other` in manifests/shop/web (services.web)",
            "manifests/shop/stack.yaml:5:19: there is no folder `nowhere` (services.gone.context)",
            "manifests/shop/web.yaml:1:1: Deployment/web wants image `wbe`: no such service; did you mean `web`, or docker.io/library/wbe?",
        ]
    );
}

#[test]
fn a_service_is_named_without_a_tag() {
    let stack = "name: shop\nservices:\n  web: {context: web}\nmanifests: [web.yaml]\n";
    let problems = |image: &str| {
        Repository::new(&[
            ("manifests/shop/stack.yaml", stack),
            ("manifests/shop/web.yaml", &DEPLOYMENT.replace("image: web", &format!("image: {image}"))),
            ("manifests/shop/web/Dockerfile", ""),
        ])
        .problems()
    };
    for image in ["web:latest", "web:dev"] {
        let problems = problems(image);
        let wanted = format!(
            "wants image `{image}`: did you mean `web`, which is built here (without a tag), or docker.io/library/{image}?"
        );
        assert!(problems.len() == 1 && problems[0].ends_with(&wanted), "{problems:?}");
    }
    assert!(problems("wbe:latest")[0].contains("did you mean `web`"));
}

#[test]
fn manifests_are_plain_kubernetes_objects() {
    let text = "apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: B_b}}
  - {kind: ConfigMap}
---
- 1
---
apiVersion: v1
kind: ConfigMap
metadata: {labels: {a: 1}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: 'system:x', namespace: here}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: Up}
";
    assert_eq!(
        shop("name: shop\nmanifests: [m.yaml]\n", &[("m.yaml", text)]).problems(),
        [
            "manifests/shop/m.yaml:5:56: `B_b` is no valid name: lower-case letters, digits, `-` and `.` (metadata.name)",
            "manifests/shop/m.yaml:6:5: not a Kubernetes object: no apiVersion, no metadata",
            "manifests/shop/m.yaml:8:1: expected a map, found a list",
            "manifests/shop/m.yaml:12:11: `name` is missing (metadata)",
            "manifests/shop/m.yaml:12:24: expected text, found the number 1; write \"1\" in quotes (metadata.labels.a)",
            "manifests/shop/m.yaml:20:32: `Up` is no valid name: lower-case letters, digits and `-`, at most 63, no `-` at the ends \
             (metadata.namespace)",
        ]
    );
}

#[test]
fn namespaces_are_given_to_what_lives_in_one() {
    let text = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Thing}}
---
{apiVersion: example.com/v1, kind: Thing, metadata: {name: cluster}}
---
{apiVersion: example.com/v1, kind: Other, metadata: {name: spaced}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: away, namespace: far}}
";
    let mut repository = shop("name: shop\nmanifests: [m.yaml]\n", &[("m.yaml", text)]);
    repository.request.namespace = Some("mine".into());
    let stack = repository.stack();
    let namespaces: Vec<Option<String>> = stack.sets[0].objects.iter().map(|object| object.key().namespace).collect();
    assert_eq!(namespaces, [None, None, Some("mine".into()), Some("far".into())]);
}

#[test]
fn generated_secrets() {
    let stack = "name: shop
manifests: [m.yaml]
generate:
  - {name: db, keys: {password: 32}, fixed: {user: admin}}
  - {name: taken, keys: {short: 3, user: 10}, fixed: {user: x, 'a b': y}}
";
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: taken}}\n";
    assert_eq!(
        shop(stack, &[("m.yaml", secret)]).problems(),
        [
            "manifests/shop/stack.yaml:5:5: Secret `taken` is generated here and declared at manifests/shop/m.yaml:1:1",
            "manifests/shop/stack.yaml:5:33: 3 is not within 8 to 1024 (generate[1].keys.short)",
            "manifests/shop/stack.yaml:5:61: key `user` is both generated and fixed (generate[1].fixed.user)",
            "manifests/shop/stack.yaml:5:64: `a b` is no key of a Secret: letters, digits, `-`, `_`, `.` \
             (generate[1].fixed)",
        ]
    );
    let good: String = stack.lines().take(4).map(|line| format!("{line}\n")).collect();
    let stack = shop(&good, &[("m.yaml", secret)]).stack();
    let made = &stack.sets[0].secrets[0];
    assert_eq!((made.name.as_str(), made.namespace.as_str(), made.keys["password"]), ("db", "shop", 32));
    assert_eq!(made.fixed["user"], "admin");
}

#[test]
fn a_broken_manifest_does_not_accuse_its_setters() {
    let stack =
        "name: shop\nmanifests: [web.yaml]\nvalues: {a: {type: integer, sets: [Deployment/web spec.replicas]}}\n";
    let problems = shop(stack, &[("web.yaml", "kind: [\n")]).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("web.yaml:1:7: not well-formed YAML"), "{problems:?}");
}

#[test]
fn odd_stack_files() {
    assert_eq!(shop("", &[]).problems(), ["manifests/shop/stack.yaml:1:1: the file is empty"]);
    assert_eq!(shop("[]\n", &[]).problems(), ["manifests/shop/stack.yaml:1:1: expected a map, found a list"]);
    assert_eq!(
        shop("name: shop\nmanifests: []\n---\nname: two\n", &[]).problems(),
        ["manifests/shop/stack.yaml:4:1: a second document; one is expected"]
    );
    let deep = shop(&"[".repeat(10_000), &[]).problems();
    assert_eq!(deep, ["manifests/shop/stack.yaml:1:101: nested deeper than 100 levels"]);
}

#[test]
fn a_file_without_objects_and_objects_among_the_records_are_refused() {
    let stack = "name: shop\nmanifests: [empty.yaml, comments.yaml, record.yaml]\n";
    let record = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: stack-other, namespace: stackctl-system }\n";
    let shop = shop(stack, &[("empty.yaml", ""), ("comments.yaml", "# kind: ConfigMap\n"), ("record.yaml", record)]);
    assert_eq!(
        shop.problems(),
        [
            "manifests/shop/record.yaml:3:43: stackctl keeps its records in namespace stackctl-system; put the object into another one (metadata.namespace)",
            "manifests/shop/stack.yaml:2:13: empty.yaml declares no objects",
            "manifests/shop/stack.yaml:2:25: comments.yaml declares no objects",
        ]
    );
}

#[test]
fn what_is_left_out_by_name_must_be_known() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";
    let mut shop = shop("name: shop\nmanifests: [a.yaml]\n", &[("a.yaml", map)]);
    shop.request.without = vec!["collector".into()];
    assert!(load(&shop.request).is_ok(), "configured for another stack");
    shop.request.left_out_now = vec!["collector".into()];
    assert_eq!(shop.problems(), ["--without collector: the stack has no such component; it has none"]);
}
