//! The worker's end of its line: waits to be told what to send and when, and stops when it is told to or hears nothing.

use std::{future::Future, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::wire::Order,
    control::{Answer, Command, SILENCE},
};
use crate::error::{Context, Error, Kind, Result};

/// How long a worker that runs may be left without a first word: others may still be on their way to a node.
const PATIENCE: Duration = Duration::from_secs(600);

/// Listens on this port of loopback, and runs `load` once it is told to start: with what to send, the moment at which
/// to begin and a token that ends it early. Fails when nobody says anything.
pub async fn serve<F>(
    port: u16,
    cancel: &CancellationToken,
    load: impl FnOnce(Order, Instant, CancellationToken) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.context(Kind::Platform, || format!("port {port} is not free for the worker's orders"))?;
    obey(listener, cancel, load, PATIENCE, SILENCE).await
}

async fn obey<F>(
    listener: TcpListener,
    cancel: &CancellationToken,
    load: impl FnOnce(Order, Instant, CancellationToken) -> F,
    patience: Duration,
    silence: Duration,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let mut words = listen(listener);
    let (order, start) = tokio::select! {
        told = orders(&mut words, patience) => told?,
        () = cancel.cancelled() => return Err(Error::new(Kind::Interrupted, "stopped before the load began")),
    };
    // Whatever has stopped it by now must still end it.
    let stop = cancel.child_token();
    let mut load = std::pin::pin!(load(order, start, stop.clone()));
    loop {
        tokio::select! {
            ended = &mut load => return ended,
            word = timeout(silence, words.recv()), if !stop.is_cancelled() => match word {
                Ok(Some(Command::Stop) | None) | Err(_) => stop.cancel(),
                Ok(Some(_)) => {}
            },
        }
    }
}

/// Waits for what to send and when to start.
async fn orders(words: &mut mpsc::Receiver<Command>, patience: Duration) -> Result<(Order, Instant)> {
    let mut order = None;
    loop {
        let word = timeout(patience, words.recv()).await;
        match (word, &order) {
            (Ok(Some(Command::Prepare { order: told })), _) => order = Some(*told),
            (Ok(Some(Command::Start { in_us })), Some(order)) => {
                return Ok((Order::clone(order), Instant::now() + Duration::from_micros(in_us)));
            }
            (Ok(Some(Command::Stop) | None), _) => {
                return Err(Error::new(Kind::Interrupted, "stopped before the load began"));
            }
            (Ok(Some(_)), _) => {}
            (Err(_), _) => {
                let waited = format!("nothing was said for {} s", patience.as_secs());
                return Err(Error::new(Kind::NotReady, "the worker was not told what to do").cause(waited));
            }
        }
    }
}

/// What is said on all connections, in the order of its arrival.
fn listen(listener: TcpListener) -> mpsc::Receiver<Command> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(hear(stream, sender.clone()))),
                // No descriptor free for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    receiver
}

/// Reads one connection to its end. Something that is no command ends it: whoever says it is not ours.
async fn hear(stream: TcpStream, sender: mpsc::Sender<Command>) {
    let (commands, mut answers) = stream.into_split();
    let mut lines = BufReader::new(commands).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(command) = serde_json::from_str::<Command>(&line) else { return };
        let prepared = matches!(command, Command::Prepare { .. });
        if sender.send(command).await.is_err() {
            return;
        }
        if prepared {
            let Ok(ready) = serde_json::to_string(&Answer::Ready) else { return };
            if answers.write_all(format!("{ready}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
