use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn url(route: &str, serves: Option<&str>) -> Url {
    Url {
        route: route.to_owned(),
        url: format!("https://localhost:8443{route}"),
        serves: serves.map(str::to_owned),
        status: Some(200),
        took_ms: 3,
        error: None,
    }
}

#[test]
fn words_mean_routes_first_and_then_services() {
    let urls = [url("/", None), url("/hello", Some("hello-service")), url("/metrics", Some("prometheus"))];
    for (word, route) in
        [(None, "/"), (Some("hello"), "/hello"), (Some("/hello"), "/hello"), (Some("prometheus"), "/metrics")]
    {
        assert_eq!(find(&urls, word).unwrap().route, route);
    }
    assert!(find(&urls, Some("grafana")).is_none());
    assert_eq!(urls[0].answer(), "200 OK (3 ms)");
}

#[tokio::test]
async fn an_excuse_is_tried_again_until_there_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for status in ["503 Service Unavailable", "302 Found"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /hello/ "));
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let client = client::near(trust(None, None).unwrap());
    let seen = attempt(&client, &format!("http://127.0.0.1:{port}"), "/hello".to_owned(), None, TIMEOUT, PAUSE).await;
    assert_eq!((seen.status, seen.error), (Some(302), None));
}

/// Answers one request over TLS with a certificate that it signed itself, for another name than localhost.
async fn foreign_edge() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn somebody_elses_certificate_is_trusted_itself_and_no_other() {
    let (port, certificate) = foreign_edge().await;
    let url = format!("https://localhost:{port}/");
    let own = |certificate: &str, authority: Option<&str>| OwnTrust {
        certificate: certificate.to_owned(),
        authority: authority.map(str::to_owned),
    };
    let other = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap().cert.pem();
    for (own, trusted) in [
        (own(&certificate, None), true),
        (own(&certificate, Some(&other)), true),
        (own(&certificate, Some("nothing")), true),
        (own(&other, None), false),
        (own(&other, Some(&other)), false),
    ] {
        let seen = ask(&client::near(trust(None, Some(&own)).unwrap()), &url).await;
        assert_eq!(seen.is_ok(), trusted, "{seen:?}");
    }
    let local = ask(&client::near(trust(Some(certificate.as_bytes()), None).unwrap()), &url).await;
    assert!(local.is_err(), "without it localhost is not its name");
}

#[tokio::test]
async fn what_does_not_answer_says_why() {
    let client = client::near(trust(None, None).unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let seen = ask(&client, &format!("http://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(seen.contains("refused"), "{seen}");
}
