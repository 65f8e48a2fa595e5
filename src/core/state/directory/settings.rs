//! What belongs to the cluster and to no map: the hash of the generated admin token, the tokens beside it,
//! and the fingerprint of the key that encrypts webhook secrets.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, TokenHash};
use crate::core::admin_token::{AdminToken, MAX_ADMIN_TOKENS};
use crate::core::codec;
use crate::core::command::{Counted, Refusal, Reply};
use crate::core::ids::TokenId;
use crate::core::store::WriteStore;
use std::sync::Arc;

impl Directory {
    pub(super) fn set_admin<S: WriteStore>(
        &mut self,
        hash: TokenHash,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if self.access.admin().is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        store.put(keys::ADMIN, &codec::encode(&hash)?)?;
        self.change_access(AccessChange::Admin(hash));
        Ok(Reply::Done)
    }

    pub(super) fn make_admin_token<S: WriteStore>(
        &mut self,
        now_ms: u64,
        token: AdminToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let tokens = self.access.admin_tokens();
        if tokens.get(token.id).is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        if tokens.all().len() >= MAX_ADMIN_TOKENS {
            return Ok(Reply::Refused(Refusal::Limit(Counted::AdminTokens, MAX_ADMIN_TOKENS as u32)));
        }
        let token = AdminToken { inserted_ms: now_ms, ..token };
        store.put(&keys::admin_token(token.id), &codec::encode(&token)?)?;
        self.change_access(AccessChange::AdminToken(Arc::new(token)));
        Ok(Reply::Done)
    }

    pub(super) fn revoke_admin_token<S: WriteStore>(
        &mut self,
        id: TokenId,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if self.access.admin_tokens().get(id).is_none() {
            return Ok(Reply::Refused(Refusal::UnknownToken));
        }
        store.delete(&keys::admin_token(id))?;
        self.change_access(AccessChange::AdminTokenGone(id));
        Ok(Reply::Done)
    }

    pub(super) fn set_key_fingerprint<S: WriteStore>(
        &mut self,
        fingerprint: [u8; 16],
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if store.get(keys::KEY_FINGERPRINT)?.is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        store.put(keys::KEY_FINGERPRINT, &fingerprint)?;
        Ok(Reply::Done)
    }
}
