//! The engine against servers that behave in all ways, on loopback.

mod failures;
mod pace;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::*;
use crate::load::{
    failure::Failure,
    spec::{Arrivals, Limit, WeightedPath, fixture},
    stats::{Measured, Tally, Timeline},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Serves each connection, given with its number, until the test ends.
async fn serve<F, Fut>(handle: F) -> u16
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(handle(stream, number));
        }
    });
    port
}

/// The first line of the next request, whose body is empty; None at the end of the connection.
async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), rest: &mut Vec<u8>) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut first = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            // One request at a time: nothing is left over.
            rest.extend_from_slice(reader.buffer());
            return first;
        }
        first.get_or_insert(line);
    }
}

/// Answers each request after a pause.
async fn answer(mut stream: TcpStream, pause: Duration, bytes: &[u8]) {
    let mut rest = Vec::new();
    while request(&mut stream, &mut rest).await.is_some() {
        assert!(rest.is_empty(), "a request came before the answer to the one before");
        sleep(pause).await;
        if stream.write_all(bytes).await.is_err() {
            return;
        }
    }
}

fn spec(port: u16, connections: u32, arrivals: Arrivals, duration: Duration) -> LoadSpec {
    LoadSpec {
        base: format!("http://127.0.0.1:{port}"),
        connections,
        arrivals,
        limit: Limit::Duration { duration },
        ..fixture(&["/"])
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

struct Run {
    result: WorkerResult,
    timeline: Timeline,
    total: Tally,
    ticks: Vec<u32>,
}

async fn run_until(spec: &LoadSpec, cancel: &CancellationToken) -> Run {
    let target = Target::resolve(spec).await.unwrap();
    let part = Part { share: Share::WHOLE, threads: Some(2), start: soon() };
    let (mut timeline, mut ticks) = (Timeline::default(), Vec::new());
    let load = run(spec, &target, part, cancel, |tick| {
        ticks.push(tick.at);
        timeline.add(&tick);
    });
    let result = tokio::time::timeout(Duration::from_secs(60), load).await.expect("the load ends").unwrap();
    let total = timeline.total();
    assert_eq!(result.total(), total, "paths and seconds tell the same");
    Run { result, timeline, total, ticks }
}

async fn run_all(spec: &LoadSpec) -> Run {
    run_until(spec, &CancellationToken::new()).await
}

fn errors(run: &Run) -> Vec<(String, u64)> {
    run.total.errors.iter().map(|(failure, count)| (failure.to_string(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_loop_counts_what_the_server_answers() {
    let answered = Arc::new(AtomicU64::new(0));
    let count = answered.clone();
    let port = serve(move |mut stream, _| {
        let count = count.clone();
        async move {
            let mut rest = Vec::new();
            while request(&mut stream, &mut rest).await.is_some() {
                sleep(ms(2)).await;
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let run = run_all(&spec(port, 5, Arrivals::Closed, ms(1300))).await;
    assert_eq!(run.total.succeeded, answered.load(Ordering::SeqCst));
    assert!(run.total.succeeded > 100 && run.total.errors.is_empty(), "{:?}", run.total);
    assert_eq!(run.total.bytes, run.total.succeeded * OK.len() as u64);
    assert_eq!((run.result.connects, run.result.measured), (5, ms(1300)));
    assert!(run.total.latencies.quantile(0.0) >= 2000);
    assert_eq!(run.ticks.first(), Some(&0));
    let seconds = run.timeline.seconds(run.result.measured);
    assert_eq!(seconds.len(), 2);
    assert!(seconds[0].succeeded > seconds[1].succeeded && seconds[1].succeeded > 0);
}

/// Both with notice and without, at once and when the connection is idle.
#[tokio::test(flavor = "multi_thread")]
async fn servers_may_close_connections_between_requests() {
    let closing: &'static [u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let until_close: &'static [u8] = b"HTTP/1.1 200 OK\r\n\r\nhi";
    for (bytes, pause) in [(closing, 0), (until_close, 0), (OK, 0), (OK, 20)] {
        for arrivals in [Arrivals::Closed, Arrivals::Constant { rate: 100.0 }] {
            let port = serve(move |mut stream, _| async move {
                request(&mut stream, &mut Vec::new()).await;
                let _ = stream.write_all(bytes).await;
                sleep(ms(pause)).await;
            })
            .await;
            let mut spec = spec(port, 2, arrivals, ms(1));
            spec.limit = Limit::Requests { requests: 40 };
            let mut run = run_all(&spec).await;
            // A request that is under way when an idle connection closes is sent again only for a short while, which a
            // busy machine can let pass.
            for _ in 0..4 {
                if pause == 0 || run.total.errors.is_empty() {
                    break;
                }
                run = run_all(&spec).await;
            }
            assert_eq!((run.total.succeeded, errors(&run)), (40, Vec::new()));
            assert!(run.result.connects >= 40, "{}", run.result.connects);
        }
    }
}

/// What a server has taken, it has failed: only an idle connection's end is nobody's fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_taken_is_not_sent_again() {
    let port = serve(|mut stream, _| async move {
        let mut rest = Vec::new();
        request(&mut stream, &mut rest).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream, &mut rest).await;
        sleep(ms(300)).await;
    })
    .await;
    let mut spec = spec(port, 1, Arrivals::Closed, ms(1));
    spec.limit = Limit::Requests { requests: 4 };
    let run = run_all(&spec).await;
    assert_eq!((run.total.succeeded, errors(&run), run.result.resent), (2, vec![("closed".to_owned(), 2)], 0));
    // One that may not be repeated is not, however soon the connection ends.
    let port = serve(|mut stream, _| async move {
        let mut rest = Vec::new();
        request(&mut stream, &mut rest).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream, &mut rest).await;
    })
    .await;
    spec.base = format!("http://127.0.0.1:{port}");
    let again = run_all(&spec).await;
    assert_eq!((again.total.succeeded, again.result.resent > 0), (4, true));
    assert_eq!(Measured::new(&spec, &again.result, &again.timeline).totals.resent, again.result.resent);
    spec.method = "POST".to_owned();
    assert_eq!(run_all(&spec).await.total.errors, [(Failure::Closed, 2)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_means_both_of_its_addresses() {
    // Where there is no IPv6, nobody can listen there.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().unwrap().port();
    let mut spec = spec(port, 1, Arrivals::Closed, ms(100));
    spec.base = format!("http://localhost:{port}");
    let target = Target::resolve(&spec).await.unwrap();
    assert!(target.is_loopback());
    for connection in 0..2 {
        assert!(target.connect(connection).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_end_keeps_what_was_measured() {
    let port = serve(|stream, _| answer(stream, ms(50), OK)).await;
    for arrivals in [Arrivals::Closed, Arrivals::Constant { rate: 60.0 }] {
        let cancel = CancellationToken::new();
        let begin = Instant::now();
        let spec = spec(port, 4, arrivals, Duration::from_secs(60));
        let (run, ()) = tokio::join!(run_until(&spec, &cancel), async {
            sleep(ms(600)).await;
            cancel.cancel();
        });
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?} of a minute");
        // Four connections, each with an answer per 50 ms at best.
        let most = 4 * (took.as_millis() as u64 / 50 + 1);
        assert!((1..=most).contains(&run.total.succeeded) && run.total.failed() == 0, "{took:?}: {:?}", run.total);
        assert!((ms(300)..ms(900)).contains(&run.result.measured), "{:?}", run.result.measured);
        assert_eq!(run.result.unfinished, 0);
    }
}
