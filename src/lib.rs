//! Waypost.
pub mod core;
