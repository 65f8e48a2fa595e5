//! Clocks that jump: by minutes, and by more than the time for which anything is kept.

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

/// The most seconds by which a clock jumps.
const JUMP: usize = 600;
/// How many days a clock jumps forward: more than events and idempotency keys are kept by default.
const FORWARD_DAYS: [i64; 2] = [8, 30];
/// Longer than the ten seconds between two looks at what expires by age.
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

/// The leader's clock jumps forward by more days than events are kept, and back later. Events are published
/// meanwhile, or none are. An earlier publish is repeated under its key during the jump and after it, and the
/// times of events are recorded.
pub fn forward(run: &mut Run) -> Result<()> {
    let leader = run.leader();
    let days = FORWARD_DAYS[run.dice.below(FORWARD_DAYS.len())];
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

/// Publishes under a key until the publish is acknowledged. If the event is new, this records how far its
/// time is from the true time.
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
