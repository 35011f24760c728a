//! A document as `loadgen --output json` prints it, made by hand: hello under its declared load.

use serde_json::{Value, json};

pub fn hello() -> Value {
    let seconds: Vec<Value> = (0..300).map(second).collect();
    let distribution: Vec<Value> = (0..60)
        .map(|n| {
            let distance = (f64::from(n) - 22.0) / 11.0;
            json!({ "ms": 4.0 * 1.06f64.powi(n), "count": (1_100.0 * (-distance * distance).exp()) as u64 + 1 })
        })
        .collect();
    let latency = json!({ "mean": 22.1, "p50": 16.4, "p90": 44.3, "p99": 86.3, "p999": 126.0, "max": 131.9 });
    let condition = |name: &str, expected: &str, measured: &str, held: bool| json!({ "name": name, "expected": expected, "measured": measured, "held": held, "why": null });
    json!({
        "version": 1,
        "stack": "hello",
        "profile": "default",
        "cluster": "kind-stackctl",
        "started": "2026-03-14T09:26:53Z",
        "parameters": {
            "url": "http://hello-service:8400", "paths": ["/"], "method": "GET", "connections": 100,
            "arrivals": "constant", "rate": 100.0, "durationS": 300.0, "requests": null, "warmupS": 10.0,
            "timeoutS": 10.0, "from": "cluster",
        },
        "images": { "hello": format!("registry.stackctl.internal/hello/hello@sha256:{}", "5f70bf18".repeat(8)) },
        "totals": {
            "seconds": 300.0, "requests": 30_000, "succeeded": 29_995, "failed": 5, "errorRate": 5.0 / 30_000.0,
            "errors": { "status 503": 5 }, "rate": 29_995.0 / 300.0, "bytesReceived": 6_358_940, "bytesSent": 2_340_000,
            "latency": latency, "connects": { "count": 100, "failed": 0, "latency": latency },
        },
        "paths": [{ "path": "/", "requests": 30_000, "failed": 5, "latency": latency }],
        "seconds": seconds,
        "distribution": distribution,
        "histogram": "",
        "clusterSamples": (-1..99).map(|n| sample(n * 5)).collect::<Vec<_>>(),
        "workers": { "started": 4, "lost": [] },
        "verdict": {
            "passed": false,
            "conditions": [
                condition("maxErrorRate", "at most 0.01 %", "0.02 %", false),
                condition("scaleUp", "more than 2 replicas", "2 → 5 replicas after 47 s", true),
                condition("scaleDown", "2 replicas again", "after 140 s without load", true),
                condition("noRestarts", "no restarts", "0 restarts", true),
            ],
        },
    })
}

fn second(at: u32) -> Value {
    let level = match at {
        0..46 => 38.0 + f64::from(at) * 0.35,
        46..58 => 55.0 - f64::from(at - 46) * 3.3,
        _ => 14.0,
    };
    let failed = if at == 48 { 5 } else { 0 };
    // A wobble that looks like noise and is the same each time.
    let wobble = |n: u32| f64::from((at + 1).wrapping_mul(2_654_435_761).rotate_left(n) % 1_000) / 1_000.0;
    let value = |factor: f64, share: f64, n: u32| (level * (factor + share * wobble(n)) * 1_000.0).round() / 1_000.0;
    let (p50, p90, p99) = (value(0.95, 0.1, 3), value(1.5, 0.2, 9), value(2.1, 0.6, 15));
    json!({
        "at": at, "requests": 100, "succeeded": 100 - failed, "bytes": 21_200,
        "errors": if failed > 0 { json!({ "status 503": failed }) } else { json!({}) },
        "latency": { "mean": p50 * 1.1, "p50": p50, "p90": p90, "p99": p99, "p999": p99 * 1.1, "max": p99 * 1.2 },
    })
}

fn sample(at: i32) -> Value {
    let (replicas, ready, desired) = match at {
        ..30 => (2, 2, 2),
        30..40 => (4, 2, 4),
        40..47 => (5, 4, 5),
        47..440 => (5, 5, 5),
        _ => (2, 2, 2),
    };
    let value = match at {
        ..5 => 2,
        5..20 => 40,
        20..47 => 182 - at,
        47..310 => 61,
        _ => 2,
    };
    json!({
        "at": at, "workload": "Deployment/hello-service", "replicas": replicas, "ready": ready, "desired": desired,
        "metric": "cpu", "value": value, "target": 80, "restarts": 0,
    })
}
