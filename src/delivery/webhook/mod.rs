//! Delivery by request: what is sent to endpoints, and how.

pub mod render;
