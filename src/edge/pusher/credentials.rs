//! The credentials of a map's apps: creating, listing, showing, changing and deleting them.

use crate::edge::Table;
use crate::edge::apps;
use crate::edge::paths::at;
use crate::edge::query::Takes;

/// The query parameters of the routes: they take none.
pub const TAKES: &[Takes] = &[];

/// Adds `/api/maps/{map}/pusher` and what is below it.
pub fn routes(config: &mut Table<'_>) {
    config
        .service(at("/api/maps/{map}/pusher").post(apps::create).get(apps::list))
        .service(at("/api/maps/{map}/pusher/{key}").get(apps::show).patch(apps::update).delete(apps::remove));
}
