//! What a node says of itself to those who come by: the first page at `/`, and the documentation at `/docs`.
//!
//! The pages and the documents of the API are part of the executable; `build.rs` makes them. They need nothing
//! from elsewhere, and their policy forbids scripts within a page and everything that is not this node's.

mod files;
mod first;

use super::Table;
use super::error::ApiError;
use super::paths::at;
use super::query::Takes;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use files::Embedded;

/// The paths below `/docs/`.
const PAGE: &str = "/docs/{path:.*}";
/// The query parameters of the routes. People come by links, which may carry parameters of other programs.
pub const TAKES: &[Takes] = &[Takes::page("/"), Takes::page("/docs"), Takes::page(PAGE)];

/// What pages may load: scripts, styles and data of this node.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// How long pages are kept without a question: another release has others.
const KEPT: &str = "public, max-age=300";

/// Adds `/` and `/docs`.
pub fn routes(config: &mut Table<'_>) {
    config.service(at("/").get(first::show)).service(at("/docs").get(moved)).service(at(PAGE).get(page));
}

/// The pages name each other relative to `/docs/`.
async fn moved() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

async fn page(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, ApiError> {
    let Some(file) = files::find(&path) else {
        return Err(ApiError::not_found("this page").hint("the first page is /docs/"));
    };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = known.is_some_and(|tags| knows(tags, file.tag));
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, file.tag)).insert_header((CACHE_CONTROL, KEPT));
    if is_known {
        return Ok(answer.finish());
    }
    let Embedded { kind, bytes, .. } = file;
    if kind.starts_with("text/html") {
        answer.insert_header((CONTENT_SECURITY_POLICY, POLICY));
    }
    Ok(answer.insert_header((CONTENT_TYPE, *kind)).body(*bytes))
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
    use actix_web::test::TestRequest;

    async fn answered(path: &str, tags: Option<&str>) -> HttpResponse {
        let request = TestRequest::default();
        let request =
            tags.into_iter().fold(request, |request, tags| request.insert_header((IF_NONE_MATCH, tags)));
        page(request.to_http_request(), Path::from(path.to_owned())).await.unwrap()
    }

    #[actix_web::test]
    async fn a_page_is_sent_once() {
        let first = answered("api", None).await;
        let header = |name| first.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!((first.status().as_u16(), header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(header("content-security-policy").contains("script-src 'self'"));
        let tag = header("etag");
        for known in [tag, "*", &format!("\"x\", {tag}"), &format!("W/{tag}")] {
            assert_eq!(answered("api", Some(known)).await.status().as_u16(), 304, "{known}");
        }
        assert_eq!(answered("api", Some("\"x\"")).await.status().as_u16(), 200);
        assert_eq!(answered("openapi.yaml", None).await.headers().get("content-security-policy"), None);
    }

    #[actix_web::test]
    async fn what_is_not_there_is_not_found() {
        for path in ["nothing", "../Cargo.toml", "api/", "/etc/passwd"] {
            let request = TestRequest::default().to_http_request();
            assert!(page(request, Path::from(path.to_owned())).await.is_err(), "{path}");
        }
    }
}
