//! A caller, a forward's connection and a node that speaks SPDY, all in this process.

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
};

use super::{
    join::{End, Said, join},
    session::Session,
    spdy::{self, Frame},
};

/// The node's side of a session.
struct Node {
    wire: DuplexStream,
    buffer: BytesMut,
}

impl Node {
    fn session() -> (Session, Node) {
        let (ours, wire) = tokio::io::duplex(256 * 1024);
        (Session::over(ours), Node { wire, buffer: BytesMut::new() })
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = spdy::take(&mut self.buffer).unwrap() {
                return frame;
            }
            assert!(self.wire.read_buf(&mut self.buffer).await.unwrap() > 0, "the session was closed");
        }
    }

    /// Past the two streams of a connection; returns the ids of errors and data.
    async fn accept(&mut self) -> (u32, u32) {
        assert_eq!(self.frame().await, Frame::Other);
        let Frame::Data { stream: errors, last: true, .. } = self.frame().await else { panic!("errors stay open") };
        assert_eq!(self.frame().await, Frame::Other);
        let reply = [&[0x80, 3, 0, 2, 0, 0, 0, 4][..], &(errors + 2).to_be_bytes()].concat();
        self.wire.write_all(&reply).await.unwrap();
        (errors, errors + 2)
    }

    async fn say(&mut self, stream: u32, text: &[u8]) {
        let mut frame = [&[0; spdy::HEAD][..], text].concat();
        spdy::fill_data_head(&mut frame, stream);
        self.wire.write_all(&frame).await.unwrap();
    }

    async fn data(&mut self, stream: u32) -> Bytes {
        match self.frame().await {
            Frame::Data { stream: on, bytes, .. } if on == stream => bytes,
            other => panic!("{other:?}"),
        }
    }
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (caller, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn an_answer_is_read_to_its_end_after_the_caller_closed_its_half() {
    let (mut caller, mut accepted) = connection().await;
    let (session, mut node) = Node::session();
    let stream = session.open(80, session.claim()).await.unwrap();
    let joined = tokio::spawn(async move { join(&mut accepted, stream, &Said::default()).await });
    let (_, data) = node.accept().await;
    caller.write_all(b"question").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(node.data(data).await, "question");
    node.say(data, b"a long ").await;
    node.say(data, b"answer").await;
    node.wire.write_all(&spdy::end(data)).await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "a long answer");
    assert_eq!(joined.await.unwrap(), End::Done);
    assert_eq!(session.streams(), 0);
}

/// Neither side says anything more: the caller waits for an answer, the pod for an end that no node passes on.
#[tokio::test]
async fn a_caller_that_closed_its_half_is_not_held_for_ever() {
    let (mut caller, mut accepted) = connection().await;
    let (session, mut node) = Node::session();
    let stream = session.open(80, session.claim()).await.unwrap();
    let joined = tokio::spawn(async move {
        let end = join(&mut accepted, stream, &Said::default()).await;
        drop(accepted);
        end
    });
    let (_, data) = node.accept().await;
    caller.write_all(b"question").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(node.data(data).await, "question");
    let within = std::time::Duration::from_secs(30);
    let told = tokio::time::timeout(within, node.frame()).await.expect("the node is told of the end");
    assert!(matches!(told, Frame::Data { stream, last: true, .. } if stream == data), "{told:?}");
    let mut answer = String::new();
    tokio::time::timeout(within, caller.read_to_string(&mut answer)).await.expect("the connection is closed").unwrap();
    assert_eq!((answer.as_str(), joined.await.unwrap()), ("", End::Done));
}

#[tokio::test]
async fn what_no_pod_has_seen_goes_to_the_next() {
    let (mut caller, mut accepted) = connection().await;
    let said = Said::default();
    caller.write_all(b"question").await.unwrap();
    let (session, mut node) = Node::session();
    let stream = session.open(80, session.claim()).await.unwrap();
    let refuse = async {
        let (errors, data) = node.accept().await;
        assert_eq!(node.data(data).await, "question");
        node.say(errors, b"failed to connect to localhost:80: connection refused").await;
    };
    let (end, ()) = tokio::join!(join(&mut accepted, stream, &said), refuse);
    assert!(matches!(end, End::NotConnected(why) if why.contains("refused")));

    // The same session takes the next connection.
    let stream = session.open(80, session.claim()).await.unwrap();
    let answer = async {
        assert!(matches!(node.frame().await, Frame::Reset { stream: 3 }));
        let (_, data) = node.accept().await;
        assert_eq!((data, node.data(data).await), (7, Bytes::from_static(b"question")));
        node.say(data, b"answer").await;
        node.wire.write_all(&spdy::end(data)).await.unwrap();
    };
    let (end, ()) = tokio::join!(join(&mut accepted, stream, &said), answer);
    assert_eq!(end, End::Done);
    drop(accepted);
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn what_a_pod_has_answered_is_not_said_again() {
    let (mut caller, mut accepted) = connection().await;
    let (session, mut node) = Node::session();
    let stream = session.open(80, session.claim()).await.unwrap();
    let said = Said::default();
    let talk = async {
        let (errors, data) = node.accept().await;
        node.say(data, b"half an ans").await;
        caller.read_exact(&mut [0; 11]).await.unwrap();
        node.say(errors, b"connection refused").await;
    };
    let (end, ()) = tokio::join!(join(&mut accepted, stream, &said), talk);
    assert!(matches!(end, End::Broken(_)), "{end:?}");
}

#[tokio::test]
async fn a_caller_that_is_gone_ends_the_stream() {
    let (caller, mut accepted) = connection().await;
    let (session, mut node) = Node::session();
    let stream = session.open(80, session.claim()).await.unwrap();
    let joined = tokio::spawn(async move { join(&mut accepted, stream, &Said::default()).await });
    let (_, data) = node.accept().await;
    drop(caller);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), node.frame()).await.unwrap();
    assert_eq!(ended, Frame::Reset { stream: data });
    assert_eq!(joined.await.unwrap(), End::Done);
}

#[tokio::test]
async fn a_lost_session_is_not_used_again() {
    let (session, node) = Node::session();
    drop(node);
    while !session.is_gone() {
        tokio::task::yield_now().await;
    }
    assert!(session.open(80, session.claim()).await.is_none());
}
