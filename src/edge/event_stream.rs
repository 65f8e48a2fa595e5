//! The head of an event stream, and how one is refused.
//!
//! An EventSource that gets another status than 200 never comes back. So a client that reads events and may
//! try again gets a stream of one frame, which says why and when.

use super::error::ApiError;
use super::refused::Refused;
use actix_web::http::header::{Accept, CACHE_CONTROL, CONTENT_TYPE, Quality};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};

/// The head of an event stream.
pub fn event_stream() -> HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("x-accel-buffering", "no"));
    head
}

/// The answer to a request that gets no events: a stream with the error if the client may try again and
/// accepts a stream, else the error with its status.
pub fn answer(request: &HttpRequest, refused: Refused) -> Result<HttpResponse, ApiError> {
    let retry_ms = refused.retry_ms().filter(|_| accepts_events(request));
    let error = ApiError::from(refused);
    match retry_ms {
        Some(retry_ms) => Ok(event_stream().force_close().body(frame(&error, retry_ms))),
        None => Err(error),
    }
}

/// The stream's only frame. It has no id, so the client keeps the position that it has.
fn frame(error: &ApiError, retry_ms: u64) -> String {
    format!("retry: {retry_ms}\nevent: refused\ndata: {}\n\n", error.body())
}

/// Whether the client names the type of event streams. Every EventSource does.
fn accepts_events(request: &HttpRequest) -> bool {
    let Some(accept) = request.get_header::<Accept>() else { return false };
    accept.iter().any(|accepted| {
        accepted.item.essence_str() == "text/event-stream" && accepted.quality > Quality::ZERO
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::edge::refused::{Quota, Unavailable};
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    fn answered(accept: Option<&str>, refused: Refused) -> Result<HttpResponse, ApiError> {
        let request = TestRequest::default();
        let request =
            accept.into_iter().fold(request, |request, accept| request.insert_header((ACCEPT, accept)));
        answer(&request.to_http_request(), refused)
    }

    #[test]
    fn only_clients_that_read_events_get_a_stream() {
        for accept in ["text/event-stream", "Text/Event-Stream", "text/html, text/event-stream;q=0.5"] {
            let answer = answered(Some(accept), Unavailable::Draining.into()).unwrap();
            assert_eq!(answer.status(), 200, "{accept}");
            assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
        }
        for accept in [None, Some("*/*"), Some("text/*"), Some("text/event-stream;q=0"), Some("nothing")] {
            assert!(answered(accept, Unavailable::Draining.into()).is_err(), "{accept:?}");
        }
    }

    #[test]
    fn only_refusals_that_pass_are_streams() {
        assert!(answered(Some("text/event-stream"), Refused::Unauthorized).is_err());
        assert!(answered(Some("text/event-stream"), Refused::NotFound).is_err());
        assert!(answered(Some("text/event-stream"), Quota::Connections { limit: 3 }.into()).is_ok());
    }

    #[test]
    fn golden_frame() {
        let frame = frame(&ApiError::from(Refused::from(Quota::Connections { limit: 3 })), 5000);
        let data = frame.strip_prefix("retry: 5000\nevent: refused\ndata: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
        assert_eq!((&data["error"], &data["limit"]), (&"too_many_connections".into(), &3.into()));
        assert_eq!(data["status"], 429);
    }
}
