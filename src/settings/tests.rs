use super::*;

fn resolve(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Settings> {
    let flags = flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
    Settings::resolve(flags, &|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "clusterName: from-file\nnodes: 1+1\ntimeout: 90s\n").unwrap();
    let file = file.to_str().unwrap();
    let settings = resolve(
        &[("nodes", "1+3")],
        &[("STACKCTL_CONFIG", file), ("STACKCTL_NODES", "1+2"), ("STACKCTL_TIMEOUT", "2m")],
    )
    .unwrap();
    assert_eq!((settings.control_planes, settings.workers), (1, 3));
    assert_eq!(settings.timeout, Duration::from_secs(120));
    assert_eq!(settings.cluster_name, "from-file");
    assert_eq!(settings.provider, ProviderName::Kind);
    let origin = |key| settings.provenance.iter().find(|(name, ..)| *name == key).unwrap().2.to_string();
    assert_eq!(origin("nodes"), "--nodes");
    assert_eq!(origin("timeout"), "STACKCTL_TIMEOUT");
    assert_eq!(origin("clusterName"), file);
    assert_eq!(origin("provider"), "default");
}

#[test]
fn a_context_implies_an_existing_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let chosen = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        resolve(flags, variables).map(|settings| settings.provider)
    };
    assert_eq!(chosen(&[("context", "x")], &[]).unwrap(), ProviderName::Existing);
    assert_eq!(chosen(&[], &[("STACKCTL_CONTEXT", "x")]).unwrap(), ProviderName::Existing);
    let config = file("context: x\n");
    assert_eq!(chosen(&[], &[("STACKCTL_CONFIG", &config)]).unwrap(), ProviderName::Existing);
    // Said more strongly than the context.
    assert_eq!(chosen(&[("provider", "kind")], &[("STACKCTL_CONFIG", &config)]).unwrap(), ProviderName::Kind);
    assert_eq!(chosen(&[("provider", "existing"), ("context", "x")], &[]).unwrap(), ProviderName::Existing);
    let config = file("provider: kind\n");
    for error in [
        chosen(&[("provider", "kind"), ("context", "x")], &[]),
        chosen(&[("context", "x")], &[("STACKCTL_PROVIDER", "kind")]),
        chosen(&[("context", "x")], &[("STACKCTL_CONFIG", &config)]),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.starts_with("the context x (--context)"), "{error:?}");
    }
    let settings = resolve(&[("context", "x")], &[]).unwrap();
    let (_, shown, origin) = &settings.provenance[0];
    assert_eq!((shown.as_str(), origin.to_string().as_str()), ("existing", "implied by --context"));
}

#[test]
fn an_unknown_key_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "nodes: 1+1\nnodeImgae: x\n").unwrap();
    let error = resolve(&[], &[("STACKCTL_CONFIG", file.to_str().unwrap())]).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.message.contains("config.yaml:2:1"), "{}", error.message);
    assert!(error.message.ends_with("unknown key `nodeImgae`; did you mean `nodeImage`?"), "{}", error.message);
}

#[test]
fn bad_values_name_their_place() {
    let error = resolve(&[("nodes", "0+2")], &[]).unwrap_err();
    assert!(error.message.starts_with("--nodes: \"0+2\""), "{}", error.message);
    let error = resolve(&[], &[("STACKCTL_REGISTRY_MIRRORS", "docker.io")]).unwrap_err();
    assert!(error.message.starts_with("STACKCTL_REGISTRY_MIRRORS"), "{}", error.message);
    assert!(resolve(&[("timeout", "0s")], &[]).is_err());
    assert!(resolve(&[("clusterName", "-x")], &[]).is_err());
}

#[test]
fn lists_come_from_commas_in_variables() {
    let settings =
        resolve(&[], &[("STACKCTL_REGISTRY_MIRRORS", "docker.io=http://a:1, registry.k8s.io=http://a:1/")]).unwrap();
    assert_eq!(settings.mirrors.len(), 2);
    assert_eq!(settings.mirrors[1], Mirror { host: "registry.k8s.io".into(), url: "http://a:1".into() });
}

#[test]
fn every_spelling_is_in_the_file_too() {
    for spelling in SPELLINGS {
        let value = if spelling.list { "[]" } else { "null" };
        let text = format!("{}: {value}", spelling.key);
        assert!(serde_yaml::from_str::<File>(&text).is_ok(), "{text}");
    }
}

#[test]
fn what_minikube_is_asked_for_is_checked_before_it_is_asked() {
    let settings = resolve(&[("provider", "minikube"), ("memory", "4G"), ("cpus", "2")], &[]).unwrap();
    assert_eq!(settings.provider, ProviderName::Minikube);
    assert_eq!((settings.minikube.memory.as_deref(), settings.minikube.cpus), (Some("4g"), Some(2)));
    assert_eq!((&*settings.minikube.driver, &*settings.minikube.container_runtime), ("docker", "containerd"));
    let flags = [("STACKCTL_MINIKUBE_FLAGS", "--force,--disk-size=40g")];
    assert_eq!(resolve(&[], &flags).unwrap().minikube.flags, ["--force", "--disk-size=40g"]);
    for (key, value, why) in [
        ("memory", "much", "4096 or 4g"),
        ("memory", "0", "4096 or 4g"),
        ("cpus", "0", "a number of CPUs"),
        ("driver", "--help", "a name of"),
        ("minikubeFlags", "disk-size=40g", "expected a flag"),
        ("minikubeFlags", "--memory=4g", "stackctl sets --memory itself, from its own --memory"),
        ("minikubeFlags", "--profile=x", "--cluster-name"),
    ] {
        let error = resolve(&[(key, value)], &[]).unwrap_err();
        assert!(error.kind == Kind::Usage && error.message.contains(why), "{key} {value}: {error:?}");
    }
}
