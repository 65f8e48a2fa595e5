//! What only the operating system knows. Where it does not say, nothing is reported.

use std::{fs::Metadata, path::Path};

/// The bytes that this user may still write to the file system of a folder, and its size.
#[cfg(unix)]
pub(super) fn space(dir: &Path) -> Option<(u64, u64)> {
    let known = rustix::fs::statvfs(dir).ok()?;
    Some((known.f_bavail.saturating_mul(known.f_frsize), known.f_blocks.saturating_mul(known.f_frsize)))
}

/// The bytes that this user may still write to the file system of a folder, and its size.
#[cfg(not(unix))]
pub(super) fn space(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether other users of this host may read or change the file.
#[cfg(unix)]
pub(super) fn is_open_to_others(file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.mode() & 0o077 != 0
}

/// Whether other users of this host may read or change the file.
#[cfg(not(unix))]
pub(super) fn is_open_to_others(_: &Metadata) -> bool {
    false
}
