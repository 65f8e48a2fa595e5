//! Compresses long answers to those who accept it: pages of events and lists, in JSON. Only answers to GET
//! are compressed, which repeat nothing of a body that somebody else may have written; and only those that
//! are whole in memory, so no stream.

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, ETAG, Encoding, HeaderValue, Preference, Quality, VARY,
};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Shorter answers fit into a packet or two as they are.
const LEAST_BYTES: u64 = 2048;
/// Longer answers are compressed on a thread of their own: the worker's other clients don't wait.
const MOST_AT_ONCE: usize = 16 * 1024;

/// Whether the sender accepts gzip.
pub(super) fn is_accepted(request: &ServiceRequest) -> bool {
    let Some(accepted) = request.get_header::<AcceptEncoding>() else { return false };
    let gzip = Preference::Specific(Encoding::gzip());
    accepted.iter().any(|accepted| accepted.item == gzip && accepted.quality > Quality::ZERO)
}

/// The answer, compressed if it is long and the sender accepts that.
pub(super) async fn encode<B: MessageBody + 'static>(
    answer: ServiceResponse<B>,
    is_accepted: bool,
) -> ServiceResponse<EitherBody<B>> {
    if !is_worth_it(&answer) {
        return answer.map_into_left_body();
    }
    let (request, response) = answer.into_parts();
    let (mut head, body) = response.into_parts();
    // A cache keeps both.
    head.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let plain = match is_accepted {
        true => body.try_into_bytes(),
        false => Err(body),
    };
    let plain = match plain {
        Ok(plain) => plain,
        Err(body) => return ServiceResponse::new(request, head.set_body(EitherBody::left(body))),
    };
    let body = match short(plain.clone()).await {
        Some(short) => {
            head.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            short
        }
        None => plain,
    };
    ServiceResponse::new(request, head.set_body(EitherBody::right(BoxBody::new(body))))
}

/// Whether it is an answer that may be compressed, and long enough. The version of a file, where it has one,
/// is that of its plain bytes.
fn is_worth_it<B: MessageBody>(answer: &ServiceResponse<B>) -> bool {
    let headers = answer.headers();
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    answer.request().method() == Method::GET
        && answer.status() == StatusCode::OK
        && matches!(answer.response().body().size(), BodySize::Sized(LEAST_BYTES..))
        && headers.get(CONTENT_TYPE).is_some_and(is_json)
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(ETAG)
}

/// The bytes compressed, if that makes them shorter.
async fn short(plain: Bytes) -> Option<Bytes> {
    if plain.len() <= MOST_AT_ONCE {
        return gzip(&plain);
    }
    // The pool of threads is gone only when the process ends.
    actix_web::web::block(move || gzip(&plain)).await.ok().flatten()
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    let short = encoder.finish().ok()?;
    (short.len() < plain.len()).then(|| short.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::HttpResponse;
    use actix_web::http::header::{ACCEPT_ENCODING, HeaderName};
    use actix_web::test::TestRequest;
    use flate2::read::GzDecoder;
    use std::io::Read;

    const LONG: usize = 100_000;

    fn json(length: usize) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "application/json"))
            .body("[1, 2] ".repeat(length / 7))
    }

    fn accepts(header: &str) -> bool {
        is_accepted(&TestRequest::default().insert_header((ACCEPT_ENCODING, header)).to_srv_request())
    }

    /// The coding, the header `Vary`, and the body as it is sent.
    async fn encoded(
        method: Method,
        answer: HttpResponse,
        accepted: bool,
    ) -> (Option<String>, Option<String>, Vec<u8>) {
        let answer = TestRequest::default().method(method).to_srv_response(answer);
        let answer = encode(answer, accepted).await;
        let header =
            |name: HeaderName| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (coding, vary) = (header(CONTENT_ENCODING), header(VARY));
        let body = answer.into_body().try_into_bytes().ok().unwrap();
        (coding, vary, body.to_vec())
    }

    #[test]
    fn gzip_is_taken_from_those_who_accept_it() {
        for header in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.5"] {
            assert!(accepts(header), "{header}");
        }
        for header in ["", "br", "identity", "gzip;q=0", "*;q=0"] {
            assert!(!accepts(header), "{header}");
        }
        assert!(!is_accepted(&TestRequest::default().to_srv_request()));
    }

    #[actix_web::test]
    async fn long_answers_are_compressed() {
        for length in [7_000, LONG] {
            let (coding, vary, body) = encoded(Method::GET, json(length), true).await;
            assert_eq!((coding.as_deref(), vary.as_deref()), (Some("gzip"), Some("accept-encoding")));
            let mut plain = String::new();
            GzDecoder::new(&body[..]).read_to_string(&mut plain).unwrap();
            assert_eq!(plain, "[1, 2] ".repeat(length / 7));
        }
    }

    #[actix_web::test]
    async fn the_others_are_sent_as_they_are() {
        let (coding, vary, body) = encoded(Method::GET, json(LONG), false).await;
        assert_eq!((coding, vary.as_deref(), body.len()), (None, Some("accept-encoding"), LONG / 7 * 7));
        let text = HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain")).body(vec![b'x'; LONG]);
        let mut file = json(LONG);
        file.headers_mut().insert(ETAG, HeaderValue::from_static("\"1\""));
        let mut error = json(LONG);
        *error.status_mut() = StatusCode::NOT_FOUND;
        for (method, answer) in [
            (Method::GET, json(700)),
            (Method::POST, json(LONG)),
            (Method::GET, text),
            (Method::GET, file),
            (Method::GET, error),
        ] {
            let (coding, vary, _) = encoded(method, answer, true).await;
            assert_eq!((coding, vary), (None, None));
        }
    }
}
