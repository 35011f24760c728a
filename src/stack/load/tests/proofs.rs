//! Proofs, load profiles, and what claims a stack makes.

use super::*;
use crate::stack::claims::{AlertState, Check, Disruption, Since};

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
            "manifests/shop/stack.yaml:5:5: a proof has one of `http`, `trace`, `promql`, `targets`, `dashboards`, `alert`, \
             `rbac`, `count`, `replicas`, `autoscaler`, `logs`, `during` (proofs[1])",
            "manifests/shop/stack.yaml:6:48: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, found `GTE`; \
             did you mean `GET`? (proofs[2].http.method)",
            "manifests/shop/stack.yaml:6:61: 99 is not within 100 to 599 (proofs[2].http.status)",
            "manifests/shop/stack.yaml:6:78: expected a duration such as `500ms`, `60s` or `1m30s`, found the string `soon` \
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

const SEEN: &str = "name: shop
manifests: [web.yaml]
proofs:
  - name: handled
    logs:
      request: {method: POST, url: 'http://web/', body: $(id)}
      pods:
        - {selector: app=web, container: app, matches: ['Received (?<m>\\S+): $(id)', 'Deleted $(m)'], every: true}
        - {selector: app=web, matches: [a, b], anyOrder: true}
  - name: counted
    count: {request: {url: 'http://web/'}, number: 'hit (\\d+) times', requests: 200}
  - name: all answer
    replicas: {request: {url: 'http://web.shop:80/'}, minimum: 3, distinct: 'I am (\\S+)'}
  - name: quiet
    alert: {url: 'http://prometheus:9090', name: WebDown, state: inactive, labels: {team: shop}}
";

fn seen_shop(proofs: &str) -> Repository {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    let labelled = DEPLOYMENT.replace("template:\n", "template:\n    metadata: {labels: {app: web}}\n");
    shop(proofs, &[("web.yaml", &format!("{labelled}{service}"))])
}

#[test]
fn what_is_logged_counted_and_alerted_is_read() {
    let stack = seen_shop(SEEN).stack();
    let Check::Logs(logs) = &stack.proofs[0].check else { panic!() };
    assert_eq!((logs.since, logs.pods.len(), logs.pods[0].every), (Since::Start, 2, true));
    assert_eq!(stack.proofs[0].eventually, Some(Duration::from_secs(30)), "lines take time");
    let Check::Count(count) = &stack.proofs[1].check else { panic!() };
    assert_eq!((count.requests, count.concurrency), (200, 10));
    let Check::Replicas(replicas) = &stack.proofs[2].check else { panic!() };
    assert_eq!(replicas.service(), Some(("web".to_owned(), Some("shop".to_owned()), 80)));
    let Check::Alert(alert) = &stack.proofs[3].check else { panic!() };
    assert_eq!((alert.state, alert.labels["team"].as_str()), (AlertState::Inactive, "shop"));
}

#[test]
fn what_cannot_be_logged_counted_or_alerted_is_told_where_it_stands() {
    let wrong = SEEN
        .replace("Received (?<m>", "Received (?<m")
        .replace("matches: [a, b]", "matches: [a, 'b $(m)']")
        .replace("{selector: app=web, matches", "{selector: app=wbe, matches")
        .replace("container: app", "container: App, colour: red")
        .replace("'hit (\\d+) times', requests: 200", "hit, requests: 0")
        .replace("web.shop:80", "wbe:80")
        .replace("'I am (\\S+)'", "'(I) am (\\S+)'")
        .replace("state: inactive", "state: quiet");
    insta::assert_snapshot!(seen_shop(&wrong).problems().join("\n"));
    let wrong = "name: shop
manifests: [web.yaml]
proofs:
  - {name: a, logs: {since: yesterday, pods: []}}
  - {name: b, logs: {pods: [{selector: web, matches: []}]}}
  - {name: c, replicas: {request: {url: 'https://web/'}}}
  - {name: d, replicas: {request: {url: 'http://wbe/'}}}
  - {name: e, logs: {pods: [{selector: app=wbe, matches: [a]}]}}
";
    insta::assert_snapshot!(seen_shop(wrong).problems().join("\n"));
}

const DISTURBED: &str = "name: shop
manifests: [web.yaml]
proofs:
  - name: survives
    during:
      disrupt: {deletePods: {selector: app=web, force: true}}
      before: [{logs: {pods: [{selector: app=web, matches: [up]}]}}]
      keeps: {request: {url: 'http://web/'}, number: 'hit (\\d+)', by: 1}
  - name: rolls
    during:
      disrupt: {restart: [Deployment/web]}
      load: {url: 'http://web/', rate: 50, connections: 5, duration: 10s, minRequests: 100}
  - name: is away
    during:
      disrupt: {scale: {object: Deployment/web, to: 0}}
      meanwhile: [{name: nobody, http: {url: 'http://web/', status: 503}, eventually: 10s}]
  - name: moves
    during: {disrupt: {drain: {nodeOf: app=web}}, after: [{http: {url: 'http://web/'}}]}
";

#[test]
fn disruptions_are_read_and_left_out_unless_they_are_asked_for() {
    let mut stack = seen_shop(DISTURBED).stack();
    let Check::During(survives) = &stack.proofs[0].check else { panic!() };
    assert_eq!(survives.disruption, Disruption::DeletePods { selector: "app=web".into(), force: true });
    let before = &survives.before[0];
    assert_eq!((before.name.as_str(), before.eventually), ("logs", Duration::from_secs(30)));
    assert_eq!(survives.keeps.as_ref().unwrap().by, Some(1));
    let Check::During(rolls) = &stack.proofs[1].check else { panic!() };
    let load = rolls.load.as_ref().unwrap();
    assert_eq!((load.max_errors, load.min_requests, load.timeout), (0, 100, Duration::from_secs(10)));
    stack.skip_disruptive_proofs();
    assert!(stack.proofs.is_empty());
    let skipped: Vec<&str> = stack.skipped_proofs.iter().map(|proof| proof.name.as_str()).collect();
    assert_eq!(skipped, ["survives", "rolls", "is away", "moves"]);
    assert!(stack.skipped_proofs[0].reason.contains("stackctl test shop --disruptive"));
}

#[test]
fn disruptions_that_cannot_be_are_told_where_they_stand() {
    let wrong = "name: shop
manifests: [web.yaml]
components: [shared]
proofs:
  - {name: a, during: {disrupt: {deletePods: {selector: app=web}}}}
  - {name: b, during: {disrupt: {restart: [], drain: {nodeOf: x}}, after: [{during: {}}]}}
  - {name: c, during: {disrupt: {restart: [web, Job/web]}, after: [{http: {url: 'http://web/'}}]}}
  - {name: d, during: {disrupt: {scale: {object: DaemonSet/web, to: -1}}, load: {url: web, maxErrors: 1%}}}
  - {name: e, during: {disrupt: {scale: {object: StatefulSet/web, to: 0}}, after: [{http: {url: 'http://web/'}}]}}
  - {name: f, during: {disrupt: {deletePods: {selector: app=shared}}, after: [{http: {url: 'http://web/'}}]}}
  - {name: g, during: {disrupt: {restart: [Deployment/web]}, after: [{logs: {pods: [{selector: app=wbe, matches: [a]}]}}]}, eventually: 5s}
";
    let labelled = DEPLOYMENT.replace("template:\n", "template:\n    metadata: {labels: {app: web}}\n");
    let shared = "name: shared\nmanifests: [all.yaml]\nnamespace: shop\n";
    let repository = Repository::new(&[
        ("manifests/shop/stack.yaml", wrong),
        ("manifests/shop/web.yaml", &labelled),
        ("manifests/components/shared/component.yaml", shared),
        (
            "manifests/components/shared/all.yaml",
            &labelled.replace("name: web", "name: shared").replace("app: web", "app: shared"),
        ),
    ]);
    insta::assert_snapshot!(repository.problems().join("\n"));
}
