//! A value that is not allowed, as the checks of the configuration find it.

/// A value that is not allowed.
pub(super) struct Fault {
    /// Path of the setting.
    pub(super) path: &'static str,
    /// What is allowed.
    pub(super) allowed: String,
}
