//! What back ends say of their sessions: the bodies of requests become the data of events. Pure.
//!
//! A body is the data of its event. The ids in the path are filled in. What the service that owns the
//! sessions says of its games and votes is its own affair: only the members that every receiver looks for
//! are checked.

use super::session_id::{FORM, SessionId};
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::json::{Entries, Members, write_string};
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use serde_json::value::RawValue;

/// Most players of a game.
const MOST_PLAYERS: u64 = 1_000_000;

/// What a back end says of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// The session.
    pub(super) session: SessionId,
    /// The data of the event: a JSON object with at least one member.
    pub(super) data: String,
}

/// An object within a body. Its members stay as they were sent.
#[derive(Default)]
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Takes the object with that name; `None` if there is none.
    fn take(body: &mut Members<'a>, name: &str) -> Option<Self> {
        let raw = body.raw(&[name])?;
        Self::read(body, name, raw)
    }

    /// Takes the object with that name, which must exist.
    fn required(body: &mut Members<'a>, name: &str) -> Self {
        let Some(raw) = body.raw(&[name]) else {
            body.fault(name, FieldCode::Required, "is required: an object");
            return Self::default();
        };
        Self::read(body, name, raw).unwrap_or_default()
    }

    fn read(body: &mut Members<'a>, name: &str, raw: &'a RawValue) -> Option<Self> {
        match serde_json::from_str::<Entries<'a>>(raw.get()) {
            Ok(Entries(members)) => Some(Self(members)),
            Err(_) => {
                body.fault(name, FieldCode::WrongType, "must be a JSON object of at most 64 fields");
                None
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        // Of members that are given twice, the last one counts.
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, raw)| *raw)
    }

    fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.get(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The object in JSON. It begins with the members `first`, in place of its own of these names. Those of
    /// `defaults` follow that it lacks.
    fn write(&self, first: &[(&str, &str)], defaults: &[(&str, &str)]) -> String {
        let is_own = |name: &str| !first.iter().any(|(known, _)| *known == name);
        let mut members: Vec<(&str, &str)> = first.to_vec();
        members.extend(defaults.iter().filter(|(name, _)| self.get(name).is_none()).copied());
        let own = self.0.iter().filter(|(name, _)| is_own(name));
        members.extend(own.map(|(name, raw)| (name.as_str(), raw.get())));
        object_of(&members)
    }
}

/// The JSON object with these members, whose values are JSON.
fn object_of(members: &[(&str, &str)]) -> String {
    let mut out = "{".to_owned();
    for (name, json) in members {
        if out.len() > 1 {
            out.push(',');
        }
        write_string(name, &mut out);
        out.push(':');
        out.push_str(json);
    }
    out.push('}');
    out
}

/// The body's text. An empty body is `{}`.
fn body_of(text: &str) -> Members<'_> {
    Members::of(if text.trim().is_empty() { "{}" } else { text })
}

/// The id in an object `session`, if it has one.
fn session_id(body: &mut Members<'_>, session: &Object<'_>) -> Option<SessionId> {
    let id = SessionId::read(session.get("id")?);
    if id.is_none() {
        body.fault("session.id", FieldCode::Invalid, format_args!("must be {FORM}"));
    }
    id
}

/// The session of the path. The body must not name another.
fn of_path(path: &SessionId, given: Option<SessionId>) -> Result<SessionId, ApiError> {
    match given {
        Some(given) if given.subject() != path.subject() => {
            let message = format!("the path names the session {}, the body {}", path.json(), given.json());
            Err(ApiError::new(StatusCode::CONFLICT, Code::OtherSession, message)
                .hint("leave session.id out: the path names the session"))
        }
        _ => Ok(path.clone()),
    }
}

/// A session has begun: `{"session"?}`. A session without an id gets `fresh`.
pub(super) fn started(text: &str, fresh: SessionId) -> Result<Said, ApiError> {
    let mut body = body_of(text);
    let session = Object::take(&mut body, "session").unwrap_or_default();
    let id = session_id(&mut body, &session).unwrap_or(fresh);
    body.finish().into_result(())?;
    let shown = session.write(&[("id", id.json())], &[("is_active", "true")]);
    Ok(Said { data: object_of(&[("session", shown.as_str())]), session: id })
}

/// A game was added: `{"session"?, "game"}`.
pub(super) fn game_added(text: &str, path: &SessionId) -> Result<Said, ApiError> {
    let mut body = body_of(text);
    let session = Object::take(&mut body, "session").unwrap_or_default();
    let given = session_id(&mut body, &session);
    let game = Object::required(&mut body, "game");
    if game.get("id").is_none_or(|id| SessionId::read(id).is_none()) {
        body.fault("game.id", FieldCode::Invalid, format_args!("must be {FORM}"));
    }
    if game.text("title").is_none() {
        body.fault("game.title", FieldCode::Invalid, "must be a text");
    }
    body.finish().into_result(())?;
    let id = of_path(path, given)?;
    let shown = session.write(&[("id", id.json())], &[("is_active", "true")]);
    let game = game.write(&[], &[]);
    Ok(Said { data: object_of(&[("session", shown.as_str()), ("game", game.as_str())]), session: id })
}

/// A session has ended: `{"session"?}`.
pub(super) fn ended(text: &str, path: &SessionId) -> Result<Said, ApiError> {
    let mut body = body_of(text);
    let session = Object::take(&mut body, "session").unwrap_or_default();
    let given = session_id(&mut body, &session);
    body.finish().into_result(())?;
    let id = of_path(path, given)?;
    let shown = session.write(&[("id", id.json())], &[("is_active", "false")]);
    Ok(Said { data: object_of(&[("session", shown.as_str())]), session: id })
}

/// A game of a session has so many players: `{"session"?, "game"?, "player_count"}`. `game` is the path's
/// id of the game within the session.
pub(super) fn players_counted(text: &str, path: &SessionId, game: &SessionId) -> Result<Said, ApiError> {
    let mut body = body_of(text);
    let session = Object::take(&mut body, "session").unwrap_or_default();
    let given = session_id(&mut body, &session);
    let played = Object::take(&mut body, "game").map(|game| game.write(&[], &[]));
    let count = body.required::<u64>("player_count", "a whole number");
    if count.is_some_and(|count| count > MOST_PLAYERS) {
        let message = format_args!("must be from 0 to {MOST_PLAYERS}");
        body.fault("player_count", FieldCode::OutOfRange, message);
    }
    body.finish().into_result(())?;
    let id = of_path(path, given)?;
    let shown = session.write(&[("id", id.json())], &[]);
    let count = count.unwrap_or_default().to_string();
    let mut members = vec![("session", shown.as_str()), ("session_game_id", game.json())];
    members.extend(played.as_deref().map(|game| ("game", game)));
    members.push(("player_count", count.as_str()));
    Ok(Said { data: object_of(&members), session: id })
}

/// Somebody has voted: `{"session", "game"?, "vote", "totals"?}`.
pub(super) fn voted(text: &str) -> Result<Said, ApiError> {
    let mut body = body_of(text);
    let session = Object::required(&mut body, "session");
    let id = session_id(&mut body, &session);
    if id.is_none() && session.get("id").is_none() {
        body.fault("session.id", FieldCode::Required, "is required: the vote names its session");
    }
    let game = Object::take(&mut body, "game").map(|game| game.write(&[], &[]));
    let vote = Object::required(&mut body, "vote");
    if !vote.text("type").is_some_and(|kind| matches!(kind.as_str(), "up" | "down")) {
        body.fault("vote.type", FieldCode::Invalid, "must be one of up, down");
    }
    if vote.text("username").is_none() {
        body.fault("vote.username", FieldCode::Invalid, "must be a text");
    }
    let totals = Object::take(&mut body, "totals").map(|totals| totals.write(&[], &[]));
    body.finish().into_result(())?;
    let id = id.ok_or_else(|| ApiError::bad_request(Code::InvalidBody, "the vote names no session"))?;
    let shown = session.write(&[("id", id.json())], &[]);
    let vote = vote.write(&[], &[]);
    let mut members = vec![("session", shown.as_str())];
    members.extend(game.as_deref().map(|game| ("game", game)));
    members.push(("vote", vote.as_str()));
    members.extend(totals.as_deref().map(|totals| ("totals", totals)));
    Ok(Said { data: object_of(&members), session: id })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
