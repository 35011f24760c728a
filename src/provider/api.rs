//! Whether an API server answers, seen through a kubeconfig.

use std::{path::Path, time::Duration};

use ::kube::{Client, config::Kubeconfig};

use super::Access;
use crate::{
    client::api_server,
    error::{Context, Error, Kind, Result},
};

/// A client that waits for no answer longer than `limit`.
pub async fn client(access: &Access, limit: Duration) -> Result<Client> {
    let kubeconfig = read(&access.kubeconfig)?;
    let settings = api_server::settings(kubeconfig, Some(&access.context)).await;
    let (mut config, proxies) = settings.map_err(|error| {
        Error::new(Kind::Usage, format!("cannot use the context {} of {}", access.context, access.kubeconfig.display()))
            .caused_by(&error)
    })?;
    config.connect_timeout = Some(limit);
    config.read_timeout = Some(limit);
    config.default_retry = false;
    api_server::client(&config, proxies)
        .context(Kind::Unexpected, || format!("cannot make a client for the context {}", access.context))
}

pub fn read(kubeconfig: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(kubeconfig)
        .context(Kind::Usage, || format!("cannot read the kubeconfig {}", kubeconfig.display()))
}

/// The URL that a context of a kubeconfig means.
pub fn server(kubeconfig: &Path, context: &str) -> Result<String> {
    let all = read(kubeconfig)?;
    server_of(&all, context).map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the context {context} of {} names no server", kubeconfig.display()))
    })
}

/// None: it names none.
pub fn server_of<'a>(all: &'a Kubeconfig, context: &str) -> Option<&'a str> {
    let cluster = &all.contexts.iter().find(|known| known.name == context)?.context.as_ref()?.cluster;
    let server = all.clusters.iter().find(|known| known.name == *cluster)?;
    server.cluster.as_ref()?.server.as_deref()
}

/// One question to `/readyz`. An error says why the answer was not "ok".
pub async fn ready(access: &Access) -> Result<()> {
    let client = client(access, Duration::from_secs(5)).await?;
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .context(Kind::Unexpected, || "cannot make a request for /readyz".to_owned())?;
    let server = server(&access.kubeconfig, &access.context)?;
    client.request_text(request).await.map(drop).context(Kind::Platform, || {
        format!("the API server {server} of the context {} does not answer", access.context)
    })
}

pub async fn await_ready(access: &Access, within: Duration) -> Result<()> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        match ready(access).await {
            Ok(()) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error.cause(format!("it was asked for {} s", within.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
