//! Answers that are no success, and connections that cannot be had.

use super::*;

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
