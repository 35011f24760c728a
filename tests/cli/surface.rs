//! Help, versions, lists: what a new user meets first.

use crate::Home;

#[test]
fn help_names_every_command() {
    insta::assert_snapshot!(Home::new().run(&["--help"]));
}

#[test]
fn help_of_up() {
    insta::assert_snapshot!(Home::new().run(&["up", "--help"]));
}

#[test]
fn no_command_is_a_usage_error() {
    assert!(Home::new().run(&[]).starts_with("exit 2\n"));
}

#[test]
fn version_as_text_and_data() {
    let home = Home::new();
    insta::assert_snapshot!(home.run(&["version"]), @r"
    exit 0
    --- stdout
    stackctl 0.1.0
    --- stderr
    ");
    assert!(home.run(&["version", "--output", "json"]).contains("\"version\": \"0.1.0\""));
}

#[test]
fn completions_and_man_pages_are_made() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]);
        assert!(script.starts_with("exit 0\n") && script.contains("kubernetes-version"), "{shell}: {script}");
    }
    assert!(home.run(&["man"]).contains(".TH stackctl 1"));
    assert!(home.run(&["man", "up"]).contains("force\\-conflicts"));
    assert!(home.run(&["man", "upp"]).starts_with("exit 2\n"));
    for words in [&["man", "ca", "trust"][..], &["man", "ca trust"]] {
        let page = home.run(words);
        assert!(page.starts_with("exit 0\n") && page.contains("stackctl\\-ca\\-trust"), "{page}");
    }
    let unknown = home.run(&["man", "ca", "trsut"]);
    assert!(unknown.starts_with("exit 2\n") && unknown.contains("stackctl ca --help"), "{unknown}");
}

#[test]
fn completions_offer_what_help_shows() {
    let home = Home::new();
    let help = home.run(&["--help"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert!(script.starts_with("exit 0\n") && script.contains("loadgen"), "{shell}: {script}");
        for hidden in ["load-view", "picture", "inspect"] {
            assert!(!help.contains(hidden) && !script.contains(hidden), "{shell}: {hidden}");
        }
    }
}

#[test]
fn list_shows_hello() {
    let list = Home::new().run(&["list"]);
    assert!(list.starts_with("exit 0\n") && list.contains("hello") && list.contains("metrics-server"), "{list}");
}

#[test]
fn every_embedded_stack_renders_without_an_engine() {
    let home = Home::new();
    let stacks = home.command(&["list", "--output", "json"]).output().unwrap();
    let stacks: serde_json::Value = serde_json::from_slice(&stacks.stdout).unwrap();
    for stack in stacks["items"].as_array().unwrap() {
        let name = stack["name"].as_str().unwrap();
        let rendered = home.command(&["render", name]).output().unwrap();
        assert!(rendered.status.success(), "{name}: {}", String::from_utf8_lossy(&rendered.stderr));
        let text = String::from_utf8(rendered.stdout).unwrap();
        let again = home.command(&["render", name]).output().unwrap().stdout;
        assert_eq!(text.as_bytes(), again, "{name} renders differently");
        for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
            let object: serde_json::Value = serde_yaml::from_str(document).unwrap();
            assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "stackctl", "{document}");
        }
    }
}

#[test]
fn schemas_are_printed_as_they_are_published() {
    let home = Home::new();
    for (arguments, file) in [(&["schema"][..], "stack"), (&["schema", "component"], "component")] {
        let printed = home.command(arguments).output().unwrap();
        let published = format!("{}/docs/schemas/{file}.schema.json", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), std::fs::read_to_string(published).unwrap());
    }
    let json = home.command(&["schema", "--output", "json"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(schema["schema"]["title"], "stack.yaml");
}

#[test]
fn the_stack_of_the_working_folder_is_meant_where_none_is_named() {
    let home = Home::new();
    home.write("shop/stack.yaml", "name: shop\nmanifests: [a.yaml]\n");
    home.write("shop/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: here }\n");
    let within = home.show(home.command(&["render"]).current_dir(home.path().join("shop")));
    assert!(within.starts_with("exit 0\n") && within.contains("name: here"), "{within}");
    let elsewhere = home.show(home.command(&["render"]).current_dir(home.path()));
    assert!(elsewhere.starts_with("exit 0\n") && elsewhere.contains("hello-service"), "{elsewhere}");
    let named = home.show(home.command(&["render", "hello"]).current_dir(home.path().join("shop")));
    assert!(named.contains("hello-service") && !named.contains("name: here"), "{named}");
}
