//! Owner commands while requests are under way: any command, at any time, checked against a simple model.

use super::*;

#[test]
fn an_event_skipped_while_under_way_is_not_retried() {
    for lane in [None, Some(0)] {
        let mut engine = engine(plan(), 1..2, lane);
        let flight = send(&mut engine, T);
        command(&mut engine, 1, OwnerCommand::Seek(2));
        engine.settle(flight.id, fails(), "", T, 0);
        let snapshot = engine.snapshot();
        assert_eq!(
            snapshot
                .new_dead_letters()
                .map(|dead_letter| (dead_letter.seq, &dead_letter.reason))
                .collect::<Vec<_>>(),
            [(1, &Reason::Skipped)]
        );
        assert_eq!(snapshot.progress.waiting.events, 0);
        engine.reported();
        engine.offer(&offers(2..3, lane), 3, T);
        assert_eq!(seqs(&send(&mut engine, T)), [2], "its lane is free");
    }
}

#[test]
fn an_event_that_was_put_back_is_skipped_too() {
    let mut engine = engine(plan(), 1..2, Some(0));
    let flight = send(&mut engine, T);
    command(&mut engine, 1, OwnerCommand::Seek(2));
    engine.unsend(flight.id, T);
    assert_eq!(engine.state().waiting_events(), 0);
    engine.offer(&offers(2..3, Some(0)), 3, T);
    assert_eq!(seqs(&send(&mut engine, T)), [2]);
}

#[test]
fn a_batch_is_skipped_in_part() {
    let mut engine = engine(Plan { batch: Some(Batch { max: 4, duration_ms: 0 }), ..plan() }, 1..5, None);
    let flight = send(&mut engine, T);
    command(&mut engine, 1, OwnerCommand::Seek(3));
    engine.settle(flight.id, fails(), "", T, 0);
    engine.offer(&offers(3..5, None), 5, T);
    assert_eq!(seqs(&send(&mut engine, T + 1000)), [3, 4]);
    assert_eq!(engine.next(T + 1000), Step::Wait);
}

#[test]
fn the_rest_of_a_batch_is_not_halved() {
    let mut engine = engine(Plan { batch: Some(Batch { max: 2, duration_ms: 0 }), ..plan() }, 1..3, None);
    let flight = send(&mut engine, T);
    command(&mut engine, 1, OwnerCommand::Seek(2));
    engine.settle(flight.id, refused(2), "", T, 0);
    assert_eq!((engine.state().waiting_events(), engine.snapshot().kept.len()), (1, 1));
    assert_eq!(seqs(&send(&mut engine, T)), [2]);
}

#[test]
fn changed_settings_duplicate_nothing_of_a_replay() {
    let mut engine = Engine::new(Plan { window: 16, ..plan() }, Progress::new(1000), Vec::new());
    command(&mut engine, 1, OwnerCommand::Replay { from_seq: 1, until_seq: 101, failed_only: false });
    command(&mut engine, 2, OwnerCommand::Replay { from_seq: 1, until_seq: 2, failed_only: false });
    let mut requests = 0;
    let mut flying = Vec::new();
    for step in 0.. {
        while let Some(read) = engine.wants_replay() {
            engine.offer_replay(&offers(read.from_seq..read.until_seq, None), read.until_seq, T);
        }
        while let Step::Send(flight) = engine.next(T) {
            requests += 1;
            flying.push(flight);
        }
        match step {
            1 => engine.forget_ready(),
            3 => command(&mut engine, 3, OwnerCommand::Cancel(2)),
            _ if flying.is_empty() => break,
            _ => {
                let flight = flying.remove(0);
                engine.settle(flight.id, ok(), "", T, 0);
                report(&mut engine);
            }
        }
    }
    assert_eq!((requests, engine.progress().replays[0].delivered), (100, 100));
    assert!(engine.state().is_idle());
}

#[test]
fn a_consumer_asked_to_continue_is_no_longer_disabled() {
    let mut engine = engine(plan(), 1..2, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, gone(), "", T, 0);
    command(&mut engine, 1, OwnerCommand::Resume);
    assert_eq!(engine.snapshot().disable, None);
    engine.reported();
    assert_eq!(seqs(&send(&mut engine, T)), [1]);
}

#[test]
fn records_dropped_by_a_skip_do_not_return_with_the_next_owner() {
    let plan = Plan { parked: 10, ..plan() };
    let mut cluster = Cluster::new(1);
    let mut engine = cluster.engine(plan.clone());
    engine.offer(&offers(1..2, Some(1)), 2, T);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, fails(), "", T, 0);
    let mut from = 2;
    while from < 15_000 {
        engine.offer(&offers(from..from + 128, Some(1)), from + 128, T);
        from += 128;
        cluster.take(engine.snapshot());
        engine.reported();
    }
    command(&mut engine, 1, OwnerCommand::Seek(from));
    cluster.take(engine.snapshot());
    assert!(!cluster.waiting.is_empty(), "it takes more than one report to drop them");
    let mut next = cluster.engine(plan);
    assert_eq!((next.state().waiting_events(), next.next(T + 60_000)), (0, Step::Wait));
    while next.state().urgency() > Urgency::None {
        cluster.take(next.snapshot());
        next.reported();
    }
    assert!(cluster.waiting.is_empty());
}

#[derive(Clone, Debug)]
enum Act {
    Publish(u64),
    Answer(u8, u8),
    Unsend(prop::sample::Index),
    Collect,
    Heard,
    Pass(u64),
    Crash(bool),
    Recreate,
    Skip,
    SeekTo(prop::sample::Index),
    Resume,
    Replay(prop::sample::Index, u64),
    Cancel(prop::sample::Index),
    Filter(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (1u64..8).prop_map(Act::Publish),
        16 => (any::<u8>(), any::<u8>()).prop_map(|(at, kind)| Act::Answer(at, kind)),
        1 => index().prop_map(Act::Unsend),
        5 => Just(Act::Collect),
        5 => Just(Act::Heard),
        4 => (1u64..5000).prop_map(Act::Pass),
        1 => any::<bool>().prop_map(Act::Crash),
        1 => Just(Act::Recreate),
        1 => Just(Act::Skip),
        1 => index().prop_map(Act::SeekTo),
        1 => Just(Act::Resume),
        2 => (index(), 1u64..20).prop_map(|(from, count)| Act::Replay(from, count)),
        1 => index().prop_map(Act::Cancel),
        1 => (0u64..3).prop_map(Act::Filter),
    ]
}

/// A simple model of what is expected.
#[derive(Default)]
struct Model {
    /// Events from this seq on must be delivered or given up.
    floor: u64,
    /// Events that were delivered or given up since they had to be.
    done: BTreeSet<u64>,
    /// How often each event may be delivered beyond the first time.
    more: BTreeMap<u64, u32>,
    delivered: BTreeMap<u64, u32>,
    /// Replays that may send, by their range.
    replays: BTreeMap<u64, (u64, u64)>,
}

impl Model {
    fn seek(&mut self, seq: u64, head: u64) {
        self.floor = seq;
        self.done.retain(|done| *done < seq);
        self.allow(seq..head);
    }

    fn allow(&mut self, seqs: std::ops::Range<u64>) {
        seqs.for_each(|seq| *self.more.entry(seq).or_default() += 1);
    }

    /// Returns whether a request for the event may begin.
    fn may_begin(&self, seq: u64) -> bool {
        seq >= self.floor || self.replays.values().any(|(from, until)| (*from..*until).contains(&seq))
    }
}

struct World {
    plan: Plan,
    lanes: u64,
    cluster: Cluster,
    engine: Engine,
    pending: Option<Snapshot>,
    commands: Vec<NumberedCommand>,
    number: u64,
    flying: Vec<Flight>,
    model: Model,
    head: u64,
    now_ms: u64,
    /// Events whose seqs have this remainder are not wanted now.
    filter: u64,
    filters: BTreeSet<u64>,
}

impl World {
    fn new(plan: Plan, lanes: u64) -> Self {
        let cluster = Cluster::new(1);
        let engine = cluster.engine(plan.clone());
        let model = Model { floor: 1, ..Model::default() };
        let commands = Vec::new();
        let flying = Vec::new();
        let filters = [9].into();
        let number = 0;
        let head = 1;
        let now_ms = T;
        let filter = 9;
        let pending = None;
        Self {
            plan,
            lanes,
            cluster,
            engine,
            pending,
            commands,
            number,
            flying,
            model,
            head,
            now_ms,
            filter,
            filters,
        }
    }

    fn offers(&self, seqs: std::ops::Range<u64>) -> Vec<Offer> {
        let lane = |seq: u64| (self.lanes > 0).then(|| seq % self.lanes);
        let wanted = |seq: u64| seq % 10 != self.filter;
        seqs.map(|seq| Offer { event: event(seq), wanted: wanted(seq), lane: lane(seq), kind: 0 }).collect()
    }

    /// Reads and begins everything that can begin.
    fn pump(&mut self) {
        while let Some(from) = self.engine.wants().filter(|from| *from < self.head) {
            let until = self.head.min(from + 128);
            self.engine.offer(&self.offers(from..until), until, self.now_ms);
        }
        while let Some(read) = self.engine.wants_replay() {
            let until = (read.from_seq + 128).min(read.until_seq);
            self.engine.offer_replay(&self.offers(read.from_seq..until), until, self.now_ms);
        }
        while let Step::Send(flight) = self.engine.next(self.now_ms) {
            assert!(
                seqs(&flight).iter().all(|seq| self.model.may_begin(*seq)),
                "{flight:?} is no longer wanted"
            );
            self.flying.push(flight);
        }
    }

    fn ask(&mut self, what: OwnerCommand) {
        self.number += 1;
        self.commands.push(NumberedCommand { number: self.number, at_ms: self.now_ms, command: what });
        self.take_commands();
    }

    fn take_commands(&mut self) {
        for asked in self.commands.clone() {
            if asked.number <= self.engine.progress().commands_done {
                continue;
            }
            match asked.command {
                OwnerCommand::Seek(seq) => self.model.seek(seq, self.head),
                OwnerCommand::Replay { from_seq, until_seq, .. } => {
                    self.model.replays.insert(asked.number, (from_seq, until_seq));
                    self.model.allow(from_seq..until_seq);
                }
                OwnerCommand::Cancel(id) => drop(self.model.replays.remove(&id)),
                _ => {}
            }
            self.engine.carry_out(asked, self.now_ms, |seq| Some(event(seq).id));
        }
    }

    fn answer(&mut self, at: usize, kind: u8) {
        if self.flying.is_empty() {
            return;
        }
        let flight = self.flying.remove(at % self.flying.len());
        let completion = answer(kind, flight.events.len());
        if completion.verdict == Verdict::Done {
            for seq in seqs(&flight) {
                self.model.done.insert(seq);
                *self.model.delivered.entry(seq).or_default() += 1;
            }
        }
        self.engine.settle(flight.id, completion, "x", self.now_ms, 7);
    }

    fn collect(&mut self) {
        if self.pending.is_none() {
            let snapshot = self.engine.snapshot();
            self.model.done.extend(snapshot.new_dead_letters().map(|dead_letter| dead_letter.seq));
            self.pending = Some(snapshot);
        }
    }

    fn heard(&mut self) {
        if let Some(snapshot) = self.pending.take() {
            let done = snapshot.progress.commands_done;
            self.cluster.take(snapshot);
            self.commands.retain(|command| command.number > done);
            self.engine.reported();
        }
    }

    fn do_it(&mut self, act: &Act) {
        match act {
            Act::Publish(count) => self.head += count,
            Act::Answer(at, kind) => self.answer(usize::from(*at), *kind),
            Act::Unsend(at) if !self.flying.is_empty() => {
                let flight = self.flying.remove(at.index(self.flying.len()));
                self.engine.unsend(flight.id, self.now_ms);
            }
            Act::Unsend(_) => {}
            Act::Collect => self.collect(),
            Act::Heard => self.heard(),
            Act::Pass(ms) => self.now_ms += ms,
            Act::Crash(was_heard) => {
                match self.pending.take() {
                    Some(snapshot) if *was_heard => {
                        let done = snapshot.progress.commands_done;
                        self.cluster.take(snapshot);
                        self.commands.retain(|command| command.number > done);
                    }
                    _ => {}
                }
                self.flying.clear();
                self.engine = self.cluster.engine(self.plan.clone());
                // What was not reported comes again, whatever its source was.
                self.model.allow(1..self.head);
                for (from, until) in self.model.replays.clone().into_values() {
                    self.model.allow(from..until);
                }
                self.take_commands();
            }
            Act::Recreate => {
                (self.pending, self.commands) = (None, Vec::new());
                self.flying.clear();
                self.cluster = Cluster::new(self.head);
                self.engine = self.cluster.engine(self.plan.clone());
                self.model.replays.clear();
                self.model.seek(self.head, self.head);
            }
            Act::Skip => self.ask(OwnerCommand::Seek(self.head)),
            Act::SeekTo(at) => {
                let seq = 1 + at.index(self.head as usize) as u64;
                self.ask(OwnerCommand::Seek(seq));
            }
            Act::Resume => self.ask(OwnerCommand::Resume),
            Act::Replay(at, count) => {
                let from_seq = 1 + at.index(self.head as usize) as u64;
                let until_seq = (from_seq + count).min(self.head);
                let open =
                    self.engine.progress().replays.iter().filter(|replay| replay.ended_ms.is_none()).count();
                if open < 6 {
                    self.ask(OwnerCommand::Replay { from_seq, until_seq, failed_only: false });
                }
            }
            Act::Cancel(at) => {
                let ids: Vec<u64> = self.engine.progress().replays.iter().map(|replay| replay.id).collect();
                if !ids.is_empty() {
                    self.ask(OwnerCommand::Cancel(ids[at.index(ids.len())]));
                }
            }
            Act::Filter(remainder) => {
                self.filter = *remainder;
                self.filters.insert(*remainder);
                self.engine.forget_ready();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever commands come at whatever time: no event is lost, none is delivered more often than somebody
    /// requested, nothing that was skipped begins, and all work comes to an end.
    #[test]
    fn owner_commands_mind_what_is_under_way(
        acts in prop::collection::vec(act(), 1..140),
        batch in 0u32..4,
        lanes in 0u64..4,
        window in 1usize..6,
    ) {
        let parked = if lanes > 1 { 5 } else { usize::MAX };
        let batch = (batch > 1).then_some(Batch { max: batch, duration_ms: 50 });
        let mut world = World::new(Plan { batch, window, parked, ..plan() }, lanes);
        for act in acts {
            world.do_it(&act);
            world.pump();
        }
        for step in 0.. {
            prop_assert!(step < 20_000, "it never ends: {:?}", world.engine);
            world.collect();
            world.heard();
            world.take_commands();
            world.pump();
            if !world.flying.is_empty() {
                world.answer(0, 0);
            } else if world.engine.state().is_idle() && world.engine.wants().is_some_and(|next| next >= world.head) {
                break;
            } else {
                world.now_ms += 1000;
            }
        }
        world.collect();
        world.heard();
        let World { model, cluster, head, filters, .. } = world;
        for seq in (model.floor..head).filter(|seq| !filters.contains(&(seq % 10))) {
            prop_assert!(model.done.contains(&seq), "{} is lost", seq);
        }
        for (seq, times) in &model.delivered {
            let allowed = 1 + model.more.get(seq).copied().unwrap_or(0);
            prop_assert!(*times <= allowed, "{} came {} times, {} were asked for", seq, times, allowed);
        }
        prop_assert!(cluster.waiting.is_empty() && cluster.progress.track.above.is_empty());
    }
}
