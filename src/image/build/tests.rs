use super::*;

fn spec(ca: bool) -> BuildSpec {
    BuildSpec {
        service: "hello".into(),
        context: crate::stack::model::Source::Folder("/nonexistent".into()),
        dockerfile: "Dockerfile".into(),
        target: None,
        args: [("VERSION".to_owned(), "1".to_owned())].into(),
        secrets: BTreeMap::new(),
        ca_bundle: ca.then(|| "/ca.pem".into()),
        platform: "linux/amd64".into(),
        no_cache: false,
        pull: false,
    }
}

#[test]
fn ca_arguments_are_only_for_those_who_declare_them() {
    let text = "FROM x\nARG NODE_EXTRA_CA_CERTS\nARG VERSION\nRUN y";
    let args = arguments(&spec(true), text);
    assert_eq!(args.keys().collect::<Vec<_>>(), ["NODE_EXTRA_CA_CERTS", "VERSION"]);
    assert_eq!(args["NODE_EXTRA_CA_CERTS"], "/run/secrets/ca-bundle");
    assert_eq!(arguments(&spec(false), text).len(), 1);
}

#[test]
fn evidence_gives_hints() {
    assert!(hints("write /x: no space left on device")[0].contains("disk is full"));
    assert!(hints("npm error code SELF_SIGNED_CERT_IN_CHAIN")[0].contains("--ca-bundle"));
    assert!(hints("npm error code EAI_AGAIN")[0].contains("--registry-mirror"));
    assert!(hints("exit code: 1").is_empty());
}

#[test]
fn an_ignored_dockerfile_still_reaches_the_classic_builder() {
    let context = Context { entries: Vec::new(), dockerfile: "FROM x".into() };
    let sent = with_dockerfile(&context, "docker/Dockerfile");
    assert_eq!(sent.entries[0].path, "docker/Dockerfile");
    assert_eq!(with_dockerfile(&sent, "docker/Dockerfile").entries.len(), 1);
}
