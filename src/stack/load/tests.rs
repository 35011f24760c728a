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
data: {b: y, b: z}
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
            "manifests/components/metrics/component.yaml:2:9: components need each other in a circle: metrics → metrics",
            "manifests/shop/stack.yaml:2:1: unknown key `descripton`; did you mean `description`?",
            "manifests/shop/stack.yaml:4:23: there is no file `missing.yaml` in manifests/shop",
            "manifests/shop/stack.yaml:6:35: expected an integer, found the text `two` (values.count.minimum)",
            "manifests/shop/stack.yaml:7:32: the setter matches nothing: Deployment/web (manifests/shop/web.yaml:11:1): \
             it has no spec.ratio (values.ratio.sets)",
            "manifests/shop/web.yaml:6:1: ConfigMap/one is declared twice, first at manifests/shop/web.yaml:1:1",
            "manifests/shop/web.yaml:9:14: key `b` is there twice, first on line 9",
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
            let request =
                LoadRequest { stack: summary.name.clone(), provider: provider.into(), ..LoadRequest::default() };
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
fn values_are_set_where_they_say() {
    let stack = "name: shop
manifests: [web.yaml]
values:
  replicas: {type: integer, minimum: 1, maximum: 5, default: 3, sets: [Deployment/web spec.replicas]}
  mode:
    type: string
    enum: [slow, fast]
    sets:
      - Deployment/web spec.template.spec.containers[name=app].env[name=MODE].value
      - Deployment/web spec.template.spec.containers[0].env[name=EMPTY].value
  cpu:
    type: quantity
    maximum: 1
    sets: ['Deployment/web spec.template.spec.containers[name=app].resources.requests.cpu']
  ratio:
    type: number
    maximum: 1
    sets: ['Deployment/web spec.template.spec.containers[name=app].env[name=EMPTY].value']
";
    let new = || shop(stack, &[("web.yaml", DEPLOYMENT)]);
    let at = |stack: &Stack, path: &str| object(stack, "Deployment/web").value.pointer(path).cloned().unwrap();
    let container = "/spec/template/spec/containers/0";
    let plain = new().stack();
    assert_eq!(at(&plain, "/spec/replicas"), json!(3));
    assert_eq!(at(&plain, &format!("{container}/env")), json!([{"name": "MODE", "value": "slow"}, {"name": "EMPTY"}]));
    let set = new().set("replicas", "5").set("mode", "fast").set("cpu", "0.5").stack();
    assert_eq!(at(&set, "/spec/replicas"), json!(5));
    assert_eq!(
        at(&set, &format!("{container}/env")),
        json!([{"name": "MODE", "value": "fast"}, {"name": "EMPTY", "value": "fast"}])
    );
    assert_eq!(at(&set, &format!("{container}/resources/requests/cpu")), json!("0.5"));

    let wrong =
        new().set("replicas", "6").set("mode", "medium").set("cpu", "1001m").set("replica", "1").set("zzz", "1");
    assert_eq!(
        wrong.problems(),
        [
            "--set cpu=1001m: 1001m is above the maximum 1, declared at manifests/shop/stack.yaml:13:14",
            "--set mode=medium: `medium` is none of slow, fast, declared at manifests/shop/stack.yaml:7:12",
            "--set replica=1: no such value; did you mean `replicas`?",
            "--set replicas=6: 6 is above the maximum 5 (1 to 5), declared at manifests/shop/stack.yaml:4:50",
            "--set zzz=1: no such value; there are cpu, mode, ratio, replicas",
        ]
    );
    for (given, is) in [("0", "0"), ("0.25", "0.25")] {
        let set = new().set("ratio", given).stack();
        assert_eq!(at(&set, &format!("{container}/env/1/value")), json!(is));
    }
    for (given, found) in [("300m", "300m"), ("NaN", "NaN")] {
        let problem = format!("--set ratio={given}: expected a number such as `0.5`, found `{found}`");
        assert_eq!(new().set("ratio", given).problems(), [problem]);
    }
    assert_eq!(new().set("replicas", "many").problems(), ["--set replicas=many: expected an integer, found `many`"]);
}

#[test]
fn a_setter_is_checked_even_when_its_value_is_not_set() {
    let stack =
        "name: shop\nmanifests: [web.yaml]\nvalues:\n  a: {type: string, sets: [Deployment/wbe spec.replicas]}\n";
    assert_eq!(
        shop(stack, &[("web.yaml", DEPLOYMENT)]).problems(),
        ["manifests/shop/stack.yaml:4:28: the setter matches nothing: there is no Deployment/wbe (values.a.sets)"]
    );
}

const VARIANTS: &str = "name: shop
manifests: [web.yaml]
values:
  size: {type: string, enum: [small, large], default: small, sets: ['Deployment/web metadata.labels.size']}
variants:
  - {when: {provider: [eks, existing]}, add: [extra.yaml], remove: [ConfigMap/local]}
  - {when: {provider: eks, size: large}, patch: [large.yaml]}
";
const LABELLED: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {size: none}}
spec: {replicas: 1, template: {spec: {containers: [{name: app, image: web}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: local}
";

fn variants(patch: &str) -> Repository {
    let extra = "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\n";
    shop(VARIANTS, &[("web.yaml", LABELLED), ("extra.yaml", extra), ("large.yaml", patch)])
}

const LARGE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 9, template: {spec: {containers: [{name: app, env: [{name: A, value: b}]}]}}}
";

#[test]
fn variants_add_remove_and_patch_when_they_hold() {
    let names = |stack: &Stack| stack.sets[0].objects.iter().map(|object| object.key().to_string()).collect::<Vec<_>>();
    let kind = variants(LARGE).stack();
    assert_eq!(names(&kind), ["Deployment/web", "ConfigMap/local"]);
    let existing = variants(LARGE).provider("existing").set("size", "large").stack();
    assert_eq!(names(&existing), ["Deployment/web", "Service/extra"]);
    assert_eq!(existing.sets[0].objects[0].value["spec"]["replicas"], 1);
    let eks = variants(LARGE).provider("eks").set("size", "large").stack();
    let web = &object(&eks, "Deployment/web").value;
    assert_eq!(web["spec"]["replicas"], 9);
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"],
        json!([{"name": "app", "image": "web", "env": [{"name": "A", "value": "b"}]}])
    );
    assert_eq!(web["metadata"]["labels"]["size"], "large");
}

#[test]
fn a_patch_can_delete_an_object() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n$patch: delete\n";
    let stack = VARIANTS.replace(
        "  size: {type: string, enum: [small, large], default: small, sets: ['Deployment/web metadata.labels.size']}\n",
        "  size: {type: string, default: small, sets: []}\n",
    );
    let files = [("web.yaml", LABELLED), ("extra.yaml", ""), ("large.yaml", patch)];
    assert_eq!(shop(&stack, &files).stack().sets[0].objects.len(), 2);
    let eks = shop(&stack, &files).provider("eks").set("size", "large").stack();
    assert!(eks.sets[0].objects.is_empty(), "{:?}", eks.sets[0].objects);
}

#[test]
fn a_patch_has_to_match_even_in_a_variant_that_does_not_hold() {
    let wrong = LARGE.replace("name: web}", "name: wbe}");
    assert_eq!(
        variants(&wrong).problems(),
        ["manifests/shop/large.yaml:1:1: the patch matches nothing: there is no Deployment/wbe"]
    );
    let stack = VARIANTS.replace("provider: eks, size: large", "povider: eks, size: lage").replace("[eks, ", "[ek, ");
    let problems = shop(&stack, &[("web.yaml", LABELLED)]).problems();
    assert_eq!(
        problems,
        [
            "manifests/shop/stack.yaml:6:24: no provider named `ek`; did you mean `eks`?; there are kind, minikube, eks, existing \
             (variants[0].when.provider)",
            "manifests/shop/stack.yaml:6:46: there is no file `extra.yaml` in manifests/shop",
            "manifests/shop/stack.yaml:7:13: `povider` is neither `provider`, `without` nor a value; did you mean `provider`? \
             (variants[1].when.povider)",
            "manifests/shop/stack.yaml:7:33: `lage` is none of small, large, declared at manifests/shop/stack.yaml:4:31 \
             (variants[1].when.size)",
            "manifests/shop/stack.yaml:7:48: there is no file `large.yaml` in manifests/shop",
        ]
    );
}

fn components(needs: [&str; 3]) -> Repository {
    let component = |name: &str, needs: &str| {
        format!(
            "name: {name}\nneeds: [{needs}]\nmanifests: [m.yaml]\n{}",
            match name {
                "a" =>
                    "namespace: kube-system\nvalues: {level: {type: integer, minimum: 0, sets: ['ConfigMap/a data.level']}}\n",
                "b" => "proofs: [{name: b answers, http: {url: 'http://b/'}}]\n",
                _ => "",
            }
        )
    };
    let map =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{level: '1'}}\n");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: bees}\n---\n";
    Repository::new(&[
        (
            "manifests/shop/stack.yaml",
            "name: shop\ncomponents: [c]\nmanifests: []\nproofs:\n  - {name: sees, needs: [a], http: {url: 'http://x/'}}\n",
        ),
        ("manifests/components/a/component.yaml", &component("a", needs[0])),
        ("manifests/components/a/m.yaml", &map("a")),
        ("manifests/components/b/component.yaml", &component("b", needs[1])),
        ("manifests/components/b/m.yaml", &format!("{namespace}{}", map("b"))),
        ("manifests/components/c/component.yaml", &component("c", needs[2])),
        ("manifests/components/c/m.yaml", &map("c")),
    ])
}

#[test]
fn components_come_in_the_order_of_their_needs() {
    let stack = components(["", "a", "a, b"]).set("a.level", "7").stack();
    let sets: Vec<_> = stack.sets.iter().map(|set| (set.name.as_str(), set.namespace.as_str())).collect();
    assert_eq!(sets, [("a", "kube-system"), ("b", "bees"), ("c", "stackctl-system"), ("shop", "shop")]);
    assert_eq!(stack.sets[2].needs, ["a", "b"]);
    assert_eq!(object(&stack, "ConfigMap/a").value["data"]["level"], "7");
    let proofs: Vec<_> = stack.proofs.iter().map(|proof| proof.name.as_str()).collect();
    assert_eq!(proofs, ["b answers", "sees"]);
    assert_eq!(
        components(["", "", "a"]).set("a.level", "-1").problems()[0].split(", declared").next(),
        Some("--set a.level=-1: -1 is below the minimum 0")
    );
}

#[test]
fn a_circle_is_reported_once_where_it_closes() {
    assert_eq!(
        components(["c", "a", "b"]).problems(),
        ["manifests/components/a/component.yaml:2:9: components need each other in a circle: c → b → a → c"]
    );
}

#[test]
fn a_component_is_left_out_with_its_proofs_unless_another_needs_it() {
    let stack = components(["", "", "a"]).without("c").without("elsewhere").stack();
    assert_eq!(stack.sets.len(), 1);
    // It needs `a`, which only `c` brings.
    assert_eq!(
        stack.skipped_proofs,
        [SkippedProof { name: "sees".into(), kind: "http", reason: "c is left out".into() }]
    );
    let stack = components(["", "a", "b"]).without("a");
    assert_eq!(
        stack.problems(),
        [
            "manifests/components/b/component.yaml:2:9: component `b` needs `a`, which is left out; leave `b` out as well"
        ]
    );
    let repository = components(["", "", ""]);
    let text =
        "name: shop\ncomponents: [a]\nmanifests: []\nproofs:\n  - {name: sees, needs: [a], http: {url: 'http://x/'}}\n";
    std::fs::write(format!("{}/stack.yaml", repository.request.stack), text).unwrap();
    let stack = repository.without("a").stack();
    assert_eq!(
        stack.skipped_proofs,
        [SkippedProof { name: "sees".into(), kind: "http", reason: "a is left out".into() }]
    );
    assert!(stack.proofs.is_empty());
}

#[test]
fn a_misspelt_component_to_leave_out_is_reported() {
    let repository = Repository::new(&[
        ("manifests/shop/stack.yaml", "name: shop\ncomponents: [meter]\nmanifests: []\n"),
        ("manifests/components/meter/component.yaml", "name: metre\nmanifests: []\n"),
    ]);
    assert_eq!(
        repository.without("metre").without("another-stacks").problems(),
        [
            "--without metre: no such component; did you mean `meter`?",
            "manifests/components/meter/component.yaml:1:7: the component in folder `meter` is named `metre` (name)",
        ]
    );
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
metadata: {name: 'system:x', namespace: y}
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
            "manifests/shop/m.yaml:12:24: expected text (write \"1\"), found the number 1 (metadata.labels.a)",
            "manifests/shop/m.yaml:14:1: ClusterRole lives outside namespaces; `metadata.namespace` must go",
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
fn proofs_are_read_strictly() {
    let proofs = "name: shop
manifests: []
proofs:
  - {name: a, http: {url: 'ftp://x/'}}
  - {name: b}
  - {name: c, http: {url: 'http://x/', method: GTE, status: 99}, eventually: soon}
  - {name: c, autoscaler: {name: web, metric: cpu}}
  - {http: {url: 'http://x/'}}
  - {name: d, http: {url: http://}}
";
    assert_eq!(
        shop(proofs, &[]).problems(),
        [
            "manifests/shop/stack.yaml:4:27: `ftp://x/` is no http:// or https:// URL (proofs[0].http.url)",
            "manifests/shop/stack.yaml:5:5: a proof has one of `http`, `trace`, `promql`, `targets`, `dashboards`, `rbac`, `autoscaler` (proofs[1])",
            "manifests/shop/stack.yaml:6:48: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, found `GTE`; \
             did you mean `GET`? (proofs[2].http.method)",
            "manifests/shop/stack.yaml:6:61: 99 is not within 100 to 599 (proofs[2].http.status)",
            "manifests/shop/stack.yaml:6:78: expected a duration such as `500ms`, `60s` or `1m30s`, found the text `soon` \
             (proofs[2].eventually)",
            "manifests/shop/stack.yaml:7:5: proof `c` is there twice, first at manifests/shop/stack.yaml:6:5",
            "manifests/shop/stack.yaml:7:5: there is no HorizontalPodAutoscaler/web in shop",
            "manifests/shop/stack.yaml:8:5: `name` is missing (proofs[4])",
            "manifests/shop/stack.yaml:9:27: `http://` is no http:// or https:// URL (proofs[5].http.url)",
        ]
    );
    let stack = "name: shop
manifests: []
proofs:
  - name: writes
    http: {method: POST, url: 'http://x:1/y', headers: {Accept: a/b}, body: '{}', status: 201, json: {a: [1]}, contains: z, timeout: 2s}
    eventually: 1m
load:
  default:
    url: http://x/
    rate: 100
    connections: 10
    duration: 5m
    verdict: {maxErrorRate: 0.1%, maxP99: 250ms, minRate: 99.5, scaleUp: 4, scaleDown: true, noRestarts: true}
";
    let stack = shop(stack, &[]).stack();
    let Check::Http(http) = &stack.proofs[0].check else { panic!() };
    assert_eq!((http.method.as_str(), http.status, http.timeout), ("POST", 201, Duration::from_secs(2)));
    assert_eq!((http.json.clone(), http.contains.as_deref()), (Some(json!({"a": [1]})), Some("z")));
    assert_eq!(stack.proofs[0].eventually, Some(Duration::from_secs(60)));
    let load = &stack.load["default"];
    assert_eq!((load.rate, load.connections, load.duration), (100.0, 10, Duration::from_secs(300)));
    let verdict = &load.verdict;
    assert_eq!((verdict.max_error_rate, verdict.max_p99), (Some(0.001), Some(Duration::from_millis(250))));
    assert_eq!((verdict.min_rate, verdict.scale_up), (Some(99.5), Some(ScaleUp::To(4))));
    assert!(verdict.scale_down && verdict.no_restarts);
}

#[test]
fn load_profiles_are_read_strictly() {
    let stack = "name: shop
manifests: []
load:
  default: {url: x, rate: 0, connections: 0, duration: 5, verdict: {maxErrorRate: 0.1, scaleUp: maybe, maxP98: 1s}}
";
    let problems = shop(stack, &[]).problems();
    assert_eq!(problems.len(), 7, "{problems:#?}");
    assert!(
        problems[6].contains("unknown key `maxP98`; did you mean `maxP99`? (load.default.verdict)"),
        "{problems:#?}"
    );
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
            "manifests/shop/stack.yaml:5:64: `a b` is no key of a Secret: letters, digits, `-`, `_`, `.`",
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

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn a_mangled_stack_is_loaded_or_refused_but_never_panics(
        at in 0..VARIANTS.len(), length in 0..40_usize, insert in "[ \\n:,\\[\\]{}a-z0-9'\"-]{0,8}",
        patch_at in 0..LARGE.len(), patch_length in 0..40_usize,
    ) {
        let mangle = |text: &str, at: usize, length: usize| {
            format!("{}{insert}{}", &text[..at], &text[(at + length).min(text.len())..])
        };
        let stack = mangle(VARIANTS, at, length);
        let patch = mangle(LARGE, patch_at, patch_length);
        let repository = shop(&stack, &[("web.yaml", LABELLED), ("extra.yaml", ""), ("large.yaml", &patch)]);
        if let Err(error) = load(&repository.provider("eks").set("size", "large").request) {
            proptest::prop_assert_eq!(error.kind, Kind::Usage);
            proptest::prop_assert!(!error.details.is_empty());
        }
    }
}

const COLLECTOR: (&str, &str) = (
    "manifests/components/collector/component.yaml",
    "name: collector\nscope: stack\nneeds: [jaeger, base]\nmanifests: [c.yaml]\ngenerate: [{name: key, keys: {a: 8}}]\n\
     variants: [{when: {without: [grafana, jaeger]}, remove: [ConfigMap/boards]}]\nvalues: {size: {type: integer, sets: \
     [ConfigMap/collector data.size]}}\nproofs: [{name: draws, http: {url: 'http://grafana:3000/'}, needs: [grafana]}]\n",
);
const COLLECTOR_OBJECTS: (&str, &str) = (
    "manifests/components/collector/c.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: collector}\ndata: {size: '1'}\n---\napiVersion: v1\nkind: ConfigMap\n\
     metadata: {name: boards}\n",
);

/// Components `collector` and `jaeger` of each stack, `base` of the cluster, and `grafana`, which nobody names.
fn scoped(stack: &str, jaeger: &str) -> Repository {
    let one = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    Repository::new(&[
        ("manifests/shop/stack.yaml", stack),
        ("manifests/shop/all.yaml", &one("own")),
        ("manifests/shop/bare.yaml", &one("bare")),
        COLLECTOR,
        COLLECTOR_OBJECTS,
        ("manifests/components/jaeger/component.yaml", jaeger),
        ("manifests/components/jaeger/j.yaml", &one("jaeger")),
        ("manifests/components/base/component.yaml", "name: base\nmanifests: [b.yaml]\n"),
        ("manifests/components/base/b.yaml", &one("base")),
        ("manifests/components/grafana/component.yaml", "name: grafana\nscope: stack\nmanifests: [g.yaml]\n"),
        ("manifests/components/grafana/g.yaml", &one("grafana")),
    ])
}

const SCOPED_STACK: &str = "name: shop\ncomponents: [collector]\nmanifests: [all.yaml]\npodSecurity: restricted\n\
     variants: [{when: {without: collector}, add: [bare.yaml]}]\n";
const JAEGER: &str = "name: jaeger\nscope: stack\nmanifests: [j.yaml]\n";

#[test]
fn a_component_with_the_scope_of_the_stack_is_its_own() {
    let mut repository = scoped(SCOPED_STACK, JAEGER).set("collector.size", "7");
    repository.request.namespace = Some("elsewhere".into());
    let stack = repository.stack();
    let sets: Vec<_> = stack.sets.iter().map(|set| (set.name.as_str(), set.namespace.as_str(), set.scope)).collect();
    let expected = [
        ("shop.jaeger", "elsewhere", Scope::Stack),
        ("base", "stackctl-system", Scope::Cluster),
        ("shop.collector", "elsewhere", Scope::Stack),
        ("shop", "elsewhere", Scope::Cluster),
    ];
    assert_eq!(sets, expected);
    let collector = &stack.sets[2];
    assert_eq!(collector.needs, ["shop.jaeger", "base"]);
    assert_eq!(collector.secrets[0].namespace, "elsewhere");
    let names: Vec<String> = collector.objects.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(names, ["ConfigMap/collector"], "without grafana, which the stack does not use");
    let collector = object(&stack, "ConfigMap/collector");
    assert_eq!(
        (collector.key().namespace.as_deref(), &collector.value["data"]["size"]),
        (Some("elsewhere"), &json!("7"))
    );
    assert_eq!(
        stack.skipped_proofs,
        [SkippedProof { name: "draws".into(), kind: "http", reason: "grafana is left out".into() }]
    );

    let desired = crate::stack::desired::desired(&stack, &BTreeMap::new());
    let namespaces: Vec<_> = desired.iter().flat_map(|set| &set.objects).filter(|object| object.wave == 0).collect();
    assert_eq!(namespaces.len(), 1, "the stack brings it, and it alone");
    let labels = &namespaces[0].object.value["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(labels["app.kubernetes.io/part-of"], "shop");
    assert_eq!(desired[2].parent(), "component-shop.collector");
    assert_eq!(desired[2].labels()["app.kubernetes.io/part-of"], "shop.collector");
}

#[test]
fn a_variant_can_hold_without_a_component() {
    let names = |repository: &Repository| -> Vec<String> {
        let stack = repository.stack();
        stack.sets.last().unwrap().objects.iter().map(|object| object.key().name).collect()
    };
    assert_eq!(names(&scoped(SCOPED_STACK, JAEGER)), ["own"]);
    assert_eq!(names(&scoped(SCOPED_STACK, JAEGER).without("collector")), ["own", "bare"]);
    let misspelt = SCOPED_STACK.replace("without: collector", "without: [colector]");
    assert_eq!(
        scoped(&misspelt, JAEGER).problems(),
        ["manifests/shop/stack.yaml:5:30: the stack has no component `colector`; did you mean `collector`? \
          (variants.when.without)"]
    );
}

#[test]
fn what_a_scope_does_not_allow() {
    let cluster = scoped(SCOPED_STACK, "name: jaeger\nneeds: [grafana]\nmanifests: [j.yaml]\n");
    assert_eq!(
        cluster.problems(),
        [
            "manifests/components/jaeger/component.yaml:2:9: component `jaeger` has the scope of the cluster, but `grafana` \
          that of a stack"
        ]
    );
    let named = scoped(SCOPED_STACK, "name: jaeger\nscope: stack\nnamespace: far\nmanifests: [j.yaml]\n");
    assert_eq!(
        named.problems(),
        ["manifests/components/jaeger/component.yaml:3:12: with `scope: stack` it lives in the stack's namespace \
          (namespace)"]
    );
    let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}}";
    let far = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: far}}";
    let outside = Repository::new(&[
        ("manifests/shop/stack.yaml", "name: shop\ncomponents: [jaeger]\nmanifests: []\n"),
        ("manifests/components/jaeger/component.yaml", JAEGER),
        ("manifests/components/jaeger/j.yaml", &format!("{role}\n---\n{far}\n")),
    ]);
    assert_eq!(
        outside.problems(),
        [
            "manifests/components/jaeger/j.yaml:1:1: ClusterRole/r lives outside namespaces, which `scope: stack` does not \
             allow",
            "manifests/components/jaeger/j.yaml:3:1: ConfigMap/c names namespace `far`; with `scope: stack` it lives in the \
             stack's",
        ]
    );
}

#[test]
fn names_of_values_may_have_dots_but_only_one_meaning() {
    let value = |name: &str| {
        format!(
            "name: shop\ncomponents: [collector]\nmanifests: [all.yaml]\nvalues: {{{name}: {{type: string, sets: [ConfigMap/own \
             data]}}}}\n"
        )
    };
    let problems = |name: &str| scoped(&value(name), JAEGER).problems();
    assert!(problems("table.endpoint")[0].contains("the setter matches nothing"), "{:?}", problems("table.endpoint"));
    assert!(problems("collector.size")[0].contains("is also value `size` of component `collector`"));
    for name in ["a..b", ".a", "a.", "without"] {
        assert!(problems(name).iter().any(|line| line.contains("a value can't be named")), "{name}");
    }
}

const CLAIMS: &str = "name: shop
manifests: [all.yaml]
proofs:
  - name: fields
    http: {url: 'https://edge:8443/', ca: true, where: [{path: 'items[0].x', above: 2}, {path: n, exists: false}]}
  - name: traced
    trace:
      request: {method: POST, url: 'http://web/write', status: 500}
      jaeger: http://jaeger:16686/jaeger
      spans: [{service: web, operation: DynamoDB.PutItem, attributes: {http.status: 500}, error: true}]
  - name: measured
    promql: {url: 'http://prometheus:9090/prometheus', query: sum(up), above: 0}
  - name: scraped
    targets: {url: 'http://prometheus:9090/prometheus', jobs: [pods]}
  - name: drawn
    dashboards: {url: 'http://prometheus:9090/prometheus', configMap: boards, data: true}
  - name: refused
    rbac: {serviceAccount: reader, allowed: [{verb: list, resource: services}], denied: [{verb: get, resource: secrets}]}
";
const CLAIMED: &str = "apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: boards}
data: {a.json: '{\"title\": \"A\", \"panels\": [{\"title\": \"P\", \"targets\": [{\"expr\": \"up\"}]}]}'}
";

#[test]
fn every_kind_of_claim_is_read() {
    let stack = shop(CLAIMS, &[("all.yaml", CLAIMED)]).stack();
    let kinds: Vec<&str> = stack.proofs.iter().map(|proof| proof.check.kind()).collect();
    assert_eq!(kinds, ["http", "trace", "promql", "targets", "dashboards", "rbac"]);
    let Check::Http(http) = &stack.proofs[0].check else { panic!() };
    let wheres: Vec<String> = http.wheres.iter().map(ToString::to_string).collect();
    assert_eq!((http.ca, wheres), (true, vec!["items[0].x > 2".to_owned(), "no n".to_owned()]));
    let Check::Trace(trace) = &stack.proofs[1].check else { panic!() };
    assert_eq!((trace.request.status, trace.spans[0].attributes["http.status"].as_str()), (500, "500"));
    let Check::Dashboards(boards) = &stack.proofs[4].check else { panic!() };
    assert_eq!((boards.expressions[0].place.as_str(), boards.expressions[0].query.as_str()), ("a.json: P", "up"));
}

#[test]
fn wrong_claims_are_told_where_they_stand() {
    let wrong = CLAIMS
        .replace("above: 2}", "above: 2, below: 3}")
        .replace("'https://edge:8443/'", "'http://edge:8080/'")
        .replace("serviceAccount: reader", "serviceAccount: raeder")
        .replace("verb: get", "verb: read")
        .replace("path: n,", "path: 'n..',")
        .replace("jobs: [pods]}", "jobs: [pods]}\n    unset: [endpoint]");
    assert_eq!(
        shop(&wrong, &[("all.yaml", &CLAIMED.replace("{\"title\": \"A\"", "{\"title\": 7"))]).problems(),
        [
            "manifests/shop/stack.yaml:5:11: `ca` is about https:// URLs (proofs[0].http)",
            "manifests/shop/stack.yaml:5:56: it has one of `equals`, `above`, `below`, `contains`, `exists` \
             (proofs[0].http.where[0])",
            "manifests/shop/stack.yaml:5:105: `n..` is no path: `spec.list[name=x].field`, `[0]`, `[\"a.b/c\"]` \
             (proofs[0].http.where[1].path)",
            "manifests/shop/stack.yaml:15:13: there is no value `endpoint` (proofs.unset)",
            "manifests/shop/stack.yaml:16:5: ConfigMap/boards (manifests/shop/all.yaml:5:1): a.json is no dashboard: it has \
             no title",
            "manifests/shop/stack.yaml:18:5: there is no ServiceAccount/raeder in shop",
            "manifests/shop/stack.yaml:19:97: expected one of get, list, watch, create, update, patch, delete, found `read` \
             (proofs[5].rbac.denied[0].verb)",
        ]
    );
}

#[test]
fn a_proof_can_depend_on_what_is_set() {
    let stack = "name: shop
manifests: [web.yaml]
values: {a.b: {type: string, sets: ['Deployment/web spec.template.spec.containers[name=app].env[name=EMPTY].value']}}
proofs:
  - {name: without, http: {url: 'http://x/'}, unset: [a.b]}
  - {name: with, http: {url: 'http://x/'}, set: [a.b]}
";
    let run = |value: Option<&str>| {
        let repository = shop(stack, &[("web.yaml", DEPLOYMENT)]);
        let stack = value.into_iter().fold(repository, |repository, value| repository.set("a.b", value)).stack();
        let names: Vec<String> = stack.proofs.into_iter().map(|proof| proof.name).collect();
        let skipped: Vec<String> = stack.skipped_proofs.into_iter().map(|proof| proof.reason).collect();
        (names, skipped)
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(run(None), (owned(&["without"]), owned(&["a.b is not set"])));
    assert_eq!(run(Some("")), run(None));
    assert_eq!(run(Some("x")), (owned(&["with"]), owned(&["a.b is set"])));
}

#[test]
fn proofs_are_chosen_by_name_or_kind() {
    let choose = |names: &[&str]| -> crate::error::Result<Vec<String>> {
        let mut stack = shop(CLAIMS, &[("all.yaml", CLAIMED)]).stack();
        stack.choose_proofs(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        Ok(stack.proofs.into_iter().map(|proof| proof.name).collect())
    };
    assert_eq!(choose(&["rbac"]).unwrap(), ["refused"]);
    assert_eq!(choose(&["Traced", "promql"]).unwrap(), ["traced", "measured"]);
    assert_eq!(choose(&[]).unwrap().len(), 6);
    let error = choose(&["rbca"]).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "--proof rbca: stack shop has no such proof"));
}
