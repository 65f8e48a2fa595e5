//! Layout of a mark in the log.

use std::io::{self, Read, Write};

use raft_log::codeq::{Decode, Encode};

/// A position in the log up to which it was synced when the mark was written (8 bytes, little-endian). Its
/// length is fixed: a damaged length could make a record seem to end behind the end of the file, as a torn
/// one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredMark(pub(crate) u64);

impl Encode for StoredMark {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        w.write_all(&self.0.to_le_bytes())?;
        Ok(8)
    }
}

impl Decode for StoredMark {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let mut bytes = [0; 8];
        r.read_exact(&mut bytes)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}
