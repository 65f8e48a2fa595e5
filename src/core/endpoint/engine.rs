//! The rules of delivery.
