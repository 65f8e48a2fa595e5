//! The simulator holds what it promises, and finds what is broken.
