//! Tests of the bytes between a client and the HTTP library, over real sockets.

use super::*;
use crate::edge::clients::{ClientLimits, Clients};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ANSWER: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nx-content-type-options: nosniff\r\n\r\n{}";

pub(in crate::server) const LIMITS: ClientLimits = ClientLimits {
    most: 8,
    head_time: Duration::from_secs(60),
    head_bytes: 1000,
    keep_known: Duration::from_secs(60),
    keep_unknown: Duration::from_secs(60),
};

/// A stream, as the library has it, and the client's end.
pub(in crate::server) async fn pair() -> (ClientStream, TcpStream) {
    pair_among(&Clients::new(LIMITS)).await
}

/// The same, of a connection among `clients`.
pub(in crate::server) async fn pair_among(clients: &Arc<Clients>) -> (ClientStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let common = Rc::new(Common { secure: false, origins: Vec::new(), head_ms: 5000 });
    (ClientStream::new(Wire::Plain(server), clients.admit(), common), client)
}

/// A request with a body begins, whose client waits for an interim answer.
fn begin(stream: &ClientStream) {
    stream.client().expect();
    stream.client().begin();
    stream.client().know();
}

async fn heard(client: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    client.read_exact(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn an_interim_answer_waits_until_the_body_is_read() {
    let (mut stream, mut client) = pair().await;
    // Behind the answer before it, as for requests that follow each other closely.
    begin(&stream);
    stream.write_all(&[ANSWER, INTERIM].concat()).await.unwrap();
    assert_eq!(heard(&mut client, ANSWER.len()).await, ANSWER);
    assert_eq!(stream.client().interim(), Interim::Kept);
    stream.client().await_body();
    client.write_all(b"body").await.unwrap();
    assert_eq!(heard_by(&mut stream).await, b"body");
    stream.write_all(ANSWER).await.unwrap();
    assert_eq!(heard(&mut client, INTERIM.len() + ANSWER.len()).await, [INTERIM, ANSWER].concat());
}

async fn heard_by(stream: &mut ClientStream) -> Vec<u8> {
    let mut heard = vec![0; 4];
    stream.read_exact(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn an_interim_answer_passes_at_once_if_the_body_is_read_at_once() {
    let (mut stream, mut client) = pair().await;
    begin(&stream);
    stream.client().await_body();
    stream.write_all(INTERIM).await.unwrap();
    assert_eq!(heard(&mut client, INTERIM.len()).await, INTERIM);
    assert_eq!(stream.client().interim(), Interim::None);
}

#[tokio::test]
async fn an_interim_answer_never_follows_the_answer() {
    let (mut stream, mut client) = pair().await;
    begin(&stream);
    stream.write_all(INTERIM).await.unwrap();
    stream.client().await_body();
    // The handler gives up before the library reads again.
    stream.write_all(ANSWER).await.unwrap();
    client.write_all(b"body").await.unwrap();
    assert_eq!(heard_by(&mut stream).await, b"body");
    stream.write_all(ANSWER).await.unwrap();
    assert_eq!(heard(&mut client, 2 * ANSWER.len()).await, ANSWER.repeat(2));
}

#[tokio::test]
async fn a_client_that_is_refused_gets_no_interim_answer() {
    let (mut stream, mut client) = pair().await;
    begin(&stream);
    stream.write_all(&[INTERIM, ANSWER].concat()).await.unwrap();
    assert_eq!(heard(&mut client, ANSWER.len()).await, ANSWER);
    // The text of an interim answer in what follows is nobody's interim answer.
    stream.client().end(false);
    stream.client().begin();
    stream.write_all(INTERIM).await.unwrap();
    assert_eq!(heard(&mut client, INTERIM.len()).await, INTERIM);
}

#[tokio::test]
async fn what_a_handed_over_connection_says_is_not_changed() {
    const LIKE_THE_LIBRARY: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (mut stream, mut client) = pair().await;
    stream.hand_over();
    stream.write_all(LIKE_THE_LIBRARY).await.unwrap();
    drop(stream);
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, LIKE_THE_LIBRARY);
}
