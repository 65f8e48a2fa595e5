//! The scripts of `tests/py`.

use crate::support::python;
use anyhow::{Context, Result};
use serde_json::Value;
use testkit::lines::Lines;
use testkit::wait;

/// A script of `tests/py` that prints JSON lines.
pub(super) struct Script(Lines);

impl Script {
    pub(super) fn start(script: &str, options: &Value) -> Result<Self> {
        Ok(Self(Lines::start(python(script)?.arg(options.to_string()))?))
    }

    /// Waits for a line.
    pub(super) fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = || Ok(self.0.look(|lines| lines.iter().find(|line| is(line)).cloned()));
        wait::until(what, found).with_context(|| self.0.look(|lines| format!("{lines:?}")))
    }

    /// Sends a line to the script.
    pub(super) fn order(&mut self, order: &Value) -> Result<()> {
        self.0.write(order)
    }

    /// Gives an order to a back end. Returns its answer.
    pub(super) fn ask(&mut self, n: u64, mut order: Value) -> Result<Value> {
        order["n"] = n.into();
        self.order(&order)?;
        self.wait(&format!("the answer to {order}"), |line| line["t"] == "answer" && line["n"] == n)
    }
}
