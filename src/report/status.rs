//! What `status` and `urls` show.

use super::{style::clean, text::table};
use crate::error::words::count;
use crate::{
    kube::status::ObjectStatus,
    observe::{
        overview::{Alert, Image, Overview},
        urls::Url,
    },
    provider::ClusterState,
};

/// Workloads and what belongs to them, one row each.
fn status_table(states: &[ObjectStatus], width: Option<u16>) -> String {
    let row = |state: &ObjectStatus| {
        let what = match (&state.workload, &state.autoscaler) {
            (Some(workload), _) => {
                let restarts: i64 = workload.pods.iter().map(|pod| pod.restarts).sum();
                let restarts =
                    if restarts > 0 { format!(", {}", count_of(restarts, "restart")) } else { String::new() };
                format!("{}/{} ready{restarts}", workload.ready, workload.desired)
            }
            (None, Some(scaler)) => {
                let metrics = scaler.metrics.iter().map(|metric| {
                    format!(
                        "{} {} of {}",
                        metric.name,
                        metric.current.as_deref().unwrap_or("not measured"),
                        metric.target
                    )
                });
                let metrics: Vec<String> = metrics.collect();
                format!("{} of {}–{}, {}", scaler.replicas, scaler.minimum, scaler.maximum, metrics.join(", "))
            }
            (None, None) => String::new(),
        };
        let name = format!("{}/{}", state.kind, state.name);
        [
            state.namespace.clone().unwrap_or_default(),
            name,
            state.state.into(),
            what,
            state.note.clone().unwrap_or_default(),
        ]
    };
    table(["namespace", "object", "state", "what", "note"], &states.iter().map(row).collect::<Vec<_>>(), width)
}

/// All that is known about a cluster, on one screen.
pub fn status_screen(overview: &Overview, width: Option<u16>) -> String {
    let name = &overview.name;
    let version = overview.version.as_deref().unwrap_or_default();
    let mut blocks = match &overview.cluster {
        ClusterState::Ours { stopped: false } => vec![format!("cluster {name}: Kubernetes {version}")],
        ClusterState::Ours { stopped: true } => return format!("cluster {name}: stopped"),
        ClusterState::Absent => return format!("cluster {name}: none"),
        ClusterState::HalfMade { why } | ClusterState::Foreign { why } | ClusterState::Unreachable { why } => {
            return format!("cluster {name}: {why}");
        }
    };
    let mut head = vec![format!("stacks: {}", overview.stacks.join(", "))];
    head.push(format!("components: {}", overview.components.join(", ")));
    head.push(pods_line(&overview.objects));
    head.extend(overview.edges.iter().map(|(stack, urls)| format!("edge of {stack}: {}", urls.join(", "))));
    for proof in &overview.proofs {
        let total = proof.passed + proof.failed.len();
        let failed = match proof.failed.is_empty() {
            true => String::new(),
            false => format!("; failed: {}", proof.failed.join(", ")),
        };
        let at = proof.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        head.push(format!("last proof of {}: {} of {total} passed, {at}{failed}", proof.stack, proof.passed));
    }
    if let Some(alerts) = &overview.alerts {
        let of = |alert: &Alert| {
            let severity = alert.severity.as_ref().map(|severity| format!(" ({severity})")).unwrap_or_default();
            let summary = alert.summary.as_ref().map(|summary| format!(": {}", clean(summary))).unwrap_or_default();
            format!("\n  {}/{}{severity}{summary}", alert.namespace, alert.name)
        };
        let list: String = alerts.iter().map(of).collect();
        head.push(format!("alerts firing:{}{list}", if alerts.is_empty() { " none" } else { "" }));
    }
    blocks[0].push_str(&format!("\n{}", head.join("\n")));
    blocks.push(status_table(&overview.objects, width));
    if !overview.images.is_empty() {
        let row =
            |image: &Image| [image.name.clone(), image.built_from.clone().unwrap_or_else(|| "unknown".to_owned())];
        blocks.push(table(["image", "built from"], &overview.images.iter().map(row).collect::<Vec<_>>(), width));
    }
    blocks.join("\n\n")
}

/// `pods: 9 of 10 ready`, and what the others are at.
fn pods_line(objects: &[ObjectStatus]) -> String {
    let pods = || objects.iter().filter_map(|object| object.workload.as_ref()).flat_map(|workload| &workload.pods);
    let waiting = pods().filter(|pod| !pod.ready).map(|pod| {
        let restarts = match pod.restarts {
            0 => String::new(),
            number => format!(", {}", count_of(number, "restart")),
        };
        format!("\n  {}: {}{restarts}", pod.name, pod.state)
    });
    let waiting: String = waiting.collect();
    format!("pods: {} of {} ready{waiting}", pods().filter(|pod| pod.ready).count(), pods().count())
}

/// Routes, where they are and what answered.
pub fn url_table(urls: &[Url], width: Option<u16>) -> String {
    let row = |url: &Url| [url.route.clone(), url.url.clone(), url.answer()];
    table(["route", "url", "answer"], &urls.iter().map(row).collect::<Vec<_>>(), width)
}

fn count_of(number: i64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or_default(), noun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kube::status::{Autoscaler, Metric, PodStatus, Workload},
        proof::result::LastProof,
    };

    fn pod(name: &str, ready: bool, state: &str, restarts: i64) -> PodStatus {
        PodStatus { name: name.into(), ready, state: state.into(), restarts, node: None, started: None }
    }

    fn object(kind: &str, name: &str, state: &'static str) -> ObjectStatus {
        ObjectStatus {
            kind: kind.into(),
            name: name.into(),
            namespace: Some("shop".into()),
            state,
            note: None,
            workload: None,
            autoscaler: None,
        }
    }

    #[test]
    fn one_screen_has_all_that_is_known() {
        let pods = vec![pod("web-1", true, "Running", 0), pod("web-2", false, "CrashLoopBackOff", 4)];
        let images = vec!["registry.stackctl.internal/shop/web:0123456789abcdef0123@sha256:1".to_owned()];
        let mut web = object("Deployment", "web", "waiting");
        web.workload = Some(Workload { ready: 1, desired: 2, images, pods });
        web.note = Some("1 of 2 pods are ready".into());
        let mut scaler = object("HorizontalPodAutoscaler", "web", "ready");
        let metrics = vec![Metric { name: "cpu".into(), current: Some("12 %".into()), target: "50 %".into() }];
        scaler.autoscaler =
            Some(Autoscaler { target: "Deployment/web".into(), replicas: 2, minimum: 2, maximum: 10, metrics });
        let overview = Overview {
            name: "stackctl".into(),
            cluster: ClusterState::Ours { stopped: false },
            version: Some("v1.36.3".into()),
            stacks: vec!["shop".into()],
            components: vec!["metrics-server".into(), "shop.collector".into()],
            objects: vec![web, scaler],
            images: vec![Image {
                name: "shop/web:0123456789abcdef0123".into(),
                built_from: Some("3f2a91c04b7d".into()),
            }],
            edges: [("shop".to_owned(), vec!["https://localhost:8443".to_owned()])].into(),
            proofs: vec![LastProof {
                stack: "shop".into(),
                at: jiff::Timestamp::UNIX_EPOCH,
                passed: 3,
                failed: vec!["says hello".into()],
                skipped: 1,
            }],
            alerts: Some(vec![Alert {
                namespace: "shop".into(),
                name: "Errors".into(),
                severity: Some("page".into()),
                summary: Some("5 % fail".into()),
            }]),
        };
        insta::assert_snapshot!(status_screen(&overview, None), @r###"
        cluster stackctl: Kubernetes v1.36.3
        stacks: shop
        components: metrics-server, shop.collector
        pods: 1 of 2 ready
          web-2: CrashLoopBackOff, 4 restarts
        edge of shop: https://localhost:8443
        last proof of shop: 3 of 4 passed, 1970-01-01 00:00:00 UTC; failed: says hello
        alerts firing:
          shop/Errors (page): 5 % fail

        NAMESPACE  OBJECT                       STATE    WHAT                         NOTE
        shop       Deployment/web               waiting  1/2 ready, 4 restarts        1 of 2 pods are ready
        shop       HorizontalPodAutoscaler/web  ready    2 of 2–10, cpu 12 % of 50 %

        IMAGE                          BUILT FROM
        shop/web:0123456789abcdef0123  3f2a91c04b7d
        "###);
        let stopped = Overview { cluster: ClusterState::Ours { stopped: true }, ..overview };
        assert_eq!(status_screen(&stopped, None), "cluster stackctl: stopped");
    }

    #[test]
    fn addresses_are_shown_with_what_answered() {
        let url = |route: &str, status, error: Option<&str>| Url {
            route: route.into(),
            url: format!("https://localhost:8443{route}/"),
            serves: None,
            status,
            took_ms: 3,
            error: error.map(str::to_owned),
        };
        let urls = [url("/hello", Some(200), None), url("/jaeger", None, Some("connection refused"))];
        insta::assert_snapshot!(url_table(&urls, None), @r###"
        ROUTE    URL                             ANSWER
        /hello   https://localhost:8443/hello/   200 OK (3 ms)
        /jaeger  https://localhost:8443/jaeger/  no answer: connection refused
        "###);
    }
}
