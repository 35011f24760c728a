use super::*;
use crate::error::Kind;

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
    let Choice::Kind(spec) = &settings.choice else { panic!("another provider") };
    assert_eq!((spec.control_planes, spec.workers), (1, 3));
    assert_eq!(settings.timeout, Duration::from_secs(120));
    assert_eq!(settings.cluster_name, "from-file");
    assert_eq!(settings.choice.name(), "kind");
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
        resolve(flags, variables).map(|settings| settings.choice.name())
    };
    assert_eq!(chosen(&[("context", "x")], &[]).unwrap(), "existing");
    assert_eq!(chosen(&[], &[("STACKCTL_CONTEXT", "x")]).unwrap(), "existing");
    let config = file("context: x\n");
    assert_eq!(chosen(&[], &[("STACKCTL_CONFIG", &config)]).unwrap(), "existing");
    // Said more strongly than the context.
    assert_eq!(chosen(&[("provider", "kind")], &[("STACKCTL_CONFIG", &config)]).unwrap(), "kind");
    assert_eq!(chosen(&[("provider", "existing"), ("context", "x")], &[]).unwrap(), "existing");
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
fn bad_values_are_told_all_at_once_wherever_they_stand() {
    let error = resolve(&[("nodes", "0+2")], &[("STACKCTL_TIMEOUT", "soon")]).unwrap_err();
    assert_eq!(error.message, "2 settings have values that cannot be used");
    assert!(error.details[0].starts_with("--nodes: \"0+2\": "), "{error:?}");
    assert!(error.details[1].starts_with("STACKCTL_TIMEOUT: \"soon\": "), "{error:?}");
}

#[test]
fn lists_come_from_commas_in_variables() {
    let settings =
        resolve(&[], &[("STACKCTL_REGISTRY_MIRRORS", "docker.io=http://a:1, registry.k8s.io=http://a:1/")]).unwrap();
    assert_eq!(settings.mirrors.len(), 2);
    assert_eq!(settings.mirrors[1], Mirror { host: "registry.k8s.io".into(), url: "http://a:1".into() });
}

fn from_file(text: &str) -> (Result<Settings>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (resolve(&[], &[("STACKCTL_CONFIG", &file)]), file)
}

#[test]
fn every_setting_may_stand_in_the_file() {
    for section in sections() {
        for declared in section.declared() {
            let value = if declared.is_list { "[]" } else { "null" };
            let mut texts = vec![format!("{}: {value}", declared.key)];
            texts.extend(
                section.provider.map(|name| format!("{name}: {{ {}: {value} }}", section.key_within(declared))),
            );
            for text in texts {
                from_file(&text).0.unwrap_or_else(|error| panic!("{text}: {error:?}"));
            }
        }
    }
}

#[test]
fn what_only_one_provider_has_may_stand_in_a_map_of_its_name() {
    let (settings, file) = from_file("provider: minikube\nminikube:\n  memory: 4G\n  flags: [--force]\n");
    let settings = settings.unwrap();
    let Choice::Minikube(spec) = &settings.choice else { panic!("another provider") };
    assert_eq!((spec.memory.as_deref(), &*spec.flags), (Some("4g"), &["--force".to_owned()][..]));
    let (_, shown, origin) = settings.provenance.iter().find(|(key, ..)| *key == "minikubeFlags").unwrap();
    assert_eq!((shown.as_str(), origin.to_string()), ("--force", file));

    let (settings, file) = from_file("minikube:\n  memroy: 4g\n");
    let wanted = format!("{file}:2:3: minikube: unknown key `memroy`; did you mean `memory`?");
    assert_eq!(settings.unwrap_err().message, wanted);
    let (settings, file) = from_file("memory: 2g\nminikube: { memory: 4g }\n");
    assert_eq!(settings.unwrap_err().message, format!("{file}:2:13: minikube.memory: `memory` is set twice"));
}

#[test]
fn what_every_command_needs_of_a_provider_may_stand_in_its_map_too() {
    let (settings, _) = from_file("provider: eks\neks: { region: eu-central-1, nat: none }\n");
    assert_eq!(settings.unwrap().region.as_deref(), Some("eu-central-1"));
    let (settings, file) = from_file("eks:\n  regoin: eu-central-1\n");
    let wanted = format!("{file}:2:3: eks: unknown key `regoin`; did you mean `region`?");
    assert_eq!(settings.unwrap_err().message, wanted);
}

#[test]
fn where_each_stack_has_a_cluster_of_its_own_it_is_named_by_the_stack() {
    let named = |flags: &[(&'static str, &str)]| {
        let settings = resolve(flags, &[]).unwrap();
        let of_each = settings.has_cluster_for_each_stack();
        let settings = settings.of_stack("shop");
        let Choice::Eks(spec) = &settings.choice else { return (of_each, settings.cluster_name) };
        assert_eq!(spec.base, settings.cluster_name);
        (of_each, settings.cluster_name)
    };
    assert_eq!(named(&[("provider", "eks")]), (true, "shop".to_owned()));
    // Also one that is named as local clusters are.
    assert_eq!(named(&[("provider", "eks"), ("clusterName", DEFAULT_CLUSTER)]), (false, DEFAULT_CLUSTER.to_owned()));
    assert_eq!(named(&[("provider", "kind")]), (false, DEFAULT_CLUSTER.to_owned()));
}

#[test]
fn all_that_is_wrong_with_the_file_is_told_with_its_place() {
    let (settings, file) = from_file("nodes: [1]\nwithout: x\nkind: 1\nnodes: 1\nquite: else\n");
    let error = settings.unwrap_err();
    assert_eq!((error.kind, error.message), (Kind::Usage, format!("5 problems in the configuration {file}")));
    for (line, wanted) in error.details.iter().zip([
        "1:8: nodes: expected a plain value, found a list",
        "2:10: without: expected a list, found the string `x`",
        "3:7: kind: expected a map, found the number 1",
        "4:1: duplicate key `nodes`, first on line 1",
        "5:1: unknown key `quite`; known keys: ",
    ]) {
        assert!(line.starts_with(&format!("{file}:{wanted}")), "{line}");
    }
    let (settings, file) = from_file("timeout: 2m\nhttpsPort: 70000\n");
    assert_eq!(
        settings.unwrap_err().message,
        format!("{file}:2:12: httpsPort: \"70000\": expected a port, 1 to 65535")
    );
    assert!(from_file("# nothing\n").0.is_ok());
    assert_eq!(from_file("httpsPort: 9443\n").0.unwrap().https_port, Some(9443));
}
