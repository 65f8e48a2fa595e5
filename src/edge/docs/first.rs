//! `/`: a page for people, and links for everything else.

use super::POLICY;
use crate::edge::context::Edge;
use crate::edge::ops::not_ready;
use actix_web::http::header::{Accept, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Quality, VARY};
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde_json::json;

const PAGE: &str = include_str!("first.html");

/// Says what this is, where its documentation is, and whether the node takes clients.
pub(super) async fn show(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let reason = not_ready(&edge);
    let mut answer = HttpResponse::Ok();
    answer.insert_header((VARY, "accept"));
    if reads_pages(&request) {
        answer.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
        return answer.insert_header((CONTENT_SECURITY_POLICY, POLICY)).body(page(reason));
    }
    answer.json(json!({
        "name": "waypost",
        "version": env!("CARGO_PKG_VERSION"),
        "ready": reason.is_none(),
        "reason": reason,
        "links": {
            "documentation": "/docs/",
            "api": "/docs/api",
            "openapi": "/docs/openapi.yaml",
            "asyncapi": "/docs/asyncapi.yaml",
            "health": "/healthz",
            "readiness": "/readyz",
            "metrics": "/metrics",
        },
    }))
}

/// Whether the client names the type of pages, as every browser does.
fn reads_pages(request: &HttpRequest) -> bool {
    let Some(accept) = request.get_header::<Accept>() else { return false };
    accept
        .iter()
        .any(|accepted| accepted.item.essence_str() == "text/html" && accepted.quality > Quality::ZERO)
}

fn page(reason: Option<&str>) -> String {
    let status = match reason {
        None => "This node takes clients.".to_owned(),
        Some(reason) => format!("This node takes no new clients: {}.", escaped(reason)),
    };
    PAGE.replace("{{version}}", env!("CARGO_PKG_VERSION")).replace("{{status}}", &status)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    #[test]
    fn browsers_get_a_page() {
        for (accept, is_page) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("Text/HTML", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0", false),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(reads_pages(&request), is_page, "{accept}");
        }
        assert!(!reads_pages(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn a_page_says_whether_the_node_takes_clients() {
        assert!(page(None).contains("takes clients"));
        assert!(page(Some("a <b> & c")).contains("no new clients: a &lt;b&gt; &amp; c."));
        assert!(!page(None).contains("{{"));
    }
}
