use super::*;

fn failed(text: &str) -> Failed {
    Failed { why: "kind ended with exit status: 1".to_owned(), lines: text.lines().map(str::to_owned).collect() }
}

/// As kubeadm 1.36 prints it at -v=6.
const KUBEADM: &str = "Creating cluster \"one\" ...
 ✗ Starting control-plane 🕹️
ERROR: failed to create cluster: failed to init node with kubeadm: command \"docker exec --privileged one-control-plane kubeadm init --config=/kind/kubeadm.conf --v=6\" failed with error: exit status 1

Command Output: I1130 01:02:03.000001     120 initconfiguration.go:1] loading configuration
[init] Using Kubernetes version: v1.36.3
[kubelet-check] The kubelet is not healthy after 4m0.000s

Unfortunately, an error has occurred, likely caused by:
\t- The kubelet is not running

error: error execution phase wait-control-plane: cannot obtain client without bootstrap: could not bootstrap the admin user in file admin.conf: unable to create ClusterRoleBinding: dial tcp 172.18.0.4:6443: connect: connection refused
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
\tk8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
runtime.goexit
\truntime/asm_amd64.s:1693
";

/// As kubeadm before 1.34 does.
const OLDER: &str = "ERROR: failed to create cluster: failed to init node with kubeadm: command \"docker exec x\" failed with error: exit status 1
Command Output: I1130 01:02:03.000001     120 initconfiguration.go:1] loading configuration
couldn't initialize a Kubernetes cluster
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/init.runWaitControlPlanePhase
\tcmd/kubeadm/app/cmd/phases/init/waitcontrolplane.go:110
runtime.goexit
\t/usr/local/go/src/runtime/asm_amd64.s:1650
error execution phase wait-control-plane
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
\tcmd/kubeadm/app/cmd/phases/workflow/runner.go:259
runtime.goexit
\t/usr/local/go/src/runtime/asm_amd64.s:1650
";

const PORT: &str = "ERROR: failed to create cluster: command \"docker run --name one-control-plane --publish=127.0.0.1:41000:6443/TCP kindest/node:v1\" failed with error: exit status 125

Command Output: 3f2a
docker: Error response from daemon: driver failed programming external connectivity: Bind for 127.0.0.1:41000 failed: port is already allocated.
";

fn told(text: &str) -> Error {
    error("one", &failed(text), &[], Path::new("/state/kind-create.log"))
}

#[test]
fn kubeadms_own_error_is_quoted_and_no_stack_is_shown() {
    for text in [KUBEADM, OLDER] {
        let error = told(text);
        assert_eq!(error.kind, Kind::Platform);
        assert_eq!(
            error.causes[0],
            "failed to create cluster: failed to init node with kubeadm: docker ended with exit status 1"
        );
        assert!(error.causes[1].starts_with("error execution phase wait-control-plane: "), "{error:?}");
        let all = format!("{error:?}");
        assert!(!all.contains(".go:") && !all.contains("goexit") && !all.contains("asm_amd64"), "{all}");
        assert!(error.hints.last().unwrap().contains("/state/kind-create.log"), "{error:?}");
        assert!(error.details.len() <= SHOWN, "{error:?}");
    }
    assert!(told(KUBEADM).causes[1].ends_with("6443: connect: connection refused"));
    assert!(told(OLDER).causes[1].ends_with("couldn't initialize a Kubernetes cluster"));
}

#[test]
fn other_commands_are_quoted_too_and_a_sign_gives_its_hint() {
    let error = told(PORT);
    assert_eq!(error.causes[0], "failed to create cluster: docker ended with exit status 125");
    assert!(error.causes[1].contains("port is already allocated"), "{error:?}");
    assert!(error.hints[0].contains("stackctl doctor"));
    let pull = "ERROR: failed to create cluster: failed to pull image \"x\": command \"docker pull x\" failed with error: exit status 1";
    let error = told(pull);
    assert!(error.causes[0].starts_with("failed to create cluster: failed to pull image \"x\""), "{error:?}");
    assert!(error.hints[0].contains("--node-image"));
    assert_eq!(told("").causes, ["kind ended with exit status: 1"]);
}

#[test]
fn what_passes_on_a_busy_machine_is_told_from_what_does_not() {
    let sick = || Node { name: "one-control-plane".to_owned(), ..Node::default() };
    let well = || Node { running: true, ..sick() };
    let late = KUBEADM.replace("connection refused", "context deadline exceeded");
    assert!(may_pass(&failed(&late), &[well()], false));
    assert!(!may_pass(&failed(&late), &[well(), sick()], false));
    assert!(!may_pass(&failed(KUBEADM), &[well()], false));
    let mut started = well();
    started.kubelet.runs = Some(true);
    assert!(may_pass(&failed(KUBEADM), &[started], false), "the API server may have been slow");
    assert!(may_pass(&failed("ERROR: could not find a log line that matches \"x\""), &[well()], true));
    assert!(may_pass(&failed(PORT), &[], false) && !may_pass(&failed(PORT), &[], true));
}

#[test]
fn the_log_holds_everything() {
    let node = Node {
        name: "n".to_owned(),
        journal: vec!["j".to_owned()],
        container: vec!["c".to_owned()],
        ..Node::default()
    };
    let text = log(&failed(KUBEADM), &[node]);
    assert!(text.contains("runner.go:262") && text.contains("==> n, the kubelet\nj\n") && text.contains("\nc\n"));
}
