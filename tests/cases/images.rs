//! What is built, and when it is built again.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use serde_json::Value;

use crate::{Test, case::Case, place::Run};

pub const ALL: &[Test] =
    &[("stale-image-by-mtime", stale_image_by_mtime), ("image-with-latest", image_with_latest), ("images", images)];

/// A build that compares times, as make and cargo do, sees that a file is newer than what was made of it.
fn stale_image_by_mtime(case: &Case) {
    let page = || case.place.kubectl(&["logs", "-n", "c-stale", "job/gen"]);
    case.up("", &[], 0);
    assert_eq!(page().trim(), "<h1>hours A\n</h1>");
    case.write("app/src/page.md", "hours B\n");
    case.up("", &["--replace"], 0);
    assert_eq!(page().trim(), "<h1>hours B\n</h1>");
    case.up("", &[], 0).says(&["nothing to do"]);
}

/// A service's image has no tag of one's own. And `gc` leaves what a workload without pods would start with.
fn image_with_latest(case: &Case) {
    case.up("", &[], 2).says(&["worker.yaml:1", "did you mean `worker`, which is built here"]);
    let manifest = fs::read_to_string(case.path("worker.yaml")).unwrap();
    case.write("worker.yaml", &manifest.replace("worker:latest", "worker"));
    case.settles("");
    let folder = case.arg("");
    for version in 1..=2 {
        case.write("app/version", &format!("{version}\n"));
        case.place.ok(&["push", &folder]);
    }
    let gone = case.place.ok(&["gc", &folder, "--keep", "1"]).stdout;
    assert!(!gone.contains("0 images"), "nothing was removed: {gone}");
    case.write("app/version", "0\n");
    case.up("", &[], 0).says(&["nothing to do"]);
}

fn images(case: &Case) {
    let folder = case.arg("");
    let config = |name: &str| case.arg(&format!("config/{name}"));
    let references = |run: Run| -> Value { run.json()["images"].clone() };
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = case.place.command(arguments);
        command.envs(variables.iter().copied());
        Run::of(command)
    };
    let build = |variables: &[(&str, &str)]| {
        let run = with(variables, &["build", &folder, "-o", "json"]);
        assert_eq!(run.code, 0, "{run}");
        references(run)
    };
    let inside = |reference: &Value, arguments: &[&str]| {
        let reference = reference.as_str().expect("a reference");
        let mut command = Command::new("docker");
        command
            .args(["run", "--rm", "--label", "io.stackctl.world=test", "--entrypoint", ""])
            .arg(reference)
            .args(arguments);
        let output = command.output().expect("docker runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };

    // A large file that no instruction names is neither read nor sent: it would not fit into this much memory.
    fs::File::create(case.path("app/vm.img")).unwrap().set_len(3 << 30).unwrap();
    let mut small = Command::new("sh");
    let plain = case.place.command(&[]);
    small
        .args(["-c", "ulimit -v 2500000; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(["build", &folder, "-o", "json"]);
    small.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let small = Run::of(small);
    assert_eq!(small.code, 0, "{small}");
    let first = references(small);
    fs::write(case.path("app/README.md"), "nobody copies this").unwrap();
    assert_eq!((&build(&[])["web"], &build(&[])["net"]), (&first["web"], &first["net"]));

    // The mode of a file that is copied is part of the image; its time is not.
    let conf = case.path("app/conf/app.json");
    for (path, mode, wanted) in [("app/conf/app.json", 0o600, "600"), ("app/conf/app.json", 0o4755, "4755")] {
        fs::set_permissions(case.path(path), Permissions::from_mode(mode)).unwrap();
        let now = build(&[]);
        assert_ne!(now["web"], first["web"]);
        assert_eq!(inside(&now["web"], &["stat", "-c", "%a", "/srv/conf/app.json"]), wanted);
        assert_eq!(now["net"], first["net"]);
    }
    fs::set_permissions(&conf, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(case.path("app/conf"), Permissions::from_mode(0o700)).unwrap();
    assert_ne!(build(&[])["web"], first["web"], "folders have modes too");
    fs::set_permissions(case.path("app/conf"), Permissions::from_mode(0o755)).unwrap();
    fs::File::options().write(true).open(&conf).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(build(&[])["web"], first["web"]);

    // A Dockerfile elsewhere counts; proxies reach RUN and are of no other consequence.
    let dockerfile = fs::read_to_string(case.path("docker/net.Dockerfile")).unwrap();
    case.write("docker/net.Dockerfile", &dockerfile.replace("> /seen", "> /seen # once more"));
    let plain = build(&[]);
    assert_ne!(plain["net"], first["net"]);
    case.write("docker/net.Dockerfile", &dockerfile.replace("> /seen", "> /seen # with proxies"));
    let proxied = build(&[("DOCKER_CONFIG", &config("proxies"))]);
    let seen = inside(&proxied["net"], &["cat", "/seen"]);
    assert_eq!(seen, "http_proxy=[http://proxy.example:3128] NO_PROXY=[localhost,.example]");
    assert_eq!(build(&[])["net"], proxied["net"], "proxies are part of no tag");
    let history =
        Command::new("docker").args(["history", "--no-trunc", proxied["net"].as_str().unwrap()]).output().unwrap();
    assert!(!String::from_utf8_lossy(&history.stdout).contains("3128"), "{history:?}");

    // A broken configuration of docker matters only where it is needed.
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    for name in ["helper", "bom", "zero"] {
        case.write("app/app.js", &format!("// {name}\n"));
        let run = with(&[("DOCKER_CONFIG", &config(name)), ("DOCKER_HOST", &host)], &["push", &folder]);
        assert_eq!(run.code, 0, "{name}\n{run}");
    }
    let run = with(&[("DOCKER_CONFIG", &config("broken")), ("DOCKER_HOST", "")], &["push", &folder]);
    assert_eq!(run.code, 3, "{run}");
    run.says(&["broken/config.json:1:13"]);
    let run = with(&[("DOCKER_HOST", "/var/run/docker.sock")], &["push", &folder]);
    assert_eq!(run.code, 3, "{run}");
    run.says(&["a socket needs unix://", "DOCKER_HOST=unix:///var/run/docker.sock"]);

    // What cannot be read for certain is built each time, and changes nothing where nothing changed.
    case.up("", &[], 0);
    let generation = || case.find(&["deployment", "web", "-n", "c-images"]).unwrap()["metadata"]["generation"].clone();
    let before = generation();
    let again = case.up("", &[], 0);
    assert!(again.stderr.contains("build:quoted") || again.stdout.contains("build:quoted"), "{again}");
    assert_eq!(generation(), before);
}
