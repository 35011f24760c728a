//! One connection: a caller's socket and a stream to a pod, until both have said all.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::Instant,
};

use super::{
    peer,
    session::{Incoming, Sender, Stream},
    spdy,
};

/// How long a node may take to accept a stream.
pub const ACCEPT_WITHIN: Duration = Duration::from_secs(3);
/// Once a caller has said all: how long the answer may take to begin, and how long it may pause, before the pod is told.
/// kubectl gives it a second.
const UNANSWERED: Duration = Duration::from_secs(5);
const ANSWERED: Duration = Duration::from_secs(3);
/// And how long the pod then has to end it.
const ENDING: Duration = Duration::from_secs(3);
/// How often a caller that has said all is looked after.
const LOOK: Duration = Duration::from_millis(250);
/// What a caller may have sent for another pod to get it all again.
const REPLAY: usize = 64 * 1024;
const READ_AT_ONCE: usize = 32 * 1024;

/// How it went with one pod.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// It broke off; the caller has been told as TCP tells it.
    Broken(String),
    /// The pod never saw any of it: another one may.
    NotConnected(String),
    /// As before, and not even the session answered.
    Stalled,
}

/// What a caller has sent before any pod answered.
#[derive(Debug, Default)]
pub struct Said {
    bytes: Mutex<Vec<u8>>,
    all: AtomicBool,
    /// A pod answered, or there was too much to keep.
    settled: AtomicBool,
    /// When the pod last said something, if that was after the caller's last words.
    heard: Mutex<Option<Instant>>,
}

impl Said {
    fn add(&self, part: &[u8]) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.settled.load(Ordering::Acquire) {
            return;
        }
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() + part.len() > REPLAY {
            self.settle(&mut bytes);
        } else {
            bytes.extend(part);
        }
    }

    fn answered(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if !self.settled.load(Ordering::Acquire) {
            self.settle(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The caller has said all at `ended`: whether the pod has been silent for so long that no more is to be expected.
    fn was_silent_since(&self, ended: Instant, unanswered: Duration) -> bool {
        match *self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(heard) => heard.max(ended).elapsed() > ANSWERED,
            None => ended.elapsed() > unanswered,
        }
    }

    fn settle(&self, bytes: &mut Vec<u8>) {
        self.settled.store(true, Ordering::Release);
        *bytes = Vec::new();
    }

    fn again(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Copies both ways. A caller that closes its sending half still gets the whole answer: to pass that on would give the
/// pod a second for the rest of it, so the node is not told while the answer may come.
pub async fn join(caller: &mut TcpStream, mut stream: Stream, said: &Said) -> End {
    match tokio::time::timeout(ACCEPT_WITHIN, stream.next()).await {
        Ok(Some(Incoming::Accepted)) => {}
        Ok(Some(Incoming::Failed(why))) => return End::NotConnected(why),
        Ok(Some(Incoming::End | Incoming::Data(_)) | None) => {
            return End::NotConnected("the connection to its node was lost".to_owned());
        }
        Err(_) => return End::Stalled,
    }
    let looked = caller.peer_addr().ok().zip(caller.local_addr().ok());
    let is_gone = move || looked.and_then(|(from, here)| peer::is_gone(from, here));
    let sender = stream.sender();
    let (from_caller, to_caller) = caller.split();
    tokio::select! {
        end = down(&mut stream, to_caller, said) => end,
        () = up(from_caller, &sender, said, is_gone) => End::Done,
    }
}

/// To the caller, until the pod has said all.
async fn down(stream: &mut Stream, mut caller: WriteHalf<'_>, said: &Said) -> End {
    loop {
        match stream.next().await {
            Some(Incoming::Accepted) => {}
            Some(Incoming::Data(bytes)) => {
                said.answered();
                if caller.write_all(&bytes).await.is_err() {
                    return End::Done;
                }
            }
            Some(Incoming::End) => {
                if !said.settled.load(Ordering::Acquire)
                    && let Some(why) = stream.late_failure().await.filter(|why| is_refusal(why))
                {
                    return End::NotConnected(why);
                }
                said.answered();
                let _ = caller.shutdown().await;
                return End::Done;
            }
            Some(Incoming::Failed(why)) => {
                let settled = said.settled.load(Ordering::Acquire);
                return if !settled && is_refusal(&why) { End::NotConnected(why) } else { End::Broken(why) };
            }
            None => return End::Broken("the connection to its node was lost".to_owned()),
        }
    }
}

/// To the pod, until the caller wants nothing any more.
async fn up(mut caller: ReadHalf<'_>, sender: &Sender, said: &Said, is_gone: impl Fn() -> Option<bool>) {
    let first = said.again();
    if !first.is_empty() && !sender.send([&[0; spdy::HEAD][..], &first].concat().as_slice().into()).await {
        return std::future::pending().await;
    }
    while !said.all.load(Ordering::Acquire) {
        let mut frame = BytesMut::with_capacity(spdy::HEAD + READ_AT_ONCE);
        frame.extend([0; spdy::HEAD]);
        match caller.read_buf(&mut frame).await {
            Ok(0) => said.all.store(true, Ordering::Release),
            Ok(_) => {
                said.add(&frame[spdy::HEAD..]);
                if !sender.send(frame).await {
                    // The other direction says what happened.
                    return std::future::pending().await;
                }
            }
            // Reset: nobody reads the answer.
            Err(_) => return,
        }
    }
    let ended = Instant::now();
    let silent = |since: Instant, answer: Duration| said.was_silent_since(since, answer);
    // A caller that is gone needs nothing any more; one that is not, or may not be, gets the rest of its answer.
    while !silent(ended, UNANSWERED) {
        if is_gone() == Some(true) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    // The pod may have waited for this end, to answer or to close. A node closes the connection by itself soon after it;
    // where one does not, nobody waits for it.
    let _ = sender.end().await;
    let told = Instant::now();
    while !silent(told, ENDING) && is_gone() != Some(true) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a node's words mean that the pod was never reached.
pub fn is_refusal(words: &str) -> bool {
    ["refused", "failed to connect", "failed to dial", "not found", "not running", "no such", "does not exist"]
        .iter()
        .any(|sign| words.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_may_have_seen_is_not_sent_again() {
        assert!(is_refusal(
            "failed to execute portforward in network namespace: failed to connect to localhost:8400 inside namespace: \
             dial tcp4 127.0.0.1:8400: connect: connection refused"
        ));
        assert!(is_refusal("rpc error: code = NotFound desc = sandbox \"8\" not found"));
        assert!(!is_refusal("read tcp4 127.0.0.1:5->127.0.0.1:80: read: connection reset by peer"));
    }

    #[test]
    fn only_so_much_is_kept() {
        let said = Said::default();
        said.add(b"GET");
        said.add(b" /");
        assert_eq!(said.again(), b"GET /");
        said.add(&[0; REPLAY]);
        assert!(said.again().is_empty() && said.settled.load(Ordering::Acquire));
    }
}
