//! HTTP that comes to the port at which the nodes talk to each other. It is answered with what is wrong: a client
//! would otherwise see a TLS alert, which no HTTP library explains.

use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use bytes::Bytes;

/// The answer to any request at that port. It has no date, because it is made once, at the start.
pub(super) fn answer() -> Bytes {
    let mut body = ApiError::of_status(StatusCode::BAD_REQUEST).body();
    body["message"] = "this is the peer port, at which nodes talk to each other; it takes no HTTP".into();
    body["hint"] = "use the client port of the node (http_addr, 4000 by default); commands take it with --url or WAYPOST_URL".into();
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n",
        body.len()
    );
    (head + &body).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_answer_is_whole_and_names_the_setting() {
        let answer = answer();
        let text = std::str::from_utf8(&answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["status"], &body["code"]), (&400.into(), &"invalid_request".into()));
        assert!(body["hint"].as_str().is_some_and(|hint| hint.contains("http_addr")), "{body}");
    }
}
