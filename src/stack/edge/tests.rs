use std::{path::PathBuf, process::Command};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::stack::{
    claims::Check,
    testing::{DEPLOYMENT, Repository, object, shop},
};

pub const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: \
                           8400, targetPort: http}]\n";

const ROUTES: &str = "routes:
  - { path: /hello, service: 'web:8400', strip: true, check: { status: 200, json: { message: hi }, eventually: 60s } }
  - { path: /grafana/, service: view, needs: [grafana], timeout: 5m, check: { path: /api/health, contains: ok } }
  - { path: /a.b, service: web }
";

const GRAFANA: [(&str, &str); 2] = [
    ("manifests/components/grafana/component.yaml", "name: grafana\nnamespace: shop\nmanifests: [g.yaml]\n"),
    (
        "manifests/components/grafana/g.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: view}\nspec:\n  selector: {app: grafana}\n  ports: [{port: \
         3000}]\n",
    ),
];

/// A stack with these keys, a service `web` and a component `grafana`.
fn repository(more: &str) -> Repository {
    let stack = format!(
        "name: shop\nservices: {{ web: {{ context: services/web }} }}\ncomponents: [grafana]\nmanifests: [web.yaml, \
         service.yaml]\n{more}"
    );
    let own = [
        ("services/web/Dockerfile", "FROM scratch\n"),
        ("manifests/shop/web.yaml", DEPLOYMENT),
        ("manifests/shop/service.yaml", SERVICE),
        ("manifests/shop/stack.yaml", stack.as_str()),
    ];
    Repository::new(&[&own[..], &GRAFANA[..]].concat())
}

fn own_objects(stack: &crate::stack::model::Stack) -> Vec<&Value> {
    let routes = &stack.sets.last().unwrap().objects;
    routes.iter().map(|object| &object.value).filter(|value| value["metadata"]["name"] != "web").collect()
}

#[test]
fn an_nginx_by_default() {
    let stack = repository(ROUTES).stack();
    insta::assert_snapshot!("nginx", crate::stack::to_yaml(own_objects(&stack)));
    let edge = stack.edge.as_ref().unwrap();
    assert_eq!(edge.kind, EdgeKind::Nginx);
    let routes: Vec<_> =
        edge.routes.iter().map(|route| (route.path.as_str(), route.service.as_str(), route.port)).collect();
    assert_eq!(routes, [("/hello", "web", 8400), ("/grafana", "view", 3000), ("/a.b", "web", 8400)]);
    let certificate = stack.sets.last().unwrap().certificate.as_ref().unwrap();
    let names: Vec<&str> = certificate.names.iter().map(String::as_str).collect();
    assert_eq!(
        names,
        ["127.0.0.1", "::1", "edge", "edge.shop", "edge.shop.svc", "edge.shop.svc.cluster.local", "localhost"]
    );
    let proofs: Vec<_> = stack
        .proofs
        .iter()
        .map(|proof| {
            let Check::Http(http) = &proof.check else { panic!() };
            assert!(http.ca);
            (proof.name.as_str(), http.url.as_str(), proof.eventually.map(|time| time.as_secs()))
        })
        .collect();
    assert_eq!(
        proofs,
        [
            ("route /hello", "https://edge:8443/hello/", Some(60)),
            ("route /grafana", "https://edge:8443/grafana/api/health", None)
        ]
    );
}

#[test]
fn only_where_the_nodes_are_led_to_there_is_a_node_port() {
    let stack = repository(ROUTES).edge_in_the_cluster().stack();
    assert_eq!(object(&stack, "Service/edge").value["spec"]["type"], "ClusterIP");
    let stack = repository(ROUTES).stack();
    assert_eq!(object(&stack, "Service/edge").value["spec"]["type"], "NodePort");
}

#[test]
fn a_load_balancer_leads_to_the_same_pods_and_the_service_within_stays_as_it_is() {
    let within = repository(ROUTES).edge_in_the_cluster().stack();
    let stack = repository(ROUTES).balanced().stack();
    let (before, after) = (own_objects(&within), own_objects(&stack));
    let new: Vec<&Value> = after.iter().filter(|object| !before.contains(object)).copied().collect();
    insta::assert_snapshot!("balanced", crate::stack::to_yaml(new.clone()));
    assert!(is_public(new[0]) && before.iter().all(|object| !is_public(object)));
    assert_eq!(before.len() + 1, after.len());
    let certificate = stack.sets.last().unwrap().certificate.as_ref().unwrap();
    assert_eq!(certificate.service, Some(public::key("shop")));
}

#[test]
fn ingress() {
    let edge = "edge: { kind: ingress, hosts: [shop.example.org], class: nginx }\n";
    let stack = repository(&format!("{ROUTES}{edge}")).stack();
    insta::assert_snapshot!("ingress", crate::stack::to_yaml(own_objects(&stack)));
    assert!(stack.sets.last().unwrap().certificate.as_ref().unwrap().names.contains("shop.example.org"));
    assert!(stack.proofs.is_empty());
}

#[test]
fn gateway() {
    let stack = repository(&format!("{ROUTES}edge: {{ kind: gateway, class: envoy }}\n")).stack();
    insta::assert_snapshot!("gateway", crate::stack::to_yaml(own_objects(&stack)));
}

#[test]
fn many_routes_are_several_http_routes() {
    let routes: String = (0..33).map(|n| format!("  - {{ path: /r{n}, service: web }}\n")).collect();
    let stack = repository(&format!("edge: {{ kind: gateway, class: c }}\nroutes:\n{routes}")).stack();
    let count = |name: &str| object(&stack, name).value["spec"]["rules"].as_array().unwrap().len();
    assert_eq!([count("HTTPRoute/edge"), count("HTTPRoute/edge-2"), count("HTTPRoute/edge-3")], [16, 16, 1]);
}

#[test]
fn none_generates_nothing_but_knows_the_routes() {
    let stack = repository(&format!("{ROUTES}edge: none\n")).stack();
    assert!(own_objects(&stack).is_empty());
    assert!(stack.sets.last().unwrap().certificate.is_none());
    assert_eq!(stack.edge.unwrap().routes.len(), 3);
    assert_eq!(stack.skipped_proofs.len(), 2);
}

#[test]
fn left_out() {
    let stack = repository(ROUTES).without("edge").stack();
    assert!(own_objects(&stack).is_empty() && stack.edge.is_none() && stack.proofs.is_empty());
    let skipped: Vec<_> =
        stack.skipped_proofs.iter().map(|skipped| (skipped.name.as_str(), skipped.reason.as_str())).collect();
    let because = "edge is left out";
    assert_eq!(skipped, [("route /hello", because), ("route /grafana", because)]);

    let stack = repository(ROUTES).without("grafana").stack();
    let edge = stack.edge.as_ref().unwrap();
    assert_eq!(edge.routes.iter().map(|route| route.path.as_str()).collect::<Vec<_>>(), ["/hello", "/a.b"]);
    assert_eq!(edge.skipped, [SkippedRoute { path: "/grafana".into(), component: "grafana".into() }]);
    assert_eq!(stack.skipped_proofs[0].name, "route /grafana");
    let configuration = object(&stack, "ConfigMap/edge").value["data"]["nginx.conf"].as_str().unwrap();
    assert!(!configuration.contains("grafana"));

    // A proof can need the edge as if it were a component.
    let proof = "proofs: [{ name: p, needs: [edge], http: { url: 'https://edge:8443/' } }]\n";
    let stack = repository(&format!("{ROUTES}{proof}")).without("edge").stack();
    assert!(stack.skipped_proofs.iter().any(|skipped| skipped.name == "p" && skipped.reason == "edge is left out"));
}

#[test]
fn every_mistake_has_its_place() {
    let stack = "edge: { kind: nginks, hosts: ['no host'], clas: x }
routes:
  - { path: hello, service: 'web:8400' }
  - { path: /x, service: 'wbe:8400' }
  - { path: /y, service: 'web:8401' }
  - { path: /y/, service: web }
  - { path: /z//a, service: web }
  - { path: '/ä', service: web }
  - { path: /v, service: 'web:http' }
  - { path: /w, service: web, needs: [graphana], strip: 1, tiemout: 5s }
  - { service: web }
";
    let problems = repository(stack).problems();
    assert_eq!(
        problems,
        [
            "manifests/shop/stack.yaml:5:15: expected one of nginx, ingress, gateway, none, found `nginks`; did you mean \
             `nginx`? (edge.kind)",
            "manifests/shop/stack.yaml:5:31: `no host` is no host name (edge.hosts[0])",
            "manifests/shop/stack.yaml:5:43: unknown key `clas`; did you mean `class`? (edge)",
            "manifests/shop/stack.yaml:7:13: `hello` is no path of a route: it starts with `/` (routes[0].path)",
            "manifests/shop/stack.yaml:8:26: neither the stack nor its components have a Service `wbe`; did you mean \
             `web`? (routes.service)",
            "manifests/shop/stack.yaml:9:26: Service `web` has no port 8401; it has 8400 (routes.service)",
            "manifests/shop/stack.yaml:10:13: two routes have the path `/y`, the first at manifests/shop/stack.yaml:9:13 \
             (routes)",
            "manifests/shop/stack.yaml:11:13: `/z//a` is no path of a route: no empty segment, no `.` and `..` \
             (routes[4].path)",
            "manifests/shop/stack.yaml:12:13: `/ä` is no path of a route: letters, digits and `/-_.~` only \
             (routes[5].path)",
            "manifests/shop/stack.yaml:13:26: `web:http` names no service: write NAME:PORT, such as \
             `hello-service:8400` (routes[6].service)",
            "manifests/shop/stack.yaml:14:39: the stack has no component `graphana`; did you mean `grafana`? \
             (routes.needs)",
            "manifests/shop/stack.yaml:14:57: expected true or false, found the number 1 (routes[7].strip)",
            "manifests/shop/stack.yaml:14:60: unknown key `tiemout`; did you mean `timeout`? (routes[7])",
            "manifests/shop/stack.yaml:15:5: `path` is missing (routes[8])",
        ]
    );
    assert_eq!(
        repository("edge: gateway\nroutes: [{ path: /, service: web }]\n").problems(),
        ["manifests/shop/stack.yaml:5:7: a Gateway needs a class: `edge: { kind: gateway, class: NAME }` (edge)"]
    );
    assert_eq!(
        repository("edge: nginx\n").problems(),
        ["manifests/shop/stack.yaml:5:7: an edge without routes serves nothing; declare `routes` (edge)"]
    );
}

#[test]
fn a_component_has_no_routes_and_no_object_may_be_named_like_the_edges() {
    let (component, manifest) = ("name: grafana\nmanifests: []\nroutes: []\n", SERVICE.replace("web", "edge"));
    let stack = "name: shop\ncomponents: [grafana]\nmanifests: [s.yaml]\nroutes: [{ path: /, service: edge }]\n";
    let repository = Repository::new(&[
        ("manifests/shop/stack.yaml", stack),
        ("manifests/shop/s.yaml", &manifest),
        ("manifests/components/grafana/component.yaml", component),
    ]);
    let problems = repository.problems();
    assert!(problems[0].contains("unknown key `routes`"), "{problems:?}");
    assert!(problems[1].contains("Service/edge is declared twice"), "{problems:?}");
}

#[test]
fn a_service_elsewhere_is_reached_by_nginx_alone() {
    let service = SERVICE.replace("{name: web}", "{name: web, namespace: other}");
    let stack = |edge: &str| {
        let text = format!("name: shop\nmanifests: [s.yaml]\n{edge}routes: [{{ path: /, service: web }}]\n");
        shop(&text, &[("s.yaml", &service)])
    };
    let nginx = stack("").stack();
    let policy = &object(&nginx, "NetworkPolicy/edge").value["spec"]["egress"][1]["to"][0];
    assert_eq!(policy["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "other");
    let problems = stack("edge: ingress\n").problems();
    assert!(problems[0].contains("is in namespace other: `edge: ingress` reaches"), "{problems:?}");
}

/// The nginx of this machine, if it is new enough: STACKCTL_TEST_NGINX, else the one on the PATH.
pub fn nginx() -> Option<PathBuf> {
    let program = std::env::var_os("STACKCTL_TEST_NGINX").map_or_else(|| PathBuf::from("nginx"), PathBuf::from);
    let output = Command::new(&program).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version: Vec<u32> = text.rsplit_once('/')?.1.split('.').map_while(|part| part.trim().parse().ok()).collect();
    (version.as_slice() >= &[1, 27, 4][..]).then_some(program)
}

fn backend(path: &str, service: &str, port: u16, strip: bool) -> Backend {
    let route = Route {
        path: path.to_owned(),
        service: service.to_owned(),
        namespace: "shop".to_owned(),
        port,
        strip,
        timeout: std::time::Duration::from_millis(1500),
        origin: Origin::default(),
    };
    let ports = vec![services::Port { port, target: port.into() }];
    Backend { route, service: Service { selector: [("app".into(), "x".into())].into(), ports, external: false } }
}

/// Routes as the declaration takes them, no two of the same path.
fn backends() -> impl Strategy<Value = Vec<Backend>> {
    let path = prop_oneof![Just("/".to_owned()), "(/[A-Za-z0-9_~][A-Za-z0-9_.~-]{0,9}){1,3}"];
    let one = (path, "[a-z][a-z0-9-]{0,20}[a-z]", 1..=u16::MAX, any::<bool>());
    prop::collection::vec(one, 1..24).prop_map(|all| {
        let mut seen = BTreeSet::new();
        let fresh = all.into_iter().filter(|(path, ..)| seen.insert(path.clone()));
        fresh.map(|(path, service, port, strip)| backend(&path, &service, port, strip)).collect()
    })
}

/// The configuration as it can be read on this machine: folders moved, a certificate that is there.
fn is_accepted(program: &PathBuf, text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let state = crate::state::State::at(folder.path().join("state"));
    let now = crate::tls::authority::now();
    let authority = crate::tls::Authority::ensure(&state, now).unwrap();
    let issued = authority.issue(&["localhost".to_owned()].into(), now).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tls.crt", &issued.certificate);
    write("tls.key", &issued.key);
    write("resolver.conf", "resolver 127.0.0.1 [::1] valid=5s;\n");
    let text = text.replace("/tmp/", &format!("{at}/")).replace("/etc/edge-tls/", &format!("{at}/"));
    write("nginx.conf", &text);
    let configuration = folder.path().join("nginx.conf");
    let output = Command::new(program).args(["-t", "-e", "stderr", "-c"]).arg(configuration).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{text}", String::from_utf8_lossy(&output.stderr))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nginx_takes_what_is_generated(backends in backends()) {
        let text = nginx_conf::text(&backends);
        for backend in &backends {
            let route = &backend.route;
            let exact = text.contains(&format!("location = {} {{", route.path));
            let prefix = text.contains(&format!("location {}/ {{", route.path.trim_end_matches('/')));
            let all = route.path == "/" && text.contains("location / {");
            prop_assert!(exact && prefix || all);
        }
        prop_assert_eq!(text.matches("{").count(), text.matches("}").count());
        if let Some(program) = nginx() {
            prop_assert_eq!(is_accepted(&program, &text), Ok(()));
        }
    }

    #[test]
    fn every_kind_says_each_route_once(backends in backends(), on_nodes: bool) {
        let input = EdgeInput { namespace: "shop", hosts: &[], class: Some("c"), on_nodes, balanced: None, backends: &backends };
        let text = |objects: Vec<Value>| serde_json::to_string(&objects).unwrap();
        let (ingress, gateway) = (text(ingress::objects(&input)), text(gateway::objects(&input)));
        prop_assert_eq!(ingress.matches("\"pathType\"").count(), backends.len());
        prop_assert_eq!(gateway.matches("\"PathPrefix\"").count(), backends.len());
        let stripped = backends.iter().filter(|backend| backend.route.strip && backend.route.path != "/").count();
        prop_assert_eq!(gateway.matches("ReplacePrefixMatch").count(), stripped);
        prop_assert_eq!(ingress.matches("ImplementationSpecific").count(), stripped);
        let policy = &nginx::objects(&input)[5];
        for backend in &backends {
            let ports = &policy["spec"]["egress"];
            let open = ports.as_array().unwrap().iter().any(|rule| rule["ports"][0]["port"] == backend.route.port);
            prop_assert!(open);
        }
    }
}

#[test]
fn the_start_script_finds_every_dns_server() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(
        &resolv,
        "search shop.svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5",
    )
    .unwrap();
    let script = nginx_conf::START.replace("/tmp/", &format!("{at}/")).replace("exec nginx", "exec printf '%s '");
    let output = Command::new("sh").args(["-c", &script]).env("RESOLV_CONF", &resolv).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-e stderr -c /etc/edge/nginx.conf ");
    let text = std::fs::read_to_string(folder.path().join("resolver.conf")).unwrap();
    assert_eq!(text, "resolver 10.96.0.10 [fd00::a] valid=5s;\n");
}
