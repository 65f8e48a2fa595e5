//! Commands on tokens: create, revoke.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Scopes, Token};
use crate::core::codec;
use crate::core::command::{Counted, CreateToken, NewToken, Refusal, Reply, RevokeToken};
use crate::core::ids::MapId;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use std::sync::Arc;

impl Directory {
    pub(super) fn create_token<S: WriteStore>(
        &mut self,
        now_ms: u64,
        create: CreateToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(create.map, create.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if self.access.token_count(create.map) >= create.max_tokens as usize {
            return Ok(Reply::Refused(Refusal::Limit(Counted::Tokens, create.max_tokens)));
        }
        self.put_token(now_ms, create.map, create.token, store).map(Reply::Token)
    }

    pub(super) fn revoke_token<S: WriteStore>(
        &mut self,
        revoke: &RevokeToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(revoke.map, revoke.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        // The token of an app ends with the app alone.
        let is_of_app = self.access.apps().get(revoke.token).is_some();
        if is_of_app || self.access.token(revoke.token).is_none_or(|token| token.map != revoke.map) {
            return Ok(Reply::Refused(Refusal::UnknownToken));
        }
        store.delete(&keys::token(revoke.token))?;
        self.change_access(AccessChange::TokenGone(revoke.token));
        Ok(Reply::Done)
    }

    pub(super) fn put_token<S: WriteStore>(
        &mut self,
        now_ms: u64,
        map: MapId,
        new: NewToken,
        store: &mut S,
    ) -> Result<Token, StateError> {
        let NewToken { id, name, hash, scopes } = new;
        let token = Token { id, map, name, hash, scopes, inserted_ms: now_ms };
        store.put(&keys::token(id), &codec::encode(&token)?)?;
        self.change_access(AccessChange::Token(Arc::new(token.clone())));
        Ok(token)
    }
}
