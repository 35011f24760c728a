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
fn a_dockerfile_that_is_not_in_the_context_still_reaches_the_classic_builder() {
    let mut context = Context { entries: Vec::new(), dockerfile: "FROM x".into() };
    for name in ["docker/Dockerfile", "../web.Dockerfile"] {
        let (sent, path) = with_dockerfile(&context, name);
        assert_eq!(sent.entries[0].path, path);
        assert!(path.starts_with(".dockerfile."), "{path}");
    }
    let content = Content::File(File::Static(b"FROM x"));
    context.entries.push(Entry { path: "docker/Dockerfile".into(), mode: 0o644, modified: 0, content });
    let (sent, path) = with_dockerfile(&context, "docker/Dockerfile");
    assert_eq!((sent.entries.len(), path.as_str()), (1, "docker/Dockerfile"));
}

#[tokio::test]
async fn an_archive_comes_in_pieces() {
    let content = Content::File(File::Memory(vec![7; 3 * PIECE].into()));
    let entries = vec![Entry { path: "big".into(), mode: 0o644, modified: 0, content }];
    let pieces: Vec<Bytes> =
        archive(Context { entries, dockerfile: String::new() }).try_collect::<Vec<_>>().await.unwrap();
    assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= PIECE + 512), "{}", pieces.len());
    let gone = File::OnDisk {
        path: "/nonexistent".into(),
        stamp: crate::image::context::Stamp { device: 0, inode: 0, size: 1, modified: 0, changed: 0 },
    };
    let entries = vec![Entry { path: "gone".into(), mode: 0o644, modified: 0, content: Content::File(gone) }];
    let failed = archive(Context { entries, dockerfile: String::new() }).try_collect::<Vec<_>>().await;
    assert!(failed.is_err(), "half an archive must not pass for a whole one");
}
