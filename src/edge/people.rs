//! Answers for people: whether a client is a browser that opens a page, and errors as pages.
//!
//! Most paths are called by programs, which get errors as JSON. Some are opened by people, who follow a link
//! or come back from an issuer: they get a sentence.

use super::error::ApiError;
use actix_web::body::BoxBody;
use actix_web::http::header::{
    Accept, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, Quality, REFERRER_POLICY,
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

/// What the page of an error may do: nothing, in no frame.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the client names the type of pages, as every browser does that opens one.
pub fn reads_pages(request: &HttpRequest) -> bool {
    let Some(accept) = request.get_header::<Accept>() else { return false };
    accept
        .iter()
        .any(|accepted| accepted.item.essence_str() == "text/html" && accepted.quality > Quality::ZERO)
}

/// The text, so that nothing of it is markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The error as a page, for a browser.
///
/// # Errors
/// The error itself, for any other client: it gets JSON.
pub fn told(request: &HttpRequest, error: ApiError) -> Result<HttpResponse, ApiError> {
    if !reads_pages(request) {
        return Err(error);
    }
    let body = error.body();
    let said = |name: &str| body[name].as_str().map(sentence).unwrap_or_default();
    let page = page(&said("message"), &said("hint"));
    let mut answer = error.error_response().set_body(BoxBody::new(page));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n</main>\n</body>\n</html>\n"
    )
}

/// A message as a sentence, without markup.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    let whole: String = first.into_iter().chain(chars).collect();
    format!("{}.", escaped(&whole))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::edge::audit::facts::ErrorCode;
    use actix_web::body::to_bytes;
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    fn of(accept: &str) -> HttpRequest {
        TestRequest::default().insert_header((ACCEPT, accept)).to_http_request()
    }

    #[test]
    fn browsers_get_a_page() {
        for (accept, is_page) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("Text/HTML", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0", false),
        ] {
            assert_eq!(reads_pages(&of(accept)), is_page, "{accept}");
        }
        assert!(!reads_pages(&TestRequest::default().to_http_request()));
    }

    #[actix_web::test]
    async fn an_error_is_a_page_for_a_browser_alone() {
        let error = || ApiError::not_found("this <b>").hint("say \"a\" & b");
        assert_eq!(told(&of("*/*"), error()).unwrap_err(), error());
        let answer = told(&of("text/html"), error()).unwrap();
        assert_eq!(answer.status().as_u16(), 404);
        assert_eq!(answer.headers().get(CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
        assert_eq!(answer.headers().get(CONTENT_SECURITY_POLICY).unwrap(), POLICY);
        // Whoever counts errors still sees the code.
        assert!(answer.extensions().get::<ErrorCode>().is_some());
        let page = String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap();
        assert!(page.contains("<h1>This &lt;b&gt; was not found.</h1>"), "{page}");
        assert!(page.contains("<p>Say &quot;a&quot; &amp; b.</p>"), "{page}");
    }
}
