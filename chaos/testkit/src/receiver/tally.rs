//! Checks what receivers accepted against what publishers were answered: at least once, under stable ids, in
//! order where that was asked for, and with which delay.

use super::Request;
use crate::publisher::Ack;
use anyhow::{Error, Result, ensure};
use checker::Verdict;
use checker::deliveries::{in_order, same_under_one_id};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The deliveries of one webhook, in numbers.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All requests, whatever their answer.
    pub requests: usize,
    /// The different events that were accepted.
    pub events: usize,
    /// The events that were accepted more than once.
    pub duplicates: usize,
    /// The time from publishing to the arrival of the first accepted request, in milliseconds, sorted.
    pub delays_ms: Vec<u64>,
}

impl Tally {
    /// The tally of all requests to one path.
    pub fn of(requests: &[Request]) -> Self {
        let mut tally = Self { requests: requests.len(), ..Self::default() };
        let mut known = HashSet::new();
        for request in requests.iter().filter(|r| r.is_accepted()) {
            for event in &request.events {
                if !known.insert(&event.id) {
                    tally.duplicates += 1;
                    continue;
                }
                tally.events += 1;
                tally.delays_ms.extend(event.published_ms().map(|ms| request.at_ms.saturating_sub(ms)));
            }
        }
        tally.delays_ms.sort_unstable();
        tally
    }

    /// Adds up the tallies of several webhooks.
    pub fn join(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        for tally in all {
            sum.requests += tally.requests;
            sum.events += tally.events;
            sum.duplicates += tally.duplicates;
            sum.delays_ms.extend(tally.delays_ms);
        }
        sum.delays_ms.sort_unstable();
        sum
    }

    /// The delay in milliseconds that `percent` percent of the events do not exceed.
    pub fn percentile(&self, percent: usize) -> u64 {
        let at = (self.delays_ms.len() * percent).div_ceil(100).saturating_sub(1);
        self.delays_ms.get(at).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, events, duplicates, .. } = self;
        let half = self.percentile(50);
        let most = self.percentile(99);
        let last = self.percentile(100);
        write!(
            f,
            "{events} events in {requests} requests, {duplicates} again; delay p50 {half} p99 {most} max {last} ms"
        )
    }
}

/// How many different events were accepted.
pub fn distinct(requests: &[Request]) -> usize {
    let accepted = requests.iter().filter(|r| r.is_accepted());
    accepted.flat_map(|r| &r.events).map(|e| &e.id).collect::<HashSet<_>>().len()
}

/// Checks that every acknowledged event was accepted at least once under its id, position and key, and that
/// ids are stable.
pub fn check_delivered(who: &str, requests: &[Request], acks: &[Ack]) -> Result<Tally> {
    check_ids(who, requests)?;
    let accepted = requests.iter().filter(|r| r.is_accepted()).flat_map(|r| &r.events);
    let by_id: HashMap<&str, _> = accepted.map(|e| (e.id.as_str(), e)).collect();
    let faults: Vec<_> = acks
        .iter()
        .filter(|ack| {
            let right = |e: &super::Got| e.key == ack.key && e.seq.is_none_or(|seq| seq == ack.seq);
            !by_id.get(ack.id.as_str()).is_some_and(|e| right(e))
        })
        .collect();
    let shown: Vec<_> = faults.iter().take(3).collect();
    ensure!(
        faults.is_empty(),
        "{who}: {} of {} acknowledged missing, as {shown:?}",
        faults.len(),
        acks.len()
    );
    Ok(Tally::of(requests))
}

/// Checks that `webhook-id` names the events, and that each attempt under one id has the same bytes.
pub fn check_ids(who: &str, requests: &[Request]) -> Result<()> {
    for request in requests.iter().filter(|r| !r.events.is_empty()) {
        let first = &request.events[0].id;
        // The id of a batch ends with a digest of the ids of its events.
        let (named, expected) = match request.events.len() {
            1 => (request.id() == first, first.clone()),
            n => (request.id().starts_with(&format!("{first}-{n}-")), format!("{first}-{n}-…")),
        };
        ensure!(named, "{who}: webhook-id is {}, not {expected}", request.id());
    }
    let mut verdict = Verdict::new(6);
    let with_events = requests.iter().filter(|request| !request.events.is_empty());
    same_under_one_id(who, with_events.map(|request| (request.id(), &request.body)), &mut verdict);
    verdict.result().map_err(Error::msg)
}

/// Checks that events were accepted for the first time in the order of their positions; the profile must
/// report positions.
pub fn check_order(who: &str, requests: &[Request]) -> Result<()> {
    let mut verdict = Verdict::new(6);
    let accepted = requests.iter().filter(|r| r.is_accepted()).flat_map(|r| &r.events);
    in_order(who, accepted.filter_map(|event| event.seq), &mut verdict);
    verdict.result().map_err(Error::msg)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(status: u16, seqs: &[u64]) -> Request {
        let events: Vec<_> = seqs
            .iter()
            .map(|s| serde_json::json!({"id": format!("{s:026}"), "seq": s, "type": "t", "payload": {"key": s.to_string()}}))
            .collect();
        let (id, body) = match &events[..] {
            [one] => (one["id"].as_str().unwrap().to_owned(), one.to_string()),
            all => {
                (format!("{:026}-{}-d", seqs[0], all.len()), serde_json::json!({"events": all}).to_string())
            }
        };
        let text =
            format!("POST / HTTP/1.1\r\nwebhook-id: {id}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut request = Request::read(&mut text.as_bytes(), || 5).unwrap().unwrap();
        request.status = status;
        request
    }

    #[test]
    fn lost_changed_reordered_and_repeated_events_are_found() {
        let ack = |seq: u64| Ack { key: seq.to_string(), id: format!("{seq:026}"), seq };
        let acks = [ack(1), ack(2), ack(3)];
        let good = [request(500, &[1]), request(200, &[1]), request(200, &[2, 3]), request(200, &[1])];
        let tally = check_delivered("good", &good, &acks).unwrap();
        assert_eq!((tally.requests, tally.events, tally.duplicates), (4, 3, 1));
        check_order("a repetition is not out of order", &good).unwrap();
        assert!(check_delivered("lost", &good[..2], &acks).is_err());
        assert!(check_delivered("refused", &[request(500, &[1]), request(200, &[2, 3])], &acks).is_err());
        assert!(check_order("disorder", &[request(200, &[2]), request(200, &[1])]).is_err());
        let mut changed = request(200, &[1]);
        changed.body.push(b' ');
        assert!(check_ids("changed", &[request(500, &[1]), changed]).is_err());
        let mut renamed = request(200, &[1]);
        renamed.headers[0].1 = "fresh".into();
        assert!(check_ids("renamed", &[renamed]).is_err());
    }

    #[test]
    fn percentiles_are_computed() {
        let tally = Tally { delays_ms: (1..=200).collect(), ..Tally::default() };
        assert_eq!([50, 99, 100].map(|p| tally.percentile(p)), [100, 198, 200]);
        assert_eq!(Tally::default().percentile(99), 0);
    }
}
