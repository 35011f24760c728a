//! Two ways from a port of this machine to a port of a pod: `forward-bench stackctl|kube NAMESPACE POD PORT` listens on a
//! free port of 127.0.0.1, prints it, and serves connections until it is ended.

#[path = "../../../src/kube/forward/join.rs"]
#[allow(dead_code)]
mod join;
#[path = "../../../src/kube/forward/peer.rs"]
mod peer;
#[path = "../../../src/kube/forward/pool.rs"]
#[allow(dead_code)]
mod pool;
#[path = "../../../src/kube/forward/session.rs"]
#[allow(dead_code)]
mod session;
#[path = "../../../src/kube/forward/spdy.rs"]
mod spdy;

use std::error::Error;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// An error with its sources, in one line; the program's own forward has the same.
fn words(error: &dyn Error) -> String {
    error.to_string()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, namespace, pod, port] = &arguments[..] else {
        return Err("usage: forward-bench stackctl|kube NAMESPACE POD PORT".into());
    };
    let port: u16 = port.parse()?;
    let client = Client::try_default().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let pool = pool::Pool::new(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    pool.spare(pod).await;
    loop {
        let (caller, _) = listener.accept().await?;
        let (pool, pods, pod, ours) = (pool.clone(), pods.clone(), pod.clone(), way == "stackctl");
        tokio::spawn(async move {
            let _ = caller.set_nodelay(true);
            let ended = if ours { by_pool(caller, &pool, &pod, port).await } else { by_kube(caller, &pods, &pod, port).await };
            if let Err(error) = ended {
                eprintln!("{error}");
            }
        });
    }
}

/// What the program's forward does of a connection.
async fn by_pool(mut caller: TcpStream, pool: &pool::Pool, pod: &str, port: u16) -> Result<(), String> {
    let (_session, stream) = pool.open(pod, port).await?;
    let (spare, of) = (pool.clone(), pod.to_owned());
    tokio::spawn(async move { spare.spare(&of).await });
    match join::join(&mut caller, stream, &join::Said::default()).await {
        join::End::Done => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn by_kube(mut caller: TcpStream, pods: &Api<Pod>, pod: &str, port: u16) -> Result<(), String> {
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| error.to_string())?;
    let mut stream = forwarder.take_stream(port).ok_or("there is no stream")?;
    copy_bidirectional(&mut caller, &mut stream).await.map_err(|error| error.to_string())?;
    drop(stream);
    forwarder.join().await.map_err(|error| error.to_string())
}
