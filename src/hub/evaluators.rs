//! Evaluates expressions on a thread of its own, on which maps take turns.
//!
//! Owns the order of that work. Whatever a map's filters and events are, other maps wait for at most one
//! evaluation, and subscribers without an expression never wait. At most one job of a map runs at a time.
//!
//! Jobs do not pile up: a caller waits for the answer before it asks again, and a job ends when its caller
//! stops waiting.

use crate::core::event::Event;
use crate::core::expression::{Condition, Subject};
use crate::core::ids::MapId;
use crate::metric;
use actix_rt::Arbiter;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How long one map works before the other maps have their turn.
const TURN: Duration = Duration::from_millis(1);
/// How often events that are too large are reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

type Job = Box<dyn FnOnce(Turn) -> LocalBoxFuture<'static, ()> + Send>;

/// Sends jobs to the thread; cheap to clone.
#[derive(Clone)]
pub struct Evaluators(mpsc::UnboundedSender<(MapId, Job)>);

/// A job's turn on the thread. The job calls [`Turn::pass`] between evaluations.
pub struct Turn {
    map: MapId,
    since: Instant,
    skipped: Rc<Skipped>,
}

/// Counts the events that were too large for an expression.
struct Skipped {
    events: Cell<u64>,
    /// When the last of them were reported in the log.
    reported: Cell<Option<Instant>>,
}

/// The jobs of each map that has some.
type Queues = Rc<RefCell<FxHashMap<MapId, VecDeque<Job>>>>;

impl Evaluators {
    pub(super) fn start_on_own_thread() -> Self {
        let (jobs, asked) = mpsc::unbounded_channel();
        Arbiter::new().spawn_fn(move || drop(actix_rt::spawn(run(asked))));
        Self(jobs)
    }

    /// Runs the map's work in its turn. `None` if it failed, or if the node is stopping.
    pub async fn work<T, F>(&self, map: MapId, work: impl FnOnce(Turn) -> F + Send + 'static) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (mut answer, answered) = oneshot::channel();
        let job = move |turn| {
            let work = work(turn);
            let until_hung_up = async move {
                tokio::select! {
                    biased;
                    () = answer.closed() => {}
                    done = work => drop(answer.send(done)),
                }
            };
            until_hung_up.boxed_local()
        };
        self.0.send((map, Box::new(job))).ok()?;
        answered.await.ok()
    }

    /// Whether each of the events meets the condition.
    pub async fn verdicts(&self, condition: Arc<Condition>, events: Vec<Event>) -> Option<Vec<bool>> {
        let map = condition.map();
        let evaluate = move |mut turn: Turn| async move {
            verdicts(&[condition], &events, &mut turn).await.pop().unwrap_or_default()
        };
        self.work(map, evaluate).await
    }
}

/// For each condition, all of one map, whether each of the events meets it. Each payload is parsed once.
pub(super) async fn verdicts(
    conditions: &[Arc<Condition>],
    events: &[Event],
    turn: &mut Turn,
) -> Vec<Vec<bool>> {
    let mut verdicts = vec![Vec::with_capacity(events.len()); conditions.len()];
    let Some(first) = conditions.first() else { return verdicts };
    for event in events {
        let subject = first.subject(event);
        for (condition, verdicts) in conditions.iter().zip(&mut verdicts) {
            verdicts.push(condition.matches(&subject));
            turn.pass().await;
        }
        turn.evaluated(&subject);
    }
    verdicts
}

impl Turn {
    /// Lets other maps work when the turn is over. Call it between two evaluations.
    pub async fn pass(&mut self) {
        if self.since.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
    }

    /// Ends the evaluation of an event. If it was too large for an expression, it is counted and reported to
    /// the operators.
    pub fn evaluated(&self, subject: &Subject<'_>) {
        if !subject.is_too_large() {
            return;
        }
        metrics::counter!(metric::EXPRESSIONS_SKIPPED).increment(1);
        let Skipped { events, reported } = &*self.skipped;
        events.set(events.get() + 1);
        if reported.get().is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            let map = self.map;
            let events = events.take();
            tracing::warn!(%map, events, "events were too large for a filter expression, and did not match; the last is of that map");
            reported.set(Some(Instant::now()));
        }
    }
}

async fn run(mut asked: mpsc::UnboundedReceiver<(MapId, Job)>) {
    let queues = Queues::default();
    let skipped = Rc::new(Skipped { events: Cell::new(0), reported: Cell::new(None) });
    while let Some((map, job)) = asked.recv().await {
        let is_first = !queues.borrow().contains_key(&map);
        queues.borrow_mut().entry(map).or_default().push_back(job);
        if is_first {
            actix_rt::spawn(work_off(map, queues.clone(), skipped.clone()));
        }
    }
}

async fn work_off(map: MapId, queues: Queues, skipped: Rc<Skipped>) {
    loop {
        let next = queues.borrow_mut().get_mut(&map).and_then(VecDeque::pop_front);
        let Some(job) = next else { break };
        let turn = Turn { map, since: Instant::now(), skipped: skipped.clone() };
        if AssertUnwindSafe(job(turn)).catch_unwind().await.is_err() {
            tracing::error!(%map, "an evaluation of expressions failed");
        }
        // The next job of the same map waits until the others have had their turn.
        tokio::task::yield_now().await;
    }
    queues.borrow_mut().remove(&map);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::expression::Expression;
    use crate::core::ids::EventId;

    fn map(n: u8) -> MapId {
        MapId::from_bytes([n; 16])
    }

    fn condition(map: MapId, text: &str) -> Arc<Condition> {
        Arc::new(Condition::new(Expression::condition(text).unwrap(), map))
    }

    fn event(seq: u64, payload: &str) -> Event {
        let new = NewEvent::new(Default::default(), "a", payload);
        Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
    }

    #[actix_web::test]
    async fn each_condition_has_its_own_results() {
        let evaluators = Evaluators::start_on_own_thread();
        let events: Vec<Event> = (0..4).map(|n| event(n, &format!("{{\"n\":{n}}}"))).collect();
        for (text, expected) in [
            ("payload.n < 2", [true, true, false, false]),
            ("payload.n % 2 == 1", [false, true, false, true]),
            ("payload.m == 1", [false; 4]),
        ] {
            let verdicts = evaluators.verdicts(condition(map(1), text), events.clone()).await;
            assert_eq!(verdicts.unwrap(), expected, "{text}");
        }
        let two = [condition(map(1), "payload.n < 2"), condition(map(1), "payload.n == 3")];
        let taken = events.clone();
        let both =
            evaluators.work(map(1), |mut turn| async move { verdicts(&two, &taken, &mut turn).await }).await;
        assert_eq!(both.unwrap(), [[true, true, false, false], [false, false, false, true]]);
    }

    /// One map requests much work in many jobs. Another map requests a little later, and gets its answer
    /// first.
    #[actix_web::test]
    async fn maps_take_turns() {
        let evaluators = Evaluators::start_on_own_thread();
        let large = format!("{{\"l\":[{}]}}", vec!["0"; 3000].join(","));
        let events: Vec<Event> = (0..200).map(|n| event(n, &large)).collect();
        let heavy = (0..4).map(|n| condition(map(1), &format!("payload.l.exists(x, x > {n})")));
        let ask = |condition| {
            let evaluators = evaluators.clone();
            let events = events.clone();
            async move { evaluators.verdicts(condition, events).await }
        };
        let heavy = actix_rt::spawn(futures_util::future::join_all(heavy.map(ask).collect::<Vec<_>>()));
        // The jobs are queued here.
        tokio::task::yield_now().await;
        let light =
            evaluators.verdicts(condition(map(2), "payload.n == 1"), vec![event(1, "{\"n\":1}")]).await;
        assert_eq!(light.unwrap(), [true]);
        assert!(!heavy.is_finished(), "the other map's work was done first");
        let heavy = heavy.await.unwrap();
        assert!(heavy.iter().all(|verdicts| *verdicts.as_ref().unwrap() == [false; 200]));
    }

    #[actix_web::test]
    async fn work_ends_when_its_caller_stops_waiting_and_a_panic_ends_only_its_job() {
        let evaluators = Evaluators::start_on_own_thread();
        let forever = evaluators.work(map(1), |mut turn| async move {
            loop {
                turn.pass().await;
            }
        });
        let forever: Option<()> =
            tokio::time::timeout(Duration::from_millis(20), forever).await.ok().flatten();
        assert_eq!(forever, None);
        let failed: Option<()> = evaluators.work(map(1), |_| async { assert_eq!(1, 2, "on purpose") }).await;
        assert_eq!(failed, None);
        assert_eq!(evaluators.work(map(1), |_| async { 7 }).await, Some(7));
    }

    #[test]
    fn an_event_that_is_too_large_is_counted_and_does_not_match() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let large = format!("{{\"l\":[{}]}}", vec!["1"; 60_000].join(","));
        let events = [event(1, &large), event(2, "{\"l\":[1]}")];
        let skipped = Rc::new(Skipped { events: Cell::new(0), reported: Cell::new(None) });
        let mut turn = Turn { map: map(1), since: Instant::now(), skipped };
        let conditions =
            [condition(map(1), "!payload.l.exists(x, x == 2)"), condition(map(1), "payload.l[0] == 1")];
        let verdicts = metrics::with_local_recorder(&recorder, || {
            actix_rt::System::new().block_on(verdicts(&conditions, &events, &mut turn))
        });
        assert_eq!(verdicts, [[false, true], [true, true]]);
        assert!(handle.render().contains("waypost_expressions_skipped_total 1"), "{}", handle.render());
    }
}
