//! Callers: the admin, and the holders of tokens.

use crate::core::access::{Map, Scopes, Token};
use crate::core::command::By;
use crate::core::expression::Expression;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::{Client, ClientRights};
use crate::core::subject::{Selector, Subject};
use std::ops::Deref;
use std::sync::Arc;

/// The holder of a known token.
#[derive(Clone, Debug)]
pub enum Who {
    /// The admin token.
    Admin,
    /// A map's token.
    Token(Holder),
}

/// Who holds a map's token: a caller that presented the token itself, or the client of a client token (JWT),
/// which acts as a token and is limited by what the client token says.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The token, with the scopes of the holder.
    token: Arc<Token>,
    client: Option<Arc<Client>>,
    /// Whether commands record the admin as the caller, for whom the holder acts.
    for_admin: bool,
    /// Whether the holder has come with a portal link.
    is_of_link: bool,
}

/// A map and the caller who may use it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The map.
    pub map: Arc<Map>,
    /// The caller.
    pub who: Who,
}

impl Deref for Holder {
    type Target = Token;

    fn deref(&self) -> &Token {
        &self.token
    }
}

impl From<Arc<Token>> for Holder {
    fn from(token: Arc<Token>) -> Self {
        Self { token, client: None, for_admin: false, is_of_link: false }
    }
}

impl Holder {
    /// The client of a client token, which acts as `token`.
    pub(super) fn of_client(token: &Token, client: Client) -> Self {
        let scopes = token.scopes.and(client.rights.scopes);
        let token = Arc::new(Token { scopes, ..token.clone() });
        Self { token, client: Some(Arc::new(client)), for_admin: false, is_of_link: false }
    }

    /// Somebody who acts as `token`, with those of its scopes that are among these.
    pub(super) fn narrowed(token: &Token, scopes: Scopes) -> Self {
        let scopes = token.scopes.and(scopes);
        Self::from(Arc::new(Token { scopes, ..token.clone() }))
    }

    /// Somebody who acts for the admin on one map alone. No secret has the token's hash, and its id is that
    /// of the map, so that all of them share one rate of requests.
    pub(super) fn for_admin(map: MapId, scopes: Scopes) -> Self {
        let token = Token {
            id: TokenId::from_bytes(*map.as_bytes()),
            map,
            name: String::new(),
            hash: [0; 32],
            scopes,
            inserted_ms: 0,
            expiry: None,
            subjects: None,
        };
        Self { for_admin: true, ..Self::from(Arc::new(token)) }
    }

    /// The same holder, who has come with a portal link.
    #[must_use]
    pub(super) fn with_link(self) -> Self {
        Self { is_of_link: true, ..self }
    }

    /// The client, if the holder presented a client token.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// Whether the holder may use the subject.
    fn allows(&self, subject: &Subject) -> bool {
        let by_client = self.client.as_ref().and_then(|client| client.rights.subjects.as_ref());
        self.token.subjects.iter().chain(by_client).all(|limit| limit.allows(subject))
    }

    /// Whether the holder may use every subject that is selected.
    fn covers(&self, selector: &Selector) -> bool {
        let by_client = self.client.as_ref().and_then(|client| client.rights.subjects.as_ref());
        self.token.subjects.iter().chain(by_client).all(|limit| limit.covers(selector))
    }

    /// Whether two holders may do the same, as the same one: the second may take the place of the first. How
    /// many sessions they may have is no matter: the session is counted already.
    fn may_replace(&self, other: &Self) -> bool {
        let of_client = |holder: &Self| {
            let client = holder.client.as_ref()?;
            let rights = ClientRights { connections: None, ..client.rights.clone() };
            Some((client.sub.clone(), rights))
        };
        self.token.id == other.token.id
            && self.token.scopes == other.token.scopes
            && of_client(self) == of_client(other)
    }
}

impl Who {
    /// The caller, as commands record it.
    pub fn by(&self) -> By {
        match self {
            Who::Admin => None,
            Who::Token(holder) if holder.for_admin => None,
            Who::Token(holder) => Some(holder.id),
        }
    }

    /// Whether the caller may do that on the map.
    pub fn may(&self, map: MapId, scope: Scopes) -> bool {
        match self {
            Who::Admin => true,
            Who::Token(token) => token.map == map && token.scopes.contains(scope),
        }
    }

    /// The client, if the caller presented a client token.
    pub fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Who::Admin => None,
            Who::Token(holder) => holder.client(),
        }
    }

    /// Whether the caller may use the subject.
    pub fn allows(&self, subject: &Subject) -> bool {
        match self {
            Who::Admin => true,
            Who::Token(holder) => holder.allows(subject),
        }
    }

    /// Whether the caller may use every subject that is selected.
    pub fn covers(&self, selector: &Selector) -> bool {
        match self {
            Who::Admin => true,
            Who::Token(holder) => holder.covers(selector),
        }
    }

    /// Whether the caller has come with a portal link: somebody of a tenant, who learns nothing of the cluster's
    /// machines.
    pub fn is_of_link(&self) -> bool {
        matches!(self, Who::Token(holder) if holder.is_of_link)
    }

    /// The condition that every event must meet that the caller gets.
    pub fn filter(&self) -> Option<&Expression> {
        self.client().and_then(|client| client.rights.filter.as_ref())
    }

    /// Whether the caller may use some subjects or see some events only. What does not look at these must
    /// refuse it.
    pub fn is_limited(&self) -> bool {
        let by_token = matches!(self, Who::Token(holder) if holder.subjects.is_some());
        by_token
            || self
                .client()
                .is_some_and(|client| client.rights.subjects.is_some() || client.rights.filter.is_some())
    }

    /// Whether this caller may take the place of another one in its session: it is the same, and may do the
    /// same.
    pub fn may_replace(&self, other: &Who) -> bool {
        match (self, other) {
            (Who::Admin, Who::Admin) => true,
            (Who::Token(new), Who::Token(old)) => new.may_replace(old),
            _ => false,
        }
    }
}
