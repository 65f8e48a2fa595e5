//! Entry points for fuzzers: they pass hostile bytes to every decoder. They must return, whatever the bytes
//! are.
//!
//! Not part of the API.

use bytes::Bytes;
use raft_log::codeq::Decode;

use crate::wire::frame::{self, HEAD};
use crate::wire::{
    Answer, EntryData, FormerV1, Greeting, IdentityV1, ProposerV1, RememberedV1, Request, StoredLogId,
    StoredPayload, StoredVote, SystemV1, Welcome, decode, decode_borrowed,
};

/// Bytes as they may arrive at the peer port.
pub fn peer_frame(bytes: &[u8]) {
    if let Some((head_bytes, body)) = bytes.split_first_chunk::<HEAD>()
        && let Ok(head) = frame::head(head_bytes)
    {
        let _ = frame::check(head_bytes, &head, body);
    }
    let _ = decode::<Request>(bytes);
    let _ = Request::of_frame(&Bytes::copy_from_slice(bytes));
    let _ = decode::<Answer>(bytes);
    let _ = decode::<Greeting>(bytes);
    let _ = decode::<Welcome>(bytes);
}

/// Bytes as they may be on a disk.
pub fn log_entry(bytes: &[u8]) {
    let _ = StoredPayload::decode(bytes);
    let _ = StoredLogId::decode(bytes);
    let _ = StoredVote::decode(bytes);
    let _ = EntryData::decode(bytes);
    if let Ok(system) = decode::<SystemV1>(bytes) {
        let _ = system.membership.into_stored();
    }
    let _ = decode::<IdentityV1>(bytes);
    let _ = decode::<FormerV1>(bytes);
    let _ = decode::<ProposerV1>(bytes);
    let _ = decode_borrowed::<RememberedV1<'_>>(bytes);
}
