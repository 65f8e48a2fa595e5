//! Membership of the cluster: becoming a member, having a vote, leading.

mod announce;
mod aside;
mod desk;
mod founding;
pub(crate) mod join;
mod lead;
mod members;
mod moves;
mod operate;
mod voters;
mod waiting;

pub(crate) use announce::Announcer;
pub(crate) use aside::StandAside;
pub(crate) use lead::Lead;
pub(crate) use members::Members;
pub(crate) use moves::Moves;
pub use operate::Operation;
pub(crate) use operate::Operations;

#[cfg(all(test, not(feature = "sim")))]
mod tests;
