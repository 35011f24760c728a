//! Numbers that requests raise, and the replicas that answer them, asked one by one.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use regex::Regex;

use super::http::{Answer, Requester};
use crate::stack::claims::{CountCheck, HttpCheck, NumberClaim, Replica, ReplicasCheck};

type Seen<T> = std::result::Result<T, String>;

/// The number in the answer to one request.
pub async fn number(requester: &Requester, claim: &NumberClaim) -> Seen<u64> {
    let regex = claim.number.filled(|_| None)?;
    read(&regex, &requester.answer(&claim.request).await?)
}

/// Each answer holds the number that it made, so that none may be missing and none may come twice.
pub async fn count(requester: &Requester, check: &CountCheck) -> Seen<()> {
    let CountCheck { claim, requests, concurrency } = check;
    let first = number(requester, claim).await?;
    let all = stream::iter(0..*requests).map(|_| number(requester, claim));
    let answers: Vec<Seen<u64>> = all.buffer_unordered(*concurrency as usize).collect().await;
    let failed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    if let Some(why) = failed.first() {
        return Err(format!("{} of {requests} requests failed, the first with: {why}", failed.len()));
    }
    let last = number(requester, claim).await?;
    let rose = i128::from(last) - i128::from(first) - 1;
    if rose != i128::from(*requests) {
        return Err(format!("{requests} requests raised it by {rose}: from {first} before to {last} after them"));
    }
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for number in answers.iter().flatten() {
        *times.entry(*number).or_default() += 1;
    }
    let twice = times.iter().find(|(_, times)| **times > 1);
    let outside = times.keys().find(|number| **number <= first || **number >= last);
    match (twice, outside) {
        (Some((number, times)), _) => Err(format!("{times} requests were given the same number {number}")),
        (None, Some(number)) => Err(format!("a request was given {number}, between {first} and {last}")),
        (None, None) => Ok(()),
    }
}

fn read(regex: &Regex, answer: &Answer) -> Seen<u64> {
    let found = captured(regex, answer)?;
    found.parse().map_err(|_| format!("`{found}` is no whole number ({answer})"))
}

fn captured(regex: &Regex, answer: &Answer) -> Seen<String> {
    let body = String::from_utf8_lossy(&answer.body);
    let found = regex.captures(&body).and_then(|found| found.get(1));
    found.map(|found| found.as_str().to_owned()).ok_or_else(|| format!("`{regex}` is not in it: {answer}"))
}

/// Every one is asked, so that all that are wrong are told at once.
pub async fn replicas(requester: &Requester, check: &ReplicasCheck) -> Seen<()> {
    let regex = check.distinct.as_ref().map(|pattern| pattern.filled(|_| None)).transpose()?;
    let mut wrong = Vec::new();
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for replica in &check.replicas {
        let answer = match at(&check.request, replica) {
            Ok(request) => requester.answer(&request).await,
            Err(why) => Err(why),
        };
        let text = answer.and_then(|answer| regex.as_ref().map(|regex| captured(regex, &answer)).transpose());
        match text {
            Ok(Some(text)) => texts.entry(text).or_default().push(&replica.pod),
            Ok(None) => {}
            Err(why) => wrong.push(format!("{} at {}: {why}", replica.pod, replica.address)),
        }
    }
    let same = texts.iter().filter(|(_, pods)| pods.len() > 1);
    wrong.extend(same.map(|(text, pods)| format!("{} answer with the same `{text}`", pods.join(" and "))));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The same request, to this pod alone; it sees the host that was asked for.
fn at(request: &HttpCheck, replica: &Replica) -> Seen<HttpCheck> {
    let wrong = |why: &dyn std::fmt::Display| format!("the request cannot be sent there: {why}");
    let mut url = url::Url::parse(&request.url).map_err(|error| wrong(&error))?;
    let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let address: std::net::SocketAddr = replica.address.parse().map_err(|error| wrong(&error))?;
    url.set_ip_host(address.ip()).map_err(|()| wrong(&"its URL has no host"))?;
    url.set_port(Some(address.port())).map_err(|()| wrong(&"its URL has no port"))?;
    let mut request = HttpCheck { url: url.into(), ..request.clone() };
    if !request.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        request.headers.insert("host".to_owned(), host);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::{
        proof::testing::{Reply, Server},
        stack::claims::Pattern,
    };

    fn request(server: &Server) -> HttpCheck {
        HttpCheck {
            method: "GET".into(),
            url: format!("http://{}/", server.address),
            headers: BTreeMap::new(),
            body: None,
            status: 200,
            json: None,
            contains: None,
            wheres: Vec::new(),
            ca: false,
            timeout: Duration::from_secs(5),
        }
    }

    /// A counter that gives each request the number that this makes of how many came before.
    async fn counted(given: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Seen<()> {
        let count = AtomicU64::new(0);
        let server = Server::start(move |_, _| {
            let number = given(count.fetch_add(1, Ordering::SeqCst));
            Reply::Answer(200, format!("hit {number} times"))
        })
        .await;
        let claim = NumberClaim { request: request(&server), number: Pattern(r"hit (\d+) times".into()) };
        let check = CountCheck { claim, requests: 20, concurrency: 7 };
        count_with(&check).await
    }

    async fn count_with(check: &CountCheck) -> Seen<()> {
        count(&Requester::new(None, None).unwrap(), check).await
    }

    #[tokio::test]
    async fn an_atomic_counter_gives_each_number_once() {
        assert_eq!(counted(|before| before + 100).await, Ok(()));
        let lost = counted(|before| before / 2).await.unwrap_err();
        assert_eq!(lost, "20 requests raised it by 9: from 0 before to 10 after them");
        let twice = counted(|before| if before == 7 { 6 } else { before }).await.unwrap_err();
        assert_eq!(twice, "2 requests were given the same number 6");
        let outside = counted(|before| if before == 7 { 1000 } else { before }).await.unwrap_err();
        assert_eq!(outside, "a request was given 1000, between 0 and 21");
    }

    #[tokio::test]
    async fn what_is_no_number_and_what_fails_is_told() {
        let server = Server::start(|_, before| match before {
            0 => Reply::Answer(200, "hit 1 times".into()),
            _ => Reply::Answer(503, "down".into()),
        })
        .await;
        let claim = NumberClaim { request: request(&server), number: Pattern(r"hit (\d+) times".into()) };
        let failed = count_with(&CountCheck { claim: claim.clone(), requests: 3, concurrency: 1 }).await.unwrap_err();
        assert_eq!(failed, "3 of 3 requests failed, the first with: status 503, body: down");
        let server = Server::start(|_, _| Reply::Answer(200, "hello".into())).await;
        let claim = NumberClaim { request: request(&server), ..claim };
        let none = number(&Requester::new(None, None).unwrap(), &claim).await.unwrap_err();
        assert_eq!(none, r"`hit (\d+) times` is not in it: status 200, body: hello");
    }

    #[tokio::test]
    async fn each_replica_is_asked_by_its_address() {
        let start = |name: &'static str| {
            Server::start(move |request, _| {
                assert!(request.head.contains("host: web:8080"), "{}", request.head);
                Reply::Answer(if name == "ill" { 500 } else { 200 }, format!("I'm {name}, you"))
            })
        };
        let (a, b, ill) = (start("a").await, start("b").await, start("ill").await);
        let asked = async |servers: &[(&str, &Server)]| {
            let replica = |(pod, server): &(&str, &Server)| Replica {
                pod: (*pod).to_owned(),
                address: server.address.to_string(),
            };
            let check = ReplicasCheck {
                request: HttpCheck { url: "http://web:8080/x".into(), ..request(&a) },
                minimum: 1,
                distinct: Some(Pattern(r"I'm (\S+),".into())),
                replicas: servers.iter().map(replica).collect(),
            };
            replicas(&Requester::new(None, None).unwrap(), &check).await
        };
        assert_eq!(asked(&[("p1", &a), ("p2", &b)]).await, Ok(()));
        assert_eq!(asked(&[("p1", &a), ("p2", &a)]).await.unwrap_err(), "p1 and p2 answer with the same `a`");
        let wrong = asked(&[("p1", &a), ("p2", &ill)]).await.unwrap_err();
        assert_eq!(wrong, format!("p2 at {}: status 500, body: I'm ill, you", ill.address));
    }
}
