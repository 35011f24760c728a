//! What runs in a cluster of EKS and not beside the API server of the tests, as far as a stack waits for it: workloads
//! become ready, Services get endpoints, and AWS's own controller makes load balancers.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::ground::{Ground, Home};

/// An address of this machine that no certificate names by itself.
pub const ADDRESS: &str = "127.0.0.2";
const FINALIZER: &str = "service.eks.amazonaws.com/resources";

pub struct Controllers {
    stop: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

/// kubectl with the kubeconfig of the only cluster that a home knows.
#[derive(Clone)]
pub struct Kubectl {
    home: PathBuf,
    environment: Vec<(String, String)>,
}

impl Kubectl {
    pub fn of(ground: &Ground, home: &Home) -> Kubectl {
        let environment = ground.account.environment().into_iter().collect();
        Kubectl { home: home.path().to_owned(), environment }
    }

    fn kubeconfig(&self) -> Option<PathBuf> {
        let clusters = std::fs::read_dir(self.home.join(".local/state/stackctl/clusters")).ok()?;
        clusters.flatten().map(|entry| entry.path().join("kubeconfig")).find(|path| path.exists())
    }

    /// None: it failed, for instance because there is no cluster yet.
    pub fn ask(&self, arguments: &[&str], input: Option<&Value>) -> Option<String> {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig()?).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).env("HOME", &self.home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("kubectl");
        let mut stdin = child.stdin.take().expect("its input");
        if let Some(input) = input {
            let _ = stdin.write_all(input.to_string().as_bytes());
        }
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn get(&self, what: &[&str]) -> Option<Value> {
        let arguments = [&["get", "-o", "json"][..], what].concat();
        serde_json::from_str(&self.ask(&arguments, None)?).ok()
    }

    fn patch(&self, object: &Value, status: bool, patch: &Value) {
        let (namespace, name) = place(object);
        let kind = object["kind"].as_str().expect("a kind").to_lowercase();
        let mut arguments = vec!["patch", &kind, name, "-n", namespace, "--type=merge", "-p"];
        let text = patch.to_string();
        arguments.push(&text);
        arguments.extend(status.then_some("--subresource=status"));
        self.ask(&arguments, None);
    }
}

fn place(object: &Value) -> (&str, &str) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}

impl Controllers {
    pub fn start(ground: &Ground, home: &Home) -> Controllers {
        let (stop, refuses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let work = Work {
            kubectl: Kubectl::of(ground, home),
            account: Arc::clone(&ground.account),
            stop: Arc::clone(&stop),
            refuses: Arc::clone(&refuses),
            pools: AtomicBool::new(false),
            server: Mutex::new(None),
        };
        Controllers { stop, refuses, running: Some(std::thread::spawn(move || work.run())) }
    }

    /// The quota of load balancers is used up.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

struct Work {
    kubectl: Kubectl,
    account: Arc<crate::account::Account>,
    stop: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
    /// There was a pool that a user has made.
    pools: AtomicBool,
    /// What answers behind the load balancer.
    server: Mutex<Option<(Child, tempfile::TempDir)>>,
}

impl Work {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let all = self.kubectl.get(&["deployments.apps,services", "-A"]).unwrap_or_default();
            for object in all["items"].as_array().into_iter().flatten() {
                match object["kind"].as_str() {
                    Some("Deployment") => self.ready(object),
                    Some("Service") => self.serve(object),
                    _ => {}
                }
            }
            self.end_nodes();
            std::thread::sleep(Duration::from_millis(200));
        }
        if let Some((mut child, _)) = self.server.lock().expect("a server").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Nodes of a pool that a user has made are drained once the pool is gone, and no budget keeps a pod.
    fn end_nodes(&self) {
        let Some(pools) = self.kubectl.get(&["nodepools.karpenter.sh"]) else { return };
        let Some(holding) = self.kubectl.get(&["poddisruptionbudgets,deployments.apps", "-A"]) else { return };
        let none = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
        let had = self.pools.swap(!none(&pools) || self.pools.load(Ordering::Relaxed), Ordering::Relaxed);
        if let (true, true, true, Some(cluster)) = (had, none(&pools), none(&holding), self.cluster()) {
            self.account.post("/automode/nodes-gone", &json!({ "cluster": cluster, "pool": "custom" }));
            self.pools.store(false, Ordering::Relaxed);
        }
    }

    fn cluster(&self) -> Option<String> {
        let clusters = self.account.inventory().remove("eks:cluster")?;
        let cluster: Value = serde_json::from_str(clusters.first()?).ok()?;
        cluster["name"].as_str().or_else(|| cluster["id"].as_str()).map(str::to_owned)
    }

    fn ready(&self, deployment: &Value) {
        let generation = &deployment["metadata"]["generation"];
        if deployment["status"]["observedGeneration"] == *generation {
            return;
        }
        let number = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let status = json!({ "observedGeneration": generation, "replicas": number, "updatedReplicas": number,
            "readyReplicas": number, "availableReplicas": number,
            "conditions": [{ "type": "Available", "status": "True" }, { "type": "Progressing", "status": "True" }] });
        self.kubectl.patch(deployment, true, &json!({ "status": status }));
    }

    fn serve(&self, service: &Value) {
        let (namespace, name) = place(service);
        if service["spec"]["selector"].is_object() {
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [],
                "metadata": { "name": name, "namespace": namespace, "labels": { "kubernetes.io/service-name": name } },
                "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": true } }],
            });
            self.kubectl.ask(&["create", "-f", "-"], Some(&slice));
        }
        if service["spec"]["type"] != "LoadBalancer" {
            return;
        }
        assert_eq!(service["spec"]["loadBalancerClass"], "eks.amazonaws.com/nlb");
        let Some(cluster) = self.cluster() else { return };
        let which = json!({ "cluster": cluster, "service": format!("{namespace}/{name}"), "dns_name": "localhost" });
        let held = service["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|it| it == FINALIZER));
        let given = !service["status"]["loadBalancer"]["ingress"].is_null();
        if service["metadata"]["deletionTimestamp"].is_string() {
            if held {
                self.account.post("/automode/load-balancer-gone", &which);
                self.kubectl.patch(service, false, &json!({ "metadata": { "finalizers": null } }));
            }
        } else if self.refuses.load(Ordering::Relaxed) {
            self.complain(service);
        } else if !given {
            self.account.post("/automode/load-balancer", &which);
            self.kubectl.patch(service, false, &json!({ "metadata": { "finalizers": [FINALIZER] } }));
            let ingress = json!([{ "ip": ADDRESS }]);
            self.kubectl.patch(service, true, &json!({ "status": { "loadBalancer": { "ingress": ingress } } }));
        } else {
            self.answer(service);
        }
    }

    fn complain(&self, service: &Value) {
        let (namespace, name) = place(service);
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedDeployModel",
            "metadata": { "generateName": "edge-", "namespace": namespace },
            "message": "Failed deploy model due to operation error Elastic Load Balancing v2: CreateLoadBalancer, \
                        TooManyLoadBalancers: The maximum number of load balancers has been reached",
            "involvedObject": { "apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name,
                "uid": service["metadata"]["uid"] },
        });
        self.kubectl.ask(&["create", "-f", "-"], Some(&event));
    }

    /// With the certificate that the edge's pods would have.
    fn answer(&self, service: &Value) {
        let mut server = self.server.lock().expect("a server");
        let (namespace, _) = place(service);
        if server.is_some() {
            return;
        }
        let Some(secret) = self.kubectl.get(&["secret", "edge-tls", "-n", namespace]) else { return };
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["tls.crt", "tls.key"] {
            let data = BASE64_STANDARD.decode(secret["data"][name].as_str().expect("data")).expect("base64");
            std::fs::write(folder.path().join(name), data).expect("a file");
        }
        let port = service["spec"]["ports"][0]["port"].to_string();
        let file = |name: &str| folder.path().join(name);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-quiet", "-accept", &format!("{ADDRESS}:{port}")]);
        command.arg("-cert").arg(file("tls.crt")).arg("-key").arg(file("tls.key"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        *server = Some((command.spawn().expect("openssl"), folder));
    }
}

/// Writes files into the folder of a stack, which has nothing else.
pub fn stack(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}
