//! A node that is drained by hand: it sends its clients elsewhere and serves none, until it is undrained.

use super::{Run, operations};
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::wait;

/// A random node is drained, and serves again after 2 to 6 s.
pub fn drain(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = run.any();
    let id = operations::id(run, node)?;
    run.broken("drain", &[node], true, "");
    let drained = operate(run, "drain", id);
    let rested = run.rest_between(2000, 6000);
    let undrained = operate(run, "undrain", id);
    run.mended("drain", &[node]);
    drained.and(rested).and(undrained)
}

/// Asks one node after the other until one has done it.
fn operate(run: &Run, name: &str, id: u64) -> Result<()> {
    let mut turn = 0;
    wait::until(name, || {
        turn += 1;
        let asked = turn % run.cluster.nodes.len();
        let answer = run.cluster.admin(asked).post(&format!("/api/cluster/{name}"), &json!({"node": id}))?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        Ok(Some(()))
    })
}
