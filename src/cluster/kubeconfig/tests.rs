use super::*;
use crate::state::State;

const OURS: &str = "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: kind-one\n\
    clusters:\n- name: kind-one\n  cluster: {server: 'https://127.0.0.1:41000'}\n\
    contexts:\n- name: kind-one\n  context: {cluster: kind-one, user: kind-one}\n\
    users:\n- name: kind-one\n  user: {client-key-data: c2VjcmV0}\n";

const THEIRS: &str = "# my clusters\napiVersion: v1\nkind: Config\nclusters:   # all of them\n  - name: work\n    \
    cluster: {server: https://work.example}\ncontexts:\n  - context: {cluster: work, user: me}\n    name: work\n\
    users:\n  - {name: me, user: {token: abc}}\ncurrent-context: work\nmine: {kept: true}\n";

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(".kube/config")
    }

    fn with(content: &str) -> Home {
        let home = Home::new();
        fs::create_dir(home.folder.path().join(".kube")).unwrap();
        fs::write(home.file(), content).unwrap();
        home
    }

    fn state(&self, cluster: &str) -> Folder {
        State::at(self.folder.path().join("state")).cluster(cluster)
    }

    fn user(&self) -> UserKubeconfig {
        UserKubeconfig::at([self.file()])
    }

    fn value(&self) -> Value {
        serde_yaml::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }
}

#[test]
fn merging_keeps_what_was_there_and_says_what_the_current_context_was() {
    let home = Home::with(THEIRS);
    let merged = home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    assert_eq!(merged.switched_from.as_deref(), Some("work"));
    let value = home.value();
    assert_eq!(value["current-context"], Value::from("kind-one"));
    assert_eq!(value["clusters"][0]["name"], Value::from("work"));
    assert_eq!(value["clusters"][1]["name"], Value::from("kind-one"));
    assert_eq!(value["users"][0]["user"]["token"], Value::from("abc"));
    assert_eq!(value["mine"]["kept"], Value::from(true));
}

#[test]
fn merge_and_removal_give_the_same_bytes_back() {
    let home = Home::with(THEIRS);
    for _ in 0..2 {
        home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    }
    assert_eq!(home.user().files_with("kind-one"), [home.file()]);
    // Made again, with another port: the first backup must survive.
    home.user().merge(OURS.replace("41000", "42000").as_bytes(), &home.state("one")).unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().len(), 1);
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
    assert!(home.user().files_with("kind-one").is_empty());
    assert!(home.user().remove("kind-one", &home.state("one")).unwrap().is_empty());
}

#[test]
fn a_file_that_was_not_there_goes_again_with_its_folder() {
    let home = Home::new();
    let merged = home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    assert!(merged.switched && merged.switched_from.is_none());
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o600);
    home.user().remove("kind-one", &home.state("one")).unwrap();
    assert!(!home.file().parent().unwrap().exists());
}

#[test]
fn what_others_wrote_meanwhile_is_kept() {
    let home = Home::with(THEIRS);
    home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    let edited = fs::read_to_string(home.file()).unwrap() + "added: later\n";
    fs::write(home.file(), edited).unwrap();
    home.user().remove("kind-one", &home.state("one")).unwrap();
    let value = home.value();
    assert_eq!(value["added"], Value::from("later"));
    assert_eq!(value["clusters"].as_sequence().unwrap().len(), 1);
    assert_eq!(value["current-context"], Value::from(""));
}

#[test]
fn without_the_state_folder_just_our_entries_go() {
    let home = Home::with(THEIRS);
    home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    home.state("one").remove().unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().len(), 1);
    let value = home.value();
    for list in LISTS {
        assert_eq!(value[list].as_sequence().unwrap().len(), 1, "{list}");
    }
}

#[test]
fn without_the_state_folder_a_file_that_held_only_ours_goes() {
    let home = Home::new();
    home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap();
    home.state("one").remove().unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().len(), 1);
    assert!(!home.file().exists());
    assert_eq!(home.file().parent().unwrap().exists(), !home.file().parent().unwrap().ends_with(".kube"));
}

#[test]
fn the_first_file_that_exists_is_written_and_its_mode_and_link_are_kept() {
    let home = Home::with(THEIRS);
    let link = home.folder.path().join("link");
    std::os::unix::fs::symlink(home.file(), &link).unwrap();
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o640)).unwrap();
    let user = UserKubeconfig::at([home.folder.path().join("absent"), link.clone()]);
    user.merge(OURS.as_bytes(), &home.state("one")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(home.file()).unwrap().contains("kind-one"));
}

#[test]
fn a_broken_file_is_left_alone() {
    for content in ["a: [", "- a", "clusters: 7\n"] {
        let home = Home::with(content);
        let error = home.user().merge(OURS.as_bytes(), &home.state("one")).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(fs::read_to_string(home.file()).unwrap(), content);
        assert!(!home.file().with_extension("lock").exists());
    }
}

#[test]
fn the_port_of_the_server_is_set() {
    assert_eq!(with_port(OURS.as_bytes(), 41000).unwrap(), None);
    let changed = with_port(OURS.as_bytes(), 42000).unwrap().unwrap();
    assert!(String::from_utf8(changed).unwrap().contains("https://127.0.0.1:42000\n"));
}
