//! What the audit log is told of a request while it is handled.
//!
//! Only requests that are recorded carry notes. For all others these functions do nothing.

use super::changes::Change;
use crate::core::error_code::Code;
use crate::core::ids::{MapId, TokenId};
use actix_web::{HttpMessage, HttpRequest};
use std::cell::RefCell;
use std::rc::Rc;

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The holder of the admin token.
    Admin,
    /// The holder of a token of a map.
    Token(TokenId),
    /// Somebody with a portal link, which the holder of that token made; `None`: the admin.
    Link(Option<TokenId>),
}

/// What is known of a request so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) caller: Option<Caller>,
    pub(super) map: Option<MapId>,
    /// What the request makes or acts upon that its path does not name: the kind of thing and its id.
    pub(super) thing: Option<(&'static str, String)>,
    /// What the request has changed.
    pub(super) changes: Vec<Change>,
}

/// The notes of a request, in its extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(pub(super) Rc<RefCell<Facts>>);

/// Notes who makes the request.
pub fn note_caller(request: &HttpRequest, caller: Caller) {
    note(request, |facts| facts.caller = Some(caller));
}

/// Notes which map the request is about.
pub fn note_map(request: &HttpRequest, map: MapId) {
    note(request, |facts| facts.map = Some(map));
}

/// Notes what the request makes or acts upon, where its path does not say it. An id only, never a secret.
pub fn note_thing(request: &HttpRequest, kind: &'static str, id: impl ToString) {
    note(request, |facts| facts.thing = Some((kind, id.to_string())));
}

/// Notes what the request has changed. No value may be a secret.
pub fn note_changes(request: &HttpRequest, changes: Vec<Change>) {
    note(request, |facts| facts.changes = changes);
}

fn note(request: &HttpRequest, write: impl FnOnce(&mut Facts)) {
    if let Some(Notes(facts)) = request.extensions().get::<Notes>() {
        write(&mut facts.borrow_mut());
    }
}

/// The stable code of an error answer, in the extensions of the response.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode(pub Code);
