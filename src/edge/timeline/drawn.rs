//! The steps of a timeline in their order, and what is not known of it.

use crate::core::ids::{EventId, NodeId};
use crate::core::time::iso_micros;
use crate::edge::context::Edge;
use crate::hub::{ApplyNote, Author, Gathered, Known, PublishNote};
use serde_json::{Value, json};
use std::cmp::Reverse;
use waypost_cluster::Status;

/// The stages of an event's way, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Received,
    Proposed,
    Committed,
    Applied,
    Delivered,
    Attempt,
    Acknowledged,
    DeadLetter,
    Pending,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Proposed => "proposed",
            Self::Committed => "committed",
            Self::Applied => "applied",
            Self::Delivered => "delivered",
            Self::Attempt => "attempt",
            Self::Acknowledged => "acknowledged",
            Self::DeadLetter => "dead_letter",
            Self::Pending => "pending",
        }
    }
}

/// One step.
struct Step {
    stage: Stage,
    /// When (Unix nanoseconds), if that is known.
    at_ns: Option<u64>,
    node: Option<NodeId>,
    /// What else is known: an object.
    what: Value,
}

/// A timeline that is being made.
pub(super) struct Drawn<'s> {
    status: &'s Status,
    steps: Vec<Step>,
    not_chosen: Vec<Value>,
    gone: Vec<String>,
}

impl<'s> Drawn<'s> {
    /// A timeline without steps. `status` has the names of the nodes.
    pub(super) fn new(status: &'s Status) -> Self {
        Self { status, steps: Vec::new(), not_chosen: Vec::new(), gone: Vec::new() }
    }

    /// Adds a step. `what` is an object.
    pub(super) fn step(&mut self, stage: Stage, at_ns: Option<u64>, node: Option<NodeId>, what: Value) {
        self.steps.push(Step { stage, at_ns, node, what });
    }

    /// Says why a receiver does not get the event. `who` is an object that names it.
    pub(super) fn not_chosen(&mut self, mut who: Value, why: String) {
        who["why"] = why.into();
        self.not_chosen.push(who);
    }

    /// Says what is not known: a sentence.
    pub(super) fn gone(&mut self, sentence: impl Into<String>) {
        self.gone.push(sentence.into());
    }

    /// Who published the event, and how. `is_servers`: the server itself made it.
    pub(super) fn publish(
        &mut self,
        edge: &Edge,
        is_servers: bool,
        published: Option<(NodeId, &PublishNote)>,
    ) {
        match published {
            Some((node, publish)) => {
                let what = json!({"by": author(edge, publish.author), "protocol": publish.via.name()});
                self.step(Stage::Received, Some(publish.received_ns), Some(node), what);
            }
            None if is_servers => {
                self.gone("the server itself made the event when it applied the log: nobody published it");
            }
            None => self.gone("who published the event, when and at which node is no longer known"),
        }
    }

    /// The event's way through the log.
    pub(super) fn log(&mut self, id: EventId, gathered: &Gathered) {
        let index = id.log_position().index;
        let known = gathered.nodes.iter();
        let applied: Vec<(NodeId, ApplyNote)> =
            known.filter_map(|(node, known)| Some((*node, known.applied?))).collect();
        let name = applied.iter().map(|(_, note)| note.proposal).find(|(node, ..)| *node != 0);
        let published = gathered.published();
        let proposed_ns = published
            .map(|(_, publish)| publish.received_ns.saturating_add(u64::from(publish.proposed_us) * 1000));
        if name.is_some() || proposed_ns.is_some() {
            let proposal = name.map(|(node, incarnation, number)| format!("{node}-{incarnation}-{number}"));
            let node = name.map(|(node, ..)| node).or(published.map(|(node, _)| node));
            self.step(Stage::Proposed, proposed_ns, node, json!({ "proposal": proposal }));
        }
        if name.is_none() {
            self.gone("which proposal brought the event into the log is no longer known");
        } else if proposed_ns.is_none() {
            self.gone("when the event was proposed to the log is no longer known");
        }
        // The leader of the entry learns first that a majority has it.
        let first = applied.iter().min_by_key(|(node, note)| (Reverse(*node == note.leader), note.began_ns));
        match first {
            Some((node, note)) => {
                self.step(Stage::Committed, Some(note.began_ns), Some(*node), json!({ "log_index": index }));
            }
            None => self.gone(format!("when entry {index} of the log was committed is no longer known")),
        }
        for (node, note) in &applied {
            self.step(Stage::Applied, Some(note.done_ns), Some(*node), json!({}));
        }
        for (node, known) in &gathered.nodes {
            self.unapplied(*node, known);
            if known.has_more_deliveries() {
                let called = self.status.called(*node);
                self.gone(format!("node {called} tells its newest attempts and acknowledgements alone"));
            }
        }
    }

    /// Says why it is not known when the node applied the event, if it is not.
    fn unapplied(&mut self, node: NodeId, known: &Known) {
        if known.applied.is_some() {
            return;
        }
        let called = self.status.called(node);
        self.gone(match (known.has_applied, known.began_after) {
            (false, _) => format!("node {called} has not applied the event yet"),
            (true, true) => format!(
                "node {called} was started after the event: when it applied the event, what its sockets were \
                 handed before, and what it had sent to webhooks is not known"
            ),
            (true, false) => format!("node {called} no longer knows when it applied the event"),
        });
    }

    /// The event's way to the sockets of each node. `is_asked`: the nodes were asked for it, since readers may
    /// have the event.
    pub(super) fn sockets(&mut self, gathered: &Gathered, is_asked: bool) {
        if !is_asked {
            return self.gone("which sockets were handed the event is not known: it is not at hand");
        }
        for (node, known) in &gathered.nodes {
            let called = self.status.called(*node);
            let Some(reached) = &known.reached else {
                self.gone(format!("node {called} did not tell in time what its sockets were handed"));
                continue;
            };
            if reached.is_partial {
                self.gone(format!(
                    "subscriptions of several subjects have ended on node {called}: whether they had the event \
                     is no longer known"
                ));
            }
            let done_ns = known.applied.map(|note| note.done_ns);
            // One of the node's threads has forgotten what it handed out then. Others may know theirs.
            let is_forgotten = reached.forgotten_ns >= done_ns.or(reached.at_ns).or(Some(0));
            if is_forgotten {
                let some = if reached.at_ns.is_some() { "some of " } else { "" };
                self.gone(format!("{some}what the sockets of node {called} were handed is no longer known"));
            }
            let is_told = reached.sockets > 0 || reached.waiting > 0;
            if is_told || done_ns.is_some() && !is_forgotten {
                let what = json!({
                    "sockets": reached.sockets,
                    "slowest_us": reached.slowest_us,
                    "waiting": reached.waiting,
                });
                self.step(Stage::Delivered, reached.at_ns.or(done_ns), Some(*node), what);
            }
        }
    }

    /// The whole answer: steps by stage, then by time.
    pub(super) fn answer(mut self, event: Option<Value>, unreachable: &[NodeId]) -> Value {
        self.steps.sort_by_key(|step| (step.stage, step.at_ns.unwrap_or(u64::MAX)));
        let steps: Vec<Value> = self.steps.iter().map(|step| self.shown(step)).collect();
        let unreachable: Vec<Value> = unreachable.iter().map(|node| self.node(*node)).collect();
        json!({
            "event": event,
            "steps": steps,
            "not_chosen": self.not_chosen,
            "gone": self.gone,
            "unreachable": unreachable,
        })
    }

    fn shown(&self, step: &Step) -> Value {
        let mut shown = step.what.clone();
        shown["kind"] = step.stage.name().into();
        shown["at"] = step.at_ns.map(|ns| iso_micros(ns / 1000)).into();
        shown["node"] = step.node.map(|node| self.node(node)).into();
        shown
    }

    fn node(&self, id: NodeId) -> Value {
        let name = self.status.member(id).and_then(|member| member.name());
        json!({"id": id, "name": name})
    }
}

/// Who published an event: the id of a token or of a source, or the id of the app whose client it was; null for
/// the admin.
fn author(edge: &Edge, author: Author) -> Value {
    match author {
        Author::Admin => Value::Null,
        Author::Token(token) => match edge.hub.access().known().apps().get(token) {
            Some(app) => json!(&*app.id),
            None => json!(token.to_string()),
        },
        Author::Source(source) => json!(source.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
