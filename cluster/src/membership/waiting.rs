//! What a newcomer hears when it greets others, and why it still waits, in words for operators.

use std::collections::BTreeSet;

use crate::config::WaitHook;
use crate::wire::NewcomerV1;

/// The reason for waiting is logged again after this many rounds, though it has not changed.
const ROUNDS_BETWEEN_LOGS: u32 = 60;

/// What a greeting of an address led to.
pub(super) enum Heard {
    /// A member of a cluster answered.
    Member,
    /// A node closed the connection, as a member of an older release does.
    OlderRelease,
    /// Another newcomer answered.
    Newcomer(NewcomerV1),
    /// This newcomer itself answered.
    Itself,
    /// Nobody answered, for this reason.
    Nothing(String),
}

impl Heard {
    pub(super) fn may_give_an_id(&self) -> bool {
        matches!(self, Self::Member | Self::OlderRelease)
    }

    pub(super) fn newcomer(&self) -> Option<&NewcomerV1> {
        match self {
            Self::Newcomer(newcomer) => Some(newcomer),
            _ => None,
        }
    }
}

/// Why a newcomer waits.
pub(super) struct Reason {
    /// One sentence for operators.
    text: String,
    /// Whether all that found a cluster wait for it at first: it is no warning before it lasts.
    is_usual: bool,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, is_usual: false }
    }
}

/// Why the newcomer waits. `belonged`: its data directory belonged to a cluster, in whose place none must be
/// founded.
pub(super) fn reason(own: &NewcomerV1, heard: &[(String, Heard)], belonged: bool) -> Reason {
    let members: Vec<&str> =
        heard.iter().filter(|(_, heard)| heard.may_give_an_id()).map(|(addr, _)| addr.as_str()).collect();
    if !members.is_empty() {
        return format!(
            "the cluster at {} gives no id to this node yet: does it have a leader?",
            members.join(", ")
        )
        .into();
    }
    let held = own.agreement.as_ref().filter(|held| held.founder != own.id);
    let founder = held.and_then(|held| held.members.iter().find(|(id, _)| *id == held.founder));
    if let Some((_, founder)) = founder {
        return format!(
            "waiting for the node at {founder} to found the cluster, as agreed; if its data is lost, empty the \
             data directories of the others too"
        )
        .into();
    }
    let newcomers: Vec<&NewcomerV1> = heard.iter().filter_map(|(_, heard)| heard.newcomer()).collect();
    let silent = silent(heard);
    match different_settings(own, &newcomers) {
        Some(text) => Reason::from(text + &silent),
        None => {
            Reason { text: too_few(own.expect, &newcomers, belonged) + &silent, is_usual: own.expect > 0 }
        }
    }
}

/// The addresses at which nobody answered, and why.
fn silent(heard: &[(String, Heard)]) -> String {
    let why = |(addr, heard): &(String, Heard)| match heard {
        Heard::Nothing(why) if why.contains(addr.as_str()) => Some(why.clone()),
        Heard::Nothing(why) => Some(format!("{addr}: {why}")),
        _ => None,
    };
    let silent: Vec<String> = heard.iter().filter_map(why).collect();
    if silent.is_empty() { String::new() } else { format!("; no answer: {}", silent.join(", ")) }
}

/// The newcomers that found no cluster or one of another size, if there are any.
fn different_settings(own: &NewcomerV1, newcomers: &[&NewcomerV1]) -> Option<String> {
    const WHY: &str = "bootstrap_expect is 0, it is a learner, or it set damaged files aside";
    let addrs = |which: &dyn Fn(&NewcomerV1) -> bool| {
        let addrs: BTreeSet<&str> =
            newcomers.iter().filter(|other| which(other)).map(|other| other.addr.as_str()).collect();
        (!addrs.is_empty()).then(|| addrs.into_iter().collect::<Vec<_>>().join(", "))
    };
    if own.expect == 0 {
        let founders = addrs(&|other| other.expect > 0)?;
        return Some(format!("waiting for {founders} to found a cluster; this node founds none: {WHY}"));
    }
    if let Some(others) = addrs(&|other| other.expect > 0 && other.expect != own.expect) {
        let expect = own.expect;
        return Some(format!(
            "bootstrap_expect must be the same on all nodes: this node has {expect}, {others} another number"
        ));
    }
    let others = addrs(&|other| other.expect == 0)?;
    let enough = newcomers.iter().filter(|other| other.expect == own.expect).count() + 1;
    let expect = own.expect;
    Some(format!("waiting for {expect} nodes to found a cluster; {enough} would; {others} would not: {WHY}"))
}

fn too_few(expect: u32, newcomers: &[&NewcomerV1], belonged: bool) -> String {
    let others: BTreeSet<&str> = newcomers.iter().map(|other| other.addr.as_str()).collect();
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    match (expect, newcomers.is_empty()) {
        (0, true) => "waiting for a member of a cluster at the addresses of `join`".to_owned(),
        (0, false) if belonged => format!(
            "no member of a cluster answers; this node, which belonged to one, and {others} all wait for one: \
             start the nodes that have its data, docs/runbooks/damage-on-several-nodes.md"
        ),
        (0, false) => format!(
            "no member of a cluster answers; this node and {others} all wait for one: if none of them belonged \
             to a cluster, set bootstrap_expect to the number of nodes that found one"
        ),
        (expect, true) => format!("waiting for {expect} nodes to found a cluster; no other is seen yet"),
        (expect, false) => {
            format!("waiting for {expect} nodes to found a cluster; seen besides this: {others}")
        }
    }
}

/// Reports to operators why the newcomer waits, when the reason changes and then now and again. What is usual is
/// a warning only when it is reported again.
#[derive(Default)]
pub(super) struct Reported {
    reason: String,
    rounds: u32,
}

impl Reported {
    pub(super) fn report(&mut self, reason: Reason, on_waiting: Option<&WaitHook>) {
        let Some(is_warning) = self.turn(&reason) else { return };
        let Reason { text, .. } = reason;
        if is_warning {
            tracing::warn!("{text}");
        } else {
            tracing::info!("{text}");
        }
        if let Some(hook) = on_waiting {
            hook(&text);
        }
        *self = Self { reason: text, rounds: 0 };
    }

    /// Whether the reason is to be reported now; if so, whether as a warning.
    fn turn(&mut self, reason: &Reason) -> Option<bool> {
        self.rounds += 1;
        let is_known = self.reason == reason.text;
        let is_due = !is_known || self.rounds >= ROUNDS_BETWEEN_LOGS;
        is_due.then_some(is_known || !reason.is_usual)
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::AgreementV1;

    fn newcomer(n: u8, expect: u32) -> NewcomerV1 {
        NewcomerV1 { id: [n; 16], addr: format!("10.0.0.{n}:4001"), expect, ..NewcomerV1::default() }
    }

    #[test]
    fn the_reason_names_what_is_missing() {
        let at = |n: u8, heard| (format!("10.0.0.{n}:4001"), heard);
        let silent = || at(3, Heard::Nothing("connection refused".to_owned()));
        let other = |expect| at(2, Heard::Newcomer(newcomer(2, expect)));
        let itself = || at(1, Heard::Itself);
        let reported = |expect, heard: &[(String, Heard)]| reason(&newcomer(1, expect), heard, false).text;

        let text = reported(3, &[itself(), other(3), silent()]);
        assert!(text.contains("3 nodes") && text.contains("10.0.0.2:4001"), "{text}");
        assert!(text.contains("no answer: 10.0.0.3:4001: connection refused"), "{text}");
        assert!(reported(3, &[itself()]).contains("no other is seen yet"));
        assert!(reported(3, &[other(5)]).contains("this node has 3, 10.0.0.2:4001 another number"));
        assert!(reported(3, &[other(0)]).contains("1 would; 10.0.0.2:4001 would not"));
        assert!(reported(0, &[other(3)]).contains("waiting for 10.0.0.2:4001 to found a cluster"));
        assert!(reported(0, &[other(0)]).contains("set bootstrap_expect"));
        let text = reason(&newcomer(1, 0), &[other(0)], true).text;
        assert!(text.contains("start the nodes that have its data"), "{text}");
        assert!(!text.contains("bootstrap_expect"), "nothing may be founded in its place: {text}");
        assert!(reported(0, &[silent()]).contains("waiting for a member"));
        assert!(
            reported(3, &[other(3), at(3, Heard::Member)]).contains("cluster at 10.0.0.3:4001 gives no id")
        );

        let mut own = newcomer(1, 3);
        let members = (1..=3).map(|n| ([n; 16], format!("10.0.0.{n}:4001"))).collect();
        own.agreement = Some(AgreementV1 { founder: [2; 16], number: 1, members });
        let text = reason(&own, &[silent()], false).text;
        assert!(text.contains("waiting for the node at 10.0.0.2:4001 to found"), "{text}");
    }

    #[test]
    fn what_all_wait_for_at_first_is_a_warning_only_if_it_lasts() {
        let heard = |expect| [("10.0.0.2:4001".to_owned(), Heard::Newcomer(newcomer(2, expect)))];
        let mut reported = Reported::default();
        let alone = || reason(&newcomer(1, 3), &[], false);
        assert_eq!(reported.turn(&alone()), Some(false));
        reported.report(alone(), None);
        let told: Vec<Option<bool>> = (0..ROUNDS_BETWEEN_LOGS).map(|_| reported.turn(&alone())).collect();
        let (last, before) = told.split_last().unwrap();
        assert!(before.iter().all(Option::is_none) && *last == Some(true), "{told:?}");
        assert_eq!(
            reported.turn(&reason(&newcomer(1, 3), &heard(3), false)),
            Some(false),
            "one more is seen"
        );
        assert_eq!(reported.turn(&reason(&newcomer(1, 3), &heard(5), false)), Some(true), "a mistake");
        assert_eq!(reported.turn(&reason(&newcomer(1, 0), &[], false)), Some(true), "it founds none");
    }
}
