//! The end of a node that must not go on.

use std::sync::{Mutex, PoisonError};

use crate::config::{Config, FatalHook};

/// The one way to say that a node must not go on: logged, told to the application's hook, then the process is
/// aborted. Raised at most once.
pub(crate) struct Fatal {
    hook: Option<FatalHook>,
    abort: bool,
    reason: Mutex<Option<String>>,
}

impl Fatal {
    pub(crate) fn new(config: &Config) -> Self {
        Self { hook: config.on_fatal.clone(), abort: config.abort_on_fatal, reason: Mutex::new(None) }
    }

    /// Ends the process, unless the configuration says otherwise.
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

    /// Why the node cannot go on, if so.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
