//! Whatever a stack's parts are called, no two steps of a plan bear one id.

use std::collections::{BTreeMap, HashSet};

use proptest::{prelude::*, sample::subsequence};

use super::*;

/// Few names, so that parts are often called alike; some of them are also words of the planner's own.
const NAMES: [&str; 4] = ["web", "network", "stack-web", "registry"];

fn object(api: &str, kind: &str, namespace: &str) -> String {
    format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{ name: web, namespace: {namespace} }}\n---\n")
}

fn workload(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {image} }}\nspec:\n  selector: {{ matchLabels: {{ app: a }} }}\n  \
         template: {{ metadata: {{ labels: {{ app: a }} }}, spec: {{ containers: [{{ name: c, image: '{image}' }}, \
         {{ name: d, image: 'public:1' }}] }} }}\n---\n"
    )
}

/// None: the loader has something against it.
fn stack(name: &str, services: &[&str], components: &[&str]) -> Option<Stack> {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: String, content: String| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let mut all = object("v1", "Service", name) + &object("serving.example.com/v1", "Service", name);
    all += &object("v1", "ConfigMap", "elsewhere");
    let mut declared = String::new();
    for service in services {
        write(format!("services/{service}/Dockerfile"), "FROM scratch\n".into());
        declared += &format!("{service}: {{ context: services/{service} }}, ");
        all += &workload(service);
    }
    for component in components {
        let at = format!("manifests/components/{component}");
        write(
            format!("{at}/component.yaml"),
            format!("name: {component}\nnamespace: own-{component}\nmanifests: [all.yaml]\n"),
        );
        let namespace = format!("own-{component}");
        write(format!("{at}/all.yaml"), object("v1", "ConfigMap", &namespace) + &object("v1", "Service", &namespace));
    }
    let text = format!(
        "name: {name}\nservices: {{ {declared} }}\ncomponents: [{}]\nmanifests: [all.yaml]\n\
         generate: [{{ name: web, keys: {{ password: 16 }} }}]\n",
        components.join(", ")
    );
    write(format!("manifests/{name}/stack.yaml"), text);
    write(format!("manifests/{name}/all.yaml"), all);
    let path = folder.path().join("manifests").join(name).display().to_string();
    load(&LoadRequest { stack: path, provider: "kind".into(), edge_on_nodes: true, ..LoadRequest::default() }).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn are_unique_and_say_what_they_mean(
        name in proptest::sample::select(&NAMES[..]),
        services in subsequence(&NAMES[..], 0..=NAMES.len()),
        components in subsequence(&NAMES[..], 0..=NAMES.len()),
    ) {
        let stack = stack(name, &services, &components).expect("each of these loads");
        let images: BTreeMap<String, ImageState> = services
            .iter()
            .map(|service| {
                let reference = format!("registry.stackctl.internal/{name}/{service}:0123");
                (service.to_string(), ImageState {
                    reference,
                    digest: None,
                    loaded: false,
                    tags: vec!["web".into()],
                    doubt: None,
                })
            })
            .collect();
        let nothing = Observed { images, ..observed(ClusterState::Absent, RegistryState::Absent, None) };
        let options = Options { prove: true, await_background: true, ..up() };
        let plan = plan(&stack, &options, &nothing).unwrap();
        let ids: HashSet<&str> = plan.steps.iter().map(|step| &*step.id).collect();
        prop_assert_eq!(ids.len(), plan.steps.len());
        // Numbers are for what nobody has thought of.
        let numbered: Vec<&&str> = ids.iter().filter(|id| id.contains('#')).collect();
        prop_assert!(numbered.is_empty(), "{:?}", numbered);
    }
}

#[test]
fn an_id_that_is_taken_is_numbered() {
    let mut graph = Graph::default();
    for _ in 0..3 {
        graph.add("a", &[], Action::Barrier);
    }
    let ids: Vec<String> = Plan::from(graph).steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["a", "a#2", "a#3"]);
}
