//! Clocks that jump: by minutes, and by more than anything is kept for.

use super::Run;
use crate::history::{MAIN, Record};
use crate::load::publish;
use anyhow::{Result, anyhow};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::http::text;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A clock jumps by at most so many seconds.
const JUMP: usize = 600;
/// One that jumps forward: more days than events and idempotency keys are kept for by default.
const FORWARD_DAYS: [i64; 2] = [8, 30];
/// What goes by age is looked at every ten seconds.
const LOOKED_AT: Duration = Duration::from_secs(13);
/// How often a publish is tried, at one node after the other.
const ATTEMPTS: usize = 60;

/// A node's clock jumps by up to ten minutes, and back later.
pub fn jump(run: &mut Run) -> Result<()> {
    let node = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    let by = run.dice.below(2 * JUMP + 1) as i64 - JUMP as i64;
    run.broken("clock jump", &[node], false, format!("{by:+} s"));
    run.clocks[node].turn(by)?;
    let rested = run.rest_between(1500, 6000);
    run.clocks[node].turn(0)?;
    run.mended("clock jump", &[node]);
    rested
}

/// The leader's clock jumps forward by more days than events are kept, while events are published or while none are, and
/// back later. A publish of before is repeated under its key, then and afterwards, and the times of events are noted.
pub fn forward(run: &mut Run) -> Result<()> {
    let (leader, days) = (run.leader(), FORWARD_DAYS[run.dice.below(FORWARD_DAYS.len())]);
    let silent = run.dice.thousandth(500);
    let key = format!("forward-{}", run.journal.now_ms());
    published(run, &key)?;
    run.load.site.paused.store(silent, Ordering::Relaxed);
    run.broken("clock forward", &[leader], false, format!("{days:+} days, silent: {silent}"));
    run.clocks[leader].turn(days * 86_400)?;
    let rested = run.rest(LOOKED_AT);
    let repeated = if silent { Ok(()) } else { published(run, &key) };
    run.clocks[leader].turn(0)?;
    run.mended("clock forward", &[leader]);
    run.load.site.paused.store(false, Ordering::Relaxed);
    rested.and(repeated)?;
    published(run, &key)?;
    run.rest_between(1000, 3000)?;
    let later = format!("{key}-later");
    published(run, &later)
}

/// Publishes under a key until that is acknowledged, and notes how far the event's time is from the true one where it is
/// a new event.
fn published(run: &mut Run, key: &str) -> Result<()> {
    let body = json!({"type": "a", "payload": {"key": key, "n": 0}});
    let mut node = run.any();
    for _ in 0..ATTEMPTS {
        node = (node + 1) % run.load.site.nodes.len();
        if let Some(answer) = publish::publish(&run.load.site, MAIN, key, &body, node) {
            if answer.header("idempotency-replayed").is_none() {
                let stamped = OffsetDateTime::parse(&text(&answer.data(201)?, "ts")?, &Rfc3339)?;
                let off = stamped - OffsetDateTime::now_utc();
                let off_ms = i64::try_from(off.whole_milliseconds())?;
                run.journal.note(Record::Stamped { node, off_ms });
            }
            return Ok(());
        }
        run.rest(Duration::from_millis(200))?;
    }
    Err(anyhow!("{key} was not acknowledged"))
}
