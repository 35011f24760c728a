use super::{
    testing::{Fake, Said, json, with_tokens},
    *,
};

/// "me:secret"
const ME: &str = "bWU6c2VjcmV0";

fn credentials(password: &str) -> Option<DockerCredentials> {
    Some(DockerCredentials {
        username: Some("me".to_owned()),
        password: Some(password.to_owned()),
        ..Default::default()
    })
}

fn registry(fake: &Fake, credentials: Option<DockerCredentials>) -> RemoteRegistry {
    RemoteRegistry::new(&fake.host, credentials).unwrap()
}

fn accepting(line: &str) -> Said {
    match line {
        "POST /v2/org/hello/web/blobs/uploads/" => {
            ("202 Accepted", vec!["location: /v2/org/hello/web/blobs/uploads/1?_state=x".to_owned()], String::new())
        }
        "GET /v2/org/hello/web/manifests/sha256:1" => (
            "200 OK",
            vec!["content-type: application/vnd.oci.image.manifest.v1+json".to_owned()],
            "{\"schemaVersion\": 2}".to_owned(),
        ),
        "PUT /v2/org/hello/web/manifests/latest" => json("201 Created", ""),
        line if line.starts_with("DELETE") => json("204 No Content", ""),
        _ => json("404 Not Found", "{}"),
    }
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_the_upload_given_up() {
    let fake = Fake::start(with_tokens(ME, accepting)).await;
    let ours = registry(&fake, credentials("secret"));
    assert_eq!(ours.greet().await, Ok(Greeting::Welcome));
    assert_eq!(ours.may_push("org/hello/web").await, Ok(()));
    let lines = fake.lines();
    assert!(lines.contains(&"GET /token?service=fake".to_owned()), "{lines:?}");
    let scoped = "GET /token?service=fake&scope=repository%3Aorg%2Fhello%2Fweb%3Apull%2Cpush";
    assert!(lines.iter().any(|line| line == scoped), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "DELETE /v2/org/hello/web/blobs/uploads/1?_state=x");
}

#[tokio::test]
async fn a_further_tag_is_the_same_manifest() {
    let fake = Fake::start(with_tokens(ME, accepting)).await;
    registry(&fake, credentials("secret")).tag("org/hello/web", "sha256:1", "latest").await.unwrap();
    let put = fake.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        (put.line.as_str(), put.body.as_str()),
        ("PUT /v2/org/hello/web/manifests/latest", "{\"schemaVersion\": 2}")
    );
}

#[tokio::test]
async fn wrong_password_and_no_password_are_two_things() {
    let fake = Fake::start(with_tokens(ME, accepting)).await;
    assert_eq!(registry(&fake, credentials("wrong")).greet().await, Err(Refusal::WrongCredentials));
    let anonymous = registry(&fake, None);
    assert_eq!(anonymous.greet().await, Ok(Greeting::Asks));
    assert_eq!(anonymous.may_push("org/hello/web").await, Err(Refusal::NoCredentials));
}

#[tokio::test]
async fn an_expired_token_is_called_so() {
    let fake = Fake::start(|asked, host| match asked.line.as_str() {
        "GET /v2/" => {
            ("401 Unauthorized", vec![format!("www-authenticate: Bearer realm=\"http://{host}/token\"")], String::new())
        }
        _ => json(
            "403 Forbidden",
            "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"Your authorization token has expired.\"}]}",
        ),
    })
    .await;
    assert_eq!(registry(&fake, credentials("secret")).greet().await, Err(Refusal::Expired));
    // An identity token that no longer counts is refused in the words of OAuth.
    let fake = Fake::start(|asked, host| match asked.line.as_str() {
        "GET /v2/" => (
            "401 Unauthorized",
            vec![format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"")],
            String::new(),
        ),
        _ => json("400 Bad Request", "{\"error\":\"invalid_grant\"}"),
    })
    .await;
    let identity = DockerCredentials { identitytoken: Some("old".to_owned()), ..Default::default() };
    assert_eq!(registry(&fake, Some(identity)).greet().await, Err(Refusal::Expired));
    let asked = fake.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(asked.line, "POST /token");
    assert!(asked.body.contains("grant_type=refresh_token") && asked.body.contains("refresh_token=old"), "{asked:?}");
}

#[tokio::test]
async fn no_permission_is_neither_a_wrong_password_nor_a_missing_repository() {
    let denied =
        |_: &str| json("403 Forbidden", "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"permission_denied\"}]}");
    let fake = Fake::start(with_tokens(ME, denied)).await;
    let ours = registry(&fake, credentials("secret"));
    assert_eq!(ours.greet().await, Ok(Greeting::Welcome));
    assert_eq!(ours.may_push("org/hello/web").await, Err(Refusal::NotAllowed));
    // A token that was given but does not reach that far.
    let short = |_: &str| {
        (
            "401 Unauthorized",
            vec!["www-authenticate: Bearer realm=\"http://x/token\",error=\"insufficient_scope\"".to_owned()],
            String::new(),
        )
    };
    let fake = Fake::start(with_tokens(ME, short)).await;
    assert_eq!(registry(&fake, credentials("secret")).may_push("org/hello/web").await, Err(Refusal::NotAllowed));
    let unknown = |_: &str| json("404 Not Found", "{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}");
    let fake = Fake::start(with_tokens(ME, unknown)).await;
    let refused = registry(&fake, credentials("secret")).may_push("org/hello/web").await;
    assert_eq!(refused, Err(Refusal::NoRepository { repository: "org/hello/web".to_owned() }));
}

#[tokio::test]
async fn a_web_page_is_no_registry() {
    let page = |_: &testing::Asked, _: &str| -> Said {
        (
            "200 OK",
            vec!["content-type: text/html; charset=utf-8".to_owned()],
            "<!doctype html><title>Log in</title>".to_owned(),
        )
    };
    let fake = Fake::start(page).await;
    let refusal = registry(&fake, credentials("secret")).greet().await.unwrap_err();
    assert!(matches!(&refusal, Refusal::NotARegistry { seen } if seen.contains("a web page (HTML)")), "{refusal:?}");
    assert!(!fake.asked.lock().unwrap().iter().any(|asked| asked.authorization.is_some()), "shown to a web site");
    // Nor is what asks for a password and then has a page.
    let fake = Fake::start(move |asked, host| match &asked.authorization {
        None => ("401 Unauthorized", vec!["www-authenticate: Basic realm=\"intranet\"".to_owned()], String::new()),
        Some(_) => page(asked, host),
    })
    .await;
    let refusal = registry(&fake, credentials("secret")).greet().await.unwrap_err();
    assert!(matches!(refusal, Refusal::NotARegistry { .. }), "{refusal:?}");
}

#[tokio::test]
async fn an_open_registry_asks_nobody_and_a_dead_one_is_unreachable() {
    let fake = Fake::start(|_, _| json("200 OK", "{}")).await;
    assert_eq!(registry(&fake, credentials("secret")).greet().await, Ok(Greeting::Open));
    let dead = Fake { host: "127.0.0.1:1".to_owned(), asked: Default::default() };
    let refusal = registry(&dead, None).greet().await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Unreachable { why } if why.contains("refused")), "{refusal:?}");
    let broken = Fake::start(|_, _| json("503 Service Unavailable", "busy")).await;
    let refusal = registry(&broken, None).greet().await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Unreachable { why } if why.contains("503")), "{refusal:?}");
}

#[test]
fn only_this_machine_may_speak_plain_http() {
    for host in ["127.0.0.1:5000", "localhost:5000", "localhost", "[::1]:5000", "127.1.2.3"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["ghcr.io", "10.0.0.1:5000", "localhost.example"] {
        assert!(!is_loopback(host), "{host}");
    }
}

#[test]
fn prefixes_split_into_host_and_path() {
    assert_eq!(host_of("ghcr.io/ORG"), "ghcr.io");
    assert_eq!(host_of("127.0.0.1:5000"), "127.0.0.1:5000");
    assert_eq!(host_of("me"), "docker.io");
    assert_eq!(path_below("ghcr.io/org/team", "hello/web"), "org/team/hello/web");
    assert_eq!(path_below("127.0.0.1:5000", "hello/web"), "hello/web");
}
