//! The engine against servers that behave in all ways, on loopback.

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

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_sent_as_often_as_asked() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let port = serve(move |mut stream, _| {
        let log = log.clone();
        async move {
            let mut rest = Vec::new();
            while let Some(line) = request(&mut stream, &mut rest).await {
                log.lock().unwrap().push(line);
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let mut spec = spec(port, 3, Arrivals::Closed, ms(1));
    spec.limit = Limit::Requests { requests: 1001 };
    spec.paths = ["/a", "/b"].map(|path| WeightedPath { path: path.to_owned(), weight: 1.0 }).into();
    spec.paths[0].weight = 3.0;
    let closed = run_all(&spec).await;
    let lines = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((closed.total.succeeded, lines.len()), (1001, 1001));
    let first = lines.iter().filter(|line| *line == "GET /a HTTP/1.1\r\n").count();
    assert_eq!(closed.result.paths[0].succeeded, first as u64);
    assert!((650..850).contains(&first), "{first}");

    spec.arrivals = Arrivals::Constant { rate: 1000.0 };
    spec.limit = Limit::Requests { requests: 300 };
    spec.warmup = ms(200);
    let open = run_all(&spec).await;
    assert_eq!((open.total.succeeded, seen.lock().unwrap().len()), (300, 500), "the warm-up is sent and not counted");
    assert!((ms(299)..ms(900)).contains(&open.result.measured), "{:?}", open.result.measured);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_loops_send_all_that_is_due() {
    let port = serve(|stream, _| answer(stream, ms(1), OK)).await;
    let constant = run_all(&spec(port, 20, Arrivals::Constant { rate: 400.0 }, ms(1500))).await;
    assert_eq!((constant.total.succeeded, constant.total.failed()), (600, 0));
    let seconds = constant.timeline.seconds(constant.result.measured);
    assert_eq!(seconds.iter().map(|second| second.requests).collect::<Vec<_>>(), [400, 200]);

    let poisson = spec(port, 20, Arrivals::Poisson { rate: 400.0 }, ms(1000));
    let due: usize =
        (0..2).map(|index| schedule::Schedule::new(&poisson, Share { index, of: 2 }).unwrap().count()).sum();
    assert_eq!(run_all(&poisson).await.total.succeeded, due as u64);
}

/// More is due than the connections can do: all of it is sent, late, and the latencies tell how late.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_connection_is_part_of_the_latency() {
    let port = serve(|stream, _| answer(stream, ms(20), OK)).await;
    // 2 connections do at most 100 in a second, and 200 are due.
    let run = run_all(&spec(port, 2, Arrivals::Constant { rate: 200.0 }, ms(1000))).await;
    assert_eq!((run.total.succeeded, run.total.failed()), (200, 0));
    let (half, most) = (run.total.latencies.quantile(0.5), run.total.latencies.quantile(1.0));
    assert!(half > 400_000 && most > 900_000, "{half} {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_class() {
    let reset = |stream: TcpStream| {
        // Unread bytes make the kernel reset the connection when it is closed.
        stream.set_zero_linger().unwrap();
    };
    let cases: [(&str, &'static [u8], bool); 6] = [
        ("closed", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false),
        ("closed", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", false),
        ("reset", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", true),
        ("protocol", b"220 mail.example ESMTP\r\n", false),
        ("status 503", b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", false),
        ("body", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", false),
    ];
    for (class, bytes, resets) in cases {
        let port = serve(move |mut stream, _| async move {
            request(&mut stream, &mut Vec::new()).await;
            stream.write_all(bytes).await.unwrap();
            sleep(ms(20)).await;
            if resets {
                reset(stream);
            }
        })
        .await;
        let mut spec = spec(port, 2, Arrivals::Closed, ms(1));
        spec.limit = Limit::Requests { requests: 6 };
        spec.expect_body = Some("yes".to_owned());
        let run = run_all(&spec).await;
        assert_eq!(errors(&run), [(class.to_owned(), 6)]);
        assert_eq!(run.result.examples.len(), 1);
        assert!(!run.result.never_connected());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_expected_status_and_body_succeed() {
    let port = serve(|stream, _| answer(stream, ms(0), b"HTTP/1.1 404 No\r\ncontent-length: 5\r\n\r\nhello")).await;
    let mut spec = spec(port, 1, Arrivals::Closed, ms(1));
    spec.limit = Limit::Requests { requests: 5 };
    assert_eq!(errors(&run_all(&spec).await), [("status 404".to_owned(), 5)]);
    spec.expect_status = Some(404);
    spec.expect_body = Some("ell".to_owned());
    assert_eq!(run_all(&spec).await.total.succeeded, 5);
    spec.expect_status = Some(200);
    assert_eq!(errors(&run_all(&spec).await), [("status 404".to_owned(), 5)]);
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
async fn a_stall_ends_at_the_timeout() {
    let port = serve(|mut stream, number| async move {
        request(&mut stream, &mut Vec::new()).await;
        if number % 2 == 0 {
            stream.write_all(&OK[..20]).await.unwrap();
        }
        sleep(Duration::from_secs(600)).await;
    })
    .await;
    for arrivals in [Arrivals::Closed, Arrivals::Constant { rate: 50.0 }] {
        let mut spec = spec(port, 4, arrivals.clone(), ms(500));
        spec.timeout = ms(300);
        let begin = Instant::now();
        let run = run_all(&spec).await;
        assert!(begin.elapsed() < Duration::from_secs(60), "the servers hang for ten minutes: {:?}", begin.elapsed());
        let count = if arrivals == Arrivals::Closed { 8 } else { 25 };
        assert_eq!((run.total.succeeded, errors(&run)), (0, vec![("timeout".to_owned(), count)]));
    }
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
async fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for arrivals in [Arrivals::Closed, Arrivals::Constant { rate: 100.0 }] {
        let spec = spec(port, 3, arrivals, ms(300));
        let run = run_all(&spec).await;
        assert!(run.result.never_connected() && run.total.succeeded == 0);
        assert!(run.result.examples[&Failure::Connect].contains("refused"));
        let target = Target::resolve(&spec).await.unwrap();
        assert_eq!(probe(&spec, &target).await.unwrap_err().kind, Kind::Preflight);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_can_end_it() {
    let port = serve(|stream, _| answer(stream, ms(10), b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")).await;
    let mut spec = spec(port, 4, Arrivals::Closed, Duration::from_secs(60));
    spec.abort_on_fail = true;
    let run = run_all(&spec).await;
    assert_eq!(run.result.aborted, Some(Failure::Status(500)));
    assert!((1..=4).contains(&run.total.failed()));
    assert!(run.result.measured < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let port = serve(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut rest = Vec::new();
            while request(&mut stream, &mut rest).await.is_some() {
                stream.write_all(OK).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await;
    let mut spec = spec(port, 3, Arrivals::Closed, ms(1));
    spec.limit = Limit::Requests { requests: 30 };
    spec.base = format!("https://localhost:{port}");
    spec.ca_bundle = Some(made.cert.pem());
    let run = run_all(&spec).await;
    assert_eq!((run.total.succeeded, errors(&run)), (30, Vec::new()));
    spec.arrivals = Arrivals::Constant { rate: 300.0 };
    assert_eq!(run_all(&spec).await.total.succeeded, 30);

    spec.limit = Limit::Duration { duration: ms(100) };
    for (base, bundle, words) in [
        (format!("https://127.0.0.1:{port}"), spec.ca_bundle.clone(), "not valid for name"),
        (spec.base.clone(), None, "UnknownIssuer"),
    ] {
        let spec = LoadSpec { base, ca_bundle: bundle, ..spec.clone() };
        let run = run_all(&spec).await;
        assert!(run.result.never_connected());
        let seen = &run.result.examples[&Failure::Tls];
        assert!(seen.contains(words), "{seen}");
    }
}

/// A server that answers nothing for a while, again and again: the latencies are those of all requests that were due
/// meanwhile, most of which no connection was free for.
#[tokio::test(flavor = "multi_thread")]
async fn stalls_are_seen_by_all_that_were_due() {
    let stalls = |at: Duration| {
        let into = Duration::from_nanos((at.as_nanos() % 1_000_000_000) as u64);
        ms(900).checked_sub(into).filter(|left| *left <= ms(300))
    };
    // On a busy machine a thread may get no time for as long as the margin is.
    for attempt in 1..=5 {
        let begin = Instant::now() + ms(1000);
        let port = serve(move |mut stream, _| async move {
            let mut rest = Vec::new();
            while request(&mut stream, &mut rest).await.is_some() {
                if let Some(left) = stalls(begin.elapsed()) {
                    sleep(left).await;
                }
                stream.write_all(OK).await.unwrap();
            }
        })
        .await;
        let spec = spec(port, 20, Arrivals::Constant { rate: 500.0 }, ms(3000));
        let target = Target::resolve(&spec).await.unwrap();
        let part = Part { share: Share::WHOLE, threads: Some(2), start: begin };
        let mut timeline = Timeline::default();
        let result = run(&spec, &target, part, &CancellationToken::new(), |tick| timeline.add(&tick)).await.unwrap();
        assert_eq!((result.late, result.total().requests()), (Duration::ZERO, 1500));
        let mut expected: Vec<Duration> = (0..1500).map(|number| stalls(ms(number * 2)).unwrap_or_default()).collect();
        expected.sort_unstable();
        let total = timeline.total();
        let close = [0.75, 0.9, 0.99].into_iter().all(|quantile| {
            let expected = expected[(quantile * 1500.0) as usize - 1].as_secs_f64();
            let seen = total.latencies.quantile(quantile) as f64 / 1e6;
            (seen - expected).abs() <= 0.03 * expected + 0.015
        });
        if close {
            return;
        }
        assert!(attempt < 5, "{:?}", total.latencies.summary());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_start_leaves_out_what_was_due_before() {
    let port = serve(|stream, _| answer(stream, ms(0), OK)).await;
    let spec = spec(port, 4, Arrivals::Constant { rate: 100.0 }, ms(1000));
    let target = Target::resolve(&spec).await.unwrap();
    let part = Part { share: Share { index: 1, of: 2 }, threads: None, start: Instant::now() - ms(400) };
    let mut timeline = Timeline::default();
    let result = run(&spec, &target, part, &CancellationToken::new(), |tick| timeline.add(&tick)).await.unwrap();
    assert!((ms(400)..ms(900)).contains(&result.late), "{:?}", result.late);
    let due = timeline.total().requests();
    let left = 50.0 * (1.0 - result.late.as_secs_f64());
    assert!((due as f64 - left).abs() <= 2.0, "{due} {left}");
    assert_eq!(due + result.left_out, 50);
    assert_eq!(result.measured, ms(1000));
}

#[test]
fn ticks_wait_for_the_slowest_thread() {
    let tick =
        |at| Tick { at, seconds: vec![SecondTally { at, tally: PackedTally { succeeded: 1, ..Default::default() } }] };
    let mut ticks = Ticks::new(2);
    ticks.add(0, tick(0));
    ticks.add(0, tick(1));
    assert_eq!(ticks.next(), None);
    ticks.add(1, tick(0));
    assert_eq!(ticks.next().map(|tick| (tick.at, tick.seconds[0].tally.succeeded)), Some((0, 2)));
    assert_eq!(ticks.next(), None);
    ticks.end(1);
    assert_eq!(ticks.next().map(|tick| (tick.at, tick.seconds[0].tally.succeeded)), Some((1, 1)));
    assert_eq!(ticks.next(), None);
}

#[tokio::test]
async fn more_connections_than_files() {
    let mut spec = fixture(&["/"]);
    spec.connections = u32::MAX;
    let target = Target::resolve(&spec).await.unwrap();
    let part = Part { share: Share::WHOLE, threads: None, start: soon() };
    let error = run(&spec, &target, part, &CancellationToken::new(), |_| {}).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.causes[0].contains("connections are possible"), "{error}");
}
