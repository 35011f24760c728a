//! Logging in to registries: where a token may come from, where it goes, what each refusal is called.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use crate::Home;

const TOKEN: &str = "ghp_0123456789abcdef";

/// Answers every request alike, but those with credentials in a way of their own. Ends with the test's process.
fn registry(unknown: &'static str, known: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or(0);
            let request = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
            // The beginning of TLS gets no answer.
            if request.starts_with("get") {
                let answer = if request.contains("\nauthorization: ") { known } else { unknown };
                let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
            }
        }
    });
    host
}

const ASKS: &str =
    "401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const TAKES: &str = "200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
const EXPIRED: &str = "403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: 67\r\nconnection: close\r\n\r\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"the token has expired......\"}]}";
const PAGE: &str = "200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";

fn login(home: &Home, arguments: &[&str], stdin: &str) -> String {
    let mut command = home.command(&[&["login"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", home.path().join("bin"));
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(home.path().to_str().unwrap(), "HOME");
    let said = format!("exit {:?}\n{}{}", output.status.code(), text(&output.stdout), text(&output.stderr));
    assert!(!said.contains(TOKEN), "the token is shown: {said}");
    said
}

#[test]
fn a_token_on_the_command_line_is_refused_and_not_repeated() {
    let home = Home::new();
    let equals = format!("--token={TOKEN}");
    let ways: [&[&str]; 6] = [
        &["ghcr.io", "--token", TOKEN],
        &["ghcr.io", &equals],
        &["ghcr.io", "--username", "me", "--password", TOKEN],
        &["ghcr.io", "-u", "me", "-p", TOKEN],
        &["ghcr.io", TOKEN],
        &["ghcr.io", "me", TOKEN],
    ];
    for way in ways {
        let said = login(&home, way, "");
        assert!(said.starts_with("exit Some(2)"), "{way:?}: {said}");
        assert!(said.contains("does not belong on the command line") && said.contains("--token-stdin"), "{said}");
    }
    let said = login(&home, &[TOKEN], "");
    assert!(said.starts_with("exit Some(2)") && said.contains("not the name of a registry"), "{said}");
    assert!(!home.path().join(".docker").exists());
}

#[test]
fn a_login_is_tried_then_kept_and_forgotten() {
    let home = Home::new();
    let host = registry(ASKS, TAKES);
    home.write(".docker/config.json", "{\"psFormat\": \"x\"}");
    let said = login(&home, &[&host, "--username", "me"], &format!("{TOKEN}\n"));
    assert!(said.starts_with("exit Some(0)") && said.contains("clear text"), "{said}");
    let config = std::fs::read_to_string(home.path().join(".docker/config.json")).unwrap();
    assert!(config.contains("\"psFormat\": \"x\"") && config.contains(&host), "{config}");
    let said = home.run(&["logout", &host]);
    assert!(said.contains("logged out"), "{said}");
    assert!(!std::fs::read_to_string(home.path().join(".docker/config.json")).unwrap().contains(&host));
    assert!(home.run(&["logout", &host]).contains("there was no login"));
}

#[test]
fn every_refusal_has_its_own_name_and_nothing_is_kept() {
    let home = Home::new();
    let cases = [
        (registry(ASKS, ASKS), "does not know this user name with this password or token"),
        (registry(ASKS, EXPIRED), "has expired"),
        (registry(PAGE, PAGE), "a web page (HTML)"),
        (registry(ASKS, PAGE), "a web page (HTML)"),
        (registry(TAKES, TAKES), "nothing to log in to"),
        ("127.0.0.1:1".to_owned(), "cannot be reached"),
    ];
    for (host, expected) in cases {
        let said = login(&home, &[&host, "--username", "me", "--token-stdin"], TOKEN);
        assert!(!said.starts_with("exit Some(0)") && said.contains(expected), "{expected}: {said}");
    }
    let said = login(&home, &["127.0.0.1:1", "--token-stdin"], TOKEN);
    assert!(said.starts_with("exit Some(2)") && said.contains("--username"), "{said}");
    let said = login(&home, &["127.0.0.1:1", "--username", "me"], "\n");
    assert!(said.starts_with("exit Some(2)") && said.contains("the token is empty"), "{said}");
    assert!(!home.path().join(".docker").exists());
}

/// What docker's helpers do, with a file instead of a keychain.
const HELPER: &str = "#!/bin/sh
case $1 in
  store) /bin/cat > HOME/kept; echo \"$*\" > HOME/arguments ;;
  get) [ -s HOME/kept ] && /bin/cat HOME/kept || { echo 'credentials not found in native keychain'; exit 1; } ;;
  erase) /bin/cat > HOME/erased; : > HOME/kept ;;
esac
";

#[test]
fn a_credential_helper_keeps_it_and_no_file_of_ours_does() {
    let home = Home::new();
    let helper = home.write("bin/docker-credential-fake", &HELPER.replace("HOME", home.path().to_str().unwrap()));
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.write(".docker/config.json", "{\n\t\"credsStore\": \"fake\"\n}");
    let host = registry(ASKS, TAKES);
    let said = login(&home, &[&host, "--username", "me", "--token-stdin"], TOKEN);
    assert!(said.starts_with("exit Some(0)") && said.contains("docker-credential-fake"), "{said}");
    assert!(!said.contains("clear text"), "{said}");
    let kept = std::fs::read_to_string(home.path().join("kept")).unwrap();
    assert!(kept.contains(TOKEN) && kept.contains(&host), "{kept}");
    assert_eq!(std::fs::read_to_string(home.path().join("arguments")).unwrap(), "store\n");
    assert!(!std::fs::read_to_string(home.path().join(".docker/config.json")).unwrap().contains(TOKEN));

    // What was stored is found again, by its own protocol.
    let prefix = format!("{host}/org");
    let mut doctor = home.command(&["doctor", "--registry", &prefix]);
    let said = home.show(doctor.env("PATH", home.path().join("bin")));
    assert!(said.contains("takes the login of me"), "{said}");

    let mut logout = home.command(&["logout", &host]);
    let said = home.show(logout.env("PATH", home.path().join("bin")));
    assert!(said.contains("removed from docker-credential-fake"), "{said}");
    assert_eq!(std::fs::read_to_string(home.path().join("erased")).unwrap(), host);
}

#[test]
fn doctor_tells_all_that_the_options_need_at_once() {
    let home = Home::new();
    let host = registry(ASKS, ASKS);
    home.write(".docker/config.json", "{\"credHelpers\": {\"r.example\": \"gone\"}}");
    let prefix = format!("{host}/org");
    let arguments = ["doctor", "--provider", "existing", "--context", "none", "--registry", &prefix];
    let said = home.run(&[&arguments[..], &["--output", "json"]].concat());
    assert!(said.starts_with("exit 3\n"), "{said}");
    for expected in [
        "docker-credential-gone",
        "asks who you are",
        "there is no kubeconfig",
        "no tag of their commit",
        "no such socket",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // What is not asked for is not looked at.
    let plain = home.run(&["doctor", "--output", "json"]);
    assert!(!plain.contains("\"git\"") && !plain.contains("kubeconfig\","), "{plain}");
}
