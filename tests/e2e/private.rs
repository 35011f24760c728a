//! A registry that asks who one is: a real one with a password file, from which the nodes pull with the Secret that `up`
//! leaves for them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};

use crate::place::{Place, Run, eventually};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[("a_private_registry_is_logged_in_to_pushed_to_and_pulled_from", private)];

const CONTAINER: &str = "stackctl-test-private-registry";
const USER: &str = "me";
const PASSWORD: &str = "s3cret";
/// "me:s3cret"
const BASIC: &str = "bWU6czNjcmV0";
/// bcrypt of the password.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK";

/// Goes with the test, also when it fails.
struct Registry {
    port: u16,
}

impl Registry {
    /// On the clusters' network, and on a port of loopback, where engines allow plain HTTP.
    fn start() -> Registry {
        remove();
        let serve = "printf '%s\\n' \"$HTPASSWD\" > /htpasswd && exec /entrypoint.sh /etc/docker/registry/config.yml";
        let htpasswd = format!("HTPASSWD={HTPASSWD}");
        let settings =
            ["REGISTRY_AUTH=htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM=test", "REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd"];
        let mut arguments =
            vec!["run", "--detach", "--name", CONTAINER, "--label", "io.stackctl.test=private-registry"];
        arguments.extend(["--network", "stackctl", "--publish", "127.0.0.1::5000", "--env", &htpasswd]);
        arguments.extend(settings.iter().flat_map(|setting| ["--env", setting]));
        arguments.extend(["--entrypoint", "sh", "registry:2", "-c", serve]);
        docker(&arguments);
        // From here on it is removed whatever happens.
        let mut registry = Registry { port: 0 };
        let published = docker(&["port", CONTAINER, "5000/tcp"]);
        let port = published.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        registry.port = port.expect("a published port");
        eventually("the registry answers", Duration::from_secs(30), || {
            registry.get("/v2/", None).is_some_and(|(status, _)| status == 401).then_some(())
        });
        registry
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str, basic: Option<&str>) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let shown = basic.map_or_else(String::new, |basic| format!("Authorization: Basic {basic}\r\n"));
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n{shown}\r\n", self.host());
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let (status, body) = self.get(&format!("/v2/{repository}/tags/list"), Some(BASIC)).expect("an answer");
        assert_eq!(status, 200, "{body}");
        let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let tags = answer["tags"].as_array().expect("tags").iter();
        tags.map(|tag| tag.as_str().expect("a tag").to_owned()).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    let _ = Command::new("docker").args(["rm", "--force", "--volumes", CONTAINER]).output();
}

fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments);
    let run = Run::of(command);
    assert_eq!(run.code, 0, "docker {}\n{run}", arguments.join(" "));
    run.stdout
}

fn git(folder: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]);
    command.args(arguments);
    let run = Run::of(command);
    assert_eq!(run.code, 0, "git {}\n{run}", arguments.join(" "));
    run.stdout.trim().to_owned()
}

const STACK: &str = "name: private
services: { web: { context: web } }
manifests: [all.yaml]
proofs:
  - { name: says hi, http: { url: http://web:8080/, status: 200, contains: hi }, eventually: 60s }
";
const MANIFEST: &str = "apiVersion: v1
kind: ServiceAccount
metadata: { name: web }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      serviceAccountName: web
      terminationGracePeriodSeconds: 1
      containers:
        - { name: web, image: web, imagePullPolicy: Always, readinessProbe: { httpGet: { path: /, port: 8080 } } }
";
const DOCKERFILE: &str = "FROM node:22-slim
CMD [\"node\", \"-e\", \"require('http').createServer((_, answer) => answer.end('hi')).listen(8080)\"]
";

/// The binary with a docker configuration of its own and the registry's name known to the nodes.
struct Scene<'a> {
    place: &'a Place,
    registry: &'a Registry,
    config: String,
}

impl Scene<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command.env("DOCKER_CONFIG", self.place.path("stacks/docker")).env("STACKCTL_CONFIG", &self.config);
        command.env("STACKCTL_REGISTRY", format!("{}/org", self.registry.host()));
        command
    }

    fn run(&self, code: i32, arguments: &[&str]) -> Run {
        let run = Run::of(self.command(arguments));
        assert_eq!(run.code, code, "stackctl {}\n{run}", arguments.join(" "));
        let shown = format!("{}{}", run.stdout, run.stderr);
        assert!(
            !shown.contains(PASSWORD) && !shown.contains(BASIC),
            "stackctl {} shows the password",
            arguments.join(" ")
        );
        run
    }

    fn login(&self, code: i32, password: &str) -> Run {
        let mut child = self
            .command(&["login", &format!("{}/org", self.registry.host()), "--username", USER, "--token-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stackctl");
        writeln!(child.stdin.take().expect("stdin"), "{password}").expect("a reader");
        let output = child.wait_with_output().expect("an end");
        let run = Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: Duration::ZERO,
        };
        assert_eq!(run.code, code, "{run}");
        assert!(!run.stdout.contains(password) && !run.stderr.contains(password), "{run}");
        run
    }
}

fn private(place: &Place) {
    // Makes the cluster where this test runs alone, and with it the network.
    let tiny = place.stack(
        "tiny",
        &[
            ("stack.yaml", "name: tiny\nmanifests: [all.yaml]\n"),
            ("all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: tiny }\n"),
        ],
    );
    place.ok(&["up", &tiny]);
    let registry = Registry::start();
    let config = place.path("stacks/private.yaml");
    std::fs::write(&config, configuration(place, &registry)).expect("configuration");
    let scene = Scene { place, registry: &registry, config: config.to_str().expect("UTF-8").to_owned() };
    let stack =
        place.stack("private", &[("stack.yaml", STACK), ("all.yaml", MANIFEST), ("web/Dockerfile", DOCKERFILE)]);
    git(&stack, &["init", "--quiet"]);
    git(&stack, &["add", "."]);
    git(&stack, &["commit", "--quiet", "--message", "first"]);

    // Nothing is built before it is known that it can be pushed.
    let refused = scene.run(3, &["up", &stack]);
    refused.says(&["asks who you are", "stackctl login 127.0.0.1:"]);
    assert!(!refused.stderr.contains("build:web"), "{refused}");
    scene.login(3, "wrong").says(&["does not know this user name with this password or token"]);
    assert!(!place.path("stacks/docker/config.json").exists(), "kept although it was refused");
    scene.run(3, &["doctor"]).says(&["asks who you are"]);

    scene.login(0, PASSWORD).says(&["logged in to 127.0.0.1:", "in clear text"]);
    let file = place.path("stacks/docker/config.json");
    assert_eq!(std::fs::metadata(&file).expect("config.json").permissions().mode() & 0o777, 0o600);
    scene.run(0, &["doctor"]).says(&["takes the login of me"]);

    scene.run(0, &["up", &stack, "-v"]);
    let secret = place.get(&["secret", "stackctl-registry", "-n", "private"]);
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    for account in ["web", "default"] {
        let account = place.get(&["serviceaccount", account, "-n", "private", "--show-managed-fields"]);
        assert_eq!(account["imagePullSecrets"], serde_json::json!([{ "name": "stackctl-registry" }]), "{account}");
        let entries = account["metadata"]["managedFields"].as_array().expect("managed fields");
        let own = entries.iter().find(|entry| entry["manager"] == "stackctl-registry").expect("our entry");
        assert_eq!(own["fieldsV1"], serde_json::json!({"f:imagePullSecrets": {}}), "{own}");
    }
    let image =
        place.get(&["deployment", "web", "-n", "private"])["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone();
    let image = image.as_str().expect("an image");
    let (name, _) = image.split_once("@sha256:").expect("a digest");
    let hash = name.strip_prefix(&format!("{}/org/private/web:", registry.host())).expect("the registry's name");
    let commit = git(&stack, &["rev-parse", "--short", "HEAD"]);
    let mut expected = vec![hash.to_owned(), commit.clone(), "latest".to_owned()];
    expected.sort();
    let mut tags = registry.tags("org/private/web");
    tags.sort();
    assert_eq!(tags, expected);

    // A second time changes nothing.
    let before = (place.mutations().len(), versions(place));
    scene.run(0, &["up", &stack]).says(&["nothing to do"]);
    let after = (place.mutations().len(), versions(place));
    assert_eq!(after, before, "{:?}", &place.mutations()[before.0..]);
    for arguments in [&["plan", &stack, "--output", "json"][..], &["render", &stack], &["diff", &stack]] {
        let run = scene.run(0, arguments);
        assert!(!run.stdout.contains("dockerconfigjson"), "{run}");
    }

    // The agent's image is private too.
    scene.run(0, &["test", &stack]).says(&["says hi"]);

    // Another commit of the same content is the same image with one more tag; a changed tree says so.
    git(&stack, &["commit", "--quiet", "--allow-empty", "--message", "second"]);
    scene.run(0, &["push", &stack]);
    let second = git(&stack, &["rev-parse", "--short", "HEAD"]);
    assert!(registry.tags("org/private/web").contains(&second));
    std::fs::write(place.path("stacks/manifests/private/web/Dockerfile"), format!("{DOCKERFILE}ENV CHANGED=1\n"))
        .expect("a change");
    scene.run(0, &["up", &stack]);
    assert!(registry.tags("org/private/web").contains(&format!("{second}-dirty")));

    // A password that was changed at the registry reaches the nodes with the next login.
    let config_text = std::fs::read_to_string(&file).expect("config.json");
    std::fs::write(&file, config_text.replace(BASIC, "bWU6d3Jvbmc=")).expect("a wrong password");
    scene.run(3, &["up", &stack]).says(&["does not know this user name with this password or token"]);
    std::fs::write(&file, config_text).expect("the right password");

    scene.run(0, &["down", &stack, "--yes"]);
    eventually("the namespace is gone", Duration::from_secs(30), || {
        let left = place.kubectl(&["get", "namespace", "private", "--ignore-not-found", "-o", "name"]);
        left.is_empty().then_some(())
    });

    // In a namespace that stays, nothing of it is left.
    place.kubectl(&["create", "namespace", "theirs-private"]);
    scene.run(0, &["up", &stack, "--namespace", "theirs-private"]);
    scene.run(0, &["down", &stack, "--namespace", "theirs-private", "--yes"]);
    let left = place.kubectl(&["get", "secrets,serviceaccounts", "-n", "theirs-private", "-o", "name"]);
    assert_eq!(left.trim(), "serviceaccount/default");
    assert!(place.get(&["serviceaccount", "default", "-n", "theirs-private"])["imagePullSecrets"].is_null());
    place.kubectl(&["delete", "namespace", "theirs-private"]);

    scene.run(0, &["logout", &registry.host()]).says(&["logged out"]);
    assert!(!std::fs::read_to_string(&file).expect("config.json").contains(BASIC));
    // The nodes forget the name, and the rest of the tests begins as it would have without this one.
    place.ok(&["up", &tiny]);
    place.ok(&["down", &tiny, "--yes"]);
}

/// Of the objects that a second `up` could write without need.
fn versions(place: &Place) -> Vec<String> {
    let list = place.get(&["secrets,serviceaccounts,deployments,configmaps", "-n", "private"]);
    let items = list["items"].as_array().expect("a list").iter();
    let version = |item: &serde_json::Value| match item["kind"].as_str() {
        // Its status moves by itself.
        Some("Deployment") => format!("{} {}", item["metadata"]["name"], item["metadata"]["generation"]),
        _ => format!("{} {}", item["metadata"]["name"], item["metadata"]["resourceVersion"]),
    };
    items.map(version).collect()
}

/// The place's own, with the way to the registry for nodes, for which 127.0.0.1 is themselves.
fn configuration(place: &Place, registry: &Registry) -> String {
    let text = std::fs::read_to_string(place.path("config.yaml")).expect("configuration");
    let mirror = format!("{}=http://{CONTAINER}:5000", registry.host());
    let mut found = false;
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("registryMirrors: [") {
            Some(rest) => {
                found = true;
                format!("registryMirrors: [\"{mirror}\", {rest}")
            }
            None => line.to_owned(),
        })
        .collect();
    if !found {
        lines.push(format!("registryMirrors: [\"{mirror}\"]"));
    }
    lines.join("\n") + "\n"
}
