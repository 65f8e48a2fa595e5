//! Plain HTTP that comes to a port with TLS. It is answered in plain HTTP with what is wrong: a client would
//! otherwise see a TLS alert, which no HTTP library explains.

use super::bare::Common;
use crate::edge::error::ApiError;
use actix_rt::net::TcpStream;
use actix_web::http::StatusCode;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Most bytes of such a connection that are read. With unread bytes the system would discard the answer too.
const READ: u64 = 64 * 1024;

/// Waits for the first byte of a connection, and tells whether it is plain HTTP. A method begins with a capital
/// letter, a TLS record never does.
pub(super) async fn begins(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0_u8];
    Ok(tcp.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase())
}

/// Answers, waits until the client hangs up, and returns the error that ends the connection. The caller limits
/// the time.
pub(super) async fn refuse(tcp: TcpStream, common: &Common) -> io::Error {
    let refused = || io::Error::new(io::ErrorKind::InvalidData, "plain HTTP at a port with TLS");
    answer(tcp, common).await.err().unwrap_or_else(refused)
}

async fn answer(mut tcp: TcpStream, common: &Common) -> io::Result<()> {
    let mut piece = [0; 4096];
    // One piece of the request is enough: whatever it asks for, the answer is the same.
    if tcp.read(&mut piece).await? == 0 {
        return Ok(());
    }
    let mut body = ApiError::of_status(StatusCode::BAD_REQUEST).body();
    body["message"] = "this port speaks https, and the request is plain http".into();
    body["hint"] = "use https:// instead of http:// in the URL".into();
    // Browsers must not learn from plain HTTP that only TLS is to be used.
    let plain = Common { secure: false, ..common.clone() };
    tcp.write_all(&plain.written(StatusCode::BAD_REQUEST, &body, None)).await?;
    tcp.shutdown().await?;
    tokio::io::copy(&mut tcp.take(READ), &mut tokio::io::sink()).await?;
    Ok(())
}
