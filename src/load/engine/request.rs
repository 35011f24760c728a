//! The bytes of the requests, made once, and which of them is next.

use rand::{Rng, rngs::SmallRng};
use url::Url;

use crate::{
    error::{Context, Error, Kind, Result},
    load::spec::LoadSpec,
};

/// Methods that may be sent again when nobody knows whether they arrived (RFC 9110, 9.2.2).
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];

/// Whole requests, one for each path of the specification.
#[derive(Debug)]
pub struct Requests {
    texts: Vec<Box<[u8]>>,
    /// Of each path the sum of the weights up to it; the last is that of all.
    weights: Vec<f64>,
    pub idempotent: bool,
}

impl Requests {
    pub fn new(spec: &LoadSpec) -> Result<Requests> {
        let base = base(&spec.base)?;
        let texts = spec.paths.iter().map(|path| text(spec, &base, &path.path)).collect::<Result<_>>()?;
        let mut sum = 0.0;
        let weights = spec.paths.iter().map(|path| {
            sum += path.weight;
            sum
        });
        Ok(Requests { texts, weights: weights.collect(), idempotent: IDEMPOTENT.contains(&spec.method.as_str()) })
    }

    pub fn text(&self, path: usize) -> &[u8] {
        &self.texts[path]
    }

    pub fn paths(&self) -> usize {
        self.texts.len()
    }

    /// The path of the next request.
    pub fn choose(&self, random: &mut SmallRng) -> usize {
        match self.weights.as_slice() {
            [_] => 0,
            weights => {
                let drawn = random.random::<f64>() * weights.last().copied().unwrap_or_default();
                weights.partition_point(|sum| *sum <= drawn).min(weights.len() - 1)
            }
        }
    }
}

/// Scheme, host and port of a load, without anything else.
pub fn base(text: &str) -> Result<Url> {
    let wrong = || format!("{text} is no address that can be loaded");
    let hint = "expected http://HOST:PORT or https://HOST:PORT";
    let url = Url::parse(text).context(Kind::Usage, wrong).map_err(|error| error.hint(hint))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !bare {
        return Err(Error::new(Kind::Usage, wrong()).hint(hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::new(Kind::Usage, "credentials do not belong into an address")
            .hint("--header @FILE takes them from a file: `Authorization: Basic …`"));
    }
    Ok(url)
}

fn text(spec: &LoadSpec, base: &Url, path: &str) -> Result<Box<[u8]>> {
    let refuse = |what: String| Err(Error::new(Kind::Usage, what));
    if !is_token(&spec.method) || spec.method == "CONNECT" {
        return refuse(format!("the method {:?} cannot be sent", spec.method));
    }
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(format!(
            "the path {path:?} cannot be sent: it begins with / and other signs are percent-encoded"
        ));
    }
    for (name, value) in &spec.headers {
        if !is_token(name) || name.eq_ignore_ascii_case("transfer-encoding") {
            return refuse(format!("the header {name:?} cannot be sent"));
        }
        // Without the value, which may be secret.
        if !value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            return refuse(format!("the value of the header {name:?} holds a control character"));
        }
    }
    let given = |name: &str| spec.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let body = spec.body.as_deref().unwrap_or_default();
    let mut head = format!("{} {path} HTTP/1.1\r\n", spec.method);
    if !given("host") {
        let host = base.host_str().unwrap_or_default();
        match base.port() {
            Some(port) => head.push_str(&format!("host: {host}:{port}\r\n")),
            None => head.push_str(&format!("host: {host}\r\n")),
        }
    }
    if !given("user-agent") {
        head.push_str(concat!("user-agent: stackctl/", env!("CARGO_PKG_VERSION"), "\r\n"));
    }
    let has_body = spec.body.is_some() || matches!(spec.method.as_str(), "POST" | "PUT" | "PATCH");
    if has_body {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in spec.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.push_str(body);
    Ok(head.into_bytes().into())
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::load::spec::{WeightedPath, fixture};

    fn first(spec: &LoadSpec) -> String {
        String::from_utf8(Requests::new(spec).unwrap().text(0).to_vec()).unwrap()
    }

    #[test]
    fn requests_are_whole() {
        let mut spec = fixture(&["/a?b=c"]);
        let agent = concat!("user-agent: stackctl/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert_eq!(first(&spec), format!("GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:1\r\n{agent}\r\n"));
        spec.base = "https://[::1]".to_owned();
        spec.method = "POST".to_owned();
        spec.body = Some("tschüß".to_owned());
        spec.headers = [("X-Key", "1"), ("User-Agent", "me"), ("Content-Length", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let expected =
            "POST /a?b=c HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 8\r\nX-Key: 1\r\nUser-Agent: me\r\n\r\ntschüß";
        assert_eq!(first(&spec), expected);
        assert!(!Requests::new(&spec).unwrap().idempotent);
    }

    #[test]
    fn what_would_break_the_framing_is_refused() {
        let spec = fixture(&["/"]);
        let header = |name: &str, value: &str| LoadSpec { headers: vec![(name.into(), value.into())], ..spec.clone() };
        for wrong in [
            fixture(&["a"]),
            fixture(&["/a b"]),
            fixture(&["/a\r\nx: y"]),
            LoadSpec { method: "GET /".to_owned(), ..spec.clone() },
            LoadSpec { method: "CONNECT".to_owned(), ..spec.clone() },
            header("a b", "c"),
            header("a", "b\r\nc: d"),
            header("Transfer-Encoding", "chunked"),
            LoadSpec { base: "ftp://h".to_owned(), ..spec.clone() },
            LoadSpec { base: "http://h/x".to_owned(), ..spec.clone() },
            LoadSpec { base: "http://me:secret@h".to_owned(), ..spec.clone() },
        ] {
            let error = Requests::new(&wrong).unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn paths_come_by_their_weights() {
        let mut spec = fixture(&["/a", "/b", "/c"]);
        spec.paths[0] = WeightedPath { path: "/a".to_owned(), weight: 6.0 };
        spec.paths[1].weight = 3.0;
        let requests = Requests::new(&spec).unwrap();
        let mut random = SmallRng::seed_from_u64(1);
        let mut seen = [0; 3];
        (0..100_000).for_each(|_| seen[requests.choose(&mut random)] += 1);
        for (seen, expected) in seen.into_iter().zip([60_000_i32, 30_000, 10_000]) {
            assert!((seen - expected).abs() < 700, "{seen} {expected}");
        }
    }
}
