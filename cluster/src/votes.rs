//! The second durable copy of this node's vote.
//!
//! The first copy is in the log, in the same file as the entries, so one damaged place can take both. A node
//! that does not know how it voted could vote twice in a term, and would have to give up its id. Two files
//! are written in turn, so that an interrupted write leaves the vote before it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use raft_log::codeq::{Decode, Encode};

use crate::dir::sync_dir;
use crate::identity::Layout;
use crate::os;
use crate::os::fs;
use crate::wire::StoredVote;

/// A file has these bytes, a checksum of the vote (4 bytes, little-endian), and the vote (17 bytes).
const MAGIC: &[u8; 8] = b"WPVOTES1";

/// What the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// The highest vote that can be read.
    pub(crate) highest: Option<StoredVote>,
    /// Nothing is damaged, and a vote was written: then `highest` is the newest vote that counts.
    pub(crate) is_sure: bool,
}

/// The two files.
#[derive(Debug)]
pub(crate) struct Votes {
    files: [PathBuf; 2],
    /// Whether the second file is the next to be written.
    second: Mutex<bool>,
}

impl Votes {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { files: layout.votes(), second: Mutex::new(false) }
    }

    /// The files, which are on disk when this returns: an earlier process may have been killed before it
    /// synced what it wrote, and this one relies on what it reads.
    pub(crate) fn open(layout: &Layout) -> io::Result<Self> {
        let votes = Self::new(layout);
        for path in &votes.files {
            if fs::exists(path)? {
                fs::File::open(path)?.sync_all()?;
            }
        }
        votes.read()?;
        Ok(votes)
    }

    /// Reads both files. The next vote is written over the lower or the damaged one.
    pub(crate) fn read(&self) -> io::Result<Kept> {
        let [first, second] = &self.files;
        let [first, second] = [read_one(first)?, read_one(second)?];
        let mut next = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        *next = match (first, second) {
            (One::Whole(a), One::Whole(b)) => b < a,
            (One::Whole(_), _) => true,
            (One::Absent | One::Damaged, _) => false,
        };
        let highest = first.vote().max(second.vote());
        let is_damaged = first == One::Damaged || second == One::Damaged;
        Ok(Kept { highest, is_sure: highest.is_some() && !is_damaged })
    }

    /// Writes a vote; on disk when this returns. Blocks. The files keep their length, so that this needs no
    /// room on a full disk.
    pub(crate) fn write(&self, vote: &StoredVote) -> io::Result<()> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let [a, b] = &self.files;
        let path = if *second { b } else { a };
        let is_new = !fs::exists(path)?;
        let mut file = os::file_to_overwrite(path)?;
        file.write_all(&encoded(vote)?)?;
        file.sync_all()?;
        if is_new {
            sync_dir(path.parent())?;
        }
        *second = !*second;
        Ok(())
    }
}

fn encoded(vote: &StoredVote) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    vote.encode(&mut content)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

/// The vote in these bytes, if they are what was written.
fn decoded(bytes: &[u8]) -> Option<StoredVote> {
    let (crc, content) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
        return None;
    }
    StoredVote::decode(content).ok()
}

/// What one file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum One {
    Absent,
    Damaged,
    Whole(StoredVote),
}

impl One {
    fn vote(self) -> Option<StoredVote> {
        match self {
            Self::Whole(vote) => Some(vote),
            Self::Absent | Self::Damaged => None,
        }
    }
}

fn read_one(path: &Path) -> io::Result<One> {
    match fs::read(path) {
        Ok(bytes) => Ok(decoded(&bytes).map_or(One::Damaged, One::Whole)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(One::Absent),
        Err(error) => Err(error),
    }
}

/// Removes both files, of a node that gave up its id.
pub(crate) fn forget(layout: &Layout) -> io::Result<()> {
    for path in layout.votes() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_dir(Some(&layout.root))
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn vote(term: u64) -> StoredVote {
        StoredVote { term, node: 2, committed: false }
    }

    #[test]
    fn the_newest_vote_is_kept_and_no_flipped_bit_goes_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let votes = Votes::new(&layout);
        assert_eq!(votes.read().unwrap(), Kept::default());
        for term in 1..6 {
            votes.write(&vote(term)).unwrap();
            let expected = Kept { highest: Some(vote(term)), is_sure: true };
            assert_eq!(Votes::new(&layout).read().unwrap(), expected);
        }
        for path in layout.votes() {
            let whole = std::fs::read(&path).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).unwrap();
                assert!(!votes.read().unwrap().is_sure, "bit {bit} of {}", path.display());
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert!(votes.read().unwrap().is_sure);
    }

    #[test]
    fn an_interrupted_write_leaves_the_vote_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let votes = Votes::new(&layout);
        votes.write(&vote(1)).unwrap();
        votes.write(&vote(2)).unwrap();
        let [first, second] = layout.votes();
        let lengths = [&first, &second].map(|path| path.metadata().unwrap().len());
        assert_eq!(lengths, [29, 29]);
        std::fs::write(first, "WPVO").unwrap();
        let again = Votes::new(&layout);
        assert_eq!(again.read().unwrap(), Kept { highest: Some(vote(2)), is_sure: false });
        again.write(&vote(3)).unwrap();
        assert_eq!(again.read().unwrap(), Kept { highest: Some(vote(3)), is_sure: true });
    }

    #[test]
    fn a_node_that_gives_up_its_id_forgets_its_vote() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        Votes::new(&layout).write(&vote(1)).unwrap();
        forget(&layout).unwrap();
        forget(&layout).unwrap();
        assert_eq!(Votes::new(&layout).read().unwrap(), Kept::default());
    }
}
