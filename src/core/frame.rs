//! Wire forms: how a protocol writes an event of one topic, as the bytes of a whole transport frame.
//!
//! The hub encodes each event once for every view in use and knows no protocol; the edges implement the trait.

use super::event::Event;
use super::expression::Condition;
use super::ids::EventId;
use std::sync::Arc;

/// Names a wire form, or a view of a topic. Two of a topic with the same key give the same bytes.
pub type FormKey = Arc<str>;

/// A way to write events.
pub trait WireForm: Send + Sync + 'static {
    /// The form's name.
    fn key(&self) -> &FormKey;

    /// Appends the whole frame of `event`, headers of the transport included.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);

    /// Appends the whole frame that tells a reader which event it has passed without being shown it.
    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>);
}

/// What the readers of a topic are shown: a form, and if there is a condition, only the events that meet it.
///
/// A condition makes a view of its own, so that it is evaluated where an event is encoded, once, and never by a reader.
#[derive(Clone)]
pub struct View {
    form: Arc<dyn WireForm>,
    condition: Option<Arc<Condition>>,
    key: FormKey,
}

impl View {
    /// The events that meet `condition`, in that form.
    pub fn new(form: Arc<dyn WireForm>, condition: Option<Arc<Condition>>) -> Self {
        let key = match &condition {
            None => form.key().clone(),
            // No form's key has a line break.
            Some(condition) => format!("{}\n{}", form.key(), condition.text()).into(),
        };
        Self { form, condition, key }
    }

    /// The view's name.
    pub fn key(&self) -> &FormKey {
        &self.key
    }

    /// How events are written.
    pub fn form(&self) -> &dyn WireForm {
        &*self.form
    }

    /// What they must meet.
    pub fn condition(&self) -> Option<&Arc<Condition>> {
        self.condition.as_ref()
    }
}
