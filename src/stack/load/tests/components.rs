//! Components: their order, their scope, and leaving them out.

use super::*;

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
        ["manifests/components/a/component.yaml:2:9: dependency cycle between components: c → b → a → c"]
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
        assert!(problems(name).iter().any(|line| line.contains("a value cannot be named")), "{name}");
    }
}
