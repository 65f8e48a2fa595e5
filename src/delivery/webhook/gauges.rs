//! Metrics of queues: depth, age and success of the webhooks that have had something to do lately.
//!
//! Each thread notes its queues on a board. The series are written from the board when somebody asks for
//! them, so those of a webhook go when it is deleted or another node owns it. The first webhooks on the board
//! are shown by name, all others together.

use super::actor::{Look, Queue};
use super::shard::Shard;
use crate::core::ids::WebhookId;
use crate::metric;
use crate::metric::exposition::Exposition;
use futures_util::future::join_all;
use rustc_hash::FxHashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most webhooks that are shown by name at a time.
const MAX_NAMED: usize = 100;
const ROUND: Duration = Duration::from_secs(5);
const OTHERS: &str = "other";

/// The queues of a node, as its threads last saw them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// By the numbers of the threads.
    rows: Vec<Vec<Row>>,
    /// The webhooks that are shown by name. A name stays with its webhook as long as that is on the board.
    named: FxHashSet<WebhookId>,
}

/// One webhook on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    webhook: WebhookId,
    events: u64,
    /// When the oldest event in the queue was published, in Unix milliseconds.
    oldest_ms: Option<u64>,
    delivered: u64,
    given_up: u64,
}

impl Row {
    fn of(queue: &Queue) -> Self {
        let Queue { webhook, events, oldest_ms, delivered, given_up, .. } = *queue;
        Self { webhook, events, oldest_ms, delivered, given_up }
    }

    /// The webhook while it has nothing to do.
    fn idle(&self) -> Self {
        Self { events: 0, oldest_ms: None, ..self.clone() }
    }

    fn age_seconds(&self, now_ms: u64) -> f64 {
        self.oldest_ms.map_or(0.0, |oldest| now_ms.saturating_sub(oldest) as f64 / 1000.0)
    }

    /// The share of events that were delivered. `None` before the first is delivered or given up.
    fn success(&self) -> Option<f64> {
        let settled = self.delivered + self.given_up;
        (settled > 0).then(|| self.delivered as f64 / settled as f64)
    }
}

impl Board {
    /// Replaces the rows of a thread.
    fn note(&self, thread: usize, rows: Vec<Row>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.rows.len() <= thread {
            noted.rows.resize_with(thread + 1, Vec::new);
        }
        noted.rows[thread] = rows;
    }

    /// Writes the series of the webhooks that are there, with their ages at `now_ms`.
    pub(super) fn write(&self, is_there: impl Fn(WebhookId) -> bool, now_ms: u64, out: &mut Exposition) {
        let (named, others) = self.apart(is_there);
        let names: Vec<String> = named.iter().map(|row| row.webhook.to_string()).collect();
        let mut events: Vec<(&str, f64)> = Vec::with_capacity(named.len() + 1);
        let mut ages: Vec<(&str, f64)> = Vec::with_capacity(named.len() + 1);
        let mut successes = Vec::with_capacity(named.len());
        for (name, row) in names.iter().zip(&named) {
            events.push((name.as_str(), row.events as f64));
            ages.push((name.as_str(), row.age_seconds(now_ms)));
            successes.extend(row.success().map(|success| (name.as_str(), success)));
        }
        if !others.is_empty() {
            events.push((OTHERS, others.iter().map(|row| row.events).sum::<u64>() as f64));
            ages.push((OTHERS, others.iter().map(|row| row.age_seconds(now_ms)).fold(0.0, f64::max)));
        }
        out.gauges((metric::WEBHOOK_QUEUE, "Events that wait for a webhook"), "webhook", events);
        let help = "Age of the oldest event that waits for a webhook";
        out.gauges((metric::WEBHOOK_QUEUE_SECONDS, help), "webhook", ages);
        let help = "Share of a webhook's events that were delivered";
        out.gauges((metric::WEBHOOK_SUCCESS, help), "webhook", successes);
    }

    /// The webhooks that are shown by name, and the others.
    fn apart(&self, is_there: impl Fn(WebhookId) -> bool) -> (Vec<Row>, Vec<Row>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Noted { rows, named } = &mut *noted;
        let rows: Vec<Row> = rows.iter().flatten().filter(|row| is_there(row.webhook)).cloned().collect();
        let there: FxHashSet<WebhookId> = rows.iter().map(|row| row.webhook).collect();
        named.retain(|webhook| there.contains(webhook));
        for row in &rows {
            if named.len() < MAX_NAMED {
                named.insert(row.webhook);
            }
        }
        rows.into_iter().partition(|row| named.contains(&row.webhook))
    }
}

/// Notes the thread's queues as long as the node runs.
pub(super) async fn run(shard: Rc<Shard>, board: Board) {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        tokio::time::sleep(ROUND).await;
        let asked = shard.actors().into_iter().map(|actor| actor.send(Look));
        let queues: Vec<Queue> = join_all(asked).await.into_iter().flatten().collect();
        rows = next_rows(&rows, &queues, |webhook| shard.shared.is_mine(webhook));
        board.note(shard.shared.number(), rows.clone());
        show_states(shard.shared.number(), &queues);
        shard.shared.client.tidy();
    }
}

/// The rows of a thread: the queues of its actors, and the webhooks that had an actor before and are still
/// its own.
fn next_rows(before: &[Row], queues: &[Queue], is_mine: impl Fn(WebhookId) -> bool) -> Vec<Row> {
    let busy: FxHashSet<WebhookId> = queues.iter().map(|queue| queue.webhook).collect();
    let idle = before.iter().filter(|row| !busy.contains(&row.webhook) && is_mine(row.webhook));
    queues.iter().map(Row::of).chain(idle.map(Row::idle)).collect()
}

fn show_states(thread: usize, queues: &[Queue]) {
    let failing = queues.iter().filter(|queue| queue.failing).count();
    let number = thread.to_string();
    let active = |state: &'static str, count: usize| {
        metrics::gauge!(metric::WEBHOOK_ACTIVE, "state" => state, "shard" => number.clone())
            .set(count as f64);
    };
    active("failing", failing);
    active("working", queues.len() - failing);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(n: usize) -> WebhookId {
        WebhookId::new(uuid::Uuid::from_u128(n as u128))
    }

    fn queue(n: usize, events: u64) -> Queue {
        Queue {
            webhook: webhook(n),
            events,
            oldest_ms: Some(1000),
            failing: false,
            delivered: 3,
            given_up: 1,
        }
    }

    fn written(board: &Board, is_there: impl Fn(WebhookId) -> bool) -> String {
        let mut out = Exposition::default();
        board.write(is_there, 3500, &mut out);
        out.into_text()
    }

    #[test]
    fn the_series_of_a_webhook_go_with_it() {
        let board = Board::default();
        let first = next_rows(&[], &[queue(1, 5), queue(2, 7)], |_| true);
        board.note(1, first.clone());
        let text = written(&board, |_| true);
        let name = webhook(2);
        for line in [
            format!("waypost_webhook_queue_events{{webhook=\"{name}\"}} 7"),
            format!("waypost_webhook_queue_age_seconds{{webhook=\"{name}\"}} 2.5"),
            format!("waypost_webhook_success_ratio{{webhook=\"{name}\"}} 0.75"),
        ] {
            assert!(text.lines().any(|written| written == line), "{line}:\n{text}");
        }
        assert!(!written(&board, |id| id != name).contains(&name.to_string()), "a deleted webhook is shown");
        // A webhook with nothing to do is shown as long as it is the thread's own.
        let second = next_rows(&first, &[queue(1, 6)], |_| true);
        assert_eq!(second, [Row::of(&queue(1, 6)), Row::of(&queue(2, 7)).idle()]);
        assert_eq!(next_rows(&second, &[queue(1, 6)], |id| id != name), [Row::of(&queue(1, 6))]);
    }

    #[test]
    fn many_webhooks_are_shown_together_and_names_become_free() {
        let board = Board::default();
        let queues: Vec<Queue> = (0..MAX_NAMED + 2).map(|n| queue(n, 1)).collect();
        board.note(0, next_rows(&[], &queues, |_| true));
        let text = written(&board, |_| true);
        assert!(text.contains("waypost_webhook_queue_events{webhook=\"other\"} 2\n"), "{text}");
        let text = written(&board, |id| id != webhook(7) && id != webhook(8));
        assert!(!text.contains("\"other\""), "{text}");
    }
}
