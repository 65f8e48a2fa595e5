//! Wire forms: how a protocol writes an event as a complete transport frame.
//!
//! The hub encodes each event once for every view in use and knows no protocol; the protocols of the edge
//! implement the trait.

use super::event::Event;
use super::expression::Condition;
use super::ids::EventId;
use std::sync::Arc;

/// The name of a wire form, or of a view of a topic. Two views of a topic with the same key produce the same
/// bytes.
pub type FormKey = Arc<str>;

/// A way to write events as frames.
pub trait WireForm: Send + Sync + 'static {
    /// Returns the form's name.
    fn key(&self) -> &FormKey;

    /// Appends the complete frame of `event`, with the transport's headers.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);

    /// Appends the complete frame that tells a client the last event that its subscription has passed without
    /// showing it.
    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>);
}

/// What the subscribers of a topic see: a wire form and, optionally, a condition that events must meet.
///
/// Each condition makes a view of its own. So it is evaluated once for each event, when the event is encoded,
/// and never for each subscriber.
#[derive(Clone)]
pub struct View {
    form: Arc<dyn WireForm>,
    condition: Option<Arc<Condition>>,
    key: FormKey,
}

impl View {
    /// Creates a view of the events that meet `condition`, in that form.
    pub fn new(form: Arc<dyn WireForm>, condition: Option<Arc<Condition>>) -> Self {
        let key = match &condition {
            None => form.key().clone(),
            // No form's key contains a line break.
            Some(condition) => format!("{}\n{}", form.key(), condition.text()).into(),
        };
        Self { form, condition, key }
    }

    /// Returns the view's name.
    pub fn key(&self) -> &FormKey {
        &self.key
    }

    /// Returns the wire form.
    pub fn form(&self) -> &dyn WireForm {
        &*self.form
    }

    /// Returns the condition.
    pub fn condition(&self) -> Option<&Arc<Condition>> {
        self.condition.as_ref()
    }
}
