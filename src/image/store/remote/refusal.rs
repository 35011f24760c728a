//! Why a registry does not do what it is asked, each with its own fix.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::error::{Error, Kind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It asks who we are, and there is nothing to show.
    NoCredentials,
    WrongCredentials,
    Expired,
    /// It knows us, and does not let us.
    NotAllowed,
    /// It makes repositories only when told to.
    NoRepository {
        repository: String,
    },
    NotARegistry {
        seen: String,
    },
    Unreachable {
        why: String,
    },
}

impl Refusal {
    /// `doing`: "pushing to ghcr.io/me"; `host` is what one logs in to.
    pub fn error(&self, doing: &str, host: &str) -> Error {
        let log_in = login_command(host);
        let preflight = |cause: &str| Error::new(Kind::Preflight, format!("{doing} failed")).cause(cause);
        let platform = |cause: &str| Error::new(Kind::Platform, format!("{doing} failed")).cause(cause);
        match self {
            Refusal::NoCredentials => {
                preflight(&format!("{host} asks who you are, and docker has no credentials for it"))
                    .hint(format!("log in: {log_in}"))
            }
            Refusal::WrongCredentials => {
                preflight(&format!("{host} does not know this user name with this password or token"))
                    .hint(format!("log in with another one: {log_in}"))
            }
            Refusal::Expired => preflight(&format!("the token for {host} has expired"))
                .hint(format!("make a new one, then log in with it: {log_in}")),
            Refusal::NotAllowed => preflight(&format!("{host} knows this user, and does not allow it to"))
                .hint(match host {
                    "ghcr.io" => "the token needs the scope write:packages, and its owner the right to write packages of that organisation",
                    _ => "give the user or token the right to push there, or name another place with --registry",
                })
                .hint(format!("to be somebody else: {log_in}")),
            Refusal::NoRepository { repository } => {
                platform(&format!("{host} has no repository {repository}, and makes none by itself")).hint(match is_ecr(host) {
                    true => format!("make it: aws ecr create-repository --repository-name {repository}"),
                    false => "make the repository there first, or check the spelling of --registry".to_owned(),
                })
            }
            Refusal::NotARegistry { seen } => platform(seen)
                .hint(format!("check the name: {host} may be a web site and its registry elsewhere (ghcr.io, not github.com)"))
                .hint("or something between here and there answers in its place: a proxy, or the log-in page of a network"),
            Refusal::Unreachable { why } => platform(&format!("{host} cannot be reached: {why}"))
                .hint("check the name, the network and its proxy; a registry without TLS must be on this machine, or the engine's insecure-registries must name it"),
        }
    }

    /// Whether it is about who we are and what we may.
    pub fn is_of_us(&self) -> bool {
        matches!(self, Refusal::NoCredentials | Refusal::WrongCredentials | Refusal::NotAllowed)
    }

    /// What an engine says of a push or pull that a registry refused; None where it is about something else.
    pub fn in_words_of_the_engine(text: &str, credentials: bool) -> Option<Refusal> {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let known = |refusal| if credentials { refusal } else { Refusal::NoCredentials };
        if has(&["no basic auth credentials"]) {
            Some(Refusal::NoCredentials)
        } else if has(&["denied: ", "unauthorized", "401", "403"]) && mentions_expiry(text) {
            Some(Refusal::Expired)
        } else if has(&["denied: ", "403 Forbidden", "insufficient_scope", "insufficient scope"]) {
            Some(known(Refusal::NotAllowed))
        } else if has(&[
            "unauthorized",
            "authentication required",
            "401 Unauthorized",
            "incorrect username or password",
        ]) {
            Some(known(Refusal::WrongCredentials))
        } else if has(&["invalid character '<'"]) {
            Some(Refusal::NotARegistry { seen: "it answered with a web page (HTML)".to_owned() })
        } else {
            None
        }
    }
}

/// How to log in, with what is particular about the host.
pub fn login_command(host: &str) -> String {
    match host {
        _ if is_ecr(host) => {
            let region = host.split('.').nth(3).unwrap_or("REGION");
            format!("aws ecr get-login-password --region {region} | stackctl login {host} --username AWS --token-stdin")
        }
        "docker.io" => "stackctl login docker.io".to_owned(),
        host => format!("stackctl login {host}"),
    }
}

/// `123456789012.dkr.ecr.eu-central-1.amazonaws.com`
pub fn is_ecr(host: &str) -> bool {
    host.contains(".dkr.ecr.") && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

/// Registries have no code for it, only words.
pub fn mentions_expiry(text: &str) -> bool {
    text.to_ascii_lowercase().contains("expired")
}

/// Whether a secret is a JSON Web Token whose time is over.
pub fn is_over(secret: &str, now: jiff::Timestamp) -> bool {
    let mut parts = secret.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
    claims["exp"].as_i64().is_some_and(|expires| expires <= now.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_told_apart() {
        let read = |text| Refusal::in_words_of_the_engine(text, true);
        assert_eq!(read("unauthorized: authentication required"), Some(Refusal::WrongCredentials));
        assert_eq!(read("no basic auth credentials"), Some(Refusal::NoCredentials));
        assert_eq!(read("denied: requested access to the resource is denied"), Some(Refusal::NotAllowed));
        assert_eq!(
            read("denied: Your authorization token has expired. Reauthenticate and try again."),
            Some(Refusal::Expired)
        );
        assert_eq!(
            read("error parsing HTTP 403 response body: invalid character '<' looking for beginning of value"),
            Some(Refusal::NotARegistry { seen: "it answered with a web page (HTML)".to_owned() })
        );
        assert_eq!(read("no space left on device"), None);
        assert_eq!(Refusal::in_words_of_the_engine("denied: requested access", false), Some(Refusal::NoCredentials));
    }

    #[test]
    fn every_refusal_has_its_own_words_and_a_cure() {
        let all = [
            Refusal::NoCredentials,
            Refusal::WrongCredentials,
            Refusal::Expired,
            Refusal::NotAllowed,
            Refusal::NoRepository { repository: "a/b".to_owned() },
            Refusal::NotARegistry { seen: "x answered with a web page".to_owned() },
            Refusal::Unreachable { why: "no such host".to_owned() },
        ];
        let causes: std::collections::BTreeSet<String> = all
            .iter()
            .map(|refusal| {
                let error = refusal.error("pushing to r.example/me", "r.example");
                assert!(!error.hints.is_empty(), "{refusal:?}");
                error.causes.join(" ")
            })
            .collect();
        assert_eq!(causes.len(), all.len());
    }

    #[test]
    fn amazons_registries_are_logged_in_to_in_their_own_way() {
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        assert!(login_command(host).starts_with("aws ecr get-login-password --region eu-central-1 | stackctl login"));
        assert!(!is_ecr("public.ecr.aws"));
    }

    #[test]
    fn a_token_that_says_when_it_ends_is_believed() {
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let token = |exp: i64| {
            let payload = BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
            format!("e30.{payload}.sig")
        };
        assert!(is_over(&token(now.as_second() - 1), now));
        assert!(!is_over(&token(now.as_second() + 1), now));
        for secret in ["ghp_abc", "a.b.c", "", "a.b.c.d"] {
            assert!(!is_over(secret, now), "{secret}");
        }
    }
}
