//! Frames of the peer port: a fixed head, then an encoded body.
//!
//! Head (24 bytes, little-endian): magic `WPST`, version 3, kind, group (2), request id (8), body length (4),
//! CRC-32 of the first 20 bytes of the head and the body (4).
//!
//! The group names the log that a request is about ([`super::Request::is_of_a_group`]); an answer repeats it.
//! Frames for the node itself, such as handshakes, have [`NODE`] there.

use bytes::Bytes;

use super::{MAX_ENCODED, WireError};
use crate::GroupId;

const MAGIC: [u8; 4] = *b"WPST";
const VERSION: u8 = 3;
/// Used instead of a group: the frame is for the node itself.
pub(crate) const NODE: GroupId = GroupId::MAX;
/// Size of the head in bytes.
pub(crate) const HEAD: usize = 24;

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello,
    Welcome,
    Request,
    Answer,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        const ALL: [Kind; 4] = [Kind::Hello, Kind::Welcome, Kind::Request, Kind::Answer];
        ALL.into_iter().find(|k| *k as u8 == byte)
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) group: GroupId,
    pub(crate) id: u64,
    pub(crate) length: usize,
    crc: u32,
}

/// A frame to send. Its body stays where it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: [u8; HEAD],
    pub(crate) body: Bytes,
}

impl Frame {
    pub(crate) fn new(kind: Kind, group: GroupId, id: u64, body: Bytes) -> Result<Self, WireError> {
        Ok(Self { head: encode_head(kind, group, id, &body)?, body })
    }
}

/// Encodes a whole frame in one piece.
pub(crate) fn encode(kind: Kind, group: GroupId, id: u64, body: &[u8]) -> Result<Vec<u8>, WireError> {
    Ok([&encode_head(kind, group, id, body)?[..], body].concat())
}

fn encode_head(kind: Kind, group: GroupId, id: u64, body: &[u8]) -> Result<[u8; HEAD], WireError> {
    if body.len() > MAX_ENCODED {
        return Err(WireError::Unencodable(format!("body of {} bytes", body.len())));
    }
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&[VERSION, kind as u8]);
    head[6..8].copy_from_slice(&group.to_le_bytes());
    head[8..16].copy_from_slice(&id.to_le_bytes());
    head[16..20].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = checksum(&head[..HEAD - 4], body);
    head[20..].copy_from_slice(&crc.to_le_bytes());
    Ok(head)
}

/// Reads a head. A wrong head is refused before memory is allocated for the body.
pub(crate) fn head(bytes: &[u8; HEAD]) -> Result<Head, WireError> {
    let wrong = |what: &str| Err(WireError::Malformed(what.to_owned()));
    if bytes[..4] != MAGIC {
        return wrong("not a frame of this protocol");
    }
    if bytes[4] != VERSION {
        let found = bytes[4];
        let which = if found > VERSION { "upgrade this node" } else { "upgrade the other one" };
        return Err(WireError::Malformed(format!(
            "the peer speaks version {found} of the peer protocol, this release version {VERSION}: {which}"
        )));
    }
    let Some(kind) = Kind::from_byte(bytes[5]) else {
        return wrong("frame of an unknown kind");
    };
    let mut id = [0; 8];
    id.copy_from_slice(&bytes[8..16]);
    let length = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) as usize;
    if length > MAX_ENCODED {
        return wrong("frame is too long");
    }
    let crc = u32::from_le_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]);
    let group = GroupId::from_le_bytes([bytes[6], bytes[7]]);
    Ok(Head { kind, group, id: u64::from_le_bytes(id), length, crc })
}

/// Refuses a body whose checksum does not match its head.
pub(crate) fn check(bytes: &[u8; HEAD], head: &Head, body: &[u8]) -> Result<(), WireError> {
    if checksum(&bytes[..HEAD - 4], body) == head.crc {
        Ok(())
    } else {
        Err(WireError::Malformed("checksum of a frame does not match".to_owned()))
    }
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}
