//! Ports of this machine that lead to a Service's ready pods, for as long as they are kept open.

mod endpoints;
mod join;
mod peer;
mod pool;
mod probe;
mod session;
mod spdy;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use ::kube::api::ListParams;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use self::{
    endpoints::Targets,
    join::{End, Said},
    pool::Pool,
    session::Session,
};
pub use self::{endpoints::is_tcp, probe::Tried};
use super::{Kube, discovery::core, failure};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

/// How long a connection may wait for a pod to become ready.
const POD_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two rounds through all pods.
const PAUSE: Duration = Duration::from_millis(100);
const TIDY: Duration = Duration::from_secs(10);
/// How long a closed connection may still deliver what its caller has not read.
const DRAIN: Duration = Duration::from_secs(2);

/// A listening socket, not served yet.
pub struct Forward {
    listener: TcpListener,
    service: Service,
    /// Where it listens: a port of 0 has become a real one.
    pub address: SocketAddr,
    /// Another forward of the same Service tells when its pods change.
    quiet: bool,
}

/// One port of a Service.
#[derive(Clone)]
struct Service {
    kube: Kube,
    namespace: String,
    name: String,
    /// The Service's name for the port, as its endpoints carry it.
    port: String,
}

/// An error with its sources, in one line.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    Error::new(Kind::Platform, "").caused_by(error).causes.join(": ")
}

impl Kube {
    /// Listens for connections to a Service. `port` is a name or number of the Service's; None: its only or first one.
    pub async fn forward(
        &self,
        namespace: &str,
        service: &str,
        port: Option<&str>,
        listen: SocketAddr,
    ) -> Result<Forward> {
        let found = self.get_opt(&core("Service"), Some(namespace), service).await;
        let found = found
            .map_err(|error| failure::request_failed(&format!("look for service {service}"), &self.server, &error))?;
        let Some(found) = found else {
            return Err(Error::new(Kind::Usage, format!("there is no service {service} in namespace {namespace}"))
                .hint("`stackctl status` shows the services of a stack"));
        };
        let port = endpoints::choose_port(&found, port)?;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|error| {
            let made = Error::new(Kind::Preflight, format!("cannot listen on {listen}")).cause(&error);
            if error.kind() == std::io::ErrorKind::AddrInUse {
                made.hint("another program has that port: choose another one")
            } else {
                made
            }
        })?;
        let address = listener.local_addr().context(Kind::Unexpected, || "the socket has no address".to_owned())?;
        let (kube, namespace, name) = (self.clone(), namespace.to_owned(), service.to_owned());
        Ok(Forward { listener, service: Service { kube, namespace, name, port }, address, quiet: false })
    }
}

impl Forward {
    /// Leaves it to another forward of the same Service to tell when its pods change.
    pub fn quiet(self) -> Forward {
        Forward { quiet: true, ..self }
    }

    /// Serves connections until it is dropped. Each goes to the ready pod with the fewest connections; a pod that goes
    /// away ends only its own connections, an API server that goes away only those that are open. With -v it says
    /// which pod serves each, else when the pods change.
    pub async fn run(self, progress: &Progress) -> Result<()> {
        let Service { kube, namespace, name, port } = &self.service;
        let (known, mut targets) = watch::channel(self.service.list().await?);
        let pool = Pool::new(kube.client.clone(), namespace);
        let known = Arc::new(known);
        let mut tasks = JoinSet::new();
        let (sender, seen) = watch::channel(Targets::new());
        tasks.spawn(endpoints::follow(kube.clone(), namespace.clone(), name.clone(), port.clone(), sender));
        tasks.spawn(adopt(seen, Arc::clone(&known)));
        let mut tidy = tokio::time::interval(TIDY);
        targets.mark_changed();
        let mut first = true;
        let mut number = 0;
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (caller, from) = match accepted {
                        Ok(accepted) => accepted,
                        // One caller that left again, or no descriptor free for a moment: no reason to close the door.
                        Err(error) => {
                            progress.warn(format!("a connection to {} was not accepted: {error}", self.address));
                            tokio::time::sleep(PAUSE).await;
                            continue;
                        }
                    };
                    number += 1;
                    let connection = Connection {
                        service: self.service.clone(),
                        pool: pool.clone(),
                        known: Arc::clone(&known),
                        from,
                        number,
                        progress: progress.clone(),
                    };
                    tasks.spawn(async move { connection.serve(caller).await });
                }
                Ok(()) = targets.changed() => {
                    let pods: BTreeSet<String> = targets.borrow_and_update().iter().map(|(pod, _)| pod.clone()).collect();
                    if !std::mem::take(&mut first) && !self.quiet {
                        progress.info(self.service.change(&pods));
                    }
                    pool.tidy(&pods);
                    for pod in pods {
                        let pool = pool.clone();
                        tasks.spawn(async move { pool.spare(&pod).await });
                    }
                }
                _ = tidy.tick() => {
                    let pods = targets.borrow().iter().map(|(pod, _)| pod.clone()).collect();
                    pool.tidy(&pods);
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

/// Hands on what the watch sees. Its very first state, before it has seen anything, is no news.
async fn adopt(mut seen: watch::Receiver<Targets>, known: Arc<watch::Sender<Targets>>) {
    while seen.changed().await.is_ok() {
        let found = seen.borrow_and_update().clone();
        endpoints::publish(&known, found);
    }
}

impl Service {
    async fn list(&self) -> Result<Targets> {
        let params = ListParams::default().labels(&endpoints::selector(&self.name));
        let slices = self.kube.list(&core("EndpointSlice"), Some(&self.namespace), &params).await;
        let slices = slices.map_err(|error| {
            failure::request_failed(&format!("look for the pods of service {}", self.name), &self.kube.server, &error)
        })?;
        Ok(endpoints::targets(&slices, &self.port))
    }

    fn change(&self, pods: &BTreeSet<String>) -> String {
        let names: Vec<&str> = pods.iter().map(String::as_str).collect();
        match names.as_slice() {
            [] => format!("{} has no ready pod now", self.name),
            _ => format!("{} is served by {}", self.name, names.join(", ")),
        }
    }
}

struct Connection {
    service: Service,
    pool: Pool,
    known: Arc<watch::Sender<Targets>>,
    from: SocketAddr,
    /// Counts the connections, so that pods that are equally busy take turns.
    number: usize,
    progress: Progress,
}

impl Connection {
    async fn serve(self, mut caller: TcpStream) {
        // Small answers must not wait for more.
        let _ = caller.set_nodelay(true);
        let said = Said::default();
        let deadline = Instant::now() + POD_TIMEOUT;
        let mut tried: BTreeSet<String> = BTreeSet::new();
        let mut failure = "no ready pod stands behind it".to_owned();
        let mut changes = self.known.subscribe();
        loop {
            let Some((pod, port)) = self.choose(&tried) else {
                if Instant::now() >= deadline {
                    self.progress.warn(format!("a connection to {} was given up: {failure}", self.service.name));
                    return;
                }
                tried.clear();
                // All have failed: the watch may be behind, so the cluster is asked itself.
                let _ = tokio::time::timeout(PAUSE, changes.changed()).await;
                if let Ok(Ok(found)) = tokio::time::timeout_at(deadline, self.service.list()).await {
                    endpoints::publish(&self.known, found);
                }
                continue;
            };
            let end = match self.pool.open(&pod, port).await {
                Ok((session, stream)) => {
                    let pool = self.pool.clone();
                    let of = pod.clone();
                    // The next connection finds a session that waits for it.
                    tokio::spawn(async move { pool.spare(&of).await });
                    self.joined(&mut caller, &pod, &session, stream, &said).await
                }
                Err(why) => End::NotConnected(why),
            };
            match end {
                End::Done => return drain(caller).await,
                End::Broken(why) => {
                    self.progress.output(format!("{}: pod {pod}: {why}", self.from));
                    return;
                }
                End::NotConnected(why) => {
                    failure = format!("no connection to pod {pod}: {why}");
                    self.progress.output(format!("{}: {failure}", self.from));
                    tried.insert(pod);
                }
                End::Stalled => {
                    failure = format!("the node of pod {pod} does not answer");
                    tried.insert(pod);
                }
            }
        }
    }

    async fn joined(
        &self,
        caller: &mut TcpStream,
        pod: &str,
        session: &Arc<Session>,
        stream: session::Stream,
        said: &Said,
    ) -> End {
        self.progress.output(format!("{} → pod {pod}", self.from));
        let end = join::join(caller, stream, said).await;
        if end == End::Stalled {
            self.pool.discard(pod, session);
        }
        end
    }

    /// The ready pod with the fewest connections that was not tried yet.
    fn choose(&self, tried: &BTreeSet<String>) -> Option<(String, u16)> {
        let targets = self.known.borrow();
        let first = self.number % targets.len().max(1);
        let in_turn = targets[first..].iter().chain(&targets[..first]).filter(|(pod, _)| !tried.contains(pod));
        in_turn.min_by_key(|(pod, _)| self.pool.load(pod)).cloned()
    }
}

/// A socket that is closed with unread bytes takes back what its peer has not read yet: so these are read away.
async fn drain(mut caller: TcpStream) {
    let mut rest = [0; 4096];
    let read = async { while matches!(caller.read(&mut rest).await, Ok(count) if count > 0) {} };
    let _ = tokio::time::timeout(DRAIN, read).await;
}
