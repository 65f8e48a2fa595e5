//! What a file that is written behind still has to become.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

/// Bytes that are looked up together.
pub(super) const BLOCK: usize = 4096;
/// Most bytes that wait, apart from those behind a hold. Whoever writes more waits until the disk has caught
/// up.
const MOST: usize = 256 * 1024 * 1024;

/// A step of the thread.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Write { at: u64, data: Arc<[u8]> },
    SetLen(u64),
    Sync,
    Hold,
}

/// A block with a content that the file does not have yet.
#[derive(Debug)]
pub(super) struct Block {
    /// The step that brings it to the file.
    pub(super) step: u64,
    pub(super) data: Arc<[u8]>,
    /// Where the block begins in `data`.
    pub(super) from: usize,
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        self.data.get(self.from..self.from + BLOCK).unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// The steps to take, with their numbers.
    pub(super) steps: VecDeque<(u64, Step)>,
    /// The number of the last step, and of the last one that was taken.
    pub(super) last: u64,
    pub(super) taken: u64,
    /// The last hold, and the last one that is released.
    pub(super) held: u64,
    pub(super) released: u64,
    pub(super) blocks: HashMap<u64, Block>,
    /// Bytes that wait.
    pub(super) bytes: usize,
    /// Length of the file when all steps are taken.
    pub(super) len: u64,
    /// This much of the file is as it should be, apart from the blocks. Behind it everything is zero.
    pub(super) valid: u64,
    pub(super) is_closing: bool,
    pub(super) failure: Option<String>,
}

impl State {
    pub(super) fn new(len: u64) -> Self {
        Self {
            steps: VecDeque::new(),
            last: 0,
            taken: 0,
            held: 0,
            released: 0,
            blocks: HashMap::new(),
            bytes: 0,
            len,
            valid: len,
            is_closing: false,
            failure: None,
        }
    }

    pub(super) fn add(&mut self, step: Step) -> u64 {
        self.last += 1;
        self.steps.push_back((self.last, step));
        self.last
    }

    /// The next step, unless it has to wait.
    pub(super) fn next(&mut self) -> Option<(u64, Step)> {
        let released = self.released;
        self.steps.pop_front_if(|(number, step)| !matches!(step, Step::Hold) || *number <= released)
    }

    /// Whether whoever writes has to wait. With a hold it must not: it may be the one who releases it.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MOST && self.held <= self.released && self.failure.is_none()
    }

    /// Whether the next step waits for a release.
    pub(super) fn is_held(&self) -> bool {
        let first = self.steps.front();
        first.is_some_and(|(number, step)| matches!(step, Step::Hold) && *number > self.released)
    }

    /// Whether a step was begun and is not taken yet.
    pub(super) fn is_taking(&self) -> bool {
        let next = self.steps.front().map_or(self.last + 1, |(number, _)| *number);
        next > self.taken + 1
    }

    pub(super) fn check(&self) -> io::Result<()> {
        self.failure.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(reason.clone())))
    }

    /// The file now has all bytes up to `len`, unless a step to come makes it shorter.
    fn has(&mut self, len: u64) {
        if len <= self.valid {
            return;
        }
        let lengths = self.steps.iter().filter_map(|(_, step)| match step {
            Step::SetLen(len) => Some(*len),
            _ => None,
        });
        self.valid = self.valid.max(lengths.min().map_or(len, |shortest| shortest.min(len)));
    }

    /// Takes note that a step is taken.
    pub(super) fn took(&mut self, number: u64, step: &Step) {
        self.taken = number;
        match step {
            Step::Write { at, data } => {
                self.bytes -= data.len();
                for index in indexes(*at, data.len()) {
                    if self.blocks.get(&index).is_some_and(|block| block.step == number) {
                        self.blocks.remove(&index);
                    }
                }
                self.has(at + data.len() as u64);
            }
            Step::SetLen(len) => {
                let cut = len / BLOCK as u64;
                if self.blocks.get(&cut).is_some_and(|block| block.step == number) {
                    self.blocks.remove(&cut);
                }
                self.has(*len);
            }
            Step::Sync | Step::Hold => {}
        }
    }
}

/// The blocks of a range of bytes.
pub(super) fn indexes(at: u64, len: usize) -> std::ops::Range<u64> {
    let block = BLOCK as u64;
    at / block..(at + len as u64).div_ceil(block)
}
