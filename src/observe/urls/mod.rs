//! Where a stack's routes are on this machine; each is tried before it is said.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::Empty;
use hyper::{Request, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    client,
    error::{Error, Kind, Result},
    machine::Machine,
    observe::{
        certificates,
        entrance::{self, Entrance},
    },
    plan::up::edge,
    stack::{desired, model::Stack},
    tls::{self, OwnTrust},
};

/// An edge may take so long to have its pods in its Service everywhere.
const TIMEOUT: Duration = Duration::from_secs(5);
/// After a restart of the machine pods count as ready before they are: nobody has looked again yet.
const RESTARTED: Duration = Duration::from_secs(90);
/// A new load balancer starts, and its name spreads.
const SPREAD: Duration = Duration::from_secs(600);
const ATTEMPT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);
/// Who asks for a name that is not there yet is told the same again for a while.
const FAR_PAUSE: Duration = Duration::from_secs(3);

/// A route and what came back from it just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Url {
    /// `/hello`
    pub route: String,
    pub url: String,
    /// The service behind it, if it is one alone.
    pub serves: Option<String>,
    /// HTTP status; over TLS, of a server whose certificate is the local authority's, or is the one that the stack's
    /// edge was given by somebody else. None: an error of the edge's own.
    pub status: Option<u16>,
    pub took_ms: u64,
    /// Why nothing came back, or nothing that could be trusted.
    pub error: Option<String>,
}

impl Url {
    /// What answered, in a few words.
    pub fn answer(&self) -> String {
        match (self.status, &self.error) {
            (Some(status), _) => {
                let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
                format!("{status} {} ({} ms)", reason.unwrap_or_default(), self.took_ms).replace("  ", " ")
            }
            (None, error) => format!("no answer: {}", error.as_deref().unwrap_or("unknown")),
        }
    }
}

/// Fails with the routes that led nowhere.
pub fn all_answered(urls: &[Url]) -> Result<()> {
    let silent: Vec<_> = urls.iter().filter(|url| url.error.is_some()).map(|url| url.route.as_str()).collect();
    match silent.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::NotReady, format!("no answer from {}", silent.join(", ")))
            .hint("`stackctl status` shows what is not ready")),
    }
}

/// The stack's routes and what serves each, or the edge as a whole where it is the stack's own work.
fn routes(stack: &Stack) -> Vec<(String, Option<String>)> {
    let routes = stack.edge.iter().flat_map(|edge| &edge.routes);
    let routes: Vec<_> = routes.map(|route| (route.path.clone(), Some(route.service.clone()))).collect();
    if routes.is_empty() { vec![("/".to_owned(), None)] } else { routes }
}

/// The edge of a stack, as this machine reaches it.
pub struct Edge<'a> {
    pub stack: &'a Stack,
    pub entrance: Entrance,
    /// Whom to trust, where its certificate is somebody else's.
    pub foreign: Option<&'a OwnTrust>,
}

/// The routes of a stack that is up, tried. None: it has no edge that this machine reaches.
pub async fn of_stack(machine: &Machine, stack: &Stack) -> Result<Option<Vec<Url>>> {
    let sets = desired::desired(stack, &BTreeMap::new());
    let entrance = if let Some(service) = edge::balanced(&sets) {
        entrance::of_service(machine, service).await?.ok_or_else(|| {
            Error::new(Kind::Preflight, "the edge has no load balancer").hint("`stackctl up` makes it and waits for it")
        })?
    } else if let Some((set, object)) = edge::declared(&sets).filter(|_| machine.provider.traits().has_proxy()) {
        let container = machine.provider.observe_proxy(&stack.name).await?.container;
        let container = container.filter(|it| it.running && it.foreign.is_none()).ok_or_else(|| {
            Error::new(Kind::Preflight, "the container that leads to the edge does not run")
                .hint("`stackctl up` makes it")
        })?;
        Entrance::of_proxy(&sets[set].objects[object].object.value, &container.published)
    } else {
        return Ok(None);
    };
    let foreign = certificates::foreign(stack, &certificates::all(machine, stack).await?);
    let edge = Edge { stack, entrance, foreign: foreign.values().next() };
    tried(machine, &edge, TIMEOUT).await.map(Some)
}

/// After an `up`: what is ready must answer in the end.
pub async fn awaited(machine: &Machine, edge: &Edge<'_>) -> Result<Vec<Url>> {
    let within = if edge.entrance.far { SPREAD } else { RESTARTED };
    machine.until_stopped(Box::pin(tried(machine, edge, within.min(machine.timeout)))).await
}

async fn tried(machine: &Machine, edge: &Edge<'_>, within: Duration) -> Result<Vec<Url>> {
    let entrance = &edge.entrance;
    let (authority, foreign) = (machine.known_authority().await?, edge.foreign);
    let https = entrance.https.as_ref().filter(|_| authority.is_some() || foreign.is_some());
    let base = match (https, &entrance.http) {
        (Some(at), _) => format!("https://{at}"),
        (None, Some(at)) => format!("http://{at}"),
        (None, None) => return Err(Error::new(Kind::Unexpected, "the edge has no published port")),
    };
    let tls = trust(authority.as_ref().map(|authority| authority.certificate().as_bytes()), foreign)?;
    let (client, pause) = match entrance.far {
        true => (client::outward(tls, ATTEMPT), FAR_PAUSE),
        false => (client::near(tls), PAUSE),
    };
    let attempt = |(route, serves)| attempt(&client, &base, route, serves, within, pause);
    let answers = join_all(routes(edge.stack).into_iter().map(attempt));
    let late = async {
        tokio::time::sleep(TIMEOUT).await;
        machine.events.progress("urls").say(match entrance.far {
            true => "waiting for the name of the load balancer to lead to the edge (2 to 5 minutes as a rule)",
            false => "waiting for the edge to answer",
        });
        std::future::pending().await
    };
    tokio::select! {
        urls = answers => Ok(urls),
        urls = late => urls,
    }
}

type Http = client::Client<Empty<Bytes>>;

/// Trusts the authority and nobody else; where the edge has somebody else's certificate, that one and its authority.
fn trust(authority: Option<&[u8]>, foreign: Option<&OwnTrust>) -> Result<ClientConfig> {
    let what = || "the certificate of the local authority cannot be used".to_owned();
    let roots = |pem| tls::client::roots(pem, Kind::Preflight, what);
    match foreign {
        // What its ca.crt holds may be anything; the certificate itself is what counts.
        Some(own) => {
            let authority = own.authority.as_ref().and_then(|pem| roots(pem.as_bytes()).ok());
            tls::client::pinned(authority.unwrap_or_else(RootCertStore::empty), own.certificate.as_bytes())
        }
        None => tls::client::config(Some(authority.map(roots).transpose()?.unwrap_or_else(RootCertStore::empty))),
    }
}

/// A gateway's excuses are not yet an answer.
fn is_excuse(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

async fn attempt(
    client: &Http,
    base: &str,
    route: String,
    serves: Option<String>,
    within: Duration,
    pause: Duration,
) -> Url {
    // What a browser asks for first: below a prefix, with the slash that pages there count on.
    let path = if route.ends_with('/') { route.clone() } else { format!("{route}/") };
    let url = format!("{base}{path}");
    let until = Instant::now() + within;
    loop {
        let began = Instant::now();
        let seen = ask(client, &url).await;
        let done = matches!(&seen, Ok(status) if !is_excuse(*status));
        if done || Instant::now() + pause > until {
            let took_ms = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
            let (status, error) = match seen {
                Ok(status) if is_excuse(status) => (None, Some(format!("the edge says {status}"))),
                Ok(status) => (Some(status.as_u16()), None),
                Err(error) => (None, Some(error)),
            };
            return Url { route, url, serves, status, took_ms, error };
        }
        tokio::time::sleep(pause).await;
    }
}

async fn ask(client: &Http, url: &str) -> std::result::Result<StatusCode, String> {
    let agent = concat!("stackctl/", env!("CARGO_PKG_VERSION"));
    let request =
        Request::get(url).header("user-agent", agent).body(Empty::new()).map_err(|error| error.to_string())?;
    match tokio::time::timeout(ATTEMPT, client.request(request)).await {
        Ok(Ok(response)) => Ok(response.status()),
        Ok(Err(error)) => Err(Error::new(Kind::Platform, "").caused_by(&error).causes.pop().unwrap_or_default()),
        Err(_) => Err(format!("nothing within {} s", ATTEMPT.as_secs())),
    }
}

/// The address that a word means: a route, with or without its slash, or the service behind one.
pub fn find<'a>(urls: &'a [Url], word: Option<&str>) -> Option<&'a Url> {
    let Some(word) = word else { return urls.first() };
    let name = word.trim_matches('/');
    urls.iter()
        .find(|url| url.route.trim_matches('/') == name)
        .or_else(|| urls.iter().find(|url| url.serves.as_deref() == Some(name)))
}
