use proptest::prelude::*;

use super::*;

/// Everything that a reader says of a connection's bytes that come in these portions and then end.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: Vec<(Answer, Vec<u8>)>,
    /// After the last whole answer: whether one was cut short, or what was wrong.
    rest: Result<bool, Malformed>,
}

fn read<'a>(method: &str, portions: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut reader, mut last) = (Reader::new(method), LastHead::default());
    let (mut answers, mut body) = (Vec::new(), Vec::new());
    for mut portion in portions {
        while !portion.is_empty() {
            match reader.feed(portion, &mut last, &mut |bytes| body.extend_from_slice(bytes)) {
                Ok(Fed::More) => break,
                Ok(Fed::Done(answer, used)) => {
                    answers.push((answer, std::mem::take(&mut body)));
                    portion = &portion[used..];
                }
                Err(wrong) => return Seen { answers, rest: Err(wrong) },
            }
        }
    }
    let begun = reader.begun();
    match reader.closed() {
        Some(answer) => {
            answers.push((answer, body));
            Seen { answers, rest: Ok(false) }
        }
        None => Seen { answers, rest: Ok(begun) },
    }
}

fn whole(method: &str, text: &str) -> Seen {
    read(method, [text.as_bytes()])
}

/// The one answer's status, whether it is reusable, and its body.
fn one(method: &str, text: &str) -> (u16, bool, String) {
    let seen = whole(method, text);
    assert_eq!((seen.answers.len(), &seen.rest), (1, &Ok(false)), "{text}: {seen:?}");
    let (answer, body) = &seen.answers[0];
    (answer.status, answer.reusable, String::from_utf8(body.clone()).unwrap())
}

#[test]
fn bodies_are_framed_as_the_head_says() {
    let said = |status, reusable, body: &str| (status, reusable, body.to_owned());
    let head = "HTTP/1.1 200 OK\r\n";
    let cases = [
        ("content-length: 2\r\n\r\nhi", said(200, true, "hi")),
        ("Content-Length: 2, 2\r\ncontent-length:2\r\n\r\nhi", said(200, true, "hi")),
        ("content-length: 0\r\n\r\n", said(200, true, "")),
        ("content-length: 2\r\nConnection: x, Close\r\n\r\nhi", said(200, false, "hi")),
        ("\r\nuntil close", said(200, false, "until close")),
        ("connection: keep-alive\r\n\r\n", said(200, false, "")),
        ("transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", said(200, true, "hi")),
        ("transfer-encoding: gzip, Chunked\r\n\r\n0\r\n\r\n", said(200, true, "")),
        ("transfer-encoding: gzip\r\n\r\nhi", said(200, false, "hi")),
        ("transfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\nx\r\n0\r\n\r\n", said(200, false, "x")),
        (
            "transfer-encoding: chunked\r\n\r\n00A;a=\"b\" ;c\r\n0123456789\r\n1 \r\n!\r\n0;z\r\nt: 1\r\nu: 2\r\n\r\n",
            said(200, true, "0123456789!"),
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(one("GET", &format!("{head}{rest}")), expected, "{rest}");
    }
    assert_eq!(one("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"), said(200, true, ""));
    assert_eq!(one("GET", "HTTP/1.1 204 No Content\r\n\r\n"), said(204, true, ""));
    assert_eq!(one("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"), said(304, true, ""));
    assert_eq!(one("GET", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"), said(200, false, "hi"));
    let kept = "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(one("GET", kept), said(200, true, "hi"));
}

#[test]
fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let text = format!("{interim}HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(one("POST", &text), (201, true, "x".to_owned()));
    assert!(whole("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n").rest.is_err());
}

#[test]
fn answers_follow_each_other() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
    let second = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n";
    let seen = whole("GET", &format!("{first}{second}{first}"));
    let statuses: Vec<_> = seen.answers.iter().map(|(answer, _)| answer.status).collect();
    assert_eq!((statuses, seen.rest), (vec![200, 404, 200], Ok(false)));
}

#[test]
fn what_is_cut_short_is_not_whole() {
    for text in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let seen = whole("GET", text);
        assert_eq!((seen.answers.len(), seen.rest), (0, Ok(true)), "{text}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    for text in [
        "SSH-2.0-OpenSSH_9\r\n".to_owned(),
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 2x0 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1)),
        format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD)),
        chunked("g\r\n"),
        chunked("\r\n"),
        chunked("12345678123456781\r\n"),
        chunked("1\r\nxy\r\n"),
        chunked("1\nx"),
        chunked("1;a\nx"),
        chunked("0\r\n\rx"),
        chunked(&format!("1;{}", "x".repeat(MAX_HEAD + 1))),
        chunked(&format!("0\r\n{}", "a: b\r\n".repeat(MAX_HEAD / 6 + 1))),
    ] {
        let short: String = text.chars().take(80).collect();
        assert!(whole("GET", &text).rest.is_err(), "{short}");
    }
}

#[test]
fn a_remembered_head_means_the_same() {
    let (mut reader, mut last) = (Reader::new("GET"), LastHead::default());
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
    for _ in 0..3 {
        let fed = reader.feed(answer, &mut last, &mut |_| {});
        assert_eq!(fed, Ok(Fed::Done(Answer { status: 200, reusable: true }, answer.len())));
    }
    // A longer head that begins alike is another one.
    let other = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    let fed = reader.feed(other, &mut last, &mut |_| {});
    assert_eq!(fed, Ok(Fed::Done(Answer { status: 200, reusable: false }, other.len())));
}

/// Answers of all framings, the last one perhaps until the close, some of them mangled.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let body = || proptest::collection::vec(any::<u8>(), 0..60);
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\ndate: now\r\n{fields}\r\n").into_bytes();
    let answer = prop_oneof![
        body()
            .prop_map(move |body| { [head("200 OK", &format!("content-length: {}\r\n", body.len())), body].concat() }),
        (proptest::collection::vec(body(), 0..4), any::<bool>()).prop_map(move |(parts, trailers)| {
            let mut bytes = head("503 Busy", "Transfer-Encoding: chunked\r\n");
            for part in parts.iter().filter(|part| !part.is_empty()) {
                bytes.extend(format!("{:x};n=\"v\"\r\n", part.len()).into_bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(if trailers { &b"0\r\nsum: 1\r\n\r\n"[..] } else { &b"0\r\n\r\n"[..] });
            bytes
        }),
        Just([head("100 Continue", ""), head("204 No Content", "")].concat()),
    ];
    let end = prop_oneof![
        3 => Just(Vec::new()),
        1 => body().prop_map(move |body| [head("200 OK", "connection: close\r\n"), body].concat()),
        1 => proptest::collection::vec(any::<u8>(), 1..40),
    ];
    let whole = (proptest::collection::vec(answer, 0..4), end).prop_map(|(mut answers, end)| {
        answers.push(end);
        answers.concat()
    });
    // A byte in eight streams is changed.
    (whole, any::<u8>(), any::<proptest::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, dice, at, byte)| {
        if dice % 8 == 0 && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

fn split<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut portions = Vec::new();
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let (portion, behind) = rest.split_at(lengths.next().map_or(1, |length| (*length).clamp(1, rest.len())));
        portions.push(portion);
        rest = behind;
    }
    portions
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn portions_make_no_difference(bytes in streams(), lengths in proptest::collection::vec(1..80_usize, 1..6)) {
        let expected = read("GET", [&bytes[..]]);
        prop_assert_eq!(&read("GET", split(&bytes, &lengths)), &expected);
        prop_assert_eq!(&read("GET", split(&bytes, &[1])), &expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), lengths in proptest::collection::vec(1..30_usize, 1..4)) {
        read("GET", split(&bytes, &lengths));
        let headed = [&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..], &bytes].concat();
        let seen = read("GET", split(&headed, &lengths));
        prop_assert_eq!(seen, read("GET", [&headed[..]]));
    }
}

/// Mutations of real answers, many of them: what the property tests above do in small.
#[test]
fn fuzz() {
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    let seeds: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nuntil close",
        b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ];
    let words: [&[u8]; 8] = [b"\r\n", b"\r", b"\n", b":", b"0", b"ffffffffffffffff", b"chunked", b"HTTP/1.1 "];
    let mut random = SmallRng::seed_from_u64(4);
    for round in 0..60_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.random_range(0..6) {
            let at = random.random_range(0..=bytes.len());
            match random.random_range(0..4) {
                0 if at < bytes.len() => bytes[at] = random.random(),
                1 => drop(bytes.drain(at..(at + random.random_range(0..9)).min(bytes.len()))),
                2 => drop(bytes.splice(at..at, words[random.random_range(0..words.len())].iter().copied())),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let lengths = [random.random_range(1..9), random.random_range(1..90)];
        let expected = read("GET", [&bytes[..]]);
        assert_eq!(read("GET", split(&bytes, &lengths)), expected, "{:?}", String::from_utf8_lossy(&bytes));
        let through: usize = expected.answers.iter().map(|(_, body)| body.len()).sum();
        assert!(through <= bytes.len());
    }
}
