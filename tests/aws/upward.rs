//! From an empty account to a cluster, and back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    Test,
    ground::{Ground, Home},
};

pub const ALL: &[Test] = &[
    ("from_an_empty_account_and_back", from_an_empty_account_and_back),
    ("kubectl_gets_a_token_that_the_cluster_takes", kubectl_gets_a_token_that_the_cluster_takes),
    ("images_are_kept_in_the_accounts_registry", images_are_kept_in_the_accounts_registry),
    ("the_policy_is_what_is_called", the_policy_is_what_is_called),
    ("another_account_is_not_touched", another_account_is_not_touched),
];

/// AWS calls of a second `up`, and of `up` and `down` together.
const READS_OF_SECOND: usize = 25;
const CALLS: usize = 200;

fn from_an_empty_account_and_back(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    let up = home.up();
    let (writes, reads) = ground.counted();
    eprintln!("up: {:.1?}, {writes} writes, {reads} reads", up.took);
    let again = home.up();
    let (more_writes, more_reads) = ground.counted();
    eprintln!("again: {:.1?}, {} writes, {} reads", again.took, more_writes - writes, more_reads - reads);
    assert_eq!(more_writes, writes, "the second up wrote");
    assert!(more_reads - reads <= READS_OF_SECOND, "{} reads", more_reads - reads);
    let between = more_writes + more_reads;
    let down = home.down();
    let (all_writes, all_reads) = ground.counted();
    let of_both = writes + reads + all_writes + all_reads - between;
    eprintln!("down: {:.1?}; {of_both} calls with up", down.took);
    assert_eq!(ground.account.inventory(), before, "something is left");
    assert!(of_both < CALLS, "{of_both} calls: {:?}", by_action(ground));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!home.path().join(".local/state/stackctl/clusters").exists(), "{left:?}");
}

/// How often each action was called.
fn by_action(ground: &Ground) -> BTreeMap<String, usize> {
    let mut number = BTreeMap::new();
    for call in ground.account.calls() {
        *number.entry(action(&call)).or_default() += 1;
    }
    number
}

fn kubectl_gets_a_token_that_the_cluster_takes(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let kubeconfig = home.ok(&["kubeconfig", "--path", "--cluster-name", "small"]).stdout;
    let kubectl = |config: &str| {
        let mut command = std::process::Command::new("kubectl");
        command.args(["--kubeconfig", config, "get", "configmap", "small", "-n", "small", "-o", "name"]);
        command.envs(ground.account.environment()).env("HOME", home.path()).output().unwrap()
    };
    let asked = kubectl(kubeconfig.trim());
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "configmap/small", "{asked:?}");
    // A token for another cluster is none for this one.
    let text = std::fs::read_to_string(kubeconfig.trim()).unwrap();
    let other = home.path().join("other");
    let name = text.lines().find_map(|line| line.trim().strip_prefix("current-context: ")).unwrap().to_owned();
    std::fs::write(&other, text.replace(&format!("- {name}\n"), "- stackctl-other-000000\n")).unwrap();
    assert!(!kubectl(other.to_str().unwrap()).status.success());
    home.down();
}

fn images_are_kept_in_the_accounts_registry(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    with_image(ground, &home);
    home.up();
    let writes = ground.counted().0;
    home.up();
    assert_eq!(ground.counted().0, writes, "the same digest is there, and is not pushed again");
    let kubeconfig = home.ok(&["kubeconfig", "--path", "--cluster-name", "small"]).stdout;
    let mut kubectl = std::process::Command::new("kubectl");
    let path = "jsonpath={.spec.jobTemplate.spec.template.spec.containers[0].image}";
    kubectl.args(["--kubeconfig", kubeconfig.trim(), "get", "cronjob", "tool", "-n", "small", "-o", path]);
    let asked = kubectl.envs(ground.account.environment()).env("HOME", home.path()).output().unwrap();
    let image = String::from_utf8(asked.stdout).unwrap();
    let registry = format!("{}/stackctl/small-", ground.account.text("registry"));
    assert!(image.starts_with(&registry) && image.contains("@sha256:"), "{image}");
    let repositories = ground.account.inventory().remove("ecr:repository").unwrap();
    assert!(repositories.iter().any(|repository| repository.contains("/small/tool")), "{repositories:?}");
    home.down();
    assert_eq!(ground.account.inventory(), before);
}

/// Gives its stack a service, whose image nothing runs: the API server has no nodes.
fn with_image(ground: &Ground, home: &Home) {
    let stack = &home.stack;
    std::fs::create_dir_all(stack.join("tool")).unwrap();
    let label = ground.image_label();
    let file = format!("FROM scratch\nLABEL {label}\nCOPY Dockerfile /\nCMD [\"/none\"]\n");
    std::fs::write(stack.join("tool/Dockerfile"), file).unwrap();
    let declared = "name: small\nservices:\n  tool: { context: tool }\nmanifests: [job.yaml]\n";
    std::fs::write(stack.join("stack.yaml"), declared).unwrap();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "tool" },
        "spec": { "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "tool", "image": "tool" }] } } } } },
    });
    std::fs::write(stack.join("job.yaml"), job.to_string()).unwrap();
}

/// Both ways: no call that the policy does not allow, and nothing allowed that is not called.
fn the_policy_is_what_is_called(ground: &Ground) {
    let home = ground.fresh(json!({}));
    with_image(ground, &home);
    home.up();
    let cluster = cluster(ground);
    ground.account.post(
        "/automode/nodes",
        &json!({ "cluster": cluster, "count": 2, "zone": "us-east-1a", "pool": "general-purpose" }),
    );
    ground.account.post(
        "/automode/load-balancer",
        &json!({ "cluster": cluster, "service": "small/edge", "dns_name": "localhost" }),
    );
    ground.account.post("/automode/volume", &json!({ "cluster": cluster, "size": 8, "claim": "small/data" }));
    home.ok(&["sweep", "--dry-run"]);
    home.ok(&["down", "--yes", "--delete-data"]);
    let called: BTreeSet<String> = ground.account.calls().iter().map(action).collect();
    let policy: Value = serde_json::from_str(&home.ok(&["eks-policy"]).stdout).unwrap();
    let statements = policy["Statement"].as_array().unwrap().iter();
    let allowed: BTreeSet<String> = statements
        .flat_map(|statement| {
            statement["Action"].as_array().cloned().unwrap_or_else(|| vec![statement["Action"].clone()])
        })
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    let covers = |allowed: &String, called: &String| match allowed.strip_suffix('*') {
        Some(begins) => called.starts_with(begins),
        None => allowed == called,
    };
    // Who one is, everybody may ask.
    let asked = called.iter().filter(|call| *call != "sts:GetCallerIdentity");
    let missing: Vec<_> = asked.filter(|call| !allowed.iter().any(|allowed| covers(allowed, call))).collect();
    assert!(missing.is_empty(), "called and not allowed: {missing:?}");
    let unused: Vec<_> = allowed.iter().filter(|allowed| !called.iter().any(|call| covers(allowed, call))).collect();
    let unused: Vec<_> = unused.into_iter().filter(|action| !WITHOUT_A_CALL.contains(&action.as_str())).collect();
    assert!(unused.is_empty(), "allowed and not called: {unused:?}");
}

/// Rights that other calls need, or that this run has no occasion for.
const WITHOUT_A_CALL: &[&str] = &[
    // AWS asks for these beside the call that tags, hands over a role, or makes the first of its kind in an account.
    "ec2:CreateTags",
    "ecr:TagResource",
    "iam:CreateServiceLinkedRole",
    "iam:PassRole",
    "iam:TagRole",
    "logs:TagResource",
    // Images reach the registry by its own protocol, in which these are asked for.
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
    // What the cluster itself has not taken away.
    "ec2:TerminateInstances",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:DeleteNetworkInterface",
    // What somebody has written into a role of the cluster.
    "iam:DeleteRolePolicy",
    "iam:ListRolePolicies",
    "elasticloadbalancing:DeleteTargetGroup",
    // A NAT gateway in place of one that is gone; subnets whose nodes have addresses of their own.
    "ec2:ReplaceRoute",
    "ec2:ModifySubnetAttribute",
];

fn action(call: &Value) -> String {
    let service = match call["service"].as_str().unwrap() {
        "elbv2" => "elasticloadbalancing",
        "service-quotas" => "servicequotas",
        other => other,
    };
    format!("{service}:{}", call["action"].as_str().unwrap())
}

pub fn cluster(ground: &Ground) -> String {
    let clusters = ground.account.inventory().remove("eks:cluster").expect("a cluster");
    let cluster: Value = serde_json::from_str(&clusters[0]).unwrap();
    cluster["name"].as_str().or_else(|| cluster["id"].as_str()).unwrap().to_owned()
}

fn another_account_is_not_touched(ground: &Ground) {
    let mut home = ground.fresh(json!({}));
    home.up();
    let there = ground.account.inventory();
    let other = ground.account.described["other"].clone();
    let mine = ground.account.environment();
    home.set("AWS_ACCESS_KEY_ID", other["access_key"].as_str().unwrap());
    home.set("AWS_SECRET_ACCESS_KEY", other["secret_key"].as_str().unwrap());
    let refused = home.run(&["down", "--yes"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    refused.says(ground.account.text("account"));
    assert_eq!(home.run(&["up", "--yes", "--account", ground.account.text("account")]).code, 3);
    assert_eq!(ground.account.inventory(), there);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        home.set(name, &mine[name]);
    }
    home.down();
}
