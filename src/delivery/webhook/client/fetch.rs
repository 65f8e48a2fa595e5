//! Fetches one document by GET, over a connection of its own.

use std::{pin::pin, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    Request, StatusCode,
    header::{self, HeaderValue},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::core::webhook::outcome::Stage;
use crate::delivery::webhook::{dial::Trip, guard::Target};

use super::{Client, failure::no_answer};

/// Why a document did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There was no connection, or no valid answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The answer has another status than 200. Redirects are not followed.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// The document is longer than it may be.
    #[error("the document is longer than {0} bytes")]
    TooLong(usize),
    /// Not all of the document came in time.
    #[error("no whole answer came within the time limit")]
    Slow,
}

impl Client {
    /// Fetches a document of at most `most` bytes. Everything together takes at most `within`.
    pub async fn fetch(&self, url: &Target, most: usize, within: Duration) -> Result<Bytes, FetchError> {
        let trip = Rc::new(Trip::new());
        let fetched = timeout(within, self.fetch_now(url, most, &trip)).await;
        fetched.unwrap_or(Err(FetchError::Slow))
    }

    async fn fetch_now(&self, url: &Target, most: usize, trip: &Rc<Trip>) -> Result<Bytes, FetchError> {
        let mut line = self.open(url, trip).await.map_err(|(_, why)| FetchError::NoAnswer(why))?;
        trip.stage.set(Stage::Write);
        let answered = pin!(line.send(request(url), trip));
        let response = line.meanwhile(answered).await;
        let response = response.map_err(|error| FetchError::NoAnswer(no_answer(&error, trip).1))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        trip.stage.set(Stage::Body);
        let mut body = response.into_body();
        let read = pin!(read(&mut body, most, trip));
        line.meanwhile(read).await
    }
}

async fn read(body: &mut Incoming, most: usize, trip: &Trip) -> Result<Bytes, FetchError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::NoAnswer(no_answer(&error, trip).1))?;
        // Trailers are not part of the document.
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + piece.len() > most {
            return Err(FetchError::TooLong(most));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn request(url: &Target) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = url.uri().clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, url.authority().clone());
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("waypost/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    request
}
