//! Newcomers that crash, lose their disks, start late and get messages late, in random order.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// A newcomer's process and its disk.
struct Host {
    /// What is on the disk. `None`: the node is a founder or has joined, and takes part no more.
    disk: Option<Founding>,
    up: bool,
    /// The round of greetings under way: what it held to at its begin, and the answers so far.
    round: Option<(u64, Option<AgreementV1>, Vec<NewcomerV1>)>,
}

/// A message under way.
enum Message {
    Greeting { from: usize, round: u64, to: usize, greeting: NewcomerV1 },
    Answer { to: usize, round: u64, answer: NewcomerV1 },
}

struct World {
    hosts: Vec<Host>,
    expect: u32,
    under_way: Vec<Message>,
    rounds: u64,
    ids: u64,
    founders: Vec<usize>,
}

impl World {
    fn new(hosts: usize, expect: u32) -> Self {
        let mut world = Self {
            hosts: Vec::new(),
            expect,
            under_way: Vec::new(),
            rounds: 0,
            ids: 0,
            founders: Vec::new(),
        };
        for _ in 0..hosts {
            let disk = Some(world.newcomer());
            world.hosts.push(Host { disk, up: false, round: None });
        }
        world
    }

    /// A newcomer with an id that orders it anywhere among the others.
    fn newcomer(&mut self) -> Founding {
        self.ids += 1;
        let id = u128::from(self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes();
        Founding(NewcomerV1 { id, addr: self.ids.to_string(), expect: self.expect, ..NewcomerV1::default() })
    }

    /// Begins a round at `host`, and sends a greeting to every other host.
    fn begin(&mut self, host: usize) {
        self.rounds += 1;
        let Host { disk: Some(own), up: true, round } = &mut self.hosts[host] else { return };
        *round = Some((self.rounds, own.0.agreement.clone(), Vec::new()));
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            let greeting = self.hosts[host].disk.as_ref().unwrap().0.clone();
            self.under_way.push(Message::Greeting { from: host, round: self.rounds, to, greeting });
        }
    }

    fn deliver(&mut self, at: usize) {
        match self.under_way.swap_remove(at) {
            Message::Greeting { from, round, to, greeting } => {
                let Host { disk: Some(own), up: true, .. } = &mut self.hosts[to] else { return };
                own.greeted(&greeting);
                let answer = own.0.clone();
                self.under_way.push(Message::Answer { to: from, round, answer });
            }
            Message::Answer { to, round, answer } => {
                if let Some((number, _, heard)) = &mut self.hosts[to].round
                    && *number == round
                {
                    heard.push(answer);
                }
            }
        }
    }

    /// Ends the round of `host` with the answers that have arrived.
    fn end(&mut self, host: usize) {
        let Some((_, began, heard)) = self.hosts[host].round.take() else { return };
        let Some(own) = &mut self.hosts[host].disk else { return };
        if own.after_round(began.as_ref(), &heard) == Step::Found {
            self.founders.push(host);
            self.hosts[host].disk = None;
        }
    }

    /// A crash: the process and its round are gone; greetings that it sent may still arrive.
    fn crash(&mut self, host: usize) {
        self.hosts[host].up = false;
        self.hosts[host].round = None;
    }

    /// Whether another host holds, or is about to be asked to hold, to an agreement of this founder.
    fn is_waited_for(&self, founder: usize) -> bool {
        let Some(id) = self.hosts[founder].disk.as_ref().map(|own| own.0.id) else { return false };
        let names =
            |newcomer: &NewcomerV1| newcomer.agreement.as_ref().is_some_and(|held| held.founder == id);
        let others = (0..self.hosts.len()).filter(|host| *host != founder);
        let mut disks = others.filter_map(|host| self.hosts[host].disk.as_ref());
        let asked =
            |message: &Message| matches!(message, Message::Greeting { greeting, .. } if names(greeting));
        disks.any(|own| names(&own.0)) || self.under_way.iter().any(asked)
    }

    /// Starts every host that is down, and has all greet each other without a loss. Returns after a number of
    /// rounds that is always enough.
    fn calm(&mut self) {
        for _ in 0..20 {
            for host in 0..self.hosts.len() {
                self.hosts[host].up = true;
                self.begin(host);
                while !self.under_way.is_empty() {
                    self.deliver(0);
                }
                self.end(host);
                if !self.founders.is_empty() {
                    return;
                }
            }
        }
    }

    fn act(&mut self, (action, at): (u8, usize)) {
        let host = at % self.hosts.len();
        let message = at.checked_rem(self.under_way.len());
        match (action, message) {
            (0, _) => self.hosts[host].up = true,
            (1, _) => self.crash(host),
            (2, Some(message)) => drop(self.under_way.swap_remove(message)),
            (3..=5, _) => self.begin(host),
            (6..=7, _) => self.end(host),
            (_, Some(message)) => self.deliver(message),
            (_, None) => {}
        }
    }
}

fn actions() -> impl Strategy<Value = Vec<(u8, usize)>> {
    proptest::collection::vec((0..16u8, 0..1000usize), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn exactly_one_founds(hosts in 3..=5usize, actions in actions()) {
        let mut world = World::new(hosts, 3);
        actions.into_iter().for_each(|action| world.act(action));
        if world.founders.is_empty() {
            world.calm();
        }
        prop_assert_eq!(world.founders.len(), 1);
    }

    #[test]
    fn a_lost_disk_makes_no_second_founder(
        before in actions(), after in actions(), lost in 0..3usize
    ) {
        let mut world = World::new(3, 3);
        before.into_iter().for_each(|action| world.act(action));
        world.crash(lost);
        let was_founder = world.founders.contains(&lost);
        let waited_for = world.is_waited_for(lost);
        world.hosts[lost].disk = Some(world.newcomer());
        after.into_iter().for_each(|action| world.act(action));
        prop_assert!(world.founders.len() <= 1, "{:?}", world.founders);
        if world.founders.is_empty() && !waited_for && !was_founder {
            world.calm();
            prop_assert_eq!(world.founders.len(), 1);
        }
    }
}

#[test]
fn newcomers_with_different_settings_found_nothing_together() {
    let mut world = World::new(3, 3);
    world.hosts[1].disk.as_mut().unwrap().0.expect = 5;
    world.calm();
    assert!(world.founders.is_empty());
    world.hosts[1].disk.as_mut().unwrap().0.expect = 3;
    world.calm();
    assert_eq!(world.founders.len(), 1);
}

#[test]
fn one_that_does_not_expect_others_founds_nothing() {
    let mut world = World::new(3, 0);
    world.calm();
    assert!(world.founders.is_empty());
}
