//! bytes
pub(crate) const MAX_COMMAND: usize = 2 * 1024 * 1024;
