//! One connection: makes itself, sends a request, reads the answer, judges it, and so on until the load ends.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{io::ReadBuf, time::Sleep};

use super::{
    answer::{Answer, Fed, LastHead, Malformed, Reader},
    clock::nanos,
    needle::Needle,
    target::{Broken, Stream},
    thread::{Arrivals, Scratch, Thread, late},
};
use crate::load::failure::Failure;

/// After a failed attempt to connect a closed loop pauses, at first so long, each time twice as long.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A server may close an idle connection while a request is on its way to it. Such a request is sent once more, on a new
/// connection, if it may be repeated, the connection had served before, not a byte of an answer came, and the end of the
/// connection came this soon: a server that takes a request and then gives it up fails it.
const STALE: Duration = Duration::from_millis(100);

pub async fn serve(thread: Rc<Thread>, index: usize) {
    let mut connection = Connection::new(thread.clone(), index);
    connection.connect_ahead().await;
    tokio::time::sleep_until(thread.moment(0).into()).await;
    match &thread.arrivals {
        Arrivals::Closed { .. } => connection.closed_loop().await,
        Arrivals::Open { .. } => connection.open_loop().await,
    }
}

struct Connection {
    thread: Rc<Thread>,
    index: usize,
    stream: Option<Stream>,
    /// An answer has come over this stream.
    served: bool,
    reader: Reader,
    needle: Option<Needle>,
    alarm: Alarm,
}

impl Connection {
    fn new(thread: Rc<Thread>, index: usize) -> Connection {
        let reader = Reader::new(&thread.plan.spec.method);
        let needle = thread.expected.body.clone();
        Connection { thread, index, stream: None, served: false, reader, needle, alarm: Alarm::default() }
    }

    /// Each request when the answer to the one before has come. Making a connection is not part of the latency.
    async fn closed_loop(&mut self) {
        let thread = self.thread.clone();
        let mut now = thread.plan.clock.now();
        let mut pause = PAUSE;
        while may_begin(&thread, now) {
            let path = thread.choose();
            if self.stream.is_none() {
                if let Err(broken) = self.connect(now.saturating_add(thread.timeout)).await {
                    thread.fail(now, path, (0, 0), broken);
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                    now = thread.plan.clock.now();
                    continue;
                }
                now = thread.plan.clock.now();
            }
            pause = PAUSE;
            now = self.request(now, now, path).await;
        }
    }

    /// Each request when it is due, or as soon afterwards as the connection is free. Latencies count from when it was
    /// due: they hold all waiting, also for a connection.
    async fn open_loop(&mut self) {
        let thread = self.thread.clone();
        let Arrivals::Open { queue, freed } = &thread.arrivals else { return };
        loop {
            let due = match thread.take(thread.plan.clock.now()) {
                Some(due) => due,
                None => {
                    freed.notify_one();
                    match self.next_due().await {
                        Next::Due(due) => due,
                        Next::Over => return,
                        Next::Closed => {
                            queue.borrow_mut().leave(self.index);
                            let again = self.served;
                            self.close();
                            // A server that closes what was not used would be asked without end.
                            if again {
                                self.connect_ahead().await;
                            }
                            continue;
                        }
                    }
                }
            };
            let path = thread.choose();
            let now = thread.plan.clock.now();
            if now.saturating_sub(due) >= thread.timeout {
                thread.fail(due, path, (0, 0), late("no connection was free"));
                continue;
            }
            if self.stream.is_none()
                && let Err(broken) = self.connect(due.saturating_add(thread.timeout)).await
            {
                thread.fail(due, path, (0, 0), broken);
                continue;
            }
            self.request(due, now, path).await;
            if self.stream.is_none() && self.served {
                self.connect_ahead().await;
            }
        }
    }

    /// Waits for a request, and for the end of the connection, which the server may close.
    async fn next_due(&mut self) -> Next {
        let thread = self.thread.clone();
        let Arrivals::Open { queue, .. } = &thread.arrivals else { return Next::Over };
        poll_fn(|cx| {
            match queue.borrow_mut().poll_given(self.index, cx) {
                Poll::Ready(Some(due)) => return Poll::Ready(Next::Due(due)),
                Poll::Ready(None) => return Poll::Ready(Next::Over),
                Poll::Pending => {}
            }
            let Some(stream) = &mut self.stream else { return Poll::Pending };
            // Whatever comes now is no answer: the connection is of no use any more.
            let mut byte = [0];
            stream.poll_read(cx, &mut ReadBuf::new(&mut byte)).map(|_| Next::Closed)
        })
        .await
    }

    /// So that the next request need not wait for it; that it fails is the next request's to tell.
    async fn connect_ahead(&mut self) {
        let by = self.thread.plan.clock.now().saturating_add(self.thread.timeout);
        let _ = self.connect(by).await;
    }

    async fn connect(&mut self, by: u64) -> Result<(), Broken> {
        let thread = self.thread.clone();
        let made = async {
            // It is never closed.
            let _permit = thread.connecting.acquire().await;
            let began = Instant::now();
            let stream = thread.plan.target.connect(self.index).await?;
            Ok((stream, began.elapsed()))
        };
        let made = tokio::time::timeout_at(thread.moment(by).into(), made).await.unwrap_or_else(|_| {
            let limit = thread.plan.spec.timeout.as_secs_f64();
            Err(Broken(Failure::Connect, format!("no connection within {limit} s")))
        });
        let mut recorder = thread.recorder.borrow_mut();
        match made {
            Ok((stream, took)) => {
                recorder.connected(Some(nanos(took)));
                self.stream = Some(stream);
                self.served = false;
                Ok(())
            }
            Err(broken) => {
                recorder.connected(None);
                recorder.example(broken.0, || broken.1.clone());
                Err(broken)
            }
        }
    }

    fn close(&mut self) {
        self.stream = None;
        self.reader.reset();
        if let Some(needle) = &mut self.needle {
            needle.finish();
        }
    }

    /// Sends one request and counts what becomes of it; when that was. All in ns.
    async fn request(&mut self, due: u64, now: u64, path: usize) -> u64 {
        let thread = self.thread.clone();
        thread.under_way.set(thread.under_way.get() + 1);
        let by = due.saturating_add(thread.timeout);
        let mut repeated = !thread.plan.requests.idempotent;
        let mut bytes = (0, 0);
        let ended = loop {
            let answered = self.exchange(path, by, &mut bytes).await;
            let ended = thread.plan.clock.now();
            match answered {
                Ok(answer) => {
                    self.answered(answer, due, ended, path, bytes);
                    break ended;
                }
                Err(broken) => {
                    let untouched = self.served && !self.reader.begun();
                    let soon = ended.saturating_sub(now) < nanos(STALE);
                    self.close();
                    let gone = matches!(broken.0, Failure::Closed | Failure::Reset);
                    if repeated || !(untouched && soon && gone) {
                        thread.fail(due, path, bytes, broken);
                        break ended;
                    }
                    repeated = true;
                    thread.recorder.borrow_mut().resent(due);
                    if let Err(broken) = self.connect(by).await {
                        thread.fail(due, path, bytes, broken);
                        break thread.plan.clock.now();
                    }
                }
            }
        };
        thread.under_way.set(thread.under_way.get() - 1);
        ended
    }

    fn answered(&mut self, answer: Answer, due: u64, ended: u64, path: usize, bytes: (u64, u64)) {
        self.served = true;
        if !answer.reusable {
            self.stream = None;
        }
        let holds = self.needle.as_mut().is_none_or(Needle::finish);
        let expected = match self.thread.expected.status {
            Some(status) => answer.status == status,
            None => answer.status < 400,
        };
        if !expected {
            let broken = Broken(Failure::Status(answer.status), format!("answered with status {}", answer.status));
            self.thread.fail(due, path, bytes, broken);
        } else if !holds {
            let words = "the body does not hold the text that was expected".to_owned();
            self.thread.fail(due, path, bytes, Broken(Failure::Body, words));
        } else {
            self.thread.recorder.borrow_mut().success(due, ended, path, bytes);
        }
    }

    /// One request and its answer. `bytes` counts what was sent and received.
    async fn exchange(&mut self, path: usize, by: u64, bytes: &mut (u64, u64)) -> Result<Answer, Broken> {
        let thread = self.thread.clone();
        let request = thread.plan.requests.text(path);
        let mut sent = 0;
        let answer = poll_fn(|cx| self.poll_exchange(cx, request, &mut sent, &mut bytes.1, by)).await;
        bytes.0 += sent as u64;
        if sent < request.len() {
            // The rest of it must not be read as the next one.
            return answer.map(|answer| Answer { reusable: false, ..answer });
        }
        answer
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        request: &[u8],
        sent: &mut usize,
        received: &mut u64,
        by: u64,
    ) -> Poll<Result<Answer, Broken>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
        let whole = match stream.poll_send(cx, request, sent) {
            Poll::Ready(Ok(())) => true,
            // A server that answers early and closes may still be heard.
            Poll::Ready(Err(error)) if *sent == 0 => return Poll::Ready(Err(of(&error))),
            Poll::Ready(Err(_)) | Poll::Pending => false,
        };
        let Scratch { bytes, last } = &mut *self.thread.scratch.borrow_mut();
        loop {
            let mut buffer = ReadBuf::new(bytes);
            match stream.poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(of(&error))),
                Poll::Ready(Ok(())) => {}
            }
            let input = buffer.filled();
            if input.is_empty() {
                return Poll::Ready(self.reader.closed().ok_or_else(closed));
            }
            *received += input.len() as u64;
            match read(&mut self.reader, &mut self.needle, last, input) {
                Ok(Fed::More) => {}
                Ok(Fed::Done(answer, used)) => {
                    let reusable = answer.reusable && used == input.len() && whole;
                    return Poll::Ready(Ok(Answer { reusable, ..answer }));
                }
                Err(Malformed(what)) => return Poll::Ready(Err(Broken(Failure::Protocol, what.to_owned()))),
            }
        }
        match self.alarm.poll(cx, &self.thread, by) {
            Poll::Ready(()) if self.reader.begun() => Poll::Ready(Err(late("the answer began but did not end"))),
            Poll::Ready(()) => Poll::Ready(Err(late("nothing was answered"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn read(reader: &mut Reader, needle: &mut Option<Needle>, last: &mut LastHead, input: &[u8]) -> Result<Fed, Malformed> {
    match needle {
        None => reader.feed(input, last, &mut |_| {}),
        Some(needle) => reader.feed(input, last, &mut |body| needle.feed(body)),
    }
}

enum Next {
    Due(u64),
    Over,
    Closed,
}

/// Whether a closed loop goes on.
fn may_begin(thread: &Thread, now: u64) -> bool {
    let Arrivals::Closed { end, left } = &thread.arrivals else { return false };
    if now >= end.get() {
        return false;
    }
    if left.get() < u64::MAX && thread.recorder.borrow().is_measured(now) {
        if left.get() == 0 {
            return false;
        }
        left.set(left.get() - 1);
    }
    true
}

fn closed() -> Broken {
    Broken(Failure::Closed, "the connection was closed before the answer was whole".to_owned())
}

fn of(error: &io::Error) -> Broken {
    let failure = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => Failure::Closed,
        io::ErrorKind::InvalidData => Failure::Tls,
        io::ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::Reset,
    };
    Broken(failure, error.to_string())
}

/// A timer that is set anew only when it rings: not for each request.
#[derive(Default)]
struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    set: bool,
    /// When it rings, in ns.
    rings: u64,
}

impl Alarm {
    /// Ready at or after `by`; else the task is woken then.
    fn poll(&mut self, cx: &mut Context<'_>, thread: &Thread, by: u64) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(thread.moment(by).into())));
        // It was polled by this task before and will wake it.
        if self.set && self.rings <= by && !timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            self.set = thread.plan.clock.now() < by;
            if !self.set {
                return Poll::Ready(());
            }
            self.rings = by;
            timer.as_mut().reset(thread.moment(by).into());
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
