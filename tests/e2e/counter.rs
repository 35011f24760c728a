//! The stack counter: what it counts is never lost, neither by pods and nodes that go, nor by rollouts, nor in silence.

use std::{process::Command, time::Duration};

use crate::place::{Place, Run, eventually};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("counter_comes_up_beside_hello_and_proves_itself", comes_up),
    ("counter_takes_disruptions", disruptions),
    ("counter_keeps_its_count_over_a_restart_of_the_node", node_restart),
    ("counter_is_backed_up_and_restored", backup_and_restore),
    ("a_damaged_file_of_redis_is_told_and_repaired", damaged),
    ("down_counter_leaves_hello_as_it_was", down),
];

const NAMESPACE: &str = "counter";

/// Asks Redis itself, which is no visit.
fn count(place: &Place) -> u64 {
    let get = ["exec", "-n", NAMESPACE, "redis-0", "-c", "redis", "--", "redis-cli", "get", "visitor"];
    place.kubectl(&get).trim().parse().unwrap_or(0)
}

/// Sends so many visits from inside the cluster, at least.
fn visit(place: &Place, times: u64) {
    place.ok(&visits(&times.to_string()));
}

fn visits(times: &str) -> [&str; 12] {
    [
        "loadgen",
        "counter",
        "--from",
        "cluster",
        "--url",
        "http://proxy/",
        "--connections",
        "4",
        "--requests",
        times,
        "--max-error-rate",
        "0%",
    ]
}

fn comes_up(place: &Place) {
    let hello = place.fingerprints("hello");
    let run = place.ok(&["up", "counter"]);
    eprintln!("up counter, images built: {:.1?}", run.took);
    place.ok(&["down", "counter", "--yes", "--prune-data"]);
    let run = place.ok(&["up", "counter"]);
    eprintln!("up counter, images cached: {:.1?}", run.took);
    let run = place.ok(&["test", "counter"]);
    eprintln!("test counter: {:.1?}", run.took);
    run.says(&["200 visits raise the count by 200", "each replica answers", "every panel of the dashboards has data"]);
    let app = place.get(&["deployment", "app", "-n", NAMESPACE]);
    assert_eq!(app["status"]["readyReplicas"], 4);

    // Neither probes nor scrapes are visits.
    let before = count(place);
    assert!(before >= 200, "{before}");
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(count(place), before);

    let mutations = place.mutations().len();
    place.ok(&["up", "counter"]).says(&["nothing to do"]);
    assert_eq!(place.mutations()[mutations..], [] as [String; 0], "the second up wrote");
    place.unchanged("hello", &hello);
}

fn disruptions(place: &Place) {
    let run = place.ok(&["test", "counter", "--disruptive"]);
    eprintln!("disruptive proofs of counter: {:.1?}", run.took);
    run.says(&[
        "the count survives the loss of the Redis pod",
        "no request fails while app and proxy roll",
        "the alert RedisDown fires when Redis is away, and goes when it is back",
    ]);
}

fn node_restart(place: &Place) {
    let before = count(place);
    place.ok(&["stop"]);
    place.ok(&["start"]);
    eventually("Redis is back", Duration::from_secs(60), || {
        let pod = place.get(&["pod", "redis-0", "-n", NAMESPACE]);
        pod["status"]["containerStatuses"].as_array()?.iter().all(|status| status["ready"] == true).then_some(())
    });
    assert_eq!(count(place), before);
    // Pods count as ready until somebody has looked at them again.
    eventually("the proxy answers", Duration::from_secs(120), || (place.run(&visits("1")).code == 0).then_some(()));
}

fn backup_and_restore(place: &Place) {
    visit(place, 10);
    let saved = count(place);
    place.ok(&["backup", "counter"]).says(&["backup redis-"]);
    visit(place, 10);
    let lost = count(place);
    assert!(lost >= saved + 10, "{saved} {lost}");
    let run = place.ok(&["restore", "counter"]);
    run.says(&[&format!("{saved} visits, where there were {lost}")]);
    assert_eq!(count(place), saved);
    visit(place, 1);
    assert!(count(place) > saved);

    // What a restore replaces is not lost.
    let said = [run.stdout.as_str(), &run.stderr].concat();
    let undo = said.split_once("--set backup=").map(|(_, rest)| rest);
    let undo = undo.and_then(|rest| rest.split(|letter: char| letter.is_whitespace() || letter == '"').next());
    place.ok(&["restore", "counter", "--set", &format!("backup={}", undo.expect("how to undo it"))]);
    assert_eq!(count(place), lost);

    place.fails(7, &["restore", "counter", "--set", "backup=nowhere.rdb"]).says(&["There is no backup nowhere.rdb"]);
    assert_eq!(count(place), lost);

    // It survives its pod.
    place.kubectl(&["delete", "pod", "redis-0", "-n", NAMESPACE]);
    place.kubectl(&["wait", "pod", "redis-0", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s"]);
    assert_eq!(count(place), lost);
}

fn damaged(place: &Place) {
    visit(place, 20);
    let before = count(place);
    // As a failing disk would: in the middle of the file, not at its end.
    let volume = place.get(&["pvc", "redis-data", "-n", NAMESPACE])["spec"]["volumeName"].clone();
    let volume = place.get(&["pv", volume.as_str().expect("a bound claim")]);
    let folder = ["/spec/local/path", "/spec/hostPath/path"].into_iter().find_map(|path| volume.pointer(path));
    let folder = folder.and_then(|path| path.as_str()).expect("a folder of the node");
    let script = format!(
        "cd {folder}/appendonlydir && file=$(ls *.incr.aof) && size=$(stat -c %s $file) && \
         printf 'garbage!!' | dd of=$file bs=1 seek=$((size - 300)) conv=notrunc"
    );
    let mut hurt = Command::new("docker");
    hurt.args(["exec", &format!("{}-control-plane", place.cluster), "sh", "-c", &script]);
    let run = Run::of(hurt);
    assert_eq!(run.code, 0, "{run}");
    place.kubectl(&["delete", "pod", "redis-0", "-n", NAMESPACE]);

    // The pod says what happened and what to do, and so does `up`.
    let told = eventually("the pod says why it does not start", Duration::from_secs(90), || {
        let pod = place.get(&["pod", "redis-0", "-n", NAMESPACE]);
        let statuses = pod["status"]["containerStatuses"].as_array()?.clone();
        let status = statuses.into_iter().find(|status| status["name"] == "redis")?;
        let ended = ["/state/terminated/message", "/lastState/terminated/message"];
        ended.iter().find_map(|path| Some(status.pointer(path)?.as_str()?.to_owned()))
    });
    assert!(told.contains("append-only file of Redis is damaged"), "{told}");
    assert!(told.contains("stackctl run counter repair"), "{told}");

    place.ok(&["run", "counter", "repair"]).says(&["cut off"]);
    place.kubectl(&["delete", "pod", "redis-0", "-n", NAMESPACE]);
    place.kubectl(&["wait", "pod", "redis-0", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=90s"]);
    let after = count(place);
    assert!(after < before && before - after <= 20, "{before} {after}");
    // There is nothing more to repair.
    place.fails(7, &["run", "counter", "repair"]).says(&["nothing to repair"]);
}

fn down(place: &Place) {
    let hello = place.fingerprints("hello");
    // The count stays, unless it is given up.
    let before = count(place);
    place.ok(&["down", "counter", "--yes"]).says(&["redis-data"]);
    place.ok(&["up", "counter"]);
    let after = count(place);
    // `up` tries the stack's route, which is a visit.
    assert!((before..before + 20).contains(&after), "{before} {after}");
    place.ok(&["down", "counter", "--yes", "--prune-data"]).says(&["0 left"]);
    place.unchanged("hello", &hello);
}
