//! Engines and clusters that are not as they should be.

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, net::UnixListener, process::CommandExt},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Home;

#[test]
fn no_engine() {
    let said = Home::new().run(&["up"]);
    assert!(said.starts_with("exit 3\n") && said.contains("no.sock") && said.contains("hint:"), "{said}");
}

/// The socket is there, but another user's. Root may open everything, so root becomes nobody first.
#[test]
fn no_permission_on_the_socket() {
    let home = Home::new();
    let socket = home.path().join("no.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let binary = home.path().join("stackctl");
    std::fs::copy(env!("CARGO_BIN_EXE_stackctl"), &binary).unwrap();
    let mut command = std::process::Command::new(binary);
    command.arg("up").env_clear().env("HOME", home.path()).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.current_dir(home.path()).stdin(std::process::Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let said = home.show(&mut command);
    assert!(said.starts_with("exit 3\n") && said.contains("ermission"), "{said}");
}

/// An engine that takes the question and never answers; `doctor` has nothing to tidy up, and waits for it a while.
#[test]
fn the_second_interruption_ends_at_once() {
    let home = Home::new();
    let socket = home.path().join("no.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = home.command(&["doctor"]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut doctor = command.spawn().unwrap();
    let _held = listener.accept().unwrap();
    let pid = Pid::from_child(&doctor);
    let interrupt = || kill_process(pid, Signal::INT).unwrap();
    interrupt();
    let mut lines = BufReader::new(doctor.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("press Ctrl-C again")).unwrap().unwrap();
    let begin = Instant::now();
    interrupt();
    assert_eq!(doctor.wait().unwrap().code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

fn existing(home: &Home, arguments: &[&str]) -> String {
    let common = ["--provider", "existing", "--registry", "registry.example"];
    home.write("small/stack.yaml", "name: small\nmanifests: [all.yaml]\n");
    home.write("small/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n");
    home.run(&[&["up", "./small"], &common[..], arguments].concat())
}

#[test]
fn a_broken_kubeconfig() {
    let home = Home::new();
    home.write(".kube/config", "apiVersion: v1\nkind: Config\ncontexts: [\n");
    let said = existing(&home, &[]);
    assert!(said.starts_with("exit 2\n") && said.contains(".kube/config"), "{said}");
}

pub fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: there\ncontexts:\n- name: there\n  context: {{ cluster: there, user: me }}\n\
         clusters:\n- name: there\n  cluster: {{ server: \"{server}\" }}\nusers:\n- name: me\n  user: {{ token: secret-token }}\n"
    )
}

#[test]
fn a_kubeconfig_that_points_nowhere() {
    let home = Home::new();
    // Bound and closed again: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.write(".kube/config", &kubeconfig(&format!("https://127.0.0.1:{port}")));
    let said = existing(&home, &[]);
    assert!(said.starts_with("exit 4\n") && said.contains(&port.to_string()), "{said}");
    assert!(!said.contains("secret-token"), "{said}");
}

#[test]
fn a_remote_cluster_is_asked_about() {
    let home = Home::new();
    // TEST-NET-1: documentation only, nothing is ever sent there.
    home.write(".kube/config", &kubeconfig("https://192.0.2.1:6443"));
    let said = existing(&home, &[]);
    assert!(said.starts_with("exit 2\n") && said.contains("there") && said.contains("--yes"), "{said}");
}

#[test]
fn an_unknown_context_is_named_with_the_known_ones() {
    let home = Home::new();
    home.write(".kube/config", &kubeconfig("https://127.0.0.1:1"));
    let said = existing(&home, &["--context", "elsewhere"]);
    assert!(said.contains("elsewhere") && said.contains("there"), "{said}");
}

#[test]
fn existing_needs_a_registry_for_services() {
    let home = Home::new();
    home.write(".kube/config", &kubeconfig("https://127.0.0.1:1"));
    let said = home.run(&["up", "hello", "--provider", "existing"]);
    assert!(said.starts_with("exit 2\n") && said.contains("--registry"), "{said}");
}

#[test]
fn doctor_tells_all_at_once() {
    let home = Home::new();
    let said = home.run(&["doctor"]);
    assert!(said.starts_with("exit 3\n"), "{said}");
    for check in ["engine", "kind", "inotify", "provider", "clusterName"] {
        assert!(said.contains(check), "{check}: {said}");
    }
}
