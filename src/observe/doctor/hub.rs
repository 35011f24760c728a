//! How many pulls Docker Hub still allows this address. Says nothing where Docker Hub cannot be reached.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Empty};

use crate::provider::check::Check;
use crate::provider::local::checks as engine;
use crate::{client, tls};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// What the makers of Docker Hub offer to ask with: asking this way costs no pull.
const TOKEN_URL: &str =
    "https://auth.docker.io/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull";
const MANIFEST_URL: &str = "https://registry-1.docker.io/v2/ratelimitpreview/test/manifests/latest";
const FEW: u64 = 10;

pub async fn examine() -> Vec<Check> {
    match tokio::time::timeout(ANSWER_WITHIN, ask()).await {
        Ok(Some(headers)) => judge(&headers),
        _ => Vec::new(),
    }
}

/// The headers of Docker Hub's answer; None: it did not give one.
async fn ask() -> Option<HeaderMap> {
    let client: client::Client<Empty<Bytes>> = client::outward(tls::client::config(None).ok()?, ANSWER_WITHIN);
    let answer = client.get(TOKEN_URL.parse().ok()?).await.ok()?;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    let token: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let request = Request::builder()
        .method(Method::HEAD)
        .uri(MANIFEST_URL)
        .header("authorization", format!("Bearer {}", token.get("token")?.as_str()?))
        .body(Empty::new())
        .ok()?;
    Some(client.request(request).await.ok()?.headers().clone())
}

fn judge(headers: &HeaderMap) -> Vec<Check> {
    // `76;w=21600`: 76 pulls in 6 hours.
    let number = |name: &str| headers.get(name)?.to_str().ok()?.split(';').next()?.trim().parse::<u64>().ok();
    let mut checks = Vec::new();
    if let (Some(left), Some(limit)) = (number("ratelimit-remaining"), number("ratelimit-limit")) {
        let found = format!("{left} of {limit} pulls left");
        let fix = "log in (docker login) or use a mirror: --registry-mirror docker.io=URL";
        checks.push(if left < FEW { Check::warning("docker hub", found, fix) } else { Check::ok("docker hub", found) });
    }
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    if let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
        checks.push(engine::skew("Docker Hub", theirs.timestamp(), jiff::Timestamp::now()));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::check::Status;

    fn headers(left: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", "100;w=21600".parse().unwrap());
        headers.insert("ratelimit-remaining", left.parse().unwrap());
        headers.insert("date", "Thu, 01 Jan 1970 00:00:10 GMT".parse().unwrap());
        headers
    }

    #[test]
    fn few_pulls_left_are_a_warning_and_the_clock_is_compared() {
        let checks = judge(&headers("76;w=21600"));
        assert_eq!(checks[0], Check::ok("docker hub", "76 of 100 pulls left"));
        assert_eq!((checks[1].name, checks[1].status), ("clock", Status::Warning));
        assert_eq!(judge(&headers("9;w=21600"))[0].status, Status::Warning);
    }

    #[test]
    fn an_account_without_limit_is_not_mentioned() {
        assert!(judge(&HeaderMap::new()).is_empty());
    }
}
