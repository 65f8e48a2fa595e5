//! The one way to open a subscription, for every protocol.
//!
//! A protocol says what a client asks for ([`Asked`]). It gets a subscription that is ready to attach
//! ([`Opened`]), or the facts of a refusal. The steps are, in this order: check the right to the map and to
//! its subjects, take a place in the map's connection quota, charge the map's joins where somebody wants to
//! know of them, compile the expression, find the start position where it matters (if the client has seen more
//! than this node, the node catches up first), wait for the other nodes' confirmation if there are ephemeral
//! events, and check the right once more, because it may have been revoked meanwhile. The map's channel rules
//! say whether the subjects have stored events, ephemeral events, or both. A client sees one subscription.

use super::auth::granted;
use super::given::{BadParameter, Given};
use super::refused::{Quota, Refused, Unavailable};
use super::start::Starts;
use crate::core::access::{Map, Scopes};
use crate::core::channel_rules::{ChannelRules, Coverage};
use crate::core::error_code::Code;
use crate::core::expression::Expression;
use crate::core::filter::Filter;
use crate::core::frame::{View, WireForm};
use crate::core::history::{Position, Start};
use crate::core::ids::{EventId, MapId, TokenId};
use crate::core::subject::{Selector, Subject};
use crate::core::topic::TopicKey;
use crate::delivery::{Dispatcher, Held, Of, Subscriber, SubscriptionId};
use crate::hub::{Connection, Grant, Hub, Occupancy, PatternsInUse, Who};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Which events a reader wants, and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The subjects.
    pub subjects: Selector,
    /// The types of events.
    pub filter: Filter,
    /// The condition that an event must meet.
    pub expression: Option<Expression>,
    /// Where the reader starts.
    pub start: Start,
}

impl Wanted {
    /// Reads the given parameters: `subjects`, `events`, `filter`, and a start position by the parameters of
    /// `starts`.
    pub fn read<'v>(
        starts: &Starts,
        given: impl Fn(&str) -> Option<Given<'v>>,
    ) -> Result<Self, BadParameter> {
        let subjects = match given("subjects") {
            Some(Given::Text(list)) => Selector::from_query(Some(list)),
            Some(Given::Json(list)) => Selector::from_json(Some(list)),
            None => Ok(Selector::default()),
        };
        let subjects = subjects.map_err(|error| {
            BadParameter::new("subjects", Code::InvalidSubjects, error.to_string()).hint(
                "subjects and patterns with *, such as orders-7 or orders-*; leave it out for the map's own",
            )
        })?;
        let filter = match given("events") {
            Some(Given::Text(list)) => Filter::from_query(Some(list)),
            Some(Given::Json(list)) => Filter::from_json(Some(list)),
            None => Ok(Filter::All),
        };
        let filter =
            filter.map_err(|error| BadParameter::new("events", Code::InvalidEvents, error.to_string()))?;
        let expression = given("filter").map(expression).transpose()?;
        Ok(Self { subjects, filter, expression, start: starts.read(given)? })
    }
}

fn expression(given: Given<'_>) -> Result<Expression, BadParameter> {
    let text = given.text().ok_or("filter must be an expression in a string".to_owned());
    text.and_then(|text| Expression::condition(text).map_err(|error| error.to_string())).map_err(|message| {
        BadParameter::new("filter", Code::InvalidFilter, message)
            .hint("for example filter=payload.value > 1e9, percent-encoded")
    })
}

/// Makes the form in which the events of a map are written.
pub type FormOf = Box<dyn FnOnce(MapId) -> Arc<dyn WireForm>>;

/// What a client asks for.
pub struct Asked {
    /// Who asks.
    pub who: Who,
    /// The map, by its id or slug, as the client names it.
    pub map: String,
    /// Which events it wants, and where it starts.
    pub wanted: Wanted,
    /// How the events are written.
    pub form: FormOf,
    /// What the client's session counts for already in connection quotas.
    pub quota: Rc<SessionQuota>,
    /// Whether the client is told how many stored events will come.
    pub count: bool,
    /// Whether the client is told where it starts, even if its subjects have no stored events.
    pub tells_start: bool,
    /// A subscription of the session that goes on if it shows the same events and began no later.
    pub former: Option<Former>,
}

/// A subscription that a client asks for again on the session that already has it.
pub struct Former {
    /// The subscriber of the session.
    pub subscriber: Rc<Subscriber>,
    /// The subscription.
    pub id: SubscriptionId,
    /// Whether the client wants positions from now on.
    pub positions: bool,
}

/// Where an existing subscription goes on. It is held until [`Subscriber::go_on`].
#[derive(Clone, Copy, Debug)]
pub struct GoesOn {
    /// The subscription.
    pub id: SubscriptionId,
    /// The position right before the next event. Everything before it was handed to the client.
    pub before: EventId,
    /// How many stored events will come, as in [`Opened`].
    pub coming: Option<u64>,
}

/// A subscription that is ready to attach. The right to it was checked last: attach it, or let the former
/// subscription go on, before anything else is awaited. Then a revocation that comes later ends it.
pub struct Opened {
    /// The map, and who may read it.
    pub grant: Grant,
    /// The topic of the stored events of the map's subjects.
    pub topic: TopicKey,
    /// Whether these subjects have stored events, ephemeral events, or both.
    coverage: Coverage,
    /// The topic view of their ephemeral events, if there may be some.
    ephemeral: Option<Held>,
    /// The node's position from which on ephemeral events come. `None`: from the moment when it is attached.
    follow_from: Option<u64>,
    /// Where it starts, and which of the requested events are gone. That of a stream without events, if no stored
    /// events come and the client is told nothing of it.
    pub position: Position,
    /// How many stored events will come, if that was asked for. `None` if a filter makes that unknown.
    pub coming: Option<u64>,
    /// The types of events.
    pub filter: Filter,
    /// The form of the events, and the expression.
    pub view: View,
    /// Set if the former subscription goes on. Then this one must not be attached.
    pub goes_on: Option<GoesOn>,
    /// The connection counts against the map's limits as long as the subscription lives.
    connection: Rc<Connection>,
    patterns: Option<PatternsInUse>,
}

/// Opens a subscription for a session of this thread. The dispatcher is obtained first, so that it hears of
/// tokens that are revoked meanwhile.
pub async fn open(dispatcher: &Rc<Dispatcher>, asked: Asked) -> Result<Opened, Refused> {
    let hub = dispatcher.hub();
    let Asked { who, map, wanted, form, quota, count, tells_start, former } = asked;
    let Wanted { subjects, filter, expression, start } = wanted;
    let grant = granted(hub, who, &map, Scopes::SUBSCRIBE).await?;
    let expression = limited(&grant.who, &subjects, expression)?;
    if let Some(unavailable) = Unavailable::of_node(hub) {
        return Err(unavailable.into());
    }
    let connection = quota.take(hub, &grant.map, grant.who.by()).await?;
    hub.presence().admit(grant.map.id, occupied(&subjects)).map_err(Quota::ChannelJoins)?;
    let patterns = hub.quota().take_patterns(&grant.map, &subjects).map_err(Quota::Patterns)?;
    let condition =
        expression.map(|expression| hub.quota().take_condition(&grant.map, expression)).transpose();
    let condition = condition.map_err(Quota::Filters)?;
    let coverage = grant.map.rules.coverage_of(&subjects);
    let topic = TopicKey::new(grant.map.topic, subjects);
    let needs_start = coverage.has_durable() || tells_start || start.tells_gaps() || former.is_some();
    let (mut position, coming) = match count && coverage.has_durable() {
        true => hub.archive().resume_counted(&topic, start, &filter, condition.as_ref()).await?,
        false if needs_start => (hub.archive().resume(&topic, start).await?, count.then_some(0)),
        false => (Position::OF_EMPTY, count.then_some(0)),
    };
    if !coverage.has_durable() && matches!(start, Start::After(_)) {
        // The ephemeral events since that position were not kept.
        position.gap = Some(None);
    }
    let view = View::new(form(grant.map.id), condition);
    let goes_on = match former {
        Some(former) => former.go_on(hub, (&topic, &view, &filter), &position, coming).await?,
        None => None,
    };
    let ephemeral = match coverage.has_ephemeral() && goes_on.is_none() {
        true => Some(begin_ephemeral(dispatcher, &topic, &view).await?),
        false => None,
    };
    let opened = Opened {
        grant,
        topic,
        coverage,
        ephemeral,
        follow_from: None,
        position,
        coming,
        filter,
        view,
        goes_on,
        connection,
        patterns,
    };
    opened.check(hub)?;
    opened.count_missed();
    Ok(opened)
}

/// The condition of a reader whose token may limit it to some subjects, and by a filter of its own.
pub fn limited(
    who: &Who,
    subjects: &Selector,
    wanted: Option<Expression>,
) -> Result<Option<Expression>, BadParameter> {
    if !who.covers(subjects) {
        let message = "the token may not read all of these subjects";
        return Err(BadParameter::new("subjects", Code::ForbiddenSubjects, message)
            .hint("name the subjects that the token permits"));
    }
    match (who.filter(), wanted) {
        (None, wanted) => Ok(wanted),
        (Some(own), None) => Ok(Some(own.clone())),
        (Some(own), Some(asked)) => {
            // Each of them is a whole expression. The line breaks end a comment at their ends.
            let both = Expression::condition(&format!("({}\n) && ({}\n)", own.text(), asked.text()));
            both.map(Some)
                .map_err(|error| BadParameter::new("filter", Code::InvalidFilter, error.to_string()))
        }
    }
}

/// The topic view of the ephemeral events of the same subjects. It has no event that was published before.
async fn begin_ephemeral(
    dispatcher: &Rc<Dispatcher>,
    topic: &TopicKey,
    view: &View,
) -> Result<Held, Refused> {
    let topic = TopicKey::ephemeral(topic.stream, topic.selector.clone());
    let held = dispatcher.hold(topic, view.clone()).await.ok_or(Unavailable::Slow)?;
    dispatcher.hub().ephemeral().begin().await;
    Ok(held)
}

impl Former {
    /// Holds the former subscription and finds the position at which it goes on, if it shows the same events.
    async fn go_on(
        self,
        hub: &Hub,
        (topic, view, filter): (&TopicKey, &View, &Filter),
        position: &Position,
        coming: Option<u64>,
    ) -> Result<Option<GoesOn>, Refused> {
        let shows = (topic.clone(), view.key().clone());
        let Some(at) = self.subscriber.hold_at(self.id, &shows, filter, position.next_seq, self.positions)
        else {
            return Ok(None);
        };
        let id = self.id;
        if at <= position.next_seq {
            return Ok(Some(GoesOn { id, before: position.before, coming }));
        }
        let before = hub.archive().position(topic, at).await?;
        let coming = hub.archive().count(topic, at, position.head_seq, filter, view.condition()).await?;
        Ok(Some(GoesOn { id, before, coming }))
    }
}

/// The subjects that a selection names, which the subscription occupies. Patterns occupy nothing.
fn occupied(selector: &Selector) -> impl Iterator<Item = &Subject> {
    let named = match selector {
        Selector::One(subject) => std::slice::from_ref(subject),
        Selector::Several(several) => several.named(),
        Selector::All => &[],
    };
    named.iter().filter(|subject| !subject.is_reserved())
}

impl Opened {
    /// Counts that the client is told that it missed events, if it is told so.
    fn count_missed(&self) {
        if self.position.gap.is_none() || self.goes_on.is_some() {
            return;
        }
        let reason = if self.coverage.has_durable() { "history" } else { "ephemeral" };
        metrics::counter!(crate::metric::MISSED, "reason" => reason).increment(1);
    }

    /// Checks that the client may still have the subscription: its right was not revoked, and the map's rules
    /// did not change what its subjects are. Whoever awaits something before the subscription is attached,
    /// checks it again.
    pub fn check(&self, hub: &Hub) -> Result<(), Refused> {
        let moved = |rules: &ChannelRules| rules.coverage_of(&self.topic.selector) != self.coverage;
        if hub.access().known().map(self.grant.map.id).is_some_and(|map| moved(&map.rules)) {
            return Err(Unavailable::RulesChanged.into());
        }
        match hub.access().still_granted(&self.grant, Scopes::SUBSCRIBE) {
            true => Ok(()),
            false => Err(Refused::Unauthorized),
        }
    }

    /// Returns whether its subjects have stored events.
    pub fn has_history(&self) -> bool {
        self.coverage.has_durable()
    }

    /// Lets ephemeral events come from a position of this node on, for a protocol that has looked up what was
    /// published before that position.
    pub fn follow_from(&mut self, position: u64) {
        self.follow_from = Some(position);
    }

    /// Sends the events to the session from now on. With `positions` it also sends the subscription's
    /// position where the filter lets nothing through.
    pub fn attach(
        self,
        dispatcher: &Dispatcher,
        subscriber: &Rc<Subscriber>,
        positions: bool,
    ) -> SubscriptionId {
        let Self { grant, topic, coverage, ephemeral, follow_from, .. } = self;
        let Self { position, filter, view, connection, patterns, .. } = self;
        let id = subscriber.new_subscription();
        let map = grant.map.id;
        let presence = dispatcher.hub().presence();
        let occupies: Vec<Occupancy> =
            occupied(&topic.selector).map(|subject| presence.occupy(map, subject)).collect();
        let held: Rc<dyn Any> = Rc::new((connection, patterns, occupies));
        let of = || Of { map, coverage, filter: filter.clone(), held: Some(held.clone()) };
        if coverage.has_durable() {
            subscriber.subscribe(id, dispatcher.topic_view(topic, view), of(), &position, positions);
        }
        if let Some(held) = ephemeral {
            let position = follow_from.unwrap_or_else(|| dispatcher.hub().ephemeral().position());
            subscriber.follow(id, held.topic_view().clone(), of(), position);
        }
        id
    }
}

/// What one session counts for in the connection quotas of maps: once per map, however many subscriptions it
/// has there.
#[derive(Default)]
pub struct SessionQuota(RefCell<FxHashMap<MapId, Weak<Connection>>>);

impl SessionQuota {
    /// Takes a place in the connection quota of the map, unless the session has one. The session has it as long
    /// as one of its holders lives.
    pub(super) async fn take(
        &self,
        hub: &Hub,
        map: &Map,
        by: Option<TokenId>,
    ) -> Result<Rc<Connection>, Quota> {
        if let Some(known) = self.known(map.id) {
            return Ok(known);
        }
        hub.quota().join(map, by).map_err(Quota::Joins)?;
        let map = map.id;
        let taken = Rc::new(
            hub.quota().take_connection(map, by).await.map_err(|limit| Quota::Connections { limit })?,
        );
        // Another subscription of the session may have been faster.
        if let Some(known) = self.known(map) {
            return Ok(known);
        }
        let mut all = self.0.borrow_mut();
        all.retain(|_, connection| connection.strong_count() > 0);
        all.insert(map, Rc::downgrade(&taken));
        Ok(taken)
    }

    fn known(&self, map: MapId) -> Option<Rc<Connection>> {
        self.0.borrow().get(&map).and_then(Weak::upgrade)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::edge::start::OF_SUBSCRIPTION;
    use serde_json::{Value, json};

    fn of_query(given: &[(&str, &str)]) -> Result<Wanted, BadParameter> {
        let given: FxHashMap<_, _> = given.iter().copied().collect();
        Wanted::read(&OF_SUBSCRIPTION, |name| given.get(name).map(|text| Given::Text(text)))
    }

    fn of_json(given: &Value) -> Result<Wanted, BadParameter> {
        Wanted::read(&OF_SUBSCRIPTION, |name| given.get(name).map(Given::Json))
    }

    #[test]
    fn a_query_and_json_say_the_same() {
        let subjects = ("subjects", "orders-*,");
        let query =
            of_query(&[("events", "kill_*,a"), ("filter", "seq > 7"), ("backfill", "3"), subjects]).unwrap();
        let body = json!({"events": ["a", "kill_*"], "filter": "seq > 7", "backfill": 3, "subjects": ["", "orders-*"]});
        let body = of_json(&body).unwrap();
        assert_eq!(query, body);
        assert_eq!(query.start, Start::Last(3));
        let all = Wanted {
            subjects: Selector::default(),
            filter: Filter::All,
            expression: None,
            start: Start::Live,
        };
        assert_eq!((of_query(&[]).unwrap(), of_json(&json!({})).unwrap()), (all.clone(), all));
    }

    #[test]
    fn an_error_names_its_parameter() {
        for (query, body, field) in [
            (("events", ""), json!({"events": []}), "events"),
            (("filter", "seq >"), json!({"filter": "seq >"}), "filter"),
            (("filter", ""), json!({"filter": 7}), "filter"),
            (("since", "x"), json!({"since": 7}), "since"),
            (("subjects", "a b"), json!({"subjects": []}), "subjects"),
        ] {
            for bad in [of_query(&[query]).unwrap_err(), of_json(&body).unwrap_err()] {
                assert_eq!(
                    (bad.field, bad.code.as_str().strip_prefix("invalid_")),
                    (field, Some(field)),
                    "{bad:?}"
                );
            }
        }
    }
}
