//! The line on which a worker is held: what it shall do is said again and again, and silence means stop.
//!
//! One JSON object per line, from here to a port on the loopback of the worker's pod, which only the API server's port
//! forward reaches. So credentials among the headers are written nowhere, the start needs no common clock, the pods need no
//! rights, and load ends by itself when whoever asked for it is gone.

use std::{future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, timeout},
};

use super::super::wire::Order;

/// On the loopback of a worker's pod.
pub const PORT: u16 = 8127;
/// How often what is wanted is said again.
pub const BEAT: Duration = Duration::from_secs(2);
/// A worker that hears nothing for this long stops.
pub const SILENCE: Duration = Duration::from_secs(20);

/// Between two attempts to reach a worker.
const RETRY: Duration = Duration::from_millis(300);
/// For one attempt, up to the worker's answer: it looks names up and connects once before it gives one.
const ATTEMPT: Duration = Duration::from_secs(25);

/// From here to a worker. Saying the same again changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// What to send; answered with `Answer::Ready`.
    Prepare {
        order: Box<Order>,
    },
    Wait,
    /// Counted from the arrival of the line: off by the way that it took, whatever the clocks say.
    #[serde(rename_all = "camelCase")]
    Start {
        in_us: u64,
    },
    /// Ends the load; what was measured is printed all the same.
    Stop,
}

/// To `Command::Prepare`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// What is to be loaded can be reached.
    Ready,
    Unable {
        why: String,
    },
}

/// What is wanted of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Wait,
    Start(Instant),
    Stop,
}

impl Wish {
    fn command(self) -> Command {
        match self {
            Wish::Wait => Command::Wait,
            Wish::Start(at) => {
                let ahead = at.saturating_duration_since(Instant::now());
                Command::Start { in_us: u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX) }
            }
            Wish::Stop => Command::Stop,
        }
    }
}

/// How far a line has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not there yet, and why.
    Reaching(String),
    Ready,
    /// It is there, but cannot do what it is asked for.
    Unable(String),
}

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is being made; the error says why there is none.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Duplex>, String>> + Send>>;

/// A line to one worker, taken up again whenever it breaks; dropped, it is silent.
#[derive(Debug)]
pub struct Held {
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Held {
    /// `connect` is asked for a new connection as often as one is needed. `wish`: changes reach the worker at once.
    pub fn start(
        order: Order,
        wish: watch::Receiver<Wish>,
        connect: impl Fn() -> Connecting + Send + Sync + 'static,
    ) -> Held {
        let (sender, state) = watch::channel(State::Reaching("connecting".to_owned()));
        let task = tokio::spawn(async move {
            loop {
                if let Err(why) = talk(&order, wish.clone(), &connect, &sender).await {
                    // A worker that was ready once is held on to: only the connection is gone.
                    sender.send_if_modified(|state| match state {
                        State::Reaching(last) if *last != why => {
                            *last = why;
                            true
                        }
                        _ => false,
                    });
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Held { state, task }
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Talks until the connection breaks; the error says why.
async fn talk(
    order: &Order,
    mut wish: watch::Receiver<Wish>,
    connect: &(impl Fn() -> Connecting + Send + Sync),
    state: &watch::Sender<State>,
) -> Result<(), String> {
    let prepare = Command::Prepare { order: Box::new(order.clone()) };
    let attempt = async {
        let (answers, mut commands) = tokio::io::split(connect().await?);
        let mut answers = BufReader::new(answers).lines();
        say(&mut commands, &prepare).await?;
        let line = answers.next_line().await.map_err(|error| format!("the connection to the worker broke: {error}"))?;
        let line = line.ok_or_else(|| "the worker does not listen yet".to_owned())?;
        let answer = serde_json::from_str::<Answer>(&line);
        let answer = answer.map_err(|_| "what answers there is no worker of this version".to_owned())?;
        Ok::<_, String>((answers, commands, answer))
    };
    let late = |_| format!("the worker did not answer within {} s", ATTEMPT.as_secs());
    let (mut answers, mut commands, answer) = timeout(ATTEMPT, attempt).await.map_err(late)??;
    state.send_replace(match answer {
        Answer::Ready => State::Ready,
        Answer::Unable { why } => State::Unable(why),
    });
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beats.tick() => {}
            changed = wish.changed() => changed.map_err(|_| "nobody wants anything any more".to_owned())?,
            line = answers.next_line() => match line {
                Ok(Some(_)) => continue,
                Ok(None) => return Err("the connection to the worker was closed".to_owned()),
                Err(error) => return Err(format!("the connection to the worker broke: {error}")),
            },
        }
        let command = wish.borrow_and_update().command();
        timeout(ATTEMPT, say(&mut commands, &command)).await.map_err(late)??;
    }
}

async fn say(to: &mut (impl AsyncWrite + Unpin), command: &Command) -> Result<(), String> {
    let mut line = serde_json::to_string(command).map_err(|error| error.to_string())?;
    line.push('\n');
    to.write_all(line.as_bytes()).await.map_err(|error| format!("the connection to the worker broke: {error}"))?;
    to.flush().await.map_err(|error| format!("the connection to the worker broke: {error}"))
}
