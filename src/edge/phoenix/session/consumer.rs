//! Consumers over channels. A join of `consumer:{name}` takes the events of a consumer of the token's map, in
//! batches under the name `message`. Pushes of `ack`, `nack` and `extend` say what the client did with them.

use super::{PhoenixSession, SessionNote};
use crate::core::access::Scopes;
use crate::core::consumer::reading::{Handed, MAX_READ, Wish};
use crate::core::error_code::Code;
use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use crate::core::webhook::Webhook;
use crate::delivery::{Link, Mailbox, Next, Resume};
use crate::edge::auth::granted;
use crate::edge::consumers::{ConsumerReading, Got, Said, write_list};
use crate::edge::error::ApiError;
use crate::edge::phoenix::frame::{self, Message, Ref, Version};
use crate::edge::phoenix::reply;
use crate::edge::refused::Refused;
use crate::hub::{Grant, Hub, Who};
use actix_rt::task::JoinHandle;
use actix_web::ResponseError;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The events that a channel may have unacknowledged if its join does not say how many.
const DEFAULT_MAX: u32 = 100;
/// How long one read waits. Between reads the token is checked.
const WAIT_MS: u64 = 700;
/// The pause after a read that failed for a cause that passes.
const PAUSE: Duration = Duration::from_millis(500);

/// A channel of a consumer. It lives until the client leaves it or joins the topic again.
pub(super) struct ConsumerChannel {
    pub(super) join_ref: Ref,
    /// Digest of the join that made it. Set on transports where a join may arrive twice.
    pub(super) made_by: Option<u64>,
    /// Tells it from earlier ones of the session, whose notes are outdated.
    number: u64,
    /// The right that it lives by.
    grant: Rc<RefCell<Grant>>,
    reading: ConsumerReading,
    consumer: Arc<Webhook>,
    _reads: Task,
}

impl ConsumerChannel {
    /// The client has presented a newer token, which permits the same.
    pub(super) fn set_who(&self, who: Who) {
        self.grant.borrow_mut().who = who;
    }

    /// Whether the message belongs to an earlier join of the topic.
    pub(super) fn is_outdated(&self, message: &Message) -> bool {
        !message.join_ref.is_null() && message.join_ref != self.join_ref
    }
}

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Events for a channel, or why nothing comes any more.
pub(in crate::edge::phoenix) struct ConsumerNote {
    topic: Arc<str>,
    number: u64,
    what: Result<Got, ApiError>,
    /// Its end tells the reading task that the client has room for more.
    taken: oneshot::Sender<()>,
}

/// A consumer that a client may read.
struct Opened {
    grant: Grant,
    consumer: Arc<Webhook>,
    wish: Wish,
}

/// The name of the consumer that a topic names.
pub(super) fn named_by(topic: &str) -> Option<&str> {
    topic.strip_prefix("consumer:").filter(|name| !name.is_empty())
}

/// The parameter of a join: how many events it may have unacknowledged.
fn read_max(message: &Message) -> Result<u32, ApiError> {
    let text = message.payload.as_deref().filter(|text| *text != "null").unwrap_or("{}");
    let mut m = Members::of(text);
    let max = m.take(&["max"], "a whole number").unwrap_or(DEFAULT_MAX);
    if !(1..=MAX_READ).contains(&max) {
        m.fault("max", FieldCode::OutOfRange, format_args!("must be from 1 to {MAX_READ}"));
    }
    Ok(m.finish().into_result(max)?)
}

async fn open(
    reading: &ConsumerReading,
    hub: &Hub,
    who: Who,
    name: &str,
    max: u32,
) -> Result<Opened, ApiError> {
    let Who::Token(token) = &who else {
        let message = "a consumer belongs to a map: join with a token of the map";
        return Err(ApiError::bad_request(Code::MapNeeded, message));
    };
    let map = token.map.to_string();
    hub.access().know_revokes().await;
    let grant = granted(hub, who, &map, Scopes::SUBSCRIBE).await?;
    // A consumer may have events that a limited token does not permit.
    if grant.who.is_limited() {
        return Err(Refused::Forbidden(Scopes::SUBSCRIBE).into());
    }
    if !hub.access().still_granted(&grant, Scopes::SUBSCRIBE) {
        return Err(Refused::Unauthorized.into());
    }
    let consumer = reading.find(&grant, name).await?;
    // Readers without a name are 0.
    let reader = getrandom::u64().unwrap_or(1).max(1);
    Ok(Opened { grant, consumer, wish: Wish { reader, unacknowledged: max, max, wait_ms: WAIT_MS } })
}

/// Reads for one channel, as long as its token is good.
struct Reads {
    reading: ConsumerReading,
    hub: Hub,
    grant: Rc<RefCell<Grant>>,
    consumer: Arc<Webhook>,
    wish: Wish,
    mailbox: Mailbox<SessionNote>,
    topic: Arc<str>,
    number: u64,
}

impl Reads {
    async fn run(self) {
        loop {
            let what = match self.read().await {
                Ok(got) if got.is_empty() => continue,
                Err(error) if error.status_code().is_server_error() => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                what => what,
            };
            let is_over = what.is_err();
            let (taken, is_taken) = oneshot::channel();
            let note = ConsumerNote { topic: self.topic.clone(), number: self.number, what, taken };
            self.mailbox.send(SessionNote::Consumer(note));
            if is_over {
                return;
            }
            // What waits for a slow client is one read. Nothing is ever sent: the sender is dropped.
            let _ = is_taken.await;
        }
    }

    async fn read(&self) -> Result<Got, ApiError> {
        self.check().await?;
        let got = self.reading.read(&self.consumer, self.wish).await?;
        self.check().await?;
        Ok(got)
    }

    async fn check(&self) -> Result<(), ApiError> {
        self.hub.access().know_revokes().await;
        let is_granted = self.hub.access().still_granted(&self.grant.borrow(), Scopes::SUBSCRIBE);
        if is_granted { Ok(()) } else { Err(Refused::Unauthorized.into()) }
    }
}

impl PhoenixSession {
    /// Joins the channel of a consumer.
    pub(super) fn join_consumer(
        &self,
        name: String,
        message: Message,
        digest: Option<u64>,
        link: &mut dyn Link,
    ) -> Next<Self> {
        let missing = || ApiError::unavailable("consumers can't be read here");
        let reading = self.client.consumers.clone().ok_or_else(missing);
        let (max, reading) = match read_max(&message).and_then(|max| Ok((max, reading?))) {
            Ok(read) => read,
            Err(error) => {
                self.reply(link, &message, "error", &reply::unpublished(&error));
                return Next::Done;
            }
        };
        let dispatcher = self.dispatcher.clone();
        let who = self.client.who.clone();
        Next::Await(Box::pin(async move {
            let opened = open(&reading, dispatcher.hub(), who, &name, max).await;
            let resume: Resume<Self> = Box::new(move |session, link| match opened {
                Ok(opened) => session.joined_consumer(message, digest, reading, opened, link),
                Err(error) => {
                    session.reply(link, &message, "error", &reply::unpublished(&error));
                    session.close_former(&message.topic, link);
                }
            });
            resume
        }))
    }

    /// Sends the reply first, then the close of the old channel, then events.
    fn joined_consumer(
        &mut self,
        message: Message,
        digest: Option<u64>,
        reading: ConsumerReading,
        opened: Opened,
        link: &mut dyn Link,
    ) {
        let Opened { grant, consumer, wish } = opened;
        let grant = Rc::new(RefCell::new(grant));
        self.reply(link, &message, "ok", &json!({"consumer": consumer.name, "max": wish.max}));
        self.close_former(&message.topic, link);
        // A client may do nothing but read consumers.
        self.subscriber.keep_unused();
        self.watches += 1;
        let number = self.watches;
        let reads = Reads {
            reading: reading.clone(),
            hub: self.dispatcher.hub().clone(),
            grant: grant.clone(),
            consumer: consumer.clone(),
            wish,
            mailbox: self.mailbox.get_or_insert_default().clone(),
            topic: message.topic.as_str().into(),
            number,
        };
        let channel = ConsumerChannel {
            join_ref: message.join_ref,
            made_by: digest,
            number,
            grant,
            reading,
            consumer,
            _reads: Task(actix_rt::spawn(reads.run())),
        };
        self.consumers.insert(message.topic, channel);
    }

    /// Passes on what the client says of its events. The next message waits until the cluster has it.
    pub(super) fn answer_consumer(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        // The reply to the first one of a repeated message is kept until it arrives.
        let is_repeated = self.repeats.as_mut().is_some_and(|repeats| repeats.has(&message));
        let channel = self.consumers.get(&message.topic);
        let Some(channel) = channel.filter(|channel| !is_repeated && !channel.is_outdated(&message)) else {
            return Next::Done;
        };
        let text = message.payload.as_deref().unwrap_or("null");
        let said = Said::read(&message.event, text, &channel.consumer);
        let unknown = || ApiError::bad_request(Code::UnknownEvent, "a consumer takes ack, nack and extend");
        let said = match said.and_then(|said| said.ok_or_else(unknown)) {
            Ok(said) => said,
            Err(error) => {
                self.reply(link, &message, "error", &reply::unpublished(&error));
                return Next::Done;
            }
        };
        let (reading, consumer) = (channel.reading.clone(), channel.consumer.clone());
        Next::Await(Box::pin(async move {
            let answered = reading.say(&consumer, &said).await;
            let resume: Resume<Self> = Box::new(move |session, link| match answered {
                Ok(answer) => session.reply(link, &message, "ok", &answer),
                Err(error) => session.reply(link, &message, "error", &reply::unpublished(&error)),
            });
            resume
        }))
    }

    /// Sends events to the client, or closes the channel.
    pub(super) fn tell_consumer(&mut self, note: ConsumerNote, link: &mut dyn Link) {
        let ConsumerNote { topic, number, what, taken: _taken } = note;
        let version = self.client.version;
        let Some(channel) = self.consumers.get(&*topic).filter(|channel| channel.number == number) else {
            return;
        };
        match what {
            Ok(got) => link.text(messages(version, &channel.join_ref, &topic, &got.take())),
            Err(error) => {
                let none = Ref::default();
                let body = error.body();
                link.text(frame::encode_text(version, &channel.join_ref, &none, &topic, "closed", &body));
                self.close_former(&topic, link);
            }
        }
    }
}

/// The message with a batch of events.
fn messages(version: Version, join_ref: &Ref, topic: &str, handed: &[Handed]) -> String {
    let mut out = Vec::with_capacity(handed.iter().map(|handed| handed.event.len() + 128).sum());
    frame::encode(version, &mut out, join_ref, &Ref::default(), topic, "message", |out| {
        out.extend_from_slice(b"{\"messages\":");
        write_list(handed, out);
        out.push(b'}');
    });
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::consumer::reading::AckId;

    #[test]
    fn golden_messages() {
        let ack_id = AckId { node: 1, incarnation: 2, loan: 3 };
        let handed = Handed { ack_id, attempt: 1, gap: None, event: br#"{"id":"x"}"#.to_vec() };
        assert_eq!(
            messages(Version::V2, &Ref::new("3"), "consumer:jobs", &[handed]),
            r#"["3",null,"consumer:jobs","message",{"messages":[{"ack_id":"1-2-3","attempt":1,"gap":null,"event":{"id":"x"}}]}]"#
        );
    }

    #[test]
    fn a_join_names_a_consumer_and_how_many_events_it_takes() {
        assert_eq!((named_by("consumer:jobs"), named_by("consumer:")), (Some("jobs"), None));
        let join = |payload: &str| {
            let text = format!(r#"["1","1","consumer:jobs","phx_join",{payload}]"#);
            read_max(&frame::decode_text(Version::V2, &text).unwrap())
        };
        assert_eq!(
            (join("{}").unwrap(), join("null").unwrap(), join(r#"{"max":7}"#).unwrap()),
            (100, 100, 7)
        );
        for bad in [r#"{"max":0}"#, r#"{"max":501}"#, r#"{"most":1}"#, "[]"] {
            assert!(join(bad).is_err(), "{bad}");
        }
    }
}
