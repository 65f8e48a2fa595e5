//! The spans of what the hub does for events: publishing, the commit of a publish, its application to this
//! node's state, and handing events to this node's sockets. They are made only where spans are recorded, and
//! for the events of recorded traces.

use crate::core::access::Map;
use crate::core::command::Change;
use crate::core::event::{Event, NewEvent};
use crate::core::topic::TopicKey;
use crate::core::trace::TraceContext;
use crate::spans::{Kind, Moment, Open, tracer};

/// Traces of one publish that have spans. The events of more traces keep what their publisher said.
const MOST_TRACES: usize = 64;

/// The spans of one publish: one for each trace of its events. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    spans: Vec<Open>,
}

impl Publishing {
    /// Begins the spans of a publish. The events belong to them from now on, and with them to their traces.
    /// Events without a trace begin one together, if that is among those that are recorded.
    pub(super) fn begin(map: &Map, events: &mut [NewEvent]) -> Self {
        let Some(tracer) = tracer() else { return Self::default() };
        let count = events.len() as u64;
        let mut known: Vec<(Option<TraceContext>, Option<TraceContext>)> = Vec::new();
        let mut spans = Vec::new();
        for event in events {
            let own = event.trace;
            if let Some((_, span)) = known.iter().find(|(trace, _)| *trace == own) {
                event.trace = span.or(own);
                continue;
            }
            if known.len() == MOST_TRACES {
                continue;
            }
            let open = match own {
                Some(own) => tracer.child(own, "publish", Kind::Server),
                None => tracer.root("publish", Kind::Server),
            };
            let context = open.as_ref().map(Open::context);
            known.push((own, context));
            event.trace = context.or(own);
            spans.extend(open.map(|mut open| {
                open.set("waypost.map_id", map.id.to_string());
                open.set("waypost.events", count);
                open
            }));
        }
        Self { spans }
    }

    /// Begins the spans of the commit, within those of the publish.
    pub(super) fn commit(&self) -> Self {
        let Some(tracer) = tracer().filter(|_| !self.spans.is_empty()) else { return Self::default() };
        let of = |span: &Open| tracer.child(span.context(), "commit", Kind::Internal);
        Self { spans: self.spans.iter().filter_map(of).collect() }
    }

    /// Says why it failed.
    pub(super) fn fail(&mut self, why: &impl ToString) {
        self.spans.iter_mut().for_each(|span| span.fail(why.to_string()));
    }

    /// Adds a number to each span.
    pub(super) fn set(&mut self, name: &'static str, number: u64) {
        self.spans.iter_mut().for_each(|span| span.set(name, number));
    }
}

/// Makes the spans of applying: each stored event of a recorded trace has one on every node.
pub(super) fn applied(changes: &[Change], began: Moment, index: u64) {
    let Some(tracer) = tracer() else { return };
    for change in changes {
        if let Change::Traced(trace) = change
            && let Some(mut span) = tracer.child_since(*trace, "apply", Kind::Internal, began)
        {
            span.set("waypost.index", index);
        }
    }
}

/// Events of recorded traces that are being handed to this node's sockets. Each has one span, however many
/// sockets there are.
#[derive(Debug)]
pub(super) struct FanOut {
    began: Moment,
    traces: Vec<TraceContext>,
}

impl FanOut {
    /// Begins to hand out events. `None` if there is nothing to record.
    pub(super) fn of(events: &[Event]) -> Option<Self> {
        tracer()?;
        let traces = events.iter().filter_map(|event| event.trace).filter(TraceContext::is_sampled);
        let traces: Vec<TraceContext> = traces.collect();
        (!traces.is_empty()).then(|| Self { began: Moment::now(), traces })
    }

    /// The events of the topic were handed out.
    pub(super) fn end(self, topic: &TopicKey) {
        let Some(tracer) = tracer() else { return };
        for trace in self.traces {
            if let Some(mut span) = tracer.child_since(trace, "deliver", Kind::Internal, self.began) {
                span.set("waypost.topic", topic.to_string());
            }
        }
    }
}
