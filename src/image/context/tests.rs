use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn paths(root: &Path) -> Vec<String> {
    let context = Context::load(&Source::Folder(root.to_owned()), "Dockerfile").unwrap();
    context.entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn ignored_files_are_out_and_exceptions_keep_their_directories() {
    let root = tree(&[
        ("Dockerfile", "FROM scratch"),
        (".dockerignore", "node_modules\n*.md\n!node_modules/kept/file\nDockerfile\n.dockerignore"),
        ("README.md", ""),
        ("src/a.js", ""),
        ("node_modules/left/out", ""),
        ("node_modules/kept/file", ""),
        ("node_modules/kept/other", ""),
    ]);
    let expected = ["node_modules", "node_modules/kept", "node_modules/kept/file", "src", "src/a.js"];
    assert_eq!(paths(root.path()), expected);
}

#[test]
fn the_dockerfiles_own_ignore_file_wins() {
    let root = tree(&[
        ("Dockerfile", "FROM scratch"),
        ("Dockerfile.dockerignore", "b\n*ockerfile*"),
        (".dockerignore", "a"),
        ("a", ""),
        ("b", ""),
    ]);
    assert_eq!(paths(root.path()), [".dockerignore", "a"]);
}

#[test]
fn the_archive_has_modes_times_and_links() {
    let root = tree(&[("Dockerfile", "FROM scratch"), ("src/run", "#!/bin/sh\n")]);
    fs::set_permissions(root.path().join("src/run"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("run", root.path().join("src/link")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_500);
    fs::File::open(root.path().join("src/run")).unwrap().set_modified(time).unwrap();
    let context = Context::load(&Source::Folder(root.path().to_owned()), "Dockerfile").unwrap();
    let mut bytes = Vec::new();
    context.write_tar(&mut bytes).unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut listed = std::collections::BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let (header, mut text) = (entry.header().clone(), String::new());
        entry.read_to_string(&mut text).unwrap();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        listed.insert(entry.path().unwrap().display().to_string(), (header, link, text));
    }
    let (run, _, text) = &listed["src/run"];
    assert_eq!((run.mode().unwrap(), run.mtime().unwrap(), text.as_str()), (0o750, 1_700_000_000, "#!/bin/sh\n"));
    assert_eq!(listed["src/link"].1.as_deref(), Some("run"));
    assert_eq!(listed.len(), 4);

    fs::write(root.path().join("src/run"), "cut").unwrap();
    let error = context.write_tar(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("src/run became shorter"), "{error}");
}

#[test]
fn the_order_is_that_of_a_walk() {
    let root = tree(&[("Dockerfile", ""), ("a/b", ""), ("a-b", ""), ("a.b/c", ""), ("a/b.d/e", "")]);
    assert_eq!(paths(root.path()), ["Dockerfile", "a", "a/b", "a/b.d", "a/b.d/e", "a-b", "a.b", "a.b/c"]);
}

#[test]
fn a_dockerfile_outside_of_the_context_brings_its_own_rules() {
    let root = tree(&[("docker/web.Dockerfile", "FROM scratch\n"), ("src/a", ""), ("src/b", "")]);
    fs::write(root.path().join("docker/web.Dockerfile.dockerignore"), "b").unwrap();
    let source = Source::Folder(root.path().join("src"));
    let context = Context::load(&source, "../docker/web.Dockerfile").unwrap();
    assert_eq!((context.dockerfile.as_str(), context.entries.len()), ("FROM scratch\n", 1));
}

#[test]
fn a_missing_dockerfile_is_named() {
    let root = tree(&[("a", "")]);
    let error = Context::load(&Source::Folder(root.path().to_owned()), "Dockerfile").unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.message.contains("Dockerfile"), "{error}");
}
