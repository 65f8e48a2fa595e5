//! Clocks that jump: by minutes, and by more than anything is kept for.

use super::Run;
use crate::history::{MAIN, Record};
use anyhow::{Context, Result, anyhow};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::http::text;

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
    publish(run, &key)?;
    run.load.site.paused.store(silent, Ordering::Relaxed);
    run.broken("clock forward", &[leader], false, format!("{days:+} days, silent: {silent}"));
    run.clocks[leader].turn(days * 86_400)?;
    let rested = run.rest(LOOKED_AT);
    let repeated = if silent { Ok(()) } else { publish(run, &key) };
    run.clocks[leader].turn(0)?;
    run.mended("clock forward", &[leader]);
    run.load.site.paused.store(false, Ordering::Relaxed);
    rested.and(repeated)?;
    publish(run, &key)?;
    run.rest_between(1000, 3000)?;
    let later = format!("{key}-later");
    publish(run, &later)
}

/// Publishes under a key until that is acknowledged, and notes how far the event's time is from the true one where it is
/// a new event.
fn publish(run: &mut Run, key: &str) -> Result<()> {
    let body = json!({"type": "a", "payload": {"key": key, "n": 0}});
    let mut node = run.any();
    for _ in 0..ATTEMPTS {
        let site = run.load.site.clone();
        node = (node + 1) % site.nodes.len();
        let (topic, key) = (MAIN.to_owned(), key.to_owned());
        site.journal.note(Record::Asked { topic: topic.clone(), key: key.clone(), subject: String::new(), node });
        let answer = site.api(node, &site.main.token).post_once(&site.main.events(), &key, &body);
        let answered = answer.and_then(|answer| {
            let replayed = answer.header("idempotency-replayed").is_some();
            Ok((answer.data(201)?, replayed))
        });
        match answered {
            Ok((data, replayed)) => {
                let (id, seq) = (text(&data, "id")?, data["seq"].as_u64().context("no seq")?);
                site.journal.note(Record::Acked { topic, key, id, seq, node });
                if !replayed {
                    let off_ms = millis(&text(&data, "ts")?)? - now_ms()?;
                    site.journal.note(Record::Stamped { node, off_ms });
                }
                return Ok(());
            }
            Err(error) => {
                site.journal.note(Record::Unknown { topic, key, node, why: format!("{error:#}") });
                run.rest(Duration::from_millis(200))?;
            }
        }
    }
    Err(anyhow!("{key} was not acknowledged"))
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Unix milliseconds of a time such as `2026-01-31T12:00:00.000Z`.
fn millis(text: &str) -> Result<i64> {
    let numbers: Vec<i64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [year, month, day, hour, minute, second, ms] = numbers[..] else { return Err(anyhow!("no time: {text}")) };
    // Days of the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn times_are_read() {
        assert_eq!(super::millis("1970-01-01T00:00:00.001Z").unwrap(), 1);
        assert_eq!(super::millis("2025-06-21T12:34:56.789Z").unwrap(), 1_750_509_296_789);
        assert!(super::millis("soon").is_err());
    }
}
