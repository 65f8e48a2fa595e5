//! Whatever a caller names as rules and subjects: what a selector covers includes every subject that it
//! selects, and a channel's name and subject say the same.
#![no_main]

use waypost::core::channel::{Channel, Kind};
use waypost::core::channel_rules::{ChannelRule, ChannelRules, Durability};
use waypost::core::subject::{Selector, SubjectPattern};

const DECISIONS: [Option<Durability>; 3] = [None, Some(Durability::Durable), Some(Durability::Ephemeral)];

// A line for each rule, of which the first byte is its durability; then an empty line, a selector as in a
// query, and a line for each subject.
libfuzzer_sys::fuzz_target!(|input: &str| {
    let (rules, rest) = input.split_once("\n\n").unwrap_or(("", input));
    let rule = |line: &str| {
        let which = usize::from(*line.as_bytes().first()?) % DECISIONS.len();
        let matches = SubjectPattern::new(line.get(1..)?)?;
        Some(ChannelRule { durability: DECISIONS[which], ..ChannelRule::of(matches) })
    };
    let Ok(rules) = ChannelRules::new(rules.lines().filter_map(rule).collect()) else { return };
    let mut lines = rest.lines();
    let selector = Selector::from_query(lines.next());
    for subject in lines {
        let durability = rules.durability_of(subject);
        assert_eq!(rules.facts_of(subject).durability, durability, "{subject}");
        if let Ok(selector) = &selector
            && selector.matches(subject)
        {
            let coverage = rules.coverage_of(selector);
            match durability {
                Durability::Durable => assert!(coverage.has_durable(), "{subject}"),
                Durability::Ephemeral => assert!(coverage.has_ephemeral(), "{subject}"),
            }
        }
        if let Ok(channel) = Channel::parse(subject) {
            assert_eq!(channel.name(), subject);
            assert_eq!(channel.kind(), Kind::of(channel.subject().as_str()));
        }
    }
});
