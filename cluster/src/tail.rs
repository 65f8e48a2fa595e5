//! Whether the end of the log is what a power cut leaves, or damage.
//!
//! A power cut may write some of the blocks that were not synced and lose others, in any order. So a record
//! that is missing may be followed by records that are whole, and the log is cut off at the missing one. That
//! is right only while nothing behind it was ever acknowledged. The log knows that from its marks: each says
//! up to where the log had been synced when the mark was written. A mark that lies behind the gap and names a
//! position behind it proves that the gap was on disk once.

/// What the end of the log is, from a position on that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A power cut tore it off. Nothing in it was acknowledged, and the log goes on before it.
    Torn,
    /// It was on disk once, and the disk lost or changed it.
    Damaged,
}

/// What the end of the log from `gap` on is. `is_missing`: whether what cannot be read there is a block that
/// was never written, and no changed one. `marks`: the positions that the marks behind the gap name.
pub(crate) fn end_at(gap: u64, is_missing: bool, marks: impl IntoIterator<Item = u64>) -> End {
    let was_synced = marks.into_iter().any(|synced| synced > gap);
    if is_missing && !was_synced { End::Torn } else { End::Damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_torn_unless_something_proves_that_it_was_on_disk() {
        assert_eq!(end_at(100, true, []), End::Torn);
        assert_eq!(end_at(100, true, [40, 100]), End::Torn);
        assert_eq!(end_at(100, true, [40, 101]), End::Damaged);
        assert_eq!(end_at(100, false, []), End::Damaged, "changed, not missing");
    }
}
