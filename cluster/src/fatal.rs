//! The end of a node that must not go on.

use std::sync::{Mutex, PoisonError};

use crate::config::{Config, FatalHook};

/// The one way to end a node that must not go on: the reason is logged and passed to the application's hook,
/// then the process is aborted. It has an effect only once.
pub(crate) struct Fatal {
    hook: Option<FatalHook>,
    abort: bool,
    reason: Mutex<Option<String>>,
}

impl Fatal {
    pub(crate) fn new(config: &Config) -> Self {
        Self { hook: config.on_fatal.clone(), abort: config.abort_on_fatal, reason: Mutex::new(None) }
    }

    /// Ends the process, unless the configuration disables that.
    pub(crate) fn raise(&self, reason: &str) {
        {
            let mut first = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_some() {
                return;
            }
            *first = Some(reason.to_owned());
        }
        tracing::error!(reason, "this node cannot go on");
        if let Some(hook) = &self.hook {
            hook(reason);
        }
        if self.abort {
            std::process::abort();
        }
    }

    /// Why the node cannot go on, if it has ended.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
