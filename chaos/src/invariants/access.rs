//! 7: configuration and access are linearizable.
//!
//! Answers of a node that a fault keeps out of reach of the others, and shortly after the fault, are counted
//! and not checked: such a node can't know of a revoke. A revoke is answered once every node in reach has it.
//! A token that is used at a node that was dead or stopped is checked: such a node asks the leader before it
//! accepts a token.

use super::{Index, Verdict};
use crate::history::Record;
use std::collections::HashMap;

/// When a token was created and revoked, in milliseconds of the run.
#[derive(Debug, Default, Clone, Copy)]
struct Token {
    made_ms: Option<u64>,
    revoke_asked_ms: Option<u64>,
    revoked_ms: Option<u64>,
}

/// Checks 7; answers of nodes that may have been out of reach are only counted.
pub(super) fn linearizable(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(7);
    let tokens = tokens(index);
    let mut away = 0;
    for entry in &index.history.0 {
        match &entry.record {
            Record::TokenUsed { token, node, asked_ms, status } => {
                let life = tokens.get(token.as_str()).copied().unwrap_or_default();
                let good = life.made_ms.is_some_and(|made| made <= *asked_ms)
                    && life.revoke_asked_ms.is_none_or(|revoke| entry.at_ms < revoke);
                let gone = life.revoked_ms.is_some_and(|revoked| revoked <= *asked_ms);
                if index.cut_off(*node, *asked_ms, entry.at_ms) {
                    away += 1;
                    continue;
                }
                let right = !(good && matches!(status, 401 | 403) || gone && (200..300).contains(status));
                verdict.check(right, || {
                    format!("node {node} answered {status} to {token} of {life:?} at {asked_ms} ms")
                });
            }
            Record::TokenSocket { token, node, closed } => {
                let revoked =
                    tokens.get(token.as_str()).and_then(|life| life.revoked_ms).unwrap_or(entry.at_ms);
                if index.out_of_reach(*node, revoked, entry.at_ms) {
                    away += 1;
                    continue;
                }
                verdict.check(*closed, || {
                    format!("node {node} kept a socket of {token}, revoked at {revoked} ms, open")
                });
            }
            _ => {}
        }
    }
    away += registers(index, &mut verdict);
    verdict.figure = format!("{} tokens; {away} answers of nodes out of reach not checked", tokens.len());
    verdict
}

fn tokens<'a>(index: &Index<'a>) -> HashMap<&'a str, Token> {
    let mut tokens: HashMap<&str, Token> = HashMap::new();
    for entry in &index.history.0 {
        match &entry.record {
            Record::TokenMade { token, .. } => tokens.entry(token).or_default().made_ms = Some(entry.at_ms),
            Record::TokenRevoked { token, asked_ms } => {
                let life = tokens.entry(token).or_default();
                life.revoke_asked_ms = Some(*asked_ms);
                life.revoked_ms = Some(entry.at_ms);
            }
            _ => {}
        }
    }
    tokens
}

/// What is known of a setting.
#[derive(Debug, Default)]
struct Register {
    /// Its least value, from that time on.
    least: Vec<(u64, u64)>,
    /// When each version was first asked for.
    asked: HashMap<u64, u64>,
}

/// One writer counts a setting up, and continues with a new setting when an answer was lost. A read that
/// begins after a write was acknowledged, or after another read ended, shows at least that value, and no
/// value that was not asked for yet. Returns how many reads were not checked.
fn registers(index: &Index<'_>, verdict: &mut Verdict) -> u64 {
    let mut registers: HashMap<&str, Register> = HashMap::new();
    let mut away = 0;
    for entry in &index.history.0 {
        if let Record::Wrote { register, version, asked_ms, .. } = &entry.record {
            registers.entry(register).or_default().asked.entry(*version).or_insert(*asked_ms);
        }
    }
    for entry in &index.history.0 {
        match &entry.record {
            Record::Wrote { register, version, acked: true, .. } => {
                registers.entry(register).or_default().least.push((entry.at_ms, *version));
            }
            Record::Read { register, node, version, asked_ms } => {
                if index.out_of_reach(*node, *asked_ms, entry.at_ms) {
                    away += 1;
                    continue;
                }
                let Register { least, asked } = registers.entry(register).or_default();
                let known =
                    least.iter().rev().filter(|(at, _)| at < asked_ms).map(|(_, version)| *version).max();
                verdict.check(*version >= known.unwrap_or(0), || {
                    format!("node {node} gave version {version}, asked at {asked_ms} ms, after {known:?} was known")
                });
                let possible = *version == 0 || asked.get(version).is_some_and(|at| *at <= entry.at_ms);
                verdict.check(possible, || {
                    format!("node {node} gave version {version}, which nobody had written yet")
                });
                least.push((entry.at_ms, *version));
            }
            _ => {}
        }
    }
    away
}
