//! The worker's end of its line: waits to be told what to send and when, and stops when it is told to or hears nothing.

#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::wire::Order,
    control::{Answer, Command, SILENCE},
};
use crate::error::{Context, Error, Kind, Result};

/// How long a worker that runs may be left without a first word: others may still be on their way to a node.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A command, and where its answer goes if it wants one.
type Word = (Command, Option<oneshot::Sender<Answer>>);

/// Listens on this port of loopback. `prepare` is given what to send and fails where it cannot be sent; `load` runs once
/// the word to start has come, with what `prepare` has made of it, the moment at which to begin and a token that ends it
/// early. Fails when nobody says anything.
pub async fn serve<P, T, F>(
    port: u16,
    cancel: &CancellationToken,
    prepare: impl Fn(Order) -> P,
    load: impl FnOnce(T, Instant, CancellationToken) -> F,
) -> Result<()>
where
    P: Future<Output = Result<T>>,
    F: Future<Output = Result<()>>,
{
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.context(Kind::Platform, || format!("port {port} is not free for the worker's orders"))?;
    let obedient = Obedient { words: listen(listener), timeout: TIMEOUT, silence: SILENCE };
    obedient.obey(cancel, prepare, load).await
}

struct Obedient {
    words: mpsc::Receiver<Word>,
    timeout: Duration,
    silence: Duration,
}

impl Obedient {
    async fn obey<P, T, F>(
        mut self,
        cancel: &CancellationToken,
        prepare: impl Fn(Order) -> P,
        load: impl FnOnce(T, Instant, CancellationToken) -> F,
    ) -> Result<()>
    where
        P: Future<Output = Result<T>>,
        F: Future<Output = Result<()>>,
    {
        let (prepared, start) = tokio::select! {
            told = self.orders(prepare) => told?,
            () = cancel.cancelled() => return Err(Error::new(Kind::Interrupted, "stopped before the load began")),
        };
        // Whatever has stopped it by now must still end it.
        let stop = cancel.child_token();
        let mut load = std::pin::pin!(load(prepared, start, stop.clone()));
        loop {
            tokio::select! {
                ended = &mut load => return ended,
                word = timeout(self.silence, self.words.recv()), if !stop.is_cancelled() => match word {
                    Ok(Some((Command::Stop, _)) | None) | Err(_) => stop.cancel(),
                    // Its line was broken, and is taken up again.
                    Ok(Some((Command::Prepare { .. }, Some(answer)))) => drop(answer.send(Answer::Ready)),
                    Ok(Some(_)) => {}
                },
            }
        }
    }

    /// Waits for what to send and when to start.
    async fn orders<P, T>(&mut self, prepare: impl Fn(Order) -> P) -> Result<(T, Instant)>
    where
        P: Future<Output = Result<T>>,
    {
        let mut prepared = None;
        loop {
            match timeout(self.timeout, self.words.recv()).await {
                Ok(Some((Command::Prepare { order }, answer))) => {
                    let told = match prepare(*order).await {
                        Ok(done) => {
                            prepared = Some(done);
                            Answer::Ready
                        }
                        Err(error) => Answer::Unable { why: error.to_string() },
                    };
                    // Who asked may be gone; it asks again.
                    let _ = answer.map(|answer| answer.send(told));
                }
                Ok(Some((Command::Start { in_us }, _))) => {
                    if let Some(prepared) = prepared {
                        return Ok((prepared, Instant::now() + Duration::from_micros(in_us)));
                    }
                }
                Ok(Some((Command::Stop, _)) | None) => {
                    return Err(Error::new(Kind::Interrupted, "stopped before the load began"));
                }
                Ok(Some((Command::Wait, _))) => {}
                Err(_) => {
                    let waited = format!("nothing was said for {} s", self.timeout.as_secs());
                    return Err(Error::new(Kind::NotReady, "the worker was not told what to do").cause(waited));
                }
            }
        }
    }
}

/// What is said on all connections, in the order of its arrival.
fn listen(listener: TcpListener) -> mpsc::Receiver<Word> {
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
async fn hear(stream: TcpStream, sender: mpsc::Sender<Word>) {
    let (commands, mut answers) = stream.into_split();
    let mut lines = BufReader::new(commands).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(command) = serde_json::from_str::<Command>(&line) else { return };
        let (answer, answered) = oneshot::channel();
        let wanted = matches!(command, Command::Prepare { .. });
        if sender.send((command, wanted.then_some(answer))).await.is_err() {
            return;
        }
        if wanted {
            let Ok(answer) = answered.await else { return };
            let Ok(answer) = serde_json::to_string(&answer) else { return };
            if answers.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
