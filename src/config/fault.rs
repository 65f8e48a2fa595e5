//! An invalid value that the checks of the configuration found.

/// An invalid value.
pub(super) struct Fault {
    /// Path of the setting.
    pub(super) path: &'static str,
    /// What is allowed.
    pub(super) allowed: String,
}
