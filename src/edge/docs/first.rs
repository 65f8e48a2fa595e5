//! `/`: a page for people, and links for everything else.

use super::POLICY;
use crate::edge::context::Edge;
use crate::edge::ops::not_ready;
use crate::edge::people::{escaped, reads_pages};
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

const PAGE: &str = include_str!("first.html");
/// Where the console is, on a node that serves it.
const CONSOLE: &str = "<li><a href=\"console/\">Console</a></li>\n";

/// Says what this is, where its documentation is, and whether the node takes clients.
pub(super) async fn show(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let reason = not_ready(&edge);
    let has_console = edge.config.console.is_some();
    let mut answer = HttpResponse::Ok();
    answer.insert_header((VARY, "accept"));
    if reads_pages(&request) {
        answer.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
        return answer.insert_header((CONTENT_SECURITY_POLICY, POLICY)).body(page(reason, has_console));
    }
    let mut body = json!({
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
    });
    if has_console {
        body["links"]["console"] = "/console/".into();
    }
    answer.json(body)
}

fn page(reason: Option<&str>, has_console: bool) -> String {
    let console = if has_console { CONSOLE } else { "" };
    let status = match reason {
        None => "This node takes clients.".to_owned(),
        Some(reason) => format!("This node takes no new clients: {}.", escaped(reason)),
    };
    PAGE.replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{console}}", console)
        .replace("{{status}}", &status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whether_the_node_takes_clients() {
        assert!(page(None, true).contains("takes clients"));
        assert!(page(Some("a <b> & c"), true).contains("no new clients: a &lt;b&gt; &amp; c."));
        assert!(!page(None, true).contains("{{") && !page(None, false).contains("{{"));
        assert!(page(None, true).contains("console/") && !page(None, false).contains("console/"));
    }
}
