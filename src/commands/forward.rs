use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
};

use clap::Args;
use futures::future::try_join_all;

use super::shared::OfStack;
use crate::{
    cli::{FlagGroups, Output},
    commands::app::App,
    error::{Error, Kind, Result},
    provider::local::ports,
    report::{
        self,
        document::{self, Forwards},
    },
};

/// Make services reachable on 127.0.0.1 until interrupted
///
/// Each connection goes to the ready pod that has the fewest. Restarts of pods, rollouts and restarts of the API server
/// end only the connections that they concern. With -v it says which pod serves each.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// A Service, which of its ports where it has several, and in front the port of 127.0.0.1 where it shall be another;
    /// may be repeated
    #[arg(value_name = "[LOCAL:]SERVICE[:PORT]", required = true)]
    services: Vec<Wanted>,
    #[command(flatten)]
    stack: OfStack,
    /// The port of 127.0.0.1, for a single service [default: the one named, else any free one]
    #[arg(long, value_name = "PORT")]
    local_port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    local: Option<u16>,
    service: String,
    port: Option<String>,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    /// No Service is called by a number alone: names begin with a letter.
    fn from_str(text: &str) -> std::result::Result<Wanted, String> {
        let usage = || format!("\"{text}\": expected SERVICE, SERVICE:PORT or LOCAL:SERVICE:PORT");
        let (local, rest) = match text.split_once(':') {
            Some((local, rest)) if local.bytes().all(|byte| byte.is_ascii_digit()) => {
                (Some(local.parse().map_err(|_| usage())?), rest)
            }
            _ => (None, text),
        };
        let (service, port) = match rest.split_once(':') {
            Some((service, port)) => (service, Some(port.to_owned())),
            None => (rest, None),
        };
        let fits = |name: &str| !name.is_empty() && !name.contains(':');
        match fits(service) && port.as_deref().is_none_or(fits) {
            true => Ok(Wanted { local, service: service.to_owned(), port }),
            false => Err(usage()),
        }
    }
}

impl Wanted {
    /// 0: any free one.
    fn listen(&self, given: Option<u16>) -> Result<SocketAddr> {
        let named = self.port.as_ref().and_then(|port| port.parse().ok());
        let asked = given.or(self.local);
        let port = asked.or(named).unwrap_or(0);
        if port != 0
            && let Err(error) = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        {
            let what = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    let owner = ports::owner(port).map(|owner| format!(" by {owner}")).unwrap_or_default();
                    format!("port {port} of 127.0.0.1 is in use{owner}")
                }
                _ => format!("cannot listen on port {port} of 127.0.0.1: {error}"),
            };
            let service = &self.service;
            let suffix = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
            return Err(Error::new(Kind::Preflight, what)
                .hint(format!("put another one in front, 0 for any: stackctl forward 0:{service}{suffix}")));
        }
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }
}

pub async fn run(args: ForwardArgs, app: &App) -> Result<()> {
    if args.local_port.is_some() && args.services.len() > 1 {
        return Err(Error::new(Kind::Usage, "--local-port is for a single service")
            .hint("name it in front of each: stackctl forward 8080:SERVICE 8081:OTHER"));
    }
    let cancel = app.end_quietly();
    let settings = FlagGroups::default().settings(&app.common.target)?;
    let namespace = args.stack.namespace(&settings, app)?;
    let mut listens = Vec::new();
    for wanted in &args.services {
        let listen = wanted.listen(args.local_port)?;
        if let Some(first) = listens.iter().position(|other| *other == listen && listen.port() != 0) {
            let other: &Wanted = &args.services[first];
            let what = format!("{} and {} want the same port {}", other.service, wanted.service, listen.port());
            return Err(Error::new(Kind::Usage, what).hint("put a port in front of one of them: LOCAL:SERVICE:PORT"));
        }
        listens.push(listen);
    }
    let machine = app.machine(&settings).await?;
    machine.require_running().await?;
    let kube = machine.kube().await?;
    let namespace = namespace.as_str();
    let opening = args.services.iter().zip(listens).map(|(wanted, listen)| async move {
        let forward = kube.forward(namespace, &wanted.service, wanted.port.as_deref(), listen).await?;
        Ok::<_, Error>((wanted, forward))
    });
    let forwards = try_join_all(opening).await?;
    let (mut runs, mut open) = (Vec::new(), Vec::new());
    let mut told = BTreeSet::new();
    let alone = forwards.len() == 1;
    for (wanted, forward) in forwards {
        let of = match &wanted.port {
            Some(port) if !alone => format!("{}:{port} in namespace {namespace}", wanted.service),
            _ => format!("{} in namespace {namespace}", wanted.service),
        };
        let end = if alone { "; Ctrl-C ends it" } else { "" };
        app.events.info(format!("http://{} is {of}{end}", forward.address));
        open.push(document::Forward {
            namespace: namespace.to_owned(),
            service: wanted.service.clone(),
            port: wanted.port.clone(),
            address: forward.address.to_string(),
        });
        let progress = app.events.progress(format!("forward:{}", wanted.service));
        // The pods of a Service are the same for all its ports.
        let forward = if told.insert(&wanted.service) { forward } else { forward.quiet() };
        runs.push(async move { forward.run(&progress).await });
    }
    if !alone {
        app.events.info("Ctrl-C ends them");
    }
    if app.common.output == Output::Json {
        report::document_line(&Forwards { forwards: open });
    }
    tokio::select! {
        ended = try_join_all(runs) => ended.map(drop),
        () = cancel.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(local: Option<u16>, service: &str, port: Option<&str>) -> Wanted {
        Wanted { local, service: service.to_owned(), port: port.map(str::to_owned) }
    }

    #[test]
    fn a_number_in_front_is_the_local_port() {
        for (text, expected) in [
            ("web", wanted(None, "web", None)),
            ("web:80", wanted(None, "web", Some("80"))),
            ("web:http", wanted(None, "web", Some("http"))),
            ("8080:web", wanted(Some(8080), "web", None)),
            ("0:web:http", wanted(Some(0), "web", Some("http"))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", "8080", "8080:", "web:", "70000:web:80", "web:80:81", ":web"] {
            let parsed = wrong.parse::<Wanted>();
            assert!(parsed.is_err() || wrong == "8080", "{wrong}: {parsed:?}");
        }
    }

    #[test]
    fn a_port_in_use_is_refused_with_its_program() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = wanted(Some(port), "web", Some("http")).listen(None).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.message.contains(&format!("(pid {})", std::process::id())), "{error:?}");
        assert!(error.hints[0].contains("0:web:http"), "{error:?}");
        assert_eq!(wanted(None, "web", Some("http")).listen(None).unwrap().port(), 0);
    }
}
