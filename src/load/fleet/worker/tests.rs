use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{sync::watch, task::JoinHandle};

use super::*;
use crate::load::{
    fleet::control::{Duplex, Held, State, Wish},
    spec,
};

const LONG: Duration = Duration::from_secs(20);

fn order() -> Order {
    Order { spec: spec::fixture(&["/secret"]), workers: 3, threads: None }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// When it was told to begin, once it was.
type Seen = Arc<Mutex<Option<Instant>>>;

/// A worker whose load lasts until it is stopped.
fn worker(listener: TcpListener, silence: Duration) -> (JoinHandle<Result<()>>, Seen) {
    let seen = Seen::default();
    let record = seen.clone();
    let task = tokio::spawn(async move {
        let prepare = |order: Order| async move { Ok(order.spec.paths[0].path.clone()) };
        let load = |path: String, start: Instant, stop: CancellationToken| async move {
            assert_eq!(path, "/secret");
            *record.lock().unwrap() = Some(start);
            stop.cancelled().await;
            Ok(())
        };
        obedient(listener, LONG, silence).obey(&CancellationToken::new(), prepare, load).await
    });
    (task, seen)
}

fn obedient(listener: TcpListener, timeout: Duration, silence: Duration) -> Obedient {
    Obedient { words: listen(listener), timeout, silence }
}

async fn within<T>(what: &str, check: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn held(address: SocketAddr, wish: watch::Receiver<Wish>) -> Held {
    Held::start(order(), wish, move || {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    })
}

#[tokio::test]
async fn workers_start_together_and_stop_when_told() {
    let (wish, wishes) = watch::channel(Wish::Wait);
    let mut workers = Vec::new();
    for _ in 0..3 {
        let (listener, address) = listener().await;
        workers.push((worker(listener, LONG), held(address, wishes.clone())));
    }
    for (_, held) in &workers {
        within("ready", || (held.state() == State::Ready).then_some(())).await;
    }
    let start = Instant::now() + Duration::from_millis(200);
    wish.send_replace(Wish::Start(start));
    for ((_, seen), _) in &workers {
        within("the start", || *seen.lock().unwrap()).await;
    }
    wish.send_replace(Wish::Stop);
    for ((task, seen), _held) in workers {
        timeout(LONG, task).await.unwrap().unwrap().unwrap();
        let began = seen.lock().unwrap().unwrap();
        let off = began.max(start) - began.min(start);
        assert!(off < Duration::from_millis(100), "{off:?} apart");
    }
}

#[tokio::test]
async fn silence_stops_a_worker() {
    let (wish, wishes) = watch::channel(Wish::Wait);
    let (listener, address) = listener().await;
    let (task, seen) = worker(listener, Duration::from_millis(200));
    let held = held(address, wishes);
    within("ready", || (held.state() == State::Ready).then_some(())).await;
    wish.send_replace(Wish::Start(Instant::now()));
    within("the start", || *seen.lock().unwrap()).await;
    // As if the process had been killed.
    drop(held);
    timeout(LONG, task).await.unwrap().unwrap().unwrap();
}

/// The first connections break at once, the next one after the start: the worker is not lost.
#[tokio::test]
async fn a_broken_line_is_taken_up_again() {
    let (wish, wishes) = watch::channel(Wish::Wait);
    let (listener, address) = listener().await;
    let (task, seen) = worker(listener, LONG);
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let cut = CancellationToken::new();
    let scissors = cut.clone();
    let held = Held::start(order(), wishes, move || {
        let (number, cut) = (count.fetch_add(1, Ordering::SeqCst), scissors.clone());
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            if number >= 2 {
                let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut far, &mut stream) => {}
                        () = cut.cancelled(), if number == 2 => {}
                    }
                });
            }
            Ok(Box::new(near) as Box<dyn Duplex>)
        })
    });
    within("ready", || (held.state() == State::Ready).then_some(())).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    wish.send_replace(Wish::Start(Instant::now()));
    within("the start", || *seen.lock().unwrap()).await;
    cut.cancel();
    within("another attempt", || (attempts.load(Ordering::SeqCst) > 3).then_some(())).await;
    wish.send_replace(Wish::Stop);
    timeout(LONG, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_worker_is_named() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let (_wish, wishes) = watch::channel(Wish::Wait);
    let held = held(address, wishes);
    let why = within("a reason", || match held.state() {
        State::Reaching(why) if why.contains("worker") => Some(why),
        _ => None,
    });
    assert_eq!(why.await, "what answers there is no worker of this version");
}

#[tokio::test]
async fn a_worker_that_cannot_says_why() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let prepare = |_| async { Err::<(), _>(Error::new(Kind::Preflight, "no such host").cause("dns")) };
        let load = |(), _, _| async { panic!("it was not prepared") };
        obedient(listener, LONG, LONG).obey(&CancellationToken::new(), prepare, load).await
    });
    let (wish, wishes) = watch::channel(Wish::Wait);
    let held = held(address, wishes);
    let why = within("a reason", || match held.state() {
        State::Unable(why) => Some(why),
        _ => None,
    });
    assert_eq!(why.await, "no such host: dns");
    wish.send_replace(Wish::Stop);
}

#[tokio::test]
async fn a_worker_that_nobody_wants_fails() {
    let (listener, _) = listener().await;
    let prepare = |_| async { Ok(()) };
    let load = |(), _, _| async { panic!("nobody told it to start") };
    let obedient = obedient(listener, Duration::from_millis(50), LONG);
    let error = obedient.obey(&CancellationToken::new(), prepare, load).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotReady);
}
