//! Making and changing consumers: reads the settings, checks them and puts them into the replicated state.

use crate::core::command::{Command, Refusal, Reply};
use crate::core::error_code::Code;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::ids::{EventId, WebhookId};
use crate::core::json::Members;
use crate::core::webhook::patch::reader::{ReaderPatch, check_name};
use crate::core::webhook::{Plain, Private, PutWebhook, Target, Webhook};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::start::{Form, Named};
use crate::edge::webhooks::{Problem, after, read_position};
use crate::hub::{Grant, HubError};
use actix_web::http::StatusCode;

/// How often a change is tried when other changes interfere.
const TURNS: usize = 5;

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    New,
    All,
    After(EventId),
}

/// Makes a consumer as the body asks.
pub(super) async fn create(edge: &Edge, grant: &Grant, text: &str) -> Result<Webhook, Problem> {
    let mut body = Members::of(text);
    let name: Option<String> = body.required("name", "a string");
    let start = read_start(&mut body);
    let patch = ReaderPatch::read(&mut body);
    let mut errors = body.finish();
    let name = name.unwrap_or_default();
    if !errors.concern("name") && !errors.concern("body") {
        check_name(&name, &mut errors);
    }
    let id = WebhookId::new(uuid::Uuid::new_v4());
    let mut plain = Plain::read_by_clients(id, grant.map.id, &name);
    apply(edge, &patch, &mut plain, errors)?;
    let start_seq = match start {
        Start::New => None,
        Start::All => Some(1),
        Start::After(id) => Some(after(edge, grant.map.topic, "after", id).await?),
    };
    put(edge, grant, plain.webhook, None, start_seq).await.map_err(problem)
}

/// Changes a consumer as the body asks. Its name stays.
pub(super) async fn update(
    edge: &Edge,
    grant: &Grant,
    consumer: &Webhook,
    text: &str,
) -> Result<Webhook, Problem> {
    let mut body = Members::of(text);
    let name: Option<String> = body.take(&["name"], "a string");
    if name.is_some_and(|name| name != consumer.name) {
        body.fault("name", FieldCode::Conflict, "can't be changed: it is what readers ask for");
    }
    let patch = ReaderPatch::read(&mut body);
    let errors = body.finish();
    for _ in 0..TURNS {
        let stored = edge.hub.webhooks().directory().get(consumer.id).cloned().ok_or(Problem::NoConsumer)?;
        let mut plain = Plain { webhook: Webhook::clone(&stored), private: nothing_private() };
        apply(edge, &patch, &mut plain, errors.clone())?;
        let revision = stored.revision;
        match put(edge, grant, plain.webhook, Some(revision), None).await {
            Err(HubError::Refused(Refusal::Changed)) => {
                edge.hub.log().barrier().await?;
            }
            done => return done.map_err(problem),
        }
    }
    Err(Refusal::Changed.into())
}

/// A consumer that clients read has no secrets.
fn nothing_private() -> Private {
    let target = Target::Http(String::new());
    Private { target, headers: Vec::new(), secret: String::new(), previous: Vec::new() }
}

fn apply(
    edge: &Edge,
    patch: &ReaderPatch,
    plain: &mut Plain,
    mut errors: FieldErrors,
) -> Result<(), Problem> {
    patch.apply(plain, &mut errors);
    plain.check(&edge.webhooks.checks(), &mut errors);
    Ok(errors.into_result(())?)
}

async fn put(
    edge: &Edge,
    grant: &Grant,
    webhook: Webhook,
    revision: Option<u64>,
    start_seq: Option<u64>,
) -> Result<Webhook, HubError> {
    let put = PutWebhook { by: grant.who.by(), webhook, revision, start_seq };
    let webhook = match edge.hub.log().propose(&Command::PutWebhook(Box::new(put))).await? {
        Reply::Webhook(webhook) => *webhook,
        _ => return Err(HubError::Internal("an unexpected reply".into())),
    };
    // What is shown is read on this node, which may be behind the leader.
    edge.catch_up().await;
    Ok(webhook)
}

fn problem(error: HubError) -> Problem {
    match error {
        HubError::Refused(Refusal::TargetTaken(_)) => name_taken().into(),
        HubError::Refused(Refusal::UnknownWebhook) => Problem::NoConsumer,
        other => other.into(),
    }
}

fn name_taken() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, Code::NameTaken, "the map has a consumer of this name")
        .hint("readers of one name share its events; choose another name for a cursor of its own")
}

fn read_start(body: &mut Members<'_>) -> Start {
    let start = body.one_of("start", &[("new", Start::New), ("all", Start::All)]);
    let text: Option<String> = body.take(&["after"], "the id of an event");
    let after = text.and_then(|text| read_position(body, "after", Form::Id, &text)).and_then(Named::event);
    if start.is_some() && after.is_some() {
        body.fault("after", FieldCode::Conflict, "give one of start and after");
    }
    after.map(Start::After).or(start).unwrap_or(Start::New)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_new_all_or_after_an_event() {
        let read = |text: &str| {
            let mut body = Members::of(text);
            let start = read_start(&mut body);
            (start, body.finish().messages().len())
        };
        let id = EventId::new(1, 2, 3);
        assert_eq!(read("{}"), (Start::New, 0));
        assert_eq!(read(r#"{"start":"all"}"#), (Start::All, 0));
        assert_eq!(read(&format!(r#"{{"after":"{id}"}}"#)), (Start::After(id), 0));
        assert_eq!(read(&format!(r#"{{"start":"all","after":"{id}"}}"#)).1, 1);
        assert_eq!((read(r#"{"start":"old"}"#).1, read(r#"{"after":"x"}"#).1), (1, 1));
    }
}
