//! Serves the pages of the console and the portal, and what they load.
//!
//! A page may load scripts and styles of this node alone, and be framed by nobody: for the portal, by the
//! origins of its link.

use super::files::{self, Embedded};
use crate::core::console::LinkPage;
use crate::edge::error::ApiError;
use actix_web::http::header::{
    AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, Encoding,
    IF_NONE_MATCH, LOCATION, Preference, Quality, REFERRER_POLICY, VARY,
};
use actix_web::web::Path;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// What pages may do, without who may frame them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'";
/// A page names the files of its release, so each visit asks for it.
const OF_PAGES: &str = "no-cache";
/// The name of a file changes with its content.
const OF_ASSETS: &str = "public, max-age=31536000, immutable";

/// The pages name each other relative to `/console/`.
pub(super) async fn moved() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "console/")).finish()
}

/// The console, and what it and the portal load.
pub(super) async fn file(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, ApiError> {
    if path.is_empty() {
        let file = files::find("console.html").ok_or_else(|| ApiError::not_found("this page"))?;
        return Ok(page(&request, file, "'none'"));
    }
    let asset = files::find(&path).filter(|_| path.starts_with("assets/"));
    let asset = asset.ok_or_else(|| ApiError::not_found("this file").hint("the console is at /console/"))?;
    Ok(answered(&request, asset, OF_ASSETS, None))
}

/// The page of a portal link.
pub(super) fn portal(request: &HttpRequest, link: &LinkPage) -> Result<HttpResponse, ApiError> {
    let file = files::find("portal.html").ok_or_else(|| ApiError::not_found("this page"))?;
    Ok(page(request, file, &link.ancestors()))
}

fn page(request: &HttpRequest, file: &Embedded, ancestors: &str) -> HttpResponse {
    answered(request, file, OF_PAGES, Some(format!("{POLICY}; frame-ancestors {ancestors}")))
}

/// The file, compressed for those who accept it, unless the reader has it already.
fn answered(
    request: &HttpRequest,
    file: &Embedded,
    kept: &'static str,
    policy: Option<String>,
) -> HttpResponse {
    let is_short = is_gzip_accepted(request);
    let tag = if is_short { format!("\"{}-gzip\"", file.tag) } else { format!("\"{}\"", file.tag) };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = known.is_some_and(|tags| knows(tags, &tag));
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, kept))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((VARY, "accept-encoding"));
    if let Some(policy) = policy {
        answer.insert_header((CONTENT_SECURITY_POLICY, policy));
    }
    if is_known {
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, file.kind));
    if is_short {
        return answer.insert_header((CONTENT_ENCODING, "gzip")).body(file.gzip);
    }
    answer.body(file.bytes)
}

fn is_gzip_accepted(request: &HttpRequest) -> bool {
    let Some(accepted) = request.get_header::<AcceptEncoding>() else { return false };
    let gzip = Preference::Specific(Encoding::gzip());
    accepted.iter().any(|accepted| accepted.item == gzip && accepted.quality > Quality::ZERO)
}

/// Whether `If-None-Match` names the version.
fn knows(tags: &str, tag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::http::header::{ACCEPT_ENCODING, HeaderName};
    use actix_web::test::TestRequest;

    async fn answered(headers: &[(HeaderName, &str)]) -> HttpResponse {
        let add = |request: TestRequest, (name, value): &(HeaderName, &str)| {
            request.insert_header((name.clone(), *value))
        };
        let request = headers.iter().fold(TestRequest::default(), add).to_http_request();
        file(request, Path::from(String::new())).await.unwrap()
    }

    fn header(answer: &HttpResponse, name: HeaderName) -> Option<&str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[actix_web::test]
    async fn a_page_is_sent_once_with_its_policy() {
        for accepted in [None, Some("gzip")] {
            let accepts: Vec<_> = accepted.map(|coding| (ACCEPT_ENCODING, coding)).into_iter().collect();
            let first = answered(&accepts).await;
            assert_eq!((first.status().as_u16(), header(&first, CONTENT_ENCODING)), (200, accepted));
            assert_eq!(header(&first, CACHE_CONTROL), Some("no-cache"));
            assert_eq!(header(&first, REFERRER_POLICY), Some("no-referrer"));
            let tag = header(&first, ETAG).unwrap();
            let again = answered(&[&accepts[..], &[(IF_NONE_MATCH, tag)]].concat()).await;
            assert_eq!(again.status().as_u16(), 304);
            for answer in [&first, &again] {
                let policy = header(answer, CONTENT_SECURITY_POLICY).unwrap();
                assert!(policy.ends_with("; frame-ancestors 'none'"), "{policy}");
            }
        }
    }

    #[actix_web::test]
    async fn what_is_not_there_is_not_found() {
        for path in ["assets/nothing.js", "console.html", "portal.html", "assets", "/etc/passwd"] {
            let request = TestRequest::default().to_http_request();
            assert!(file(request, Path::from(path.to_owned())).await.is_err(), "{path}");
        }
    }
}
