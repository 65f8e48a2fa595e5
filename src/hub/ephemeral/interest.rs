//! A node's interest: the subjects of streams whose ephemeral events it requests from the others.
//!
//! [`OwnInterest`] is the interest of this node. Every change of it, and every subscription that begins,
//! gives it a new version. Other nodes are told the changes since the version that they know.
//! [`KnownInterest`] is what this node knows of another node's interest.

use crate::core::ids::TopicId;
use crate::core::subject::{Selector, Subject};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most changes that are remembered. A node that knows an older version is told everything again.
const MAX_CHANGES: usize = 16_384;

/// Most bytes of a change in a report, apart from its subjects.
const CHANGE_OVERHEAD: usize = 16;

/// A value for each selector of a stream. A selector of one subject is found by a hash; other selectors of
/// the stream are checked one by one.
#[derive(Debug)]
pub(super) struct Table<T> {
    streams: FxHashMap<TopicId, Selected<T>>,
    len: usize,
}

#[derive(Debug)]
struct Selected<T> {
    one: FxHashMap<Subject, T>,
    /// Selectors of several subjects or of all.
    wide: Vec<(Selector, T)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { streams: FxHashMap::default(), len: 0 }
    }
}

impl<T> Table<T> {
    /// Inserts a value. Returns the earlier one.
    pub(super) fn insert(&mut self, stream: TopicId, selector: Selector, value: T) -> Option<T> {
        let empty = || Selected { one: FxHashMap::default(), wide: Vec::new() };
        let selected = self.streams.entry(stream).or_insert_with(empty);
        let old = match selector {
            Selector::One(subject) => selected.one.insert(subject, value),
            wide => match selected.wide.iter_mut().find(|(known, _)| *known == wide) {
                Some((_, known)) => Some(std::mem::replace(known, value)),
                None => {
                    selected.wide.push((wide, value));
                    None
                }
            },
        };
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes a value.
    pub(super) fn remove(&mut self, stream: TopicId, selector: &Selector) -> Option<T> {
        let selected = self.streams.get_mut(&stream)?;
        let old = match selector {
            Selector::One(subject) => selected.one.remove(subject),
            wide => {
                let place = selected.wide.iter().position(|(known, _)| known == wide)?;
                Some(selected.wide.swap_remove(place).1)
            }
        };
        if selected.one.is_empty() && selected.wide.is_empty() {
            self.streams.remove(&stream);
        }
        self.len -= usize::from(old.is_some());
        old
    }

    /// The values of all selectors that match the subject.
    pub(super) fn of<'t>(&'t self, stream: TopicId, subject: &'t Subject) -> impl Iterator<Item = &'t T> {
        self.streams.get(&stream).into_iter().flat_map(move |selected| {
            let wide = selected.wide.iter().filter(|(selector, _)| selector.matches(subject.as_str()));
            selected.one.get(subject).into_iter().chain(wide.map(|(_, value)| value))
        })
    }

    /// The number of selectors.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// One change of a node's interest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    /// Whether the node requests the subjects from now on, or no longer.
    wanted: bool,
    stream: TopicId,
    /// The selector in its text form.
    subjects: String,
}

impl Change {
    fn bytes(&self) -> usize {
        self.subjects.len() + CHANGE_OVERHEAD
    }
}

/// A report of a node's interest to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tell {
    /// The version that the receiver knows after this report.
    pub(super) version: u64,
    /// The version on which the changes are based; `None` if the changes are the whole interest.
    pub(super) since: Option<u64>,
    /// The interest is too large to be listed: the node requests everything.
    pub(super) everything: bool,
    /// The changes in order.
    pub(super) changes: Vec<Change>,
}

/// The interest of this node.
#[derive(Debug)]
pub(super) struct OwnInterest {
    version: u64,
    wanted: FxHashSet<(TopicId, Selector)>,
    /// Bytes of the whole interest in a report.
    bytes: usize,
    /// An interest of more bytes is not listed: the others are told that everything is requested.
    max_bytes: usize,
    /// The newest changes, each with the version that it made.
    changes: VecDeque<(u64, Change)>,
    /// The version after which all changes are remembered.
    since: u64,
}

impl OwnInterest {
    /// An empty interest. If it grows beyond `max_bytes`, it is no longer listed.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            version: 0,
            wanted: FxHashSet::default(),
            bytes: 0,
            max_bytes,
            changes: VecDeque::new(),
            since: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Adds the subjects to the interest, or removes them from it.
    pub(super) fn set(&mut self, stream: TopicId, selector: &Selector, wanted: bool) {
        let change = Change { wanted, stream, subjects: selector.to_string() };
        let changed = match wanted {
            true => self.wanted.insert((stream, selector.clone())),
            false => self.wanted.remove(&(stream, selector.clone())),
        };
        if !changed {
            return;
        }
        let was_listed = self.is_listed();
        match wanted {
            true => self.bytes += change.bytes(),
            false => self.bytes -= change.bytes(),
        }
        self.version += 1;
        self.changes.push_back((self.version, change));
        if was_listed != self.is_listed() {
            // A node that knows the listed interest does not know the unlisted one, and vice versa.
            self.changes.clear();
            self.since = self.version;
        }
        while self.changes.len() > MAX_CHANGES {
            if let Some((version, _)) = self.changes.pop_front() {
                self.since = version;
            }
        }
    }

    /// Begins a subscription. Returns the version that others must know before it is live.
    pub(super) fn begin(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn is_listed(&self) -> bool {
        self.bytes <= self.max_bytes
    }

    /// The changes since a version. They are found by binary search, because each subscription that begins
    /// causes reports to the others.
    fn newer(&self, known: u64) -> impl Iterator<Item = &Change> {
        let first = self.changes.partition_point(|(version, _)| *version <= known);
        self.changes.range(first..).map(|(_, change)| change)
    }

    /// The report for a node that knows that version, or nothing yet.
    pub(super) fn tell(&self, known: Option<u64>) -> Tell {
        let everything = !self.is_listed();
        let known = known.filter(|known| (self.since..=self.version).contains(known));
        // A report never has more than what fits into one request.
        let known =
            known.filter(|known| self.newer(*known).map(Change::bytes).sum::<usize>() <= self.max_bytes);
        let changes = match known {
            _ if everything => Vec::new(),
            Some(known) => self.newer(known).cloned().collect(),
            None => {
                let all = self.wanted.iter();
                all.map(|(stream, selector)| Change {
                    wanted: true,
                    stream: *stream,
                    subjects: selector.to_string(),
                })
                .collect()
            }
        };
        Tell { version: self.version, since: known, everything, changes }
    }
}

/// What is known of another node's interest.
#[derive(Debug, Default)]
pub(super) struct KnownInterest {
    version: u64,
    everything: bool,
    table: Table<()>,
}

impl KnownInterest {
    /// The interest after a node's first report; `None` if the report is based on a version that is not known
    /// here.
    pub(super) fn first(tell: &Tell) -> Option<Self> {
        let mut known = Self::default();
        (tell.since.is_none() && known.learn(tell)).then_some(known)
    }

    /// Applies a report. `false` if it is based on a version that is not known here: nothing was changed, and
    /// the node has to report more.
    pub(super) fn learn(&mut self, tell: &Tell) -> bool {
        if tell.version <= self.version && tell.since.is_some() {
            // This repeats what is known.
            return true;
        }
        match tell.since {
            Some(since) if since > self.version => return false,
            Some(_) => {}
            // This report arrived late, after a newer one.
            None if tell.version < self.version => return true,
            None => self.table = Table::default(),
        }
        self.everything = tell.everything;
        if self.everything {
            self.table = Table::default();
        }
        // A change that is already known has no further effect.
        for Change { wanted, stream, subjects } in &tell.changes {
            match Selector::from_query(Some(subjects)) {
                Ok(selector) if *wanted => drop(self.table.insert(*stream, selector, ())),
                Ok(selector) => drop(self.table.remove(*stream, &selector)),
                Err(error) => tracing::warn!(subjects, %error, "a node requests subjects that are not valid"),
            }
        }
        self.version = tell.version;
        true
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether the node requests events of the subject.
    pub(super) fn wants(&self, stream: TopicId, subject: &Subject) -> bool {
        self.everything || self.table.of(stream, subject).next().is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selector(names: &[&str]) -> Selector {
        Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap()
    }

    fn subject(name: &str) -> Subject {
        Subject::parse_any(name).unwrap()
    }

    /// There are few selectors, so that they are added and removed repeatedly.
    fn any_selector() -> impl Strategy<Value = Selector> {
        prop_oneof![
            "[ab]{0,1}".prop_map(|name| Selector::One(subject(&name))),
            Just(selector(&["a*"])),
            Just(selector(&["a", "b"])),
            Just(Selector::All),
        ]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u64, Selector, bool),
        Begin,
        /// A report from the known version on arrives. It may arrive again later.
        Tell,
        /// An earlier report arrives again.
        Again(prop::sample::Index),
        /// The other node forgets what it knew.
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1u64..3, any_selector(), any::<bool>()).prop_map(|(stream, selector, on)| Step::Set(stream, selector, on)),
            1 => Just(Step::Begin),
            3 => Just(Step::Tell),
            1 => any::<prop::sample::Index>().prop_map(Step::Again),
            1 => Just(Step::Forget),
        ]
    }

    proptest! {
        /// Whatever is repeated or forgotten: a node that confirms a version knows exactly the interest of
        /// that version.
        #[test]
        fn a_node_that_knows_a_version_knows_its_interest(
            steps in prop::collection::vec(step(), 1..60), max_bytes in prop_oneof![Just(150usize), Just(1 << 20)]
        ) {
            let mut own = OwnInterest::new(max_bytes);
            let (mut known, mut told): (Option<KnownInterest>, Vec<Tell>) = (None, Vec::new());
            let receive = |known: &mut Option<KnownInterest>, tell: &Tell| match known {
                Some(known) => known.learn(tell),
                None => {
                    *known = KnownInterest::first(tell);
                    known.is_some()
                }
            };
            for step in steps {
                match step {
                    Step::Set(stream, selector, wanted) => own.set(TopicId(stream), &selector, wanted),
                    Step::Begin => drop(own.begin()),
                    Step::Again(which) if !told.is_empty() => drop(receive(&mut known, which.get(&told))),
                    Step::Again(_) => {}
                    Step::Forget => known = None,
                    Step::Tell => {
                        let tell = own.tell(known.as_ref().map(KnownInterest::version));
                        told.push(tell.clone());
                        prop_assert!(receive(&mut known, &tell));
                        let known = known.as_ref().unwrap();
                        prop_assert_eq!(known.version(), own.version());
                        for stream in [TopicId(1), TopicId(2)] {
                            for name in ["", "a", "b", "ab", "c"] {
                                let wanted = own.wanted.iter().any(|(of, selector)| *of == stream && selector.matches(name));
                                let listed = own.is_listed();
                                prop_assert_eq!(known.wants(stream, &subject(name)), wanted || !listed, "{}", name);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn changes_based_on_an_unknown_version_are_not_applied() {
        let mut own = OwnInterest::new(1 << 20);
        own.set(TopicId(1), &Selector::All, true);
        assert!(KnownInterest::first(&own.tell(Some(0))).is_none());
        let mut known = KnownInterest::first(&own.tell(None)).unwrap();
        own.begin();
        own.set(TopicId(1), &Selector::All, false);
        assert!(!known.learn(&own.tell(Some(2))) && known.wants(TopicId(1), &subject("a")));
        assert!(known.learn(&own.tell(Some(1))) && !known.wants(TopicId(1), &subject("a")));
    }
}
