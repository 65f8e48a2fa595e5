//! Webhooks over REST: making, changing and operating them, and the results of deliveries.
//!
//! There are two ways to the same webhooks: below a map (`/api/maps/{map}/webhooks`), and for the token's own
//! map with the shapes of a session service (`/api/webhooks`, in [`compat`]). This module never delivers.
//! `delivery` does, on the node that owns the webhook.

mod answer;
mod attempts;
mod compat;
mod configured;
mod crud;
mod dead_letters;
mod error;
mod fire;
mod managed;
mod operate;
mod position;
mod preview;
mod replay;
mod replayed;
mod settings;

pub use configured::keep_configured;

pub(in crate::edge) use answer::{next_seq, obstacle_of, oldest_seq, queue_depth};
pub(in crate::edge) use crud::note_changed;
pub(in crate::edge) use error::{Problem, no_consumer};
pub(in crate::edge) use managed::{Managed, Manager};
pub(in crate::edge) use position::{after, event_for, published_from, read as read_position};

use super::Table;
use super::body::Body;
use super::context::Edge;
use super::paths::at;
use super::query::Takes;
use crate::core::command::Command;
use crate::core::consumer::progress::OwnerCommand;
use crate::core::webhook::{OnWebhook, Webhook};
use crate::hub::{Grant, HubError, WebhookState};

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[
    Takes::of("GET", "/api/maps/{map}/webhooks/{id}/attempts", attempts::NAMES),
    Takes::of("GET", "/api/maps/{map}/webhooks/{id}/dead-letters", dead_letters::NAMES),
    Takes::of("GET", "/api/maps/{map}/consumers/{consumer}/dead-letters", dead_letters::NAMES),
    Takes::of("GET", "/api/maps/{map}/webhooks/{id}/replay", replay::NAMES),
    Takes::of("GET", "/api/maps/{map}/consumers/{consumer}/replay", replay::NAMES),
    Takes::of("GET", "/api/webhooks", managed::NAMES),
    Takes::of("POST", "/api/webhooks", managed::NAMES),
    Takes::of("POST", "/api/webhooks/test/{id}", managed::NAMES),
    Takes::of("GET", "/api/webhooks/{id}", managed::NAMES),
    Takes::of("PUT", "/api/webhooks/{id}", managed::NAMES),
    Takes::of("PATCH", "/api/webhooks/{id}", managed::NAMES),
    Takes::of("DELETE", "/api/webhooks/{id}", managed::NAMES),
    Takes::of("GET", "/api/webhooks/{id}/logs", managed::NAMES),
];

/// Adds the routes.
pub fn routes(config: &mut Table<'_>) {
    let below = |rest: &str| at(format!("/api/maps/{{map}}/webhooks{rest}"));
    config
        .service(below("").get(crud::list).post(crud::create))
        // Before the routes of one webhook: `fire` and `preview` are no webhook's ids.
        .service(below("/fire").post(fire::fire))
        .service(below("/preview").post(preview::preview))
        .service(below("/{id}").get(crud::show).put(crud::update).patch(crud::update).delete(crud::remove))
        .service(below("/{id}/rotate-secret").post(operate::rotate))
        .service(below("/{id}/enable").post(operate::enable))
        .service(below("/{id}/disable").post(operate::disable))
        .service(below("/{id}/test").post(operate::test))
        .service(below("/{id}/attempts").get(attempts::list))
        .service(below("/{id}/dead-letters").get(dead_letters::list).delete(dead_letters::purge))
        .service(below("/{id}/dead-letters/retry").post(dead_letters::retry_all))
        .service(below("/{id}/dead-letters/{event}").get(dead_letters::show).delete(dead_letters::remove))
        .service(below("/{id}/dead-letters/{event}/retry").post(dead_letters::retry))
        .service(below("/{id}/replay").get(replay::plan).post(replay::start))
        .service(below("/{id}/replays").get(replay::list))
        .service(below("/{id}/replays/{replay}").get(replay::show).delete(replay::cancel));
    of_consumers(config);
    config
        .service(at("/api/webhooks").get(compat::list).post(compat::create))
        .service(at("/api/webhooks/test/{id}").post(compat::test))
        .service(
            at("/api/webhooks/{id}")
                .get(compat::show)
                .put(compat::update)
                .patch(compat::update)
                .delete(crud::remove),
        )
        .service(at("/api/webhooks/{id}/logs").get(compat::logs));
}

/// Adds the routes that a consumer which clients read has as a webhook has them.
fn of_consumers(config: &mut Table<'_>) {
    let below = |rest: &str| at(format!("/api/maps/{{map}}/consumers/{{consumer}}{rest}"));
    config
        .service(below("/dead-letters").get(dead_letters::list).delete(dead_letters::purge))
        .service(below("/dead-letters/retry").post(dead_letters::retry_all))
        .service(below("/dead-letters/{event}").get(dead_letters::show).delete(dead_letters::remove))
        .service(below("/dead-letters/{event}/retry").post(dead_letters::retry))
        .service(below("/replay").get(replay::plan).post(replay::start))
        .service(below("/replays").get(replay::list))
        .service(below("/replays/{replay}").get(replay::show).delete(replay::cancel));
}

/// The state that is stored beside a webhook's settings. Its times are converted to the cluster's time, for
/// showing.
pub(in crate::edge) fn state_of(edge: &Edge, webhook: &Webhook) -> Result<WebhookState, Problem> {
    let state = edge.hub.webhooks().state(webhook.id)?.ok_or(Problem::NoWebhook)?;
    let progress = state.progress.shifted(edge.hub.clock().shown_shift());
    Ok(WebhookState { progress, ..state })
}

/// A request's body as text. An empty body is `{}`.
async fn object(body: Body) -> Result<String, Problem> {
    let text = body.text().await?;
    Ok(if text.trim().is_empty() { "{}".to_owned() } else { text })
}

/// Wraps `what` with the webhook, for a command.
pub(in crate::edge) fn on<T>(grant: &Grant, webhook: &Webhook, what: T) -> OnWebhook<T> {
    OnWebhook { by: grant.who.by(), map: grant.map.id, webhook: webhook.id, what }
}

/// Sends a command to the webhook's owner. Returns the number of the command.
async fn order(edge: &Edge, grant: &Grant, webhook: &Webhook, order: OwnerCommand) -> Result<u64, Problem> {
    match edge.hub.log().propose(&Command::OwnerCommand(on(grant, webhook, order))).await? {
        crate::core::command::Reply::CommandAccepted(number) => Ok(number),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> Problem {
    HubError::Internal("an unexpected reply".into()).into()
}
