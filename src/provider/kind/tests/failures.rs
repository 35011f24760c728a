//! Clusters that cannot be made, are half made, or are somebody else's.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn engine_a_half_made_cluster_is_replaced_even_without_its_state() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut world) = World::new().await else { return };
    // More nodes than were asked for by number.
    let nodes = world.home.path().join("nodes.yaml");
    std::fs::write(&nodes, "kind: Cluster\nnodes: [{role: control-plane}, {role: worker}]\n").unwrap();
    world.spec.kind_config = Some(nodes);
    let cluster = world.cluster();
    let (creating, progress) = (cluster.clone(), world.progress.clone());
    let task = tokio::spawn(async move { creating.create(&progress).await });
    let within = Instant::now() + Duration::from_secs(60);
    while cluster.containers().await.unwrap().is_empty() {
        assert!(Instant::now() < within, "kind made no container");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let state = cluster.observe().await.unwrap();
    assert!(matches!(state, ClusterState::HalfMade { .. }), "{state:?}");
    assert_eq!(cluster.start(&world.progress).await.unwrap_err().kind, Kind::Preflight);

    world.state().cluster(NAME).remove().unwrap();
    let mut preloading = Box::pin(cluster.preload("registry.stackctl.internal/no/such:1", &world.progress));
    tokio::select! {
        made = cluster.create(&world.progress) => made.unwrap(),
        ended = &mut preloading => panic!("{ended:?} before the cluster was made"),
    }
    drop(preloading);
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Ours { stopped: false });
    let containers = cluster.nodes().await.unwrap();
    assert_eq!(containers.len(), 2);
    for node in &containers {
        let file = format!("{}/{}/hosts.toml", nodes::CERTS_FOLDER, REGISTRY_HOST);
        assert!(engine::has_path(&world.docker, &node.name, &file).await.unwrap(), "{} has no mirrors", node.name);
    }
    assert!(!cluster.outdated().await.unwrap());

    world.state().cluster(NAME).remove().unwrap();
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Ours { stopped: false });
    api::ready(&cluster.access().await.unwrap()).await.unwrap();
    world.state().cluster(NAME).remove().unwrap();
    cluster.stop(&world.progress).await.unwrap();
    cluster.start(&world.progress).await.unwrap();
    world.state().cluster(NAME).remove().unwrap();
    cluster.delete(&gladly, &world.progress).await.unwrap();
    assert_eq!(world.leftovers(&[]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_a_foreign_cluster_is_refused_and_left_alone() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(world) = World::new().await else { return };
    let labels = [(mark::CLUSTER_LABEL, NAME), (mark::ROLE_LABEL, "control-plane"), ("io.stackctl.world", "test")];
    let body = ContainerCreateBody {
        image: Some(SMALL_IMAGE.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..Default::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&mark::first_node(NAME)).build();
    world.docker.create_container(Some(options), body).await.unwrap();
    let cluster = world.cluster();
    let state = cluster.observe().await;
    let created = cluster.create(&world.progress).await;
    let deleted = cluster.delete(&gladly, &world.progress).await;
    let containers = cluster.containers().await.unwrap();
    for container in &containers {
        engine::remove_container(&world.docker, container).await.unwrap();
    }
    assert!(matches!(state, Ok(ClusterState::Foreign { .. })), "{state:?}");
    assert_eq!(created.unwrap_err().kind, Kind::Preflight);
    assert_eq!(deleted.unwrap_err().kind, Kind::Preflight);
    assert_eq!(containers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_a_node_image_that_is_not_there_is_named() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut world) = World::new().await else { return };
    world.spec.node_image = Some("no.such.registry.invalid/node:v1".to_owned());
    let error = world.cluster().create(&world.progress).await.unwrap_err();
    assert_eq!(error.kind, Kind::Platform);
    assert!(error.causes[0].contains("no.such.registry.invalid/node:v1"), "{error:?}");
    assert!(error.hints.iter().any(|hint| hint.contains("--node-image")), "{error:?}");
    assert!(!error.details.is_empty());
    world.cluster().delete(&gladly, &world.progress).await.unwrap();
    assert_eq!(world.leftovers(&[]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_a_kubelet_that_cannot_start_is_quoted() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut world) = World::new().await else { return };
    let (broken, base) = ("stackctl-itself:broken-kubelet", world.spec.node_image.clone().unwrap());
    let folder = world.home.path().join("image");
    std::fs::create_dir(&folder).unwrap();
    let script = "RUN printf '#!/bin/sh\\necho kubelet: no such cgroup >&2\\nexit 1\\n' > /usr/bin/kubelet\n";
    std::fs::write(folder.join("Dockerfile"), format!("FROM {base}\n{script}")).unwrap();
    let mut build = tokio::process::Command::new("docker");
    build.args(["build", "--quiet", "--tag", broken]).arg(&folder).env("DOCKER_BUILDKIT", "0");
    assert!(build.status().await.unwrap().success());
    // kubeadm waits for an API server that nobody starts.
    let config = world.home.path().join("kind.yaml");
    let patch = "kubeadmConfigPatches:\n- |\n  kind: InitConfiguration\n  timeouts: {kubernetesAPICall: 15s}\n";
    std::fs::write(&config, format!("kind: Cluster\n{patch}")).unwrap();
    world.spec.node_image = Some(broken.to_owned());
    world.spec.kind_config = Some(config);

    let cluster = world.cluster();
    let failed = cluster.create(&world.progress).await;
    let log = std::fs::read_to_string(cluster.folder.file("kind-create.log"));
    cluster.delete(&gladly, &world.progress).await.unwrap();
    world.docker.remove_image(broken, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();
    let error = failed.unwrap_err();
    assert_eq!(error.kind, Kind::Platform);
    assert!(error.causes[1].starts_with("error execution phase"), "{error:?}");
    let kubelets = format!("the kubelet of {} says: kubelet: no such cgroup", mark::first_node(NAME));
    assert_eq!(error.causes[2], kubelets, "{error:?}");
    assert!(error.hints.iter().any(|hint| hint.contains("kind-create.log")), "{error:?}");
    assert!(!format!("{error:?}").contains(".go:"), "{error:?}");
    let log = log.unwrap();
    assert!(
        log.contains(".go:") && log.contains("kubelet: no such cgroup") && log.contains("[kubelet-start]"),
        "{log}"
    );
    assert_eq!(world.leftovers(&[]).await, []);
}

/// A cluster in an engine that does not answer.
fn away(home: &std::path::Path) -> KindCluster {
    let docker = Docker::connect_with_http("127.0.0.1:1", 1, bollard::API_DEFAULT_VERSION).unwrap();
    let user = UserKubeconfig::at([home.join("config")]);
    KindCluster::new(ClusterSpec::named(NAME), &docker, "tcp://127.0.0.1:1", NAME, user, &State::at(home.join("state")))
}

#[tokio::test]
async fn an_engine_that_is_away_is_unreachable() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(away(home.path()).observe().await.unwrap(), ClusterState::Unreachable { .. }));
}

#[tokio::test]
async fn nobody_looks_at_a_cluster_that_another_is_making_before_that_has_ended() {
    let home = tempfile::tempdir().unwrap();
    let (events, _said) = Events::channel();
    let progress = events.progress("cluster");
    let cancel = CancellationToken::new();
    let first = away(home.path()).lock("making", &progress).await.unwrap();
    let second = away(home.path()).cancelled_by(&cancel);
    cancel.cancel();
    assert_eq!(second.create(&progress).await.unwrap_err().kind, Kind::Interrupted);
    assert_eq!(second.delete(&gladly, &progress).await.unwrap_err().kind, Kind::Interrupted);
    drop(first);
    assert_eq!(second.create(&progress).await.unwrap_err().kind, Kind::Platform);
    assert!(!home.path().join("state").exists(), "something is left");
}
