//! The console for operators, and the portal for the users of tenants: pages, sign-in, and portal links.
//!
//! Both are pages of scripts that use the public API. This folder serves their files (`pages.rs`), lets
//! people in (`session.rs`, `oidc.rs`) and makes portal links (`portal.rs`). What a cookie and a link open is
//! decided where tokens are checked: [`super::auth`].

mod files;
mod oidc;
mod pages;
mod portal;
mod session;

use super::Routes;
use super::context::Edge;
use super::kept::X_WAYPOST_CSRF;
use super::paths::at;
use super::query::Takes;
use crate::config::Config;
use crate::delivery::oidc::Oidc;
use actix_web::web::Data;
use std::sync::Arc;

/// The console, and what it loads.
const PAGE: &str = "/console/{path:.*}";
const CALLBACK: &str = "/console/oidc/callback";
const PORTAL: &str = "/portal/{policy}";

/// The query parameters of the routes. People come by links, which may carry parameters of other programs,
/// and an issuer sends what it wants.
pub const TAKES: &[Takes] =
    &[Takes::page("/console"), Takes::page(PAGE), Takes::page(CALLBACK), Takes::page(PORTAL)];
/// The header that belongs to the cookie.
pub const HEADERS: &[&str] = &[X_WAYPOST_CSRF];

/// Prepares the console on a node.
pub fn start(_: &Config, edge: &Data<Edge>) -> Routes {
    let Some(console) = &edge.config.console else { return Arc::new(|_| {}) };
    let outside = edge.webhooks.outside();
    let oidc = console.oidc.clone().map(|settings| Oidc::start(settings, outside));
    let oidc: Data<Option<Oidc>> = Data::new(oidc);
    Arc::new(move |service| {
        service
            .app_data(oidc.clone())
            .service(at("/console").get(pages::moved))
            .service(at("/console/config").get(session::config))
            .service(
                at("/console/session").get(session::show).post(session::sign_in).delete(session::sign_out),
            )
            .service(at("/console/oidc/start").get(oidc::start))
            .service(at(CALLBACK).get(oidc::callback))
            // After the paths that are no files.
            .service(at(PAGE).get(pages::file))
            .service(at(PORTAL).get(portal::page))
            .service(at("/api/portal").get(portal::show))
            .service(at("/api/maps/{map}/portal-links").post(portal::create));
    })
}
