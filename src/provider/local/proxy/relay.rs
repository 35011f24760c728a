//! TCP from ports of this machine to the first of several targets that answers: what runs in a cluster's proxy
//! container. Knows nothing of clusters.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A target that did not answer is asked last for so long.
const SHUNNED: Duration = Duration::from_secs(5);
/// How long connections may go on once it was told to end.
const DRAIN: Duration = Duration::from_secs(8);
const BUFFER: usize = 64 * 1024;

/// A port and where its connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// 0: any free one.
    pub port: u16,
    /// `HOST:PORT`, tried in turn.
    pub targets: Vec<String>,
}

impl std::str::FromStr for Route {
    type Err = String;

    /// `8443=node-1:31443,node-2:31443`
    fn from_str(text: &str) -> std::result::Result<Route, String> {
        let usage = || "expected PORT=HOST:PORT,HOST:PORT".to_owned();
        let (port, targets) = text.split_once('=').ok_or_else(usage)?;
        let targets: Vec<String> = targets.split(',').map(str::to_owned).collect();
        let fits = |target: &String| {
            target.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match targets.iter().all(fits) {
            true => Ok(Route { port: port.parse().map_err(|_| usage())?, targets }),
            false => Err(usage()),
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.port, self.targets.join(","))
    }
}

/// Listening sockets, not served yet.
pub struct Proxy {
    listeners: Vec<(TcpListener, Arc<Targets>)>,
}

struct Targets {
    addresses: Vec<String>,
    next: AtomicUsize,
    /// Until when each is asked last.
    shunned: Mutex<Vec<Option<Instant>>>,
}

impl Proxy {
    pub async fn listen(routes: &[Route]) -> Result<Proxy> {
        let mut listeners = Vec::new();
        for route in routes {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, route.port));
            let listener = TcpListener::bind(address).await;
            let listener = listener.context(Kind::Preflight, || format!("cannot listen on {address}"))?;
            let targets = Targets {
                addresses: route.targets.clone(),
                next: AtomicUsize::new(0),
                shunned: Mutex::new(vec![None; route.targets.len()]),
            };
            listeners.push((listener, Arc::new(targets)));
        }
        Ok(Proxy { listeners })
    }

    #[cfg(test)]
    fn port(&self, route: usize) -> u16 {
        self.listeners[route].0.local_addr().unwrap().port()
    }

    /// Serves until it is cancelled, then lets open connections end.
    pub async fn run(self, progress: &Progress, cancel: &CancellationToken) {
        let mut accepting = JoinSet::new();
        let stop = cancel.child_token();
        for (listener, targets) in self.listeners {
            let (progress, stop) = (progress.clone(), stop.clone());
            accepting.spawn(async move { accept(listener, targets, &progress, &stop).await });
        }
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, targets: Arc<Targets>, progress: &Progress, stop: &CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((caller, _)) => {
                    let (targets, progress) = (Arc::clone(&targets), progress.clone());
                    connections.spawn(async move {
                        if let Err(error) = serve(caller, &targets).await {
                            progress.warn(error);
                        }
                    });
                }
                // No descriptor free for a moment, or a caller that left again.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, ended).await;
}

/// How a connection ends is its two ends' business; only one that finds no target is worth a word.
async fn serve(mut caller: TcpStream, targets: &Targets) -> std::result::Result<(), String> {
    let mut target = targets.connect().await?;
    let _ = caller.set_nodelay(true).and_then(|()| target.set_nodelay(true));
    let _ = copy_bidirectional_with_sizes(&mut caller, &mut target, BUFFER, BUFFER).await;
    Ok(())
}

impl Targets {
    async fn connect(&self) -> std::result::Result<TcpStream, String> {
        let mut failures = Vec::new();
        for index in self.order() {
            let address = &self.addresses[index];
            let error = match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.mark(index, None);
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(_) => io::Error::from(io::ErrorKind::TimedOut),
            };
            self.mark(index, Some(Instant::now() + SHUNNED));
            failures.push(format!("{address}: {error}"));
        }
        Err(format!("no target answers: {}", failures.join("; ")))
    }

    /// All, in turn, those that failed just now last.
    fn order(&self) -> Vec<usize> {
        let count = self.addresses.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut order: Vec<usize> = (0..count).map(|offset| (first + offset) % count).collect();
        let now = Instant::now();
        let shunned = self.shunned.lock().unwrap_or_else(PoisonError::into_inner);
        order.sort_by_key(|&index| shunned[index].is_some_and(|until| until > now));
        order
    }

    fn mark(&self, index: usize, until: Option<Instant>) {
        self.shunned.lock().unwrap_or_else(PoisonError::into_inner)[index] = until;
    }
}

/// Whether all ports accept connections, asked from beside them.
pub async fn is_healthy(routes: &[Route]) -> Result<()> {
    for route in routes {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, route.port));
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                return Err(Error::new(Kind::Platform, format!("{address} does not answer")).caused_by(&error));
            }
            Err(_) => return Err(Error::new(Kind::Platform, format!("{address} does not answer in time"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::event::Events;

    fn route(targets: &[String]) -> Route {
        Route { port: 0, targets: targets.to_vec() }
    }

    /// Says its name, then gives back what it hears until the end.
    async fn server(name: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(name.as_bytes()).await.unwrap();
                    let mut heard = Vec::new();
                    stream.read_to_end(&mut heard).await.unwrap();
                    stream.write_all(&heard).await.unwrap();
                });
            }
        });
        address
    }

    async fn dead() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    }

    async fn ask(port: u16) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b" heard").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[test]
    fn routes_are_read_as_they_are_written() {
        let text = "8443=a-control-plane:31443,a-worker:31443";
        let route: Route = text.parse().unwrap();
        assert_eq!((route.port, route.targets.len(), route.to_string().as_str()), (8443, 2, text));
        for wrong in ["8443", "x=a:1", "8443=", "8443=a", "8443=:1", "8443=a:b"] {
            assert!(wrong.parse::<Route>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_target_that_is_down_is_passed_over_and_then_asked_last() {
        let (one, down, two) = (server("one").await, dead().await, server("two").await);
        let proxy = Proxy::listen(&[route(&[down, one, two])]).await.unwrap();
        let port = proxy.port(0);
        let cancel = CancellationToken::new();
        let progress = Events::channel().0.progress("proxy");
        let ended = cancel.clone();
        let running = tokio::spawn(async move { proxy.run(&progress, &ended).await });
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(ask(port).await);
        }
        assert!(answers.contains(&"one heard".to_owned()) && answers.contains(&"two heard".to_owned()), "{answers:?}");

        // What is open when it is told to end goes on to its end; nothing new comes in.
        let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        open.read_exact(&mut [0; 3]).await.unwrap();
        cancel.cancel();
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!running.is_finished());
        open.write_all(b"late").await.unwrap();
        open.shutdown().await.unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "late");
        running.await.unwrap();
    }

    #[tokio::test]
    async fn no_target_at_all_closes_the_connection() {
        let proxy = Proxy::listen(&[route(&[dead().await])]).await.unwrap();
        let port = proxy.port(0);
        let progress = Events::channel().0.progress("proxy");
        tokio::spawn(async move { proxy.run(&progress, &CancellationToken::new()).await });
        assert!(is_healthy(&[Route { port, targets: Vec::new() }]).await.is_ok());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
