//! Commands on tokens: create, revoke; and their end.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Scopes, Token, TokenExpiry};
use crate::core::codec;
use crate::core::command::{Counted, CreateToken, NewToken, Refusal, Reply, RevokeToken};
use crate::core::ids::MapId;
use crate::core::operators::SYSTEM_MAP;
use crate::core::state::Context;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use std::sync::Arc;

/// Tokens that one tick ends at most.
const MOST_ENDED: usize = 1000;

impl Directory {
    pub(super) fn create_token<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        create: CreateToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(create.map, create.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if create.map == SYSTEM_MAP && !Scopes::OF_SYSTEM_MAP.contains(create.token.scopes) {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        if self.access.token_count(create.map) >= create.max_tokens as usize {
            return Ok(Reply::Refused(Refusal::Limit(Counted::Tokens, create.max_tokens)));
        }
        self.put_token(context, create.map, create.token, store).map(Reply::Token)
    }

    pub(super) fn revoke_token<S: WriteStore>(
        &mut self,
        revoke: &RevokeToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(revoke.map, revoke.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        // The tokens of apps and issuers end with these alone.
        let is_of_other = self.access.apps().get(revoke.token).is_some()
            || self.access.issuers().get(revoke.token).is_some();
        if is_of_other || self.access.token(revoke.token).is_none_or(|token| token.map != revoke.map) {
            return Ok(Reply::Refused(Refusal::UnknownToken));
        }
        store.delete(&keys::token(revoke.token))?;
        self.change_access(AccessChange::TokenGone(revoke.token));
        Ok(Reply::Done)
    }

    pub(super) fn put_token<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        map: MapId,
        new: NewToken,
        store: &mut S,
    ) -> Result<Token, StateError> {
        let NewToken { id, name, hash, scopes, expires_ms, subjects } = new;
        let inserted_ms = context.time_ms();
        // From now on the expiry clock alone decides when it ends.
        let expiry = expires_ms.map(|at_ms| TokenExpiry {
            at_ms,
            due_ms: context.expiry_ms().saturating_add(at_ms.saturating_sub(inserted_ms)),
        });
        let token = Token { id, map, name, hash, scopes, inserted_ms, expiry, subjects };
        store.put(&keys::token(id), &codec::encode(&token)?)?;
        self.change_access(AccessChange::Token(Arc::new(token.clone())));
        Ok(token)
    }

    /// Removes a bounded number of tokens that have ended, as if they were revoked.
    pub(super) fn end_tokens<S: WriteStore>(&mut self, now_ms: u64, store: &mut S) -> Result<(), StateError> {
        for token in self.access.ended_tokens(now_ms, MOST_ENDED) {
            store.delete(&keys::token(token))?;
            self.change_access(AccessChange::TokenGone(token));
        }
        Ok(())
    }
}
