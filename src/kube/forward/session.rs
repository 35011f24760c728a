//! One connection through the API server to a pod's node, over which streams to the pod's ports are opened.
//!
//! The node connects to the pod when a stream opens, so a session that waits costs the pod nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::kube::{Client, client::Body};
use bytes::{Bytes, BytesMut};
use http::{
    StatusCode,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

use super::spdy::{self, Frame, Opener};

/// How long after the end of the data a node may take to say that there was no connection.
const LATE_WORDS: Duration = Duration::from_secs(1);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Frames from the pod that wait for a caller to read them. After these the whole session waits.
const WAITING_FRAMES: usize = 64;
/// Frames to the pod that wait to be written; then callers wait.
const UNSENT_FRAMES: usize = 16;
const READ_AT_ONCE: usize = 64 * 1024;

/// What comes from the pod on one stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The node takes the stream.
    Accepted,
    Data(Bytes),
    /// The pod has said all.
    End,
    /// The node's words for why there is no connection (any more).
    Failed(String),
}

/// An open connection. Dropped: closed, with all its streams.
pub struct Session {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    frames: mpsc::Sender<Bytes>,
    /// Orders the frames that open streams, and numbers these.
    opening: tokio::sync::Mutex<Opening>,
    routes: Mutex<HashMap<u32, Route>>,
    gone: AtomicBool,
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
}

#[derive(Default)]
struct Opening {
    opener: Opener,
    next: u32,
}

#[derive(Clone)]
struct Route {
    to: mpsc::Sender<Incoming>,
    /// It carries words about a failure, not data.
    errors: bool,
}

/// The right to a stream of a session, which counts as one from here on.
pub struct Claim(Arc<Shared>);

impl Drop for Claim {
    fn drop(&mut self) {
        *lock(&self.0.idle_since) = Instant::now();
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A way to a port of the pod. Dropped: reset, unless the pod had ended it.
pub struct Stream {
    shared: Arc<Shared>,
    _claim: Claim,
    errors: u32,
    data: u32,
    incoming: mpsc::Receiver<Incoming>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Asks the API server for a connection to the pod's node. An error says why there is none.
    pub async fn connect(client: &Client, namespace: &str, pod: &str) -> Result<Session, String> {
        let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "SPDY/3.1")
            .header("X-Stream-Protocol-Version", "portforward.k8s.io")
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let upgrade = async {
            let response = client.send(request).await.map_err(|error| super::words(&error))?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(refusal(response).await);
            }
            let upgraded = hyper::upgrade::on(response).await.map_err(|error| super::words(&error))?;
            Ok(Session::over(TokioIo::new(upgraded)))
        };
        match tokio::time::timeout(CONNECT_WITHIN, upgrade).await {
            Ok(connected) => connected,
            Err(_) => Err(format!("the API server did not connect within {} s", CONNECT_WITHIN.as_secs())),
        }
    }

    pub(super) fn over(connection: impl AsyncRead + AsyncWrite + Send + 'static) -> Session {
        let (frames, unsent) = mpsc::channel(UNSENT_FRAMES);
        let shared = Arc::new(Shared {
            frames,
            opening: tokio::sync::Mutex::new(Opening { next: 1, ..Opening::default() }),
            routes: Mutex::default(),
            gone: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
        });
        let (reader, writer) = tokio::io::split(connection);
        let mut tasks = JoinSet::new();
        let state = Arc::clone(&shared);
        tasks.spawn(async move {
            write(writer, unsent).await;
            state.end();
        });
        let state = Arc::clone(&shared);
        tasks.spawn(async move {
            read(reader, &state).await;
            state.end();
        });
        Session { shared, _tasks: tasks }
    }

    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    pub fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::Acquire)
    }

    pub fn idle(&self) -> Duration {
        lock(&self.shared.idle_since).elapsed()
    }

    pub fn claim(&self) -> Claim {
        self.shared.streams.fetch_add(1, Ordering::AcqRel);
        Claim(Arc::clone(&self.shared))
    }

    /// Does not wait for the node's answer: `Incoming::Accepted` comes first on a stream that it takes.
    pub async fn open(&self, port: u16, claim: Claim) -> Option<Stream> {
        let shared = Arc::clone(&self.shared);
        let mut opening = shared.opening.lock().await;
        let (errors, data) = (opening.next, opening.next + 2);
        opening.next += 4;
        let (port, request) = (port.to_string(), errors.to_string());
        let mut headers = [("streamtype", "error"), ("port", port.as_str()), ("requestid", request.as_str())];
        let mut frames = opening.opener.open(errors, &headers);
        // Nothing goes to the node on the stream of its errors.
        frames.extend(spdy::end(errors));
        headers[0].1 = "data";
        frames.extend(opening.opener.open(data, &headers));
        let (to, incoming) = mpsc::channel(WAITING_FRAMES);
        {
            let mut routes = lock(&shared.routes);
            routes.insert(errors, Route { to: to.clone(), errors: true });
            routes.insert(data, Route { to, errors: false });
        }
        let stream = Stream { shared: Arc::clone(&shared), _claim: claim, errors, data, incoming };
        shared.frames.send(frames.into()).await.ok()?;
        // What ended meanwhile may have ended before the routes were there.
        (!self.is_gone()).then_some(stream)
    }
}

impl Stream {
    /// None: the connection is lost.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// After the pod's end without a word: why there was no connection, if that is so. A node may tell it only then.
    pub async fn late_failure(&mut self) -> Option<String> {
        let failure = async {
            loop {
                match self.next().await {
                    Some(Incoming::Failed(why)) => return Some(why),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        tokio::time::timeout(LATE_WORDS, failure).await.ok().flatten()
    }

    pub fn sender(&self) -> Sender {
        Sender { frames: self.shared.frames.clone(), stream: self.data }
    }
}

/// The way to the pod.
pub struct Sender {
    frames: mpsc::Sender<Bytes>,
    stream: u32,
}

impl Sender {
    /// `frame`: `spdy::HEAD` bytes of any content, then the data. May be dropped while it waits: then nothing was sent.
    /// False: the connection is lost.
    pub async fn send(&self, mut frame: BytesMut) -> bool {
        spdy::fill_data_head(&mut frame, self.stream);
        self.frames.send(frame.freeze()).await.is_ok()
    }

    /// Tells the node that no more will come.
    pub async fn end(&self) -> bool {
        self.frames.send(spdy::end(self.stream).into()).await.is_ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut routes = lock(&self.shared.routes);
        let open = routes.remove(&self.data).is_some();
        routes.remove(&self.errors);
        if open {
            // A queue that is full belongs to a session that has stopped moving: the next use finds that out.
            let _ = self.shared.frames.try_send(spdy::reset(self.data).into());
        }
    }
}

impl Shared {
    fn end(&self) {
        self.gone.store(true, Ordering::Release);
        lock(&self.routes).clear();
    }

    async fn take(&self, frame: Frame) {
        let route = |stream: u32| lock(&self.routes).get(&stream).cloned();
        match frame {
            Frame::Data { stream, bytes, last } => {
                let Some(Route { to, errors }) = route(stream) else { return };
                // Whoever dropped a stream does not want the rest of it.
                if !bytes.is_empty() {
                    let _ = to
                        .send(match errors {
                            true => Incoming::Failed(String::from_utf8_lossy(&bytes).into_owned()),
                            false => Incoming::Data(bytes),
                        })
                        .await;
                }
                if last {
                    if !errors {
                        let _ = to.send(Incoming::End).await;
                    }
                    lock(&self.routes).remove(&stream);
                }
            }
            Frame::Reply { stream } => {
                if let Some(Route { to, errors: false }) = route(stream) {
                    let _ = to.send(Incoming::Accepted).await;
                }
            }
            Frame::Reset { stream } => {
                if let Some(Route { to, errors: false }) = route(stream) {
                    let _ = to.send(Incoming::Failed("the node ended the stream".to_owned())).await;
                }
                lock(&self.routes).remove(&stream);
            }
            // Ours have odd numbers, and we send none.
            Frame::Ping { id } if id % 2 == 0 => {
                let _ = self.frames.send(spdy::ping(id).into()).await;
            }
            Frame::GoAway => self.gone.store(true, Ordering::Release),
            Frame::Ping { .. } | Frame::Other => {}
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut unsent: mpsc::Receiver<Bytes>) {
    while let Some(frame) = unsent.recv().await {
        if writer.write_all(&frame).await.is_err() {
            return;
        }
        while let Ok(frame) = unsent.try_recv() {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
}

async fn read(mut reader: impl AsyncRead + Unpin, shared: &Shared) {
    let mut buffer = BytesMut::with_capacity(READ_AT_ONCE);
    loop {
        match reader.read_buf(&mut buffer).await {
            Ok(count) if count > 0 => {}
            _ => return,
        }
        loop {
            match spdy::take(&mut buffer) {
                Ok(Some(frame)) => shared.take(frame).await,
                Ok(None) => break,
                Err(_) => return,
            }
        }
        buffer.reserve(READ_AT_ONCE);
    }
}

/// The message of a `Status`, or the status line's own words.
async fn refusal(response: http::Response<Body>) -> String {
    let status = response.status();
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|value| value["message"].as_str().map(str::to_owned));
    message.unwrap_or_else(|| format!("the API server answers {status}"))
}
