//! Membership of the cluster: becoming a member, having a vote, leading.

mod announce;
pub(crate) mod join;
mod lead;
mod members;
mod operate;
mod voters;

pub(crate) use announce::Announcer;
pub(crate) use lead::Lead;
pub(crate) use members::Members;
pub use operate::Operation;
pub(crate) use operate::Operations;

#[cfg(all(test, not(feature = "sim")))]
mod tests;
