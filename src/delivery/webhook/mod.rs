//! Outgoing webhooks.

mod minimal;

pub use minimal::{Checked, Webhooks};
