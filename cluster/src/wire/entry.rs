//! Layouts of the Raft log: payloads, and the data of an entry.

use std::io::{self, Read, Write};

use bytes::Bytes;
use raft_log::codeq::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::proposal::PartV1;
use super::system::{MembershipV1, StampV1};
use super::{MAX_ENCODED, WireError, decode, decode_borrowed, encode};
use crate::types::{Data, Payload};

/// The content of an entry's data. It borrows, so that applying copies no command.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryData<'a> {
    /// Commands of the application with the leader's stamp, as older logs have them: they are applied as
    /// often as they are in the log.
    CommandsV1 {
        stamp: StampV1,
        #[serde(borrow)]
        commands: Vec<&'a serde_bytes::Bytes>,
    },
    /// Allocates a node id that was never used, for the node with that identity.
    AllocateV1 { identity: [u8; 32] },
    /// Proposals with the leader's stamp. Each is applied once, however many entries have it.
    CommandsV2 {
        stamp: StampV1,
        #[serde(borrow)]
        parts: Vec<PartV1<'a>>,
    },
}

impl<'a> EntryData<'a> {
    /// Encodes for the log.
    pub(crate) fn to_data(&self) -> Result<Data, WireError> {
        encode(self).map(|bytes| Data(bytes.into()))
    }

    /// Decodes an entry's data.
    pub(crate) fn decode(data: &'a [u8]) -> Result<Self, WireError> {
        decode_borrowed(data)
    }
}

/// Payload of an entry as the log keeps it: kind with [`CHECKED`] (1 byte), length (4 bytes, little-endian),
/// checksum of these five bytes (4 bytes, little-endian), content.
///
/// The head has a checksum of its own, so that a damaged length is recognized as damage. Without it such a
/// record would seem to end behind the end of the file, as an incomplete one does, and everything that was
/// synced after it would be cut off. Logs of 0.1 have records without this checksum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPayload(pub(crate) Payload);

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP_V1: u8 = 2;
/// Added to a kind whose head has a checksum. No single flipped bit turns one form into the other.
const CHECKED: u8 = 0xf0;

impl StoredPayload {
    /// Approximate size in memory (bytes).
    pub(crate) fn size(&self) -> usize {
        match &self.0 {
            Payload::Blank => 0,
            Payload::Normal(data) => data.0.len(),
            Payload::Membership(_) => 1024,
        }
    }

    /// Kind and content.
    pub(crate) fn parts(&self) -> Result<(u8, Bytes), WireError> {
        Ok(match &self.0 {
            Payload::Blank => (BLANK, Bytes::new()),
            Payload::Normal(data) => (NORMAL, data.0.clone()),
            Payload::Membership(m) => (MEMBERSHIP_V1, encode(&MembershipV1::from(m))?.into()),
        })
    }

    /// Makes a payload from kind and content.
    pub(crate) fn from_parts(kind: u8, content: Bytes) -> Result<Self, WireError> {
        match kind {
            BLANK if content.is_empty() => Ok(Self(Payload::Blank)),
            NORMAL => Ok(Self(Payload::Normal(Data(content)))),
            MEMBERSHIP_V1 => {
                Ok(Self(Payload::Membership(decode::<MembershipV1>(&content)?.into_membership()?)))
            }
            other => Err(WireError::Malformed(format!(
                "a log entry of kind {other}, which this release does not know: a newer one wrote it"
            ))),
        }
    }
}

impl Encode for StoredPayload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let (kind, content) = self.parts()?;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let [a, b, c, d] = length.to_le_bytes();
        let head = [kind | CHECKED, a, b, c, d];
        w.write_all(&head)?;
        w.write_all(&crc32fast::hash(&head).to_le_bytes())?;
        w.write_all(&content)?;
        Ok(head.len() + 4 + content.len())
    }
}

impl Decode for StoredPayload {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let mut head = [0; 5];
        r.read_exact(&mut head)?;
        let kind = match head[0] {
            // Checked before the content is read, because damage alone may make the content seem to be
            // missing.
            kind @ (BLANK | NORMAL | MEMBERSHIP_V1) => kind,
            kind if kind & CHECKED == CHECKED => {
                let mut crc = [0; 4];
                r.read_exact(&mut crc)?;
                if u32::from_le_bytes(crc) != crc32fast::hash(&head) {
                    return Err(WireError::Malformed("checksum of a payload's head".to_owned()).into());
                }
                kind & !CHECKED
            }
            other => return Err(WireError::Malformed(format!("payload of kind {other}")).into()),
        };
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MAX_ENCODED {
            return Err(WireError::Malformed(format!("payload of {length} bytes")).into());
        }
        let mut content = vec![0; length];
        r.read_exact(&mut content)?;
        Ok(Self::from_parts(kind, content.into())?)
    }
}
