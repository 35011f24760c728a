//! The edge of a stack on EKS: a load balancer that everybody reaches, waited for and told.

use serde_json::{Value, json};

use crate::{
    Test,
    api::{ApiServer, free_port},
    controllers::{ADDRESS, Controllers, Kubectl, stack},
    ground::Ground,
};

pub const ALL: &[Test] = &[("the_edge_is_reached_by_a_load_balancer", the_edge_is_reached_by_a_load_balancer)];

const STACK: &str = "name: small\nmanifests: [web.yaml]\nroutes: [{ path: /, service: web }]\n";
const WEB: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec:\n  selector: { app: web }\n  ports: \
                   [{ port: 80 }]\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  \
                   selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    \
                   spec: { containers: [{ name: web, image: example.com/web:1 }] }\n";

fn the_edge_is_reached_by_a_load_balancer(ground: &Ground) {
    let api = ApiServer::start(&ground.account).expect("an API server");
    let mut home = ground.fresh_at(&api, json!({}));
    let before = ground.account.inventory();
    stack(&home.stack, &[("stack.yaml", STACK), ("web.yaml", WEB)]);
    let port = free_port();
    home.set("STACKCTL_HTTPS_PORT", &port.to_string());
    let controllers = Controllers::start(ground, &home);
    let kubectl = Kubectl::of(ground, &home);

    controllers.refuse(true);
    let refused = home.run(&["up", "--yes"]);
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    refused.says("edge-public has no load balancer").says("TooManyLoadBalancers").says("higher quota");

    controllers.refuse(false);
    let url = format!("https://{ADDRESS}:{port}/");
    home.up().says(&url);
    let service = kubectl.get(&["service", "edge-public", "-n", "small"]).unwrap();
    let annotation = |name: &str| {
        service["metadata"]["annotations"][format!("service.beta.kubernetes.io/aws-load-balancer-{name}")].clone()
    };
    assert_eq!((annotation("scheme"), annotation("nlb-target-type")), (json!("internet-facing"), json!("ip")));
    assert_eq!(service["spec"]["loadBalancerClass"], "eks.amazonaws.com/nlb");

    let versions = || -> Vec<Value> {
        let names = ["service/edge-public", "secret/edge-tls", "deployment/edge", "deployment/web"];
        let got = names.map(|name| kubectl.get(&[name, "-n", "small"]).unwrap());
        got.map(|object| object["metadata"]["resourceVersion"].clone()).to_vec()
    };
    let (writes, seen) = (ground.counted().0, versions());
    let again = home.up();
    again.says("nothing to do").says(&url);
    assert_eq!((ground.counted().0, versions()), (writes, seen), "the second up wrote");
    home.ok(&["urls"]).says(&url);
    home.ok(&["status", "--cluster-name", "small"]).says(&format!("https://{ADDRESS}:{port}"));

    home.down().says("Service");
    drop(controllers);
    assert_eq!(ground.account.inventory(), before, "something is left");
}
