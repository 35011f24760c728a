//! What runs goes before its nodes, and data only where that is asked for.

use serde_json::{Value, json};

use crate::{
    Test,
    api::ApiServer,
    controllers::{Controllers, Kubectl, stack},
    ground::Ground,
    upward::cluster,
};

pub const ALL: &[Test] = &[("workloads_go_before_nodes_and_data_only_when_asked", workloads_go_before_nodes)];

const STACK: &str = "name: small\nmanifests: [web.yaml, pool.yaml]\n";
const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  selector: { matchLabels: { \
                   app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    spec: { containers: [{ name: \
                   web, image: example.com/web:1 }] }\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: \
                   { name: web }\nspec: { maxUnavailable: 1, selector: { matchLabels: { app: web } } }\n";
const POOL: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: \
                    nodepools.karpenter.sh }\nspec:\n  group: karpenter.sh\n  scope: Cluster\n  names: { kind: NodePool, \
                    plural: nodepools }\n  versions:\n    - { name: v1, served: true, storage: true, schema: { \
                    openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }\n---\napiVersion: \
                    karpenter.sh/v1\nkind: NodePool\nmetadata: { name: spot }\nspec: {}\n";

fn workloads_go_before_nodes(ground: &Ground) {
    let api = ApiServer::start(&ground.account).expect("an API server");
    let home = ground.fresh_at(&api, json!({}));
    let before = ground.account.inventory();
    stack(&home.stack, &[("stack.yaml", STACK), ("web.yaml", WEB), ("pool.yaml", POOL)]);
    let controllers = Controllers::start(ground, &home);
    let kubectl = Kubectl::of(ground, &home);
    home.up();
    let name = cluster(ground);
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "small" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "8Gi" } } } });
    let with_data = || {
        let nodes = json!({ "cluster": name, "count": 1, "zone": "us-east-1a", "pool": "custom" });
        ground.account.post("/automode/nodes", &nodes);
        ground.account.post("/automode/volume", &json!({ "cluster": name, "size": 8, "claim": "small/data" }));
        assert!(kubectl.ask(&["create", "-f", "-"], Some(&claim)).is_some(), "a claim");
    };
    with_data();
    ground.account.post("/automode/volume", &json!({ "cluster": "stackctl-other-000000", "size": 4 }));

    // Data does not keep the cluster: the volume is there without it.
    let down = home.ok(&["down", "--yes", "--output", "json"]);
    let told: Value = serde_json::from_str(&down.stdout).expect("a document");
    let kept = told["kept"].as_array().expect("a list");
    let volumes: Vec<&Value> =
        kept.iter().filter(|kept| kept["what"].as_str().is_some_and(|what| what.starts_with("volume"))).collect();
    assert_eq!(volumes.len(), 1, "{told}");
    assert!(volumes[0]["what"].as_str().is_some_and(|what| what.ends_with("of claim small/data")), "{told}");
    assert_eq!(volumes[0]["perMonth"], 640, "{told}");
    let mut after = ground.account.inventory();
    assert_eq!(after.remove("ec2:volume").map(|volumes| volumes.len()), Some(2));
    assert_eq!(after, before, "something is left");

    home.up();
    let again = home.ok(&["down", "--yes", "--delete-data"]);
    again.says("volume");
    drop(controllers);
    let volumes = ground.account.inventory().remove("ec2:volume").unwrap_or_default();
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert!(volumes[0].contains("stackctl-other-000000"), "another cluster's volume stays: {volumes:?}");
}
