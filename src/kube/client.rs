//! The connection to an API server, and why there may be none.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::kube::{
    Client, Config,
    config::{Kubeconfig, KubeconfigError},
};
use http::{HeaderValue, header::USER_AGENT};
use tokio::time::Instant;

use super::{clock::Clock, discovery::Discovery, failure, request::ATTEMPT};
use crate::{
    client::{HttpProxies, api_server},
    error::{Error, Kind, Result},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Where nobody says otherwise.
const GOING: Duration = Duration::from_secs(60);

/// A cluster's API server. Cloning is cheap and shares connections and discovery.
#[derive(Clone)]
pub struct Kube {
    pub(super) client: Client,
    pub(super) discovery: Arc<Discovery>,
    /// `https://127.0.0.1:6443`
    pub(super) server: Arc<str>,
    version: Arc<str>,
    /// Read when this run began.
    pub(super) clock: Clock,
    /// When the server was last seen gone, shared by all requests.
    pub(super) lost: Arc<Mutex<Option<Instant>>>,
    /// How long one attempt may go without an answer.
    pub(super) silence: Duration,
    /// How long something that is being deleted may be in the way.
    pub(super) going: Duration,
}

impl Kube {
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Without a kubeconfig and without asking for the version.
    #[cfg(test)]
    pub fn at(server: &str) -> Kube {
        let mut config = Config::new(server.parse().unwrap());
        (config.default_retry, config.read_timeout) = (false, None);
        let client = api_server::client(&config, HttpProxies::none()).unwrap();
        let (discovery, lost) = (Arc::new(Discovery::new(client.clone())), Arc::default());
        Kube {
            client,
            discovery,
            server: server.into(),
            version: "v1".into(),
            clock: Clock::ours(),
            lost,
            silence: ATTEMPT,
            going: GOING,
        }
    }

    /// The same, and how long something that is being deleted may be in the way.
    pub fn waiting(self, going: Duration) -> Kube {
        Kube { going, ..self }
    }

    /// `v1.36.3`, as the server says.
    pub fn server_version(&self) -> &str {
        &self.version
    }
}

/// Connects and asks for the server's version, so that whatever is wrong with the way there is known from here on.
/// Without a context, the kubeconfig's current one.
pub async fn connect(kubeconfig: &Path, context: Option<&str>) -> Result<Kube> {
    let (config, proxies) = load(kubeconfig, context).await?;
    let server: Arc<str> = config.cluster_url.to_string().trim_end_matches('/').into();
    let client = api_server::client(&config, proxies).map_err(|error| {
        Error::new(Kind::Preflight, format!("no client can be made from {}", kubeconfig.display()))
            .caused_by(&error)
            .hint("check the user and the cluster of this context: their certificates, keys and credential command")
    })?;
    let first = async { tokio::join!(client.apiserver_version(), Clock::read(&client)) };
    let (version, clock) = match tokio::time::timeout(FIRST_ANSWER, first).await {
        Ok((Ok(version), clock)) => (version.git_version, clock),
        Ok((Err(error), _)) => {
            return Err(failure::request_failed("ask the API server for its version", &server, &error));
        }
        Err(_) => {
            return Err(Error::new(Kind::Platform, format!("the API server at {server} does not answer"))
                .cause(format!("no answer within {} s", FIRST_ANSWER.as_secs()))
                .hint("is the cluster overloaded or only just starting? try again, or look at its nodes"));
        }
    };
    Ok(Kube {
        discovery: Arc::new(Discovery::new(client.clone())),
        client,
        server,
        version: version.into(),
        clock,
        lost: Arc::default(),
        silence: ATTEMPT,
        going: GOING,
    })
}

async fn load(path: &Path, context: Option<&str>) -> Result<(Config, HttpProxies)> {
    let parsed = Kubeconfig::read_from(path).map_err(|error| unreadable(path, &error))?;
    let names: Vec<_> = parsed.contexts.iter().map(|context| context.name.clone()).collect();
    let settings = api_server::settings(parsed, context).await;
    let (mut config, proxies) = settings.map_err(|error| unusable(path, &names, &error))?;
    let agent = concat!("stackctl/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Retries here keep to our deadlines; kube's own would go on for a quarter of an hour.
    config.default_retry = false;
    // A log or a forward may be silent for long: deadlines are per request, never per connection.
    config.read_timeout = None;
    Ok((config, proxies))
}

fn unreadable(path: &Path, error: &KubeconfigError) -> Error {
    let path = path.display();
    match error {
        KubeconfigError::ReadConfig(io, _) if io.kind() == std::io::ErrorKind::NotFound => {
            Error::new(Kind::Preflight, format!("there is no kubeconfig at {path}"))
                .hint("`stackctl up` makes a cluster and its kubeconfig; --kubeconfig or KUBECONFIG name another file")
        }
        KubeconfigError::ReadConfig(io, _) => {
            Error::new(Kind::Preflight, format!("the kubeconfig {path} cannot be read")).cause(io)
        }
        KubeconfigError::Parse(yaml) => {
            let place = yaml.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
            let words = yaml.to_string();
            Error::new(Kind::Preflight, format!("the kubeconfig {path}{place} is broken"))
                .cause(words.lines().next().unwrap_or_default())
                .hint("repair that line, or fetch the kubeconfig again")
        }
        other => Error::new(Kind::Preflight, format!("the kubeconfig {path} is broken")).caused_by(other),
    }
}

fn unusable(path: &Path, names: &[String], error: &KubeconfigError) -> Error {
    let path = path.display();
    let known =
        if names.is_empty() { "it has no contexts".to_owned() } else { format!("it has: {}", names.join(", ")) };
    match error {
        KubeconfigError::CurrentContextNotSet => {
            Error::new(Kind::Preflight, format!("the kubeconfig {path} has no current context"))
                .cause(known)
                .hint("choose one with --context")
        }
        KubeconfigError::LoadContext(name) => {
            let near = names.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
            let made =
                Error::new(Kind::Preflight, format!("the kubeconfig {path} has no context \"{name}\"")).cause(known);
            match near {
                Some(near) if strsim::jaro(name, near) > 0.7 => made.hint(format!("did you mean --context {near}?")),
                _ => made.hint("choose one of them with --context"),
            }
        }
        KubeconfigError::LoadClusterOfContext(name) => Error::new(
            Kind::Preflight,
            format!("the kubeconfig {path} has no cluster \"{name}\", which the context names"),
        )
        .hint("fetch the kubeconfig again"),
        other => Error::new(Kind::Preflight, format!("the kubeconfig {path} cannot be used")).caused_by(other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    async fn failure(text: &str, context: Option<&str>) -> Error {
        connect(file(text).path(), context).await.map(|_| ()).unwrap_err()
    }

    const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:1'}\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: kind-stackctl\n  context: {cluster: gone, user: u}\nusers:\n- name: u\n  user: {token: secret}\n";

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = connect(Path::new("no/such/config"), None).await.map(|_| ()).unwrap_err();
        assert_eq!(error.message, "there is no kubeconfig at no/such/config");
        assert_eq!(error.kind, Kind::Preflight);
    }

    #[tokio::test]
    async fn a_broken_file_is_located() {
        let error = failure("apiVersion: v1\nclusters:\n- name: [\n", None).await;
        assert!(error.message.contains("is broken"), "{error:?}");
        assert!(regex::Regex::new(r":\d+:\d+ is broken").unwrap().is_match(&error.message), "{error:?}");
    }

    #[tokio::test]
    async fn an_unknown_context_lists_those_that_exist() {
        let error = failure(CONFIG, Some("kind-stackct")).await;
        assert!(error.causes[0].contains("a, kind-stackctl"), "{error:?}");
        assert!(error.hints[0].contains("--context kind-stackctl"), "{error:?}");
        assert!(failure(CONFIG, Some("kind-stackctl")).await.message.contains("no cluster \"gone\""));
        assert!(failure("apiVersion: v1\nkind: Config\n", None).await.message.contains("no current context"));
    }

    #[tokio::test]
    async fn a_dead_address_says_that_nothing_listens() {
        let error = failure(CONFIG, None).await;
        assert_eq!(error.message, "nothing listens at https://127.0.0.1:1", "{error:?}");
        assert_eq!(error.kind, Kind::Platform);
        assert!(!format!("{error:?}").contains("secret"));
    }
}
