//! Commands on issuers and on the client tokens that they sign.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Scopes};
use crate::core::codec;
use crate::core::command::{Counted, Refusal, Reply};
use crate::core::digest::Parts;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::{
    ClientRevocation, Issuer, MAX_ISSUERS, MAX_REVOCATIONS, RevokeClients, RevokedClients, SetIssuers,
};
use crate::core::operators::SYSTEM_MAP;
use crate::core::state::Context;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use std::sync::Arc;

/// Revocations that one tick forgets at most.
const MOST_FORGOTTEN: usize = 1000;

impl Directory {
    pub(super) fn set_issuers<S: WriteStore>(
        &mut self,
        now_ms: u64,
        set: SetIssuers,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(set.map, set.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if set.map == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        if let Some(refusal) = self.refuses_issuers(&set) {
            return Ok(Reply::Refused(refusal));
        }
        let known: Vec<Arc<Issuer>> = self.access.issuers().of_map(set.map).cloned().collect();
        for gone in known.iter().filter(|known| set.issuers.iter().all(|issuer| issuer.token != known.token))
        {
            store.delete(&keys::issuer(gone.token))?;
            self.change_access(AccessChange::IssuerGone(gone.token));
        }
        for issuer in set.issuers {
            if known.iter().any(|known| known.token == issuer.token) {
                continue;
            }
            let issuer = Issuer { inserted_ms: now_ms, ..issuer };
            store.put(&keys::issuer(issuer.token), &codec::encode(&issuer)?)?;
            self.change_access(AccessChange::Issuer(Arc::new(issuer)));
        }
        Ok(Reply::Done)
    }

    /// Returns why the map cannot have these issuers. One with a known token must be as it is: whoever
    /// changes an issuer gives it a new token.
    fn refuses_issuers(&self, set: &SetIssuers) -> Option<Refusal> {
        if set.issuers.len() > MAX_ISSUERS {
            return Some(Refusal::Limit(Counted::Issuers, MAX_ISSUERS as u32));
        }
        for (place, issuer) in set.issuers.iter().enumerate() {
            let is_same = |other: &Issuer| other.name == issuer.name || other.token == issuer.token;
            if issuer.map != set.map || set.issuers[..place].iter().any(is_same) {
                return Some(Refusal::Malformed);
            }
            match self.access.issuers().get(issuer.token) {
                Some(known) if **known != *issuer => return Some(Refusal::Changed),
                Some(_) => {}
                None if self.access.token(issuer.token).is_some() => return Some(Refusal::IdTaken),
                None => {}
            }
        }
        None
    }

    pub(super) fn revoke_clients<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        revoke: RevokeClients,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let RevokeClients { map, by, which, keep_ms } = revoke;
        if let Err(refusal) = self.check(map, by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        let revocations = self.access.revocations();
        if revocations.get(map, &which).is_none() && revocations.count(map) >= MAX_REVOCATIONS {
            return Ok(Reply::Refused(Refusal::Limit(Counted::Revocations, MAX_REVOCATIONS as u32)));
        }
        let due_ms = context.expiry_ms().saturating_add(keep_ms);
        let revocation = ClientRevocation { map, which, at_ms: context.time_ms(), due_ms };
        store.put(&key_of(&revocation), &codec::encode(&revocation)?)?;
        self.change_access(AccessChange::ClientsRevoked(Arc::new(revocation)));
        Ok(Reply::Done)
    }

    /// Forgets a bounded number of revocations: the tokens that they were about have ended.
    pub(super) fn forget_revocations<S: WriteStore>(
        &mut self,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        for over in self.access.revocations().due(now_ms, MOST_FORGOTTEN) {
            store.delete(&key_of(&over))?;
            self.change_access(AccessChange::RevocationOver(over));
        }
        Ok(())
    }

    /// Removes the records of a map's issuers and revocations. The change that removes the map removes them
    /// from memory.
    pub(super) fn forget_issuers<S: WriteStore>(&self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let tokens: Vec<TokenId> = self.access.issuers().of_map(map).map(|issuer| issuer.token).collect();
        for token in tokens {
            store.delete(&keys::issuer(token))?;
        }
        for revocation in self.access.revocations().of_map(map) {
            store.delete(&key_of(revocation))?;
        }
        Ok(())
    }
}

fn key_of(revocation: &ClientRevocation) -> [u8; 33] {
    let (kind, name) = match &revocation.which {
        RevokedClients::Jti(jti) => ("jti", jti),
        RevokedClients::Sub(sub) => ("sub", sub),
    };
    keys::revocation(revocation.map, &Parts::default().with(kind.as_bytes()).with(name.as_bytes()).half())
}
