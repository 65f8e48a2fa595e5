//! The failpoint that is switched on. A simulation belongs to one thread.

use std::cell::Cell;

thread_local! {
    static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Switches a failpoint on for this thread, or all off.
pub fn switch_on(name: Option<&'static str>) {
    CHOSEN.set(name);
}

/// Whether the failpoint of that name is on.
pub fn is_on(name: &str) -> bool {
    CHOSEN.get() == Some(name)
}
