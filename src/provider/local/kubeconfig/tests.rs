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
    let merged = home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
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
        home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    }
    assert_eq!(home.user().files_with("kind-one"), [home.file()]);
    // Made again, with another port: the first backup must survive.
    home.user().merge(OURS.replace("41000", "42000").as_bytes(), true, &home.state("one")).unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().removed.len(), 1);
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
    assert!(home.user().files_with("kind-one").is_empty());
    assert!(home.user().remove("kind-one", &home.state("one")).unwrap().removed.is_empty());
}

#[test]
fn a_file_that_was_not_there_goes_again_with_its_folder() {
    let home = Home::new();
    let merged = home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    assert!(merged.switched && merged.switched_from.is_none());
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o600);
    home.user().remove("kind-one", &home.state("one")).unwrap();
    assert!(!home.file().parent().unwrap().exists());
}

#[test]
fn what_others_wrote_meanwhile_is_kept() {
    let home = Home::with(THEIRS);
    home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
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
    home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    home.state("one").remove().unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().removed.len(), 1);
    let value = home.value();
    for list in LISTS {
        assert_eq!(value[list].as_sequence().unwrap().len(), 1, "{list}");
    }
}

#[test]
fn without_the_state_folder_a_file_that_held_only_ours_goes() {
    let home = Home::new();
    home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    home.state("one").remove().unwrap();
    assert_eq!(home.user().remove("kind-one", &home.state("one")).unwrap().removed.len(), 1);
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
    user.merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(home.file()).unwrap().contains("kind-one"));
}

#[test]
fn a_file_that_is_no_kubeconfig_is_passed_over() {
    let home = Home::with(THEIRS);
    let other = home.folder.path().join("other");
    fs::write(&other, "just text").unwrap();
    let user = UserKubeconfig::at([other.clone(), home.file()]);
    user.merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    assert_eq!(user.files_with("kind-one"), [home.file()]);
    assert_eq!(fs::read_to_string(&other).unwrap(), "just text");
}

#[test]
fn a_broken_file_is_left_alone() {
    for content in ["a: [", "- a", "clusters: 7\n"] {
        let home = Home::with(content);
        let error = home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(fs::read_to_string(home.file()).unwrap(), content);
        assert!(!home.file().with_extension("lock").exists());
    }
}

#[test]
fn a_file_without_our_context_is_not_touched_however_it_is_guarded() {
    let home = Home::with(THEIRS);
    home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    let other = home.folder.path().join("other");
    // A lock that is never had, whoever runs the tests.
    fs::create_dir(other.with_extension("lock")).unwrap();
    for content in [THEIRS.as_bytes(), &b"a: ["[..], &b"\xff"[..]] {
        fs::write(&other, content).unwrap();
        let user = UserKubeconfig::at([other.clone(), home.file()]);
        let began = std::time::Instant::now();
        let taken = user.remove("kind-one", &home.state("one")).unwrap();
        assert!(taken.failures.is_empty(), "{taken:?}");
        assert!(began.elapsed() < lock::WITHIN, "it waited for a lock");
        assert_eq!(fs::read(&other).unwrap(), content);
        home.user().merge(OURS.as_bytes(), true, &home.state("one")).unwrap();
    }
}

#[test]
fn what_cannot_be_taken_out_is_told_and_the_rest_goes() {
    let home = Home::with(THEIRS);
    // Its lock would have a name that is too long: nobody can write it as it should be, not even root.
    let (other, state) = (home.folder.path().join("c".repeat(252)), home.state("one"));
    home.user().merge(OURS.as_bytes(), true, &state).unwrap();
    fs::write(&other, OURS).unwrap();
    let user = UserKubeconfig::at([other.clone(), home.file()]);
    let taken = user.remove("kind-one", &state).unwrap();
    assert_eq!((taken.removed.len(), taken.failures.len()), (1, 1));
    assert!(taken.failures[0].message.contains(other.to_str().unwrap()), "{taken:?}");
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
    assert_eq!(user.files_with("kind-one"), [other]);
}

#[test]
fn a_merge_that_never_came_is_due_and_one_that_was_undone_is_not() {
    let home = Home::with(THEIRS);
    let (user, state) = (home.user(), home.state("one"));
    assert!(user.is_outdated(OURS.as_bytes(), &state));
    user.merge(OURS.as_bytes(), false, &state).unwrap();
    assert_eq!(home.value()["current-context"], Value::from("kind-one"));
    assert!(!user.is_outdated(OURS.as_bytes(), &state));
    fs::write(home.file(), THEIRS).unwrap();
    assert!(!user.is_outdated(OURS.as_bytes(), &state), "who takes it out wants it so");
    UserKubeconfig::forget_merge(&state).unwrap();
    assert!(user.is_outdated(OURS.as_bytes(), &state), "another cluster of that name was made");
    assert!(!user.is_outdated(b"", &state), "there is nothing to merge");
}

#[test]
fn a_context_that_leads_to_another_cluster_is_put_right_and_what_the_user_added_stays() {
    let home = Home::with(THEIRS);
    let (user, state) = (home.user(), home.state("one"));
    user.merge(OURS.as_bytes(), true, &state).unwrap();
    let text = fs::read_to_string(home.file()).unwrap();
    let edited = text
        .replace("current-context: kind-one", "current-context: work")
        .replace("    cluster: kind-one\n", "    cluster: kind-one\n    namespace: mine\n");
    assert_ne!(edited, text);
    fs::write(home.file(), edited).unwrap();
    assert!(!user.is_outdated(OURS.as_bytes(), &state));

    let remade = OURS.replace("41000", "42000");
    assert!(user.is_outdated(remade.as_bytes(), &state));
    let merged = user.merge(remade.as_bytes(), false, &state).unwrap();
    assert!(!merged.switched, "{merged:?}");
    assert!(!user.is_outdated(remade.as_bytes(), &state));
    let value = home.value();
    assert_eq!(value["current-context"], Value::from("work"));
    assert_eq!(value["clusters"][1]["cluster"]["server"], Value::from("https://127.0.0.1:42000"));
    assert_eq!(value["contexts"][1]["context"]["namespace"], Value::from("mine"));

    // What it was before held our context, so it must not come back.
    assert_eq!(user.remove("kind-one", &state).unwrap().removed.len(), 1);
    assert!(user.files_with("kind-one").is_empty());
}

#[test]
fn the_file_that_has_the_context_is_the_one_that_is_put_right() {
    let home = Home::with(OURS);
    let first = home.folder.path().join("first");
    fs::write(&first, THEIRS).unwrap();
    let user = UserKubeconfig::at([first.clone(), home.file()]);
    user.merge(OURS.replace("41000", "42000").as_bytes(), false, &home.state("one")).unwrap();
    assert_eq!(fs::read_to_string(&first).unwrap(), THEIRS);
    assert!(fs::read_to_string(home.file()).unwrap().contains("42000"));
}

#[test]
fn a_kubeconfig_that_was_cut_short_is_not_whole_and_names_its_authority_otherwise() {
    assert!(is_whole(OURS.as_bytes()));
    assert!(!is_whole(&OURS.as_bytes()[..OURS.find("users:").unwrap()]));
    assert!(!is_whole(b"") && !is_whole(b"a: ["));
    assert_eq!(authority(OURS.as_bytes()), None);
    let text = OURS.replace("cluster: {", "cluster: {certificate-authority-data: YQ==, ");
    assert_eq!(authority(text.as_bytes()).as_deref(), Some(&b"a"[..]));
}

#[test]
fn the_port_of_the_server_is_set() {
    assert_eq!(with_port(OURS.as_bytes(), 41000).unwrap(), None);
    let changed = with_port(OURS.as_bytes(), 42000).unwrap().unwrap();
    assert!(String::from_utf8(changed).unwrap().contains("https://127.0.0.1:42000\n"));
}
