//! The names under which proposals take turns.

/// Names the proposals that share one turn and one part of the queue, such as those of one tenant. Proposals
/// of one flow keep their order; different flows take turns, counted in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u128);

impl Flow {
    /// The flow of proposals that belong to no tenant.
    pub const NONE: Self = Self(0);
}
