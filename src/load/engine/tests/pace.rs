//! When requests are sent, and from when their latency counts.

use super::*;

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
