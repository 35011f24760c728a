//! How a registry wants to be shown credentials: the `WWW-Authenticate` header.

use http::{HeaderMap, header};
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// A token, to be fetched from there.
    Bearer {
        realm: Url,
        service: Option<String>,
    },
}

impl Challenge {
    /// None: no header, or none that we could answer. A token is preferred where both are offered.
    pub fn of(headers: &HeaderMap) -> Option<Challenge> {
        let offers = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let offers: Vec<Challenge> = offers.filter_map(parse).collect();
        offers.iter().find(|offer| matches!(offer, Challenge::Bearer { .. })).or(offers.first()).cloned()
    }
}

fn parse(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let find = |name: &str| parameters(rest).into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    let (_, realm) = find("realm")?;
    let realm = Url::parse(&realm).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(Challenge::Bearer { realm, service: find("service").map(|(_, service)| service) })
}

/// `realm="https://…",service="…",scope="a,b"`: quoted values may hold commas and escaped quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([',', ' ']).to_owned();
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        if after.starts_with('"') {
            characters.next();
            let mut escaped = false;
            for (at, c) in characters {
                match c {
                    _ if escaped => {
                        value.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    _ => value.push(c),
                }
            }
        } else {
            end = after.find(',').unwrap_or(after.len());
            after[..end].trim().clone_into(&mut value);
        }
        found.push((key, value));
        rest = &after[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, http::HeaderValue::from_static(value));
        }
        Challenge::of(&headers)
    }

    #[test]
    fn both_ways_are_read() {
        assert_eq!(challenge(&[]), None);
        assert_eq!(challenge(&["Negotiate"]), None);
        assert_eq!(challenge(&["Basic realm=\"Registry Realm\""]), Some(Challenge::Basic));
        let bearer = Challenge::Bearer {
            realm: "https://auth.example/token".parse().unwrap(),
            service: Some("registry, the".to_owned()),
        };
        let text =
            "Bearer realm=\"https://auth.example/token\",service=\"registry, the\",scope=\"repository:a:pull,push\"";
        assert_eq!(challenge(&[text]), Some(bearer.clone()));
        assert_eq!(challenge(&["Basic realm=x", text]), Some(bearer));
        assert_eq!(challenge(&["Bearer realm=\"file:///etc/passwd\""]), None);
        assert_eq!(challenge(&["Bearer service=\"x\""]), None);
    }

    #[test]
    fn escapes_and_bare_values_are_read() {
        let found = parameters("a=\"x\\\"y\", b=plain,c=\"\"");
        let expected =
            [("a", "x\"y"), ("b", "plain"), ("c", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
        assert!(parameters("nothing").is_empty());
        assert_eq!(parameters("a=\"open"), [("a".to_owned(), "open".to_owned())]);
    }
}
