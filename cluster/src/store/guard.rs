//! Reads of a store that may be damaged: on some damaged pages redb panics instead of returning an error.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;
use std::thread;

use crate::error::StoreError;

thread_local! {
    /// How many guarded calls this thread is in.
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

/// Takes a panic in `work` for damage. The log gets one line instead of the panic's message and stack trace.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    static HUSHED: Once = Once::new();
    // The hook cannot be changed while this thread panics.
    if !thread::panicking() {
        HUSHED.call_once(hush);
    }
    GUARDED.set(GUARDED.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(GUARDED.get() - 1);
    done.unwrap_or_else(|_| Err(StoreError::corrupt("a page of the store is malformed")))
}

/// From now on panics in guarded calls are logged. All others are reported as before.
fn hush() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if GUARDED.try_with(Cell::get).is_ok_and(|depth| depth > 0) {
            log(panic);
        } else {
            usual(panic);
        }
    }));
}

fn log(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(at, text, "a page of the store cannot be read");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_is_damage_and_the_guard_ends_with_it() {
        let read: Result<(), StoreError> = guarded(|| guarded(|| panic!("a page that makes no sense")));
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
        assert_eq!(GUARDED.get(), 0, "later panics are reported");
    }
}
