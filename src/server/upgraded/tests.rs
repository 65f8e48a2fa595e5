//! Tests of connections that the HTTP library has handed over, over real sockets.

use super::*;
use crate::delivery::Written;
use crate::edge::clients::Clients;
use crate::server::stream::tests::{LIMITS, pair, pair_among};
use actix_codec::{Decoder, FramedParts};
use actix_http::StatusCode;
use actix_http::body::BodyStream;
use actix_rt::net::TcpStream;
use actix_service::fn_service;
use std::collections::VecDeque;
use std::task::Waker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Opens a WebSocket that says what it hears.
async fn echo(mut request: Request) -> Result<Response<BodyStream<Payload>>, Response<BoxBody>> {
    let heard = BodyStream::new(request.take_payload());
    let mut answer = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, heard);
    answer.head_mut().set_connection_type(ConnectionType::Upgrade);
    Ok(answer)
}

async fn refuse(_: Request) -> Result<Response<BoxBody>, Response<BoxBody>> {
    Ok(Response::with_body(StatusCode::UNAUTHORIZED, BoxBody::new("no")))
}

/// A connection whose request has come, with the first bytes behind it, and the client's end.
async fn handed_over(ahead: &[u8]) -> (Framed<ClientStream, Codec>, TcpStream) {
    let (stream, client) = pair().await;
    stream.client().begin();
    stream.client().know();
    let parts = FramedParts::with_read_buf(stream, Codec::default(), BytesMut::from(ahead));
    (Framed::from_parts(parts), client)
}

async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[actix_web::test]
async fn a_session_hears_what_came_ahead_and_what_follows() {
    let (connection, mut client) = handed_over(b"one ").await;
    let served = answer::<_, BodyStream<Payload>>(
        &fn_service::<_, _, Request, _, _, ()>(echo),
        (Request::new(), connection),
        100,
    );
    let served = actix_rt::spawn(served);
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
    client.write_all(b"two").await.unwrap();
    let mut said = [0; 7];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"one two");
    // More than is gathered at a time.
    let long = vec![b'x'; 300_000];
    let (mut from, mut to) = client.split();
    let heard = async {
        let mut said = vec![0; long.len()];
        from.read_exact(&mut said).await.unwrap();
        said
    };
    let (heard, ()) = tokio::join!(heard, async { to.write_all(&long).await.unwrap() });
    assert_eq!(heard, long);
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    served.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_refusal_ends_the_connection() {
    let (connection, mut client) = handed_over(b"").await;
    let served = answer::<_, BoxBody>(
        &fn_service::<_, _, Request, _, _, ()>(refuse),
        (Request::new(), connection),
        100,
    );
    let served = actix_rt::spawn(served);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    // The end came first. What the client still sends is thrown away.
    client.write_all(&[b'x'; 5000]).await.unwrap();
    drop(client);
    served.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_client_that_does_not_take_the_end_of_a_session_is_cut_off() {
    /// A session that says more than sockets hold, and ends.
    async fn much(_: Request) -> Result<Response<BoxBody>, Response<BoxBody>> {
        let said = futures_util::stream::iter([Ok::<_, PayloadError>(Bytes::from(vec![b'x'; 64 << 20]))]);
        let body = BoxBody::new(BodyStream::new(said));
        let mut answer = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, body);
        answer.head_mut().set_connection_type(ConnectionType::Upgrade);
        Ok(answer)
    }
    let (connection, client) = handed_over(b"").await;
    // So much is gathered that the session has ended before the socket is full.
    let most = 128 << 20;
    let served = answer::<_, BoxBody>(
        &fn_service::<_, _, Request, _, _, ()>(much),
        (Request::new(), connection),
        most,
    );
    assert_eq!(served.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(client);
}

#[actix_web::test]
async fn an_answer_without_a_length_ends_with_the_connection() {
    async fn stream(_: Request) -> Result<Response<BoxBody>, Response<BoxBody>> {
        let body = futures_util::stream::iter([Ok::<_, PayloadError>(Bytes::from_static(b"all"))]);
        Ok(Response::with_body(StatusCode::OK, BoxBody::new(BodyStream::new(body))))
    }
    let (connection, mut client) = pair().await;
    let mut codec = Codec::default();
    let mut asked = BytesMut::from("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n");
    codec.decode(&mut asked).unwrap();
    let served = answer::<_, BoxBody>(
        &fn_service::<_, _, Request, _, _, ()>(stream),
        (Request::new(), Framed::from_parts(FramedParts::new(connection, codec))),
        100,
    );
    let served = actix_rt::spawn(served);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nall"), "{answer}");
    assert!(!answer.contains("chunked") && answer.contains("connection: close\r\n"), "{answer}");
    drop(client);
    served.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_request_keeps_its_headers_and_no_buffer() {
    let mut asked = BytesMut::from("GET / HTTP/1.1\r\nHost: x\r\nX-A: one\r\nX-A: two\r\n\r\n");
    let Some(Message::Item(mut request)) = Codec::default().decode(&mut asked).unwrap() else {
        unreachable!("the request is whole");
    };
    let places = |request: &Request| -> Vec<*const u8> {
        request.head().headers.iter().map(|(_, value)| value.as_bytes().as_ptr()).collect()
    };
    let before = places(&request);
    copy_headers(&mut request);
    let headers = &request.head().headers;
    assert_eq!(headers.get_all("x-a").collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((headers.get("host").unwrap().as_bytes(), headers.len()), (&b"x"[..], 3));
    assert!(places(&request).iter().all(|place| !before.contains(place)));
}

#[actix_web::test]
async fn a_connection_that_gives_way_ends_before_it_is_answered() {
    async fn never(_: Request) -> Result<Response<BoxBody>, Response<BoxBody>> {
        std::future::pending().await
    }
    let clients = Clients::new(LIMITS);
    let (stream, mut client) = pair_among(&clients).await;
    stream.client().begin();
    let connection = Framed::from_parts(FramedParts::new(stream, Codec::default()));
    let served = answer::<_, BoxBody>(
        &fn_service::<_, _, Request, _, _, ()>(never),
        (Request::new(), connection),
        100,
    );
    let served = actix_rt::spawn(served);
    tokio::task::yield_now().await;
    let busy = |_| {
        let other = clients.admit();
        other.client().begin();
        other.client().know();
        other
    };
    let others: Vec<_> = (0..LIMITS.most).map(busy).collect();
    assert!(served.await.unwrap().is_err());
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop(others);
}

#[actix_web::test]
async fn an_idle_connection_keeps_no_buffer() {
    let (connection, mut client) = handed_over(b"").await;
    let parts = connection.into_parts();
    let stream = Rc::new(RefCell::new(parts.io));
    let silent = BodyStream::new(futures_util::stream::pending::<Result<Bytes, PayloadError>>());
    let mut answer = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, BoxBody::new(silent));
    answer.head_mut().set_connection_type(ConnectionType::Upgrade);
    let before = BytesMut::with_capacity(8192);
    let mut said = Said::begin((stream, None), (parts.codec, before), answer, 100).unwrap();
    poll_fn(|cx| {
        assert!(said.poll_written(cx).is_pending());
        if said.unsent.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
    assert!(said.unsent.is_empty() && said.codec.is_none());
    assert!(size_of::<Said>() <= 320, "{}", size_of::<Said>());
}

/// What a session says: its task writes it.
#[derive(Default)]
struct Words {
    waiting: RefCell<VecDeque<Bytes>>,
    is_over: std::cell::Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Words {
    fn say(&self, bytes: Bytes) {
        self.waiting.borrow_mut().push_back(bytes);
        self.wake();
    }

    fn end(&self) {
        self.is_over.set(true);
        self.wake();
    }

    fn wake(&self) {
        self.task.take().into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match self.waiting.borrow_mut().pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None if self.is_over.get() => Poll::Ready(None),
            None => {
                *self.task.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Writes pieces of several lengths in turns, as the dispatcher if it may and the session has said nothing.
/// Returns what the dispatcher wrote whole, in part, and all.
fn write_pieces(
    write_side: &WriteSide,
    words: &Words,
    (pieces, times): (usize, usize),
) -> (usize, usize, Vec<u8>) {
    let mut whole = 0;
    let mut parts = 0;
    let mut all = Vec::new();
    for number in 0..pieces {
        let piece = Bytes::from(vec![b'a' + (number % 26) as u8; (1 + number * 7919 % 5000) * times]);
        all.extend_from_slice(&piece);
        if number % 5 == 4 || !write_side.is_direct() || !words.waiting.borrow().is_empty() {
            words.say(piece);
        } else if write_side.write(piece) == Written::All {
            whole += 1;
        } else {
            parts += 1;
            words.wake();
        }
    }
    (whole, parts, all)
}

#[actix_web::test]
async fn the_task_and_the_dispatcher_write_in_turns() {
    let (connection, mut client) = handed_over(b"").await;
    let parts = connection.into_parts();
    socket2::SockRef::from(parts.io.tcp()).set_send_buffer_size(8 << 10).unwrap();
    let stream = Rc::new(RefCell::new(parts.io));
    let write_side = write_side_of(&stream).unwrap();
    let words = Rc::new(Words::default());
    let said = words.clone();
    let body = BodyStream::new(futures_util::stream::poll_fn(move |cx| said.poll(cx)));
    let mut answer = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, BoxBody::new(body));
    answer.head_mut().set_connection_type(ConnectionType::Upgrade);
    let own = (stream, Some(write_side.clone()));
    let mut said = Said::begin(own, (parts.codec, BytesMut::new()), answer, 100).unwrap();
    assert!(!write_side.is_direct(), "the head comes first");
    let task = actix_rt::spawn(async move { poll_fn(|cx| said.poll_written(cx)).await });
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
    let reading = actix_rt::spawn(async move {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let mut written = (0, 0, Vec::new());
    for round in 0..40 {
        while !write_side.is_direct() {
            tokio::task::yield_now().await;
        }
        // Little at first, so that pieces come whole; then more than sockets hold.
        let much = if round < 20 { (2, 1) } else { (6, 100) };
        let (whole, parts, all) = write_pieces(&write_side, &words, much);
        written.0 += whole;
        written.1 += parts;
        written.2.extend_from_slice(&all);
        tokio::task::yield_now().await;
    }
    words.end();
    task.await.unwrap().unwrap();
    let (whole, parts, all) = written;
    assert!(reading.await.unwrap() == all, "the bytes that were written, in order");
    assert!(whole > 0 && parts > 0, "{whole} whole, {parts} in part");
}
