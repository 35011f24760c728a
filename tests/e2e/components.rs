//! hello's components under what they are there for: an emulated DynamoDB, and the memory that they ask for.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::place::{Place, Run, eventually};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("the_edge_is_reached_from_this_machine", edge),
    ("an_emulated_dynamodb_takes_writes_and_gives_them_back", emulated_dynamodb),
];

const CALM: &[&str] = &["--set", "unhealthyRatio=0", "--set", "delayRatio=0"];

fn edge(place: &Place) {
    let up = [&["up", "hello"], CALM].concat();
    place.ok(&up);
    let reached = || {
        let urls = place.ok(&["urls", "--output", "json"]).json();
        let urls = urls["urls"].as_array().expect("a list").clone();
        assert!(urls.len() >= 3 && urls.iter().all(|url| url["status"].is_u64()), "{urls:?}");
        let hello = urls.iter().find(|url| url["route"] == "/hello").expect("a route to hello");
        hello["url"].as_str().expect("an address").to_owned()
    };
    let hello = reached();
    let port: u16 =
        hello.strip_prefix("https://localhost:").and_then(|rest| rest.split('/').next()?.parse().ok()).expect("a port");
    assert_eq!(place.ok(&["open", "hello"]).stdout.trim(), hello);
    place.fails(2, &["open", "nowhere"]).says(&["no route nowhere", "/hello"]);

    // Every request over TLS, verified against the authority of this machine; without it there is no trust.
    let authority = place.ok(&["ca", "path"]).stdout.trim().to_owned();
    let load = ["loadgen", "--url", &hello, "--requests", "200", "--connections", "4", "--max-error-rate", "0%"];
    place.ok(&[&load[..], &["--ca-bundle", &authority]].concat());
    place.fails(3, &load).says(&["certificate"]);

    // Its key is on this machine alone.
    let key = std::fs::read_to_string(place.path(".local/state/stackctl/ca/authority.pem")).expect("the authority");
    let line = key.lines().nth(1).expect("a line of the key");
    let all = place.get(&["secrets,configmaps", "-A"]);
    let values = all["items"].as_array().into_iter().flatten().flat_map(|item| {
        let data = item["data"].as_object().into_iter().flatten();
        data.filter_map(|(_, value)| value.as_str()).map(str::to_owned).collect::<Vec<_>>()
    });
    let clear = values.map(|value| match BASE64_STANDARD.decode(&value) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => value,
    });
    let clear: Vec<String> = clear.collect();
    assert!(clear.iter().any(|value| value.contains("BEGIN CERTIFICATE")), "no certificate is seen");
    assert!(clear.iter().all(|value| !value.contains(line)), "the authority's key is in the cluster");

    // The container in between can be lost without the cluster noticing.
    let before = place.fingerprints("hello");
    let mut remove = Command::new("docker");
    remove.args(["rm", "--force", &format!("{}-proxy-hello", place.cluster)]);
    assert_eq!(Run::of(remove).code, 0);
    place.fails(3, &["urls"]).says(&["`stackctl up` makes it"]);
    place.ok(&up);
    assert_eq!(reached(), hello);
    place.unchanged("hello", &before);

    // A port that somebody has is refused by its number, and what was there stays.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let number = taken.local_addr().expect("its address").port().to_string();
    let asked = [&["up", "hello", "--https-port", &number], CALM].concat();
    place.fails(3, &asked).says(&[&format!("port {number} of 127.0.0.1 is in use"), "e2e"]);
    place.fails(3, &["doctor", "--https-port", &number]).says(&["ports", &number]);
    place.ok(&["doctor", "--https-port", &port.to_string()]);
    assert_eq!(reached(), hello);
}

const EMULATOR: &str = "apiVersion: v1
kind: Service
metadata: { name: dynamodb }
spec:
  selector: { app: dynamodb }
  ports: [{ port: 8000, targetPort: 5000 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: dynamodb }
spec:
  selector: { matchLabels: { app: dynamodb } }
  template:
    metadata: { labels: { app: dynamodb } }
    spec:
      containers:
        - name: moto
          image: motoserver/moto:5.2.5
          readinessProbe: { httpGet: { path: /moto-api/, port: 5000 }, periodSeconds: 1 }
";

/// What `aws dynamodb create-table` would do, from the emulator's own Python.
const CREATE_TABLE: &str = "import boto3; boto3.client('dynamodb', region_name='us-east-1', \
    endpoint_url='http://127.0.0.1:5000', aws_access_key_id='x', aws_secret_access_key='x').create_table(\
    TableName='practice', KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}], \
    AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': 'S'}], BillingMode='PAY_PER_REQUEST')";

fn emulated_dynamodb(place: &Place) {
    let set = [&["hello", "--set", "dynamodb.endpoint=http://dynamodb.emulator:8000"], CALM].concat();
    let declaration = "name: emulator\nmanifests: [all.yaml]\n";
    let emulator = place.stack("emulator", &[("stack.yaml", declaration), ("all.yaml", EMULATOR)]);
    place.ok(&["up", &emulator]);
    place.kubectl(&["exec", "-n", "emulator", "deploy/dynamodb", "--", "python3", "-c", CREATE_TABLE]);
    place.ok(&[&["up"], &set[..]].concat());
    // Old pods, which know no endpoint, answer until they have drained.
    let run = eventually("the emulator takes writes", Duration::from_secs(30), || {
        let run = place.run(&[&["test", "--output", "json"], &set[..]].concat());
        (run.code == 0).then_some(run)
    });
    let proofs = run.json();
    let proofs = proofs["proofs"].as_array().expect("proofs");
    for name in ["writes to DynamoDB", "reads back what was written"] {
        assert!(proofs.iter().any(|proof| proof["name"] == name && proof["passed"] == true), "{name}: {run}");
    }
    // Without the endpoint hello is as it was, and writes are refused again.
    place.ok(&[&["up", "hello"], CALM].concat());
    place.ok(&["down", &emulator, "--yes"]);
}

/// The largest working set that each container of hello's components had while something ran, beside what it asks for.
pub struct Memory {
    /// Pod and container to bytes; pods of one workload have entries of their own.
    peaks: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
}

const MIB: u64 = 1024 * 1024;
/// All that is not the stack's own service.
const COMPONENTS: &[(&str, &str)] =
    &[("hello", "app.kubernetes.io/name!=hello,!io.stackctl.agent"), ("kube-system", "k8s-app=metrics-server")];

impl Memory {
    /// Looks every few seconds for as long as `work` goes on, and once after it.
    pub fn during<T>(place: &Place, work: impl FnOnce() -> T) -> (Memory, T) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut memory = Memory { peaks: BTreeMap::new(), requests: BTreeMap::new() };
                loop {
                    let last = over.load(Ordering::Relaxed);
                    memory.look(place);
                    if last {
                        return memory;
                    }
                    // The server measures every ten seconds or so.
                    std::thread::park_timeout(Duration::from_secs(5));
                }
            });
            let guard = Over(&over, watcher.thread().clone());
            let done = work();
            drop(guard);
            (watcher.join().expect("the watcher's end"), done)
        })
    }

    fn look(&mut self, place: &Place) {
        for (namespace, selector) in COMPONENTS {
            let pods = place.get(&["pods", "-n", namespace, "-l", selector]);
            assert!(!pods.to_string().contains("OOMKilled"), "{pods}");
            for container in each(&pods, |pod| &pod["spec"]["containers"]) {
                let asked = container.1["resources"]["requests"]["memory"].as_str().map_or(0, bytes);
                self.requests.insert(container.0, asked);
            }
            let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={selector}");
            let mut command = Command::new("kubectl");
            command.args(["get", "--raw", &path.replace('!', "%21").replace(',', "%2C")]);
            let run = Run::of({
                command.env("KUBECONFIG", place.kubeconfig());
                command
            });
            // It may be starting itself.
            let Ok(seen) = serde_json::from_str::<Value>(&run.stdout) else { continue };
            for (name, container) in each(&seen, |pod| &pod["containers"]) {
                let peak = self.peaks.entry(name).or_default();
                *peak = (*peak).max(container["usage"]["memory"].as_str().map_or(0, bytes));
            }
        }
    }

    /// Requests of at most 1 GiB; working sets of at most 1.5 GiB, none over 1.5 times its own request.
    pub fn assert_modest(&self) {
        let requested: u64 = self.requests.values().sum();
        let used: u64 = self.peaks.values().sum();
        eprintln!("components: {} MiB requested, {} MiB at their peaks", requested / MIB, used / MIB);
        for (name, asked) in &self.requests {
            let peak = self.peaks.get(name).copied().unwrap_or_default();
            eprintln!("  {name}: {} MiB, peak {} MiB", asked / MIB, peak / MIB);
            assert!(peak > 0, "{name} was never measured");
            assert!(2 * peak <= 3 * asked, "{name} uses {} MiB and asks for {}", peak / MIB, asked / MIB);
        }
        assert!(self.requests.len() >= 6, "{:?}", self.requests);
        assert!(requested <= 1024 * MIB && 2 * used <= 3 * 1024 * MIB);
    }
}

/// Ends the watcher, also when the work panics.
struct Over<'a>(&'a AtomicBool, std::thread::Thread);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

/// Containers of a list of pods, with the names `POD/CONTAINER`.
fn each(list: &Value, containers: fn(&Value) -> &Value) -> Vec<(String, &Value)> {
    let pods = list["items"].as_array().into_iter().flatten();
    pods.flat_map(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let containers = containers(pod).as_array().into_iter().flatten();
        containers.map(move |it| (format!("{name}/{}", it["name"].as_str().unwrap_or_default()), it))
    })
    .collect()
}

/// Of a quantity of memory, as the API server and the metrics server write it.
fn bytes(quantity: &str) -> u64 {
    let (number, unit) = quantity.split_at(quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len()));
    let unit = match unit {
        "" => 1,
        "Ki" => 1024,
        "Mi" => MIB,
        "Gi" => 1024 * MIB,
        other => panic!("{quantity}: unit {other}"),
    };
    number.parse::<u64>().expect("a number") * unit
}
