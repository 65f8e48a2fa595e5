//! Outgoing webhooks.

mod minimal;

pub use minimal::{Checked, TestError, Webhooks};
