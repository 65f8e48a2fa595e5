//! The routes of a worker. Paths that begin alike are kept together, so that a request is compared with few of
//! them: a comparison with a path that has variables costs about a microsecond.

use super::paths::{At, Methods};
use actix_web::Scope;
use actix_web::web::{self, ServiceConfig};
use std::sync::Arc;

/// Adds a protocol's routes to those of a worker, and the data that its handlers use. Settings and state are
/// app data of the protocol's own types, and all workers share them.
pub type Routes = Arc<dyn Fn(&mut Table<'_>) + Send + Sync>;

/// Adds all routes of a node to a worker.
pub type NodeRoutes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Where all paths of maps begin.
const MAPS: &str = "/api/maps";
/// The path of the first page.
const ROOT: &str = "/";
/// Where all paths of one map begin.
const OF_MAP: &str = "/api/maps/{map}";

/// The routes of a worker, while they are added.
pub struct Table<'c> {
    config: &'c mut ServiceConfig,
    groups: Vec<Group>,
    methods: Methods,
}

/// Paths that begin with the same words. They are compared in the order in which they were added.
struct Group {
    prefix: String,
    paths: Vec<At>,
}

impl<'c> Table<'c> {
    /// A table without routes.
    pub fn new(config: &'c mut ServiceConfig) -> Self {
        Self { config, groups: Vec::new(), methods: Methods::default() }
    }

    /// Adds data for handlers.
    pub fn app_data<T: 'static>(&mut self, data: T) -> &mut Self {
        self.config.app_data(data);
        self
    }

    /// Adds a path with its handlers.
    pub fn service(&mut self, path: At) -> &mut Self {
        // A test compares these lines with the document of the API.
        tracing::debug!("a route: {} {}", path.methods(), path.path());
        self.methods.add(&path);
        let prefix = prefix(path.path());
        match self.groups.iter_mut().find(|group| group.prefix == prefix) {
            Some(group) => group.paths.push(path),
            None => self.groups.push(Group { prefix: prefix.to_owned(), paths: vec![path] }),
        }
        self
    }

    /// Adds what is in the table to the worker. A group answers for all paths below its prefix, those of one map
    /// are groups in a group, and `/api/maps` and `/` have only themselves.
    pub fn finish(self) {
        self.config.app_data(self.methods);
        let mut of_map = web::scope(OF_MAP);
        for Group { prefix, paths } in self.groups {
            match prefix.strip_prefix(OF_MAP) {
                Some("") => of_map = added(of_map, OF_MAP, paths),
                Some(name) => of_map = of_map.service(added(web::scope(name), &prefix, paths)),
                None if prefix == MAPS || prefix == ROOT => paths.into_iter().for_each(|path| {
                    self.config.service(path);
                }),
                None => {
                    self.config.service(added(web::scope(&prefix), &prefix, paths));
                }
            }
        }
        self.config.service(of_map);
    }
}

/// The scope of `prefix`, with the paths that begin with it.
fn added(scope: Scope, prefix: &str, paths: Vec<At>) -> Scope {
    paths.into_iter().fold(scope, |scope, path| scope.service(path.below(prefix)))
}

/// The words with which a path begins: as many as its group has.
fn prefix(path: &str) -> &str {
    let words = match path.strip_prefix(OF_MAP) {
        Some("") => 3,
        Some(_) => 4,
        None if path.starts_with("/api/") => 2,
        None => 1,
    };
    path.match_indices('/').nth(words).map_or(path, |(end, _)| &path[..end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::edge::paths::{at, elsewhere};
    use actix_web::test::{TestRequest, call_and_read_body, init_service};
    use actix_web::{App, HttpRequest};

    /// Paths as the server has them. A later one may be more general than one before it.
    const PATHS: &[&str] = &[
        "/",
        "/healthz",
        "/docs",
        "/docs/{path:.*}",
        "/app/{key}",
        "/app/{path:.*}",
        "/apps/{app}/events",
        "/api/maps",
        "/api/maps/{map}",
        "/api/maps/{map}/events",
        "/api/maps/{map}/events/stream",
        "/api/maps/{map}/events/{event:[0-9A-Za-z]{4}}",
        "/api/maps/{map}/subjects",
        "/api/maps/{map}/subjects/{subject:.*}/presence",
        "/api/maps/{map}/subjects/{subject:.*}",
        "/api/webhooks",
        "/api/webhooks/test/{id}",
        "/api/webhooks/{id}",
    ];

    #[actix_web::test]
    async fn every_path_is_found_below_its_prefix() {
        let app = App::new().configure(|config| {
            let mut table = Table::new(config);
            for path in PATHS {
                table.service(at(*path).get(|request: HttpRequest| async move { request.match_pattern() }));
            }
            table.finish();
        });
        let app = init_service(app.default_service(web::to(elsewhere))).await;
        for (asked, pattern) in [
            ("/healthz", Some("/healthz")),
            ("/healthz/x", None),
            ("/app/1", Some("/app/{key}")),
            ("/app/1/2", Some("/app/{path:.*}")),
            ("/apps/1/events", Some("/apps/{app}/events")),
            ("/apps/1", None),
            ("/api/maps", Some("/api/maps")),
            ("/api/maps/7", Some("/api/maps/{map}")),
            ("/api/maps/7/", None),
            ("/api/maps/7/events", Some("/api/maps/{map}/events")),
            ("/api/maps/7/events/stream", Some("/api/maps/{map}/events/stream")),
            ("/api/maps/7/events/AbC1", Some("/api/maps/{map}/events/{event:[0-9A-Za-z]{4}}")),
            ("/api/maps/7/events/-", None),
            ("/api/maps/7/eventsource", None),
            ("/api/maps/7/subjects", Some("/api/maps/{map}/subjects")),
            ("/api/maps/7/subjects/", Some("/api/maps/{map}/subjects/{subject:.*}")),
            ("/api/maps/7/subjects/a/b", Some("/api/maps/{map}/subjects/{subject:.*}")),
            ("/api/maps/7/subjects/a/presence", Some("/api/maps/{map}/subjects/{subject:.*}/presence")),
            ("/api/webhooks", Some("/api/webhooks")),
            ("/api/webhooks/test/7", Some("/api/webhooks/test/{id}")),
            ("/api/webhooks/7", Some("/api/webhooks/{id}")),
            ("/api", None),
            ("/", Some("/")),
            ("/docs", Some("/docs")),
            ("/docs/", Some("/docs/{path:.*}")),
            ("/docs/a/b.html", Some("/docs/{path:.*}")),
            ("/docsx", None),
        ] {
            let body = call_and_read_body(&app, TestRequest::with_uri(asked).to_request()).await;
            let found = Some(std::str::from_utf8(&body).unwrap()).filter(|text| text.starts_with('/'));
            assert_eq!(found, pattern, "{asked}");
        }
    }
}
