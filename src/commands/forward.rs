use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

use super::shared::OfStack;
use crate::{
    app::App,
    cli::Given,
    doctor::ports,
    error::{Error, Kind, Result},
    session::Session,
};

/// Make a service reachable on 127.0.0.1 until interrupted; survives restarts of its pods
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// The Service, and which of its ports where it has several
    #[arg(value_name = "SERVICE[:PORT]")]
    service: String,
    #[command(flatten)]
    stack: OfStack,
    /// The port of 127.0.0.1 [default: the one named, else any free one]
    #[arg(long, value_name = "PORT")]
    local_port: Option<u16>,
}

pub async fn run(args: ForwardArgs, app: &App) -> Result<()> {
    let settings = Given::default().settings(&app.common.target)?;
    let (service, port) = match args.service.split_once(':') {
        Some((service, port)) => (service, Some(port)),
        None => (args.service.as_str(), None),
    };
    let local = args.local_port.or_else(|| port?.parse().ok()).unwrap_or(0);
    if local != 0 && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, local)).is_err() {
        let owner = ports::owner(local).map(|owner| format!("by {owner}")).unwrap_or_default();
        return Err(Error::new(Kind::Preflight, format!("port {local} of 127.0.0.1 is in use {owner}").trim_end())
            .hint("choose another one with --local-port, 0 for any"));
    }
    let namespace = args.stack.namespace(&settings)?;
    let session = Session::without_stack(settings, app).await?;
    session.require_cluster().await?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, local));
    let forward = session.kube().await?.forward(&namespace, service, port, listen).await?;
    app.events.info(format!("http://{} is {service} in namespace {namespace}; Ctrl-C ends it", forward.address));
    let progress = app.events.progress("forward");
    tokio::select! {
        ended = forward.run(&progress) => ended,
        () = app.cancel.cancelled() => Ok(()),
    }
}
