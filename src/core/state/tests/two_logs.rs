//! The directory and the streams with a log each. The streams follow a step some time after the directory
//! decided it, and the delay changes nothing.

use super::*;
use crate::core::state::rights::Rights;
use std::collections::{BTreeMap, VecDeque};

/// An entry of the streams' own log.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum StreamsEntry {
    Step(Step),
    Command(Command),
}

/// An entry of the directory's own log.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum DirectoryEntry {
    Command(Command),
    Request(Request),
}

fn at(index: u64) -> Entry {
    let ms = 1_000 + index * 300;
    Entry { index, time_ms: ms, id_ms: ms, expiry_ms: ms, slots: 0 }
}

/// A directory with its log and store.
#[derive(Default)]
struct DirectoryNode {
    machine: Directory,
    store: MemoryStore,
    index: u64,
}

impl DirectoryNode {
    fn new() -> Self {
        Self { machine: Directory::load(&MemoryStore::default()).unwrap(), ..Self::default() }
    }

    fn apply(&mut self, entry: DirectoryEntry) -> Option<Reply> {
        self.index += 1;
        let context = &mut at(self.index);
        match entry {
            DirectoryEntry::Command(Command::Tick) => {
                self.machine.tick(context, &mut self.store).unwrap();
                None
            }
            DirectoryEntry::Command(command) => {
                Some(self.machine.apply(context, command, &mut self.store).unwrap())
            }
            DirectoryEntry::Request(request) => {
                self.machine.grant(context, request, &mut self.store).unwrap();
                None
            }
        }
    }
}

/// Streams with their log and store.
#[derive(Default)]
struct StreamsNode {
    machine: Streams,
    store: MemoryStore,
    index: u64,
}

impl StreamsNode {
    fn apply(&mut self, entry: StreamsEntry) -> Option<Reply> {
        self.index += 1;
        let context = &mut at(self.index);
        let reply = match entry {
            StreamsEntry::Step(step) => {
                self.machine.follow(context, step, &mut self.store).unwrap();
                None
            }
            StreamsEntry::Command(command) => {
                Some(self.machine.apply(context, command, &mut self.store).unwrap())
            }
        };
        self.machine.flush(&mut self.store).unwrap();
        reply
    }
}

/// The leaders of both groups, which write the logs.
struct Leaders {
    directory: DirectoryNode,
    directory_log: Vec<DirectoryEntry>,
    streams: StreamsNode,
    streams_log: Vec<StreamsEntry>,
    replies: Vec<Option<Reply>>,
    /// Steps of the directory that the streams have not followed yet.
    ahead: VecDeque<Step>,
}

impl Leaders {
    fn new() -> Self {
        Self {
            directory: DirectoryNode::new(),
            directory_log: Vec::new(),
            streams: StreamsNode::default(),
            streams_log: Vec::new(),
            replies: Vec::new(),
            ahead: VecDeque::new(),
        }
    }

    fn direct(&mut self, entry: DirectoryEntry) {
        self.directory_log.push(entry.clone());
        self.directory.apply(entry);
        self.ahead.extend(self.directory.machine.take_steps());
    }

    fn stream(&mut self, entry: StreamsEntry) {
        self.streams_log.push(entry.clone());
        let reply = self.streams.apply(entry);
        self.replies.push(reply);
        for request in self.streams.machine.take_requests() {
            self.direct(DirectoryEntry::Request(request));
        }
    }

    /// The streams follow this many of the waiting steps.
    fn follow(&mut self, count: usize) {
        for _ in 0..count {
            let Some(step) = self.ahead.pop_front() else { return };
            self.stream(StreamsEntry::Step(step));
        }
    }

    /// Writes the command to the log of its machine; a tick goes to both.
    fn write(&mut self, command: Command) {
        match command {
            Command::Tick => {
                self.direct(DirectoryEntry::Command(Command::Tick));
                self.stream(StreamsEntry::Command(Command::Tick));
            }
            command if Directory::decides(&command) => self.direct(DirectoryEntry::Command(command)),
            command => self.stream(StreamsEntry::Command(command)),
        }
    }
}

/// Fills in a webhook's birth, as the streams know it, where an update names none.
fn born_there(leaders: &Leaders, mut command: Command) -> Command {
    if let Command::Progress(report) = &mut command {
        for update in &mut report.updates {
            let known = leaders.directory.machine.webhooks().get(update.consumer);
            update.born = known.map_or(0, |webhook| webhook.born);
        }
    }
    command
}

fn kinds(store: &MemoryStore) -> impl Iterator<Item = u8> {
    store.0.keys().map(|key| key[0])
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![2 => command(), 1 => subjects::command()]
}

proptest! {
    #[test]
    fn streams_agree_however_far_the_directory_is_ahead(
        acts in prop::collection::vec((any_command(), 0usize..4), 1..60),
        leads in prop::collection::vec(0usize..5, 60),
    ) {
        let mut leaders = Leaders::new();
        for (command, follow) in acts {
            let command = born_there(&leaders, command);
            leaders.write(command);
            leaders.follow(follow);
        }
        leaders.follow(usize::MAX);

        // One replica applies all of the directory's log before the first entry of the streams' log.
        let mut directory = DirectoryNode::new();
        let mut streams = StreamsNode::default();
        for entry in &leaders.directory_log {
            directory.apply(entry.clone());
        }
        let early: Vec<Option<Reply>> =
            leaders.streams_log.iter().map(|entry| streams.apply(entry.clone())).collect();
        prop_assert_eq!(&early, &leaders.replies);
        prop_assert_eq!(&streams.store, &leaders.streams.store);
        prop_assert_eq!(&directory.store, &leaders.directory.store);

        // The directory of another replica is elsewhere at each entry: behind the streams or ahead of them.
        let mut directory = DirectoryNode::new();
        let mut streams = StreamsNode::default();
        let mut rest = leaders.directory_log.iter();
        for (entry, lead) in leaders.streams_log.iter().zip(leads.iter().cycle()) {
            for entry in rest.by_ref().take(*lead) {
                directory.apply(entry.clone());
            }
            streams.apply(entry.clone());
        }
        rest.for_each(|entry| drop(directory.apply(entry.clone())));
        prop_assert_eq!(&streams.store, &leaders.streams.store);
        prop_assert_eq!(&directory.store, &leaders.directory.store);

        // Each machine writes its own kinds of keys, and at the end the streams know what the directory has.
        prop_assert!(kinds(&directory.store).all(|kind| keys::DIRECTORY.contains(&kind)));
        prop_assert!(kinds(&streams.store).all(|kind| keys::STREAMS.contains(&kind)));
        let known = leaders.streams.machine.facts();
        let there = leaders.directory.machine.facts();
        prop_assert_eq!(format!("{known:?}"), format!("{there:?}"));
    }

    /// A revoke is acknowledged when the streams have followed it. From that entry on the token stores
    /// nothing.
    #[test]
    fn a_revoked_token_publishes_nothing_after_its_step(
        acts in prop::collection::vec((any_command(), 0usize..3), 1..80),
    ) {
        let mut leaders = Leaders::new();
        for (command, follow) in acts {
            let command = born_there(&leaders, command);
            leaders.write(command);
            leaders.follow(follow);
        }
        leaders.follow(usize::MAX);
        let mut live: BTreeMap<TokenId, MapId> = BTreeMap::new();
        for (entry, reply) in leaders.streams_log.iter().zip(&leaders.replies) {
            match entry {
                StreamsEntry::Step(Step::Access(change)) => match change {
                    AccessChange::Token(token) => drop(live.insert(token.id, token.map)),
                    AccessChange::TokenGone(token) => drop(live.remove(token)),
                    AccessChange::MapGone(gone) => live.retain(|_, map| map != gone),
                    AccessChange::App(app) => drop(live.insert(app.token, app.map)),
                    AccessChange::AppGone(token) => drop(live.remove(token)),
                    AccessChange::Issuer(issuer) => drop(live.insert(issuer.token, issuer.map)),
                    AccessChange::IssuerGone(token) => drop(live.remove(token)),
                    AccessChange::Map(_)
                    | AccessChange::Admin(_)
                    | AccessChange::AdminToken(_)
                    | AccessChange::AdminTokenGone(_)
                    | AccessChange::ClientsRevoked(_)
                    | AccessChange::RevocationOver(_)
                    | AccessChange::Source(_)
                    | AccessChange::SourceGone(_) => {}
                },
                StreamsEntry::Command(Command::Publish(publish)) if matches!(reply, Some(Reply::Published(_))) => {
                    let allowed = publish.by.is_none_or(|by| live.get(&by) == Some(&publish.map));
                    prop_assert!(allowed, "{:?} published to {:?}", publish.by, publish.map);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_revoke_holds_from_the_entry_in_which_the_streams_follow_it() {
    let mut leaders = Leaders::new();
    leaders.write(create(1, None, NO_LIMITS, KEEP_ALL));
    leaders.follow(usize::MAX);
    leaders.write(Command::RevokeToken(RevokeToken { map: map_id(1), by: None, token: token_id(1) }));
    let by = Some(token_id(1));
    leaders.write(publish(1, by, &["a"], None));
    assert!(
        matches!(leaders.replies.last(), Some(Some(Reply::Published(_)))),
        "the streams do not know it yet"
    );
    leaders.follow(1);
    leaders.write(publish(1, by, &["a"], None));
    assert_eq!(leaders.replies.last(), Some(&Some(Reply::Refused(Refusal::Forbidden))));
    assert!(leaders.streams.machine.facts().token(token_id(1)).is_none());
}

#[test]
fn each_kind_of_key_belongs_to_one_machine() {
    assert!(keys::DIRECTORY.iter().all(|kind| !keys::STREAMS.contains(kind)));
}

#[test]
fn each_kind_of_key_has_a_letter_of_its_own() {
    let sources = [include_str!("../keys.rs"), include_str!("../keys/usage.rs")];
    let named = sources.iter().flat_map(|source| source.lines()).filter_map(|line| {
        let (_, letter) = line.strip_prefix("pub const ")?.split_once("= b")?;
        let [_, letter, _, b';'] = letter.as_bytes() else { return None };
        Some(*letter)
    });
    // Events, dead letters, owner commands and copies of events have letters without a name.
    let mut used: Vec<u8> = named.chain(*b"elov").collect();
    used.sort_unstable();
    let mut kinds = [keys::DIRECTORY, keys::STREAMS].concat();
    kinds.sort_unstable();
    assert_eq!(String::from_utf8_lossy(&used), String::from_utf8_lossy(&kinds));
}
