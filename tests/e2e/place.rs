//! Where the tests run: the unmodified binary with a home of its own, a cluster of its own and the world's tools.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

pub struct Place {
    home: PathBuf,
    pub cluster: String,
    /// What goes with the place; None: its folder and its cluster stay.
    owned: Option<tempfile::TempDir>,
    /// Folders of the stacks that the running test has made.
    made: Mutex<Vec<String>>,
}

/// What a run of the binary came to.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
  - level: None
";

impl Place {
    pub fn new(cluster: &str) -> Place {
        let owned = tempfile::Builder::new().prefix("stackctl-e2e-").tempdir().expect("a folder for the tests");
        Place::at(cluster, owned.path().to_owned(), Some(owned))
    }

    /// In a folder that stays, with a cluster that stays.
    #[allow(dead_code, reason = "the cases alone keep their place")]
    pub fn kept(cluster: &str, home: PathBuf) -> Place {
        Place::at(cluster, home, None)
    }

    fn at(cluster: &str, home: PathBuf, owned: Option<tempfile::TempDir>) -> Place {
        let place = Place { home, cluster: cluster.to_owned(), owned, made: Mutex::default() };
        place.write_configuration();
        place
    }

    /// Without the audit log, whose kind configuration decides the nodes.
    pub fn plain(cluster: &str) -> Place {
        let place = Place::new(cluster);
        let file = place.path("config.yaml");
        let config = std::fs::read_to_string(&file).expect("configuration");
        let lines = config.lines().filter(|line| !line.starts_with("kindConfig:"));
        std::fs::write(file, lines.map(|line| format!("{line}\n")).collect::<String>()).expect("configuration");
        place
    }

    /// With a configuration of its own; a folder and a cluster that go with it.
    #[allow(dead_code, reason = "the cases have one configuration")]
    pub fn configured(cluster: &str, config: &str) -> Place {
        let place = Place::new(cluster);
        let config = format!("{config}\nclusterName: {cluster}\n");
        std::fs::write(place.path("config.yaml"), config).expect("configuration");
        place
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.home.join(relative)
    }

    /// The world's configuration, with an audit log of the API server added.
    fn write_configuration(&self) {
        let world = std::env::var("STACKCTL_CONFIG").ok().filter(|path| !path.is_empty());
        let mut config = world.map_or_else(String::new, |path| std::fs::read_to_string(path).expect("STACKCTL_CONFIG"));
        let audit = self.path("audit");
        std::fs::create_dir_all(audit.join("log")).expect("audit folder");
        std::fs::write(audit.join("policy.yaml"), AUDIT_POLICY).expect("audit policy");
        let kind = KIND_CONFIG.replace("AUDIT", audit.to_str().expect("a path in UTF-8"));
        let kind_file = self.path("kind.yaml");
        std::fs::write(&kind_file, kind).expect("kind configuration");
        config.push_str(&format!("\nkindConfig: {}\nclusterName: {}\n", kind_file.display(), self.cluster));
        std::fs::write(self.path("config.yaml"), config).expect("configuration");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackctl"));
        command.args(arguments).env_clear().current_dir(&self.home);
        for name in ["PATH", "DOCKER_HOST", "DOCKER_CONFIG", "MINIKUBE_HOME", "MINIKUBE_WANTUPDATENOTIFICATION"] {
            if let Ok(value) = std::env::var(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", &self.home)
            .env("KUBECONFIG", self.kubeconfig())
            .env("STACKCTL_CONFIG", self.path("config.yaml"))
            // Nobody listens there: all that these tests need is near, and what is near is reached without a proxy.
            .envs(["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, "http://127.0.0.1:9")))
            .env("NO_COLOR", "1");
        command
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path(".kube/config")
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let run = Run::of(self.command(arguments));
        crate::schema::check(arguments, &run.stdout, &run.stderr);
        run
    }

    /// Runs and demands success.
    pub fn ok(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "stackctl {}\n{run}", arguments.join(" "));
        run
    }

    /// Runs and demands this exit code.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, code, "stackctl {}\n{run}", arguments.join(" "));
        run
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("kubectl");
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        let run = Run::of(command);
        assert_eq!(run.code, 0, "kubectl {}\n{run}", arguments.join(" "));
        run.stdout
    }

    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// A stack folder from file names and contents; returns its path as an argument.
    pub fn stack(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.path(&format!("stacks/manifests/{name}"));
        for (file, content) in files {
            let file = folder.join(file);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("stack folder");
            std::fs::write(file, content).expect("stack file");
        }
        let folder = folder.to_str().expect("a path in UTF-8").to_owned();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(folder.clone());
        folder
    }

    /// A test removes what it made; this does it where the test failed before, so that no other fails for it: these
    /// namespaces go too, and this run of the binary brings back what the other tests share.
    pub fn tidied(&self, namespaces: &[&str], restore: &[&str], test: impl FnOnce()) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let _tidy = Tidy { place: self, namespaces, restore };
        test();
    }

    /// Mutating requests of our user agent that the API server has logged, as `verb uri`.
    pub fn mutations(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("audit/log/audit.log")).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("stackctl")))
            .map(|event| {
                format!(
                    "{} {}",
                    event["verb"].as_str().unwrap_or_default(),
                    event["requestURI"].as_str().unwrap_or_default()
                )
            })
            .collect()
    }

    /// Content, UID and times of our managed fields of every object of ours in the namespace, a line for each field; without
    /// replicas, which an autoscaler may change meanwhile.
    pub fn fingerprints(&self, namespace: &str) -> String {
        let kinds = "deployments,services,horizontalpodautoscalers,poddisruptionbudgets,serviceaccounts,configmaps";
        let list = self.get(&[kinds, "-n", namespace, "--show-managed-fields"]);
        let items = list["items"].as_array().expect("a list");
        let objects: BTreeMap<String, Value> = items
            .iter()
            .map(|item| {
                let times: Vec<&Value> = item["metadata"]["managedFields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|entry| entry["manager"].as_str().is_some_and(is_ours))
                    .map(|entry| &entry["time"])
                    .collect();
                let mut spec = item["spec"].clone();
                if let Some(fields) = spec.as_object_mut() {
                    fields.remove("replicas");
                }
                let (kind, meta) = (item["kind"].as_str().unwrap_or_default(), &item["metadata"]);
                let name = format!("{kind}/{} {}", meta["name"].as_str().unwrap_or_default(), meta["uid"]);
                (name, serde_json::json!({ "spec": spec, "data": item["data"], "times": times }))
            })
            .collect();
        serde_json::to_string_pretty(&objects).expect("JSON")
    }

    /// Fails with the difference if the namespace's objects are not what `fingerprints` told before.
    pub fn unchanged(&self, namespace: &str, before: &str) {
        let now = self.fingerprints(namespace);
        let difference = similar::TextDiff::from_lines(before, &now);
        assert!(before == now, "objects of {namespace} changed:\n{}", difference.unified_diff());
    }
}

/// Whether a field manager is one that stackctl writes as. The one that creates an object with a first number of replicas
/// is left out: its entry goes as soon as an autoscaler sets another number, at a time that no test controls.
fn is_ours(manager: &str) -> bool {
    manager.starts_with("stackctl") && manager != "stackctl-creation"
}

/// Whatever a test left, also after a panic.
impl Drop for Place {
    fn drop(&mut self) {
        if self.owned.is_some() {
            let _ = self.command(&["down", "--cluster", "--yes"]).output();
        }
    }
}

/// Removes what a test that panics has left.
struct Tidy<'a> {
    place: &'a Place,
    namespaces: &'a [&'a str],
    restore: &'a [&'a str],
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut stacks = std::mem::take(&mut *self.place.made.lock().unwrap_or_else(PoisonError::into_inner));
        stacks.reverse();
        stacks.dedup();
        for stack in stacks.iter().filter(|stack| Path::new(stack).join("stack.yaml").is_file()) {
            let _ = self.place.command(&["down", stack, "--yes", "--timeout", "60s"]).output();
        }
        for namespace in self.namespaces {
            let mut command = Command::new("kubectl");
            command.args(["delete", "namespace", namespace, "--ignore-not-found", "--timeout=60s"]);
            let _ = command.env("KUBECONFIG", self.place.kubeconfig()).output();
        }
        if !self.restore.is_empty() {
            let _ = self.place.command(self.restore).output();
        }
    }
}

/// Everything of the machine that `up` touches and `down` must give back.
pub struct Machine {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    images: Vec<String>,
    home: Vec<String>,
    kubeconfig: Vec<String>,
    listening: Vec<String>,
}

impl Machine {
    pub fn look(place: &Place) -> Machine {
        let docker = |arguments: &[&str]| {
            let mut command = Command::new("docker");
            command.args(arguments);
            let run = Run::of(command);
            assert_eq!(run.code, 0, "docker {}\n{run}", arguments.join(" "));
            let mut lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        Machine {
            containers: docker(&["ps", "-aq", "--no-trunc"]),
            networks: docker(&["network", "ls", "-q", "--no-trunc"]),
            volumes: docker(&["volume", "ls", "-q"]),
            // Dangling images are the builder's cache, which stays.
            images: docker(&["images", "--filter", "dangling=false", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]),
            home: files_below(&place.home),
            kubeconfig: std::fs::read_to_string(place.kubeconfig())
                .map_or_else(|_| vec!["absent".to_owned()], |text| text.lines().map(str::to_owned).collect()),
            listening: listening_ports(),
        }
    }

    /// Fails with what came and what went, and with nothing else.
    pub fn assert_as(&self, before: &Machine) {
        let parts = [
            ("container", &before.containers, &self.containers),
            ("network", &before.networks, &self.networks),
            ("volume", &before.volumes, &self.volumes),
            ("image", &before.images, &self.images),
            ("file", &before.home, &self.home),
            ("line of the kubeconfig", &before.kubeconfig, &self.kubeconfig),
            ("listening address", &before.listening, &self.listening),
        ];
        let mut differences = Vec::new();
        for (what, before, after) in parts {
            differences.extend(before.iter().filter(|one| !after.contains(one)).map(|one| format!("- {what} {one}")));
            differences.extend(after.iter().filter(|one| !before.contains(one)).map(|one| format!("+ {what} {one}")));
        }
        assert!(differences.is_empty(), "the machine is not as it was:\n{}", differences.join("\n"));
    }
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            // The audit log and the tests' own stacks are not the product's; a cache stays, as every program's does.
            if path.ends_with("audit") || path.ends_with("stacks") || path.ends_with(".cache") {
                continue;
            }
            found.push(path.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    // The machine's authority stays, and the receipt says so; with it the folders that hold nothing else.
    let (kept, mut found): (Vec<String>, Vec<String>) = found
        .into_iter()
        .partition(|path| path.ends_with("stackctl/ca/authority.pem") || path.ends_with("stackctl/ca/ca.crt"));
    let below = |folder: &str, path: &String| path.starts_with(&format!("{folder}/"));
    let mut bare: Vec<String> =
        found.iter().filter(|folder| kept.iter().any(|path| below(folder, path))).cloned().collect();
    bare.retain(|folder| found.iter().all(|path| !below(folder, path) || kept.iter().any(|kept| below(path, kept))));
    found.retain(|path| !bare.contains(path));
    found.sort();
    found
}

/// Programs that `up` may leave listening. What else listens on the machine is nobody's business here, and comes and goes.
const LISTENERS: [&str; 4] = ["docker-proxy", "kind", "kubectl", "stackctl"];

/// Local addresses at which these programs listen, from the kernel.
fn listening_ports() -> Vec<String> {
    let sockets = sockets_of(&LISTENERS);
    let mut ports: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let ours = fields.get(9).is_some_and(|inode| sockets.contains(&format!("socket:[{inode}]")));
            (fields.get(3) == Some(&"0A") && ours).then(|| fields[1].to_owned())
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// The sockets that processes of these names have open: `socket:[INODE]`.
fn sockets_of(names: &[&str]) -> HashSet<String> {
    let mut found = HashSet::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if names.contains(&name.trim()) {
            let files = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            found.extend(files.filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.display().to_string())));
        }
    }
    found
}

const KIND_CONFIG: &str = r#"kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - { hostPath: "AUDIT", containerPath: /audit }
    kubeadmConfigPatches:
      - |
        kind: ClusterConfiguration
        apiServer:
          extraArgs:
            - { name: audit-policy-file, value: /audit/policy.yaml }
            - { name: audit-log-path, value: /audit/log/audit.log }
          extraVolumes:
            - { name: audit, hostPath: /audit, mountPath: /audit, readOnly: false, pathType: DirectoryOrCreate }
"#;

impl Run {
    pub fn of(mut command: Command) -> Run {
        let began = Instant::now();
        let Output { status, stdout, stderr } =
            command.stdin(std::process::Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Run {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            took: began.elapsed(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is not JSON: {error}\n{self}"))
    }

    /// Demands that stdout or stderr contains each text.
    pub fn says(&self, texts: &[&str]) -> &Run {
        for text in texts {
            assert!(self.stdout.contains(text) || self.stderr.contains(text), "expected \"{text}\" in\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {} after {:.1?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.took, self.stdout, self.stderr
        )
    }
}

/// Polls until `check` gives something; fails loudly after the deadline.
pub fn eventually<T>(what: &str, deadline: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
