//! The system map, and what operators are told of the nodes.

use super::{Directory, StateError, keys};
use crate::core::access::{Limits, Map, Retention, WebhookBacklog};
use crate::core::channel_rules::ChannelRules;
use crate::core::codec;
use crate::core::command::Reply;
use crate::core::operators::{OperatorReport, SYSTEM_MAP, SYSTEM_SLUG, Told};
use crate::core::state::Context;
use crate::core::state::steps::Step;
use crate::core::store::WriteStore;

/// How long the system map keeps its events, until the admin says otherwise: a week, and a day for webhooks
/// that are behind.
const RETENTION: Retention = Retention {
    events: Some(10_000),
    age_seconds: Some(7 * 86_400),
    bytes: Some(16 << 20),
    webhook_backlog: WebhookBacklog { bytes: Some(16 << 20), age_seconds: Some(86_400) },
};

impl Directory {
    /// Takes a leader's report in. What is news becomes events of the system map.
    pub(super) fn tell_operators<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        report: &OperatorReport,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        self.make_system_map(context.time_ms(), store)?;
        let stored = store.get(keys::OPERATORS)?;
        let mut told: Told = stored.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default();
        let events = told.take(report, context.time_ms(), context.expiry_ms());
        store.put(keys::OPERATORS, &codec::encode(&told)?)?;
        if !events.is_empty() {
            self.steps.push(Step::Append(SYSTEM_MAP, events));
        }
        Ok(Reply::Done)
    }

    /// Makes the system map, unless there is one. A map that has its slug, from before the slug was reserved,
    /// loses it and keeps its id.
    fn make_system_map<S: WriteStore>(&mut self, now_ms: u64, store: &mut S) -> Result<(), StateError> {
        if self.access.map(SYSTEM_MAP).is_some() {
            return Ok(());
        }
        let holder = self.access.slug_holder(SYSTEM_SLUG).and_then(|holder| self.access.map(holder));
        if let Some(holder) = holder.map(|holder| Map::clone(holder)) {
            self.put_map(Map { slug: None, updated_ms: now_ms, ..holder }, store)?;
        }
        let map = Map {
            id: SYSTEM_MAP,
            slug: Some(SYSTEM_SLUG.to_owned()),
            name: "Operator events".to_owned(),
            topic: self.new_topic(store)?,
            limits: Limits::NONE,
            retention: RETENTION,
            rules: ChannelRules::default(),
            inserted_ms: now_ms,
            updated_ms: now_ms,
        };
        self.put_map(map, store)
    }
}
