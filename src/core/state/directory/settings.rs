//! Settings that the cluster has once: the hash of the generated admin token, and the fingerprint of the key
//! that encrypts webhook secrets.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, TokenHash};
use crate::core::codec;
use crate::core::command::{Refusal, Reply};
use crate::core::store::WriteStore;

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
