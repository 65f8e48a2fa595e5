//! Reading consumers from a protocol of its own: what a session needs for it.

use super::Consumers;
use super::got::Got;
use super::owner::{self, Word};
use super::read::{find, read_ids, read_ms};
use crate::core::consumer::reading::{AckId, Wish};
use crate::core::json::Members;
use crate::core::webhook::Webhook;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::Grant;
use actix_web::HttpRequest;
use actix_web::web::Data;
use serde_json::{Value, json};
use std::sync::Arc;

/// Reads consumers, wherever their owners are; cheap to clone.
#[derive(Clone)]
pub(in crate::edge) struct ConsumerReading {
    edge: Data<Edge>,
    consumers: Data<Consumers>,
}

/// What a client says of events that it has.
#[derive(Debug)]
pub(in crate::edge) struct Said {
    ids: Vec<AckId>,
    word: Word,
}

impl Said {
    /// Reads the message of that name: `ack`, `nack` or `extend`. `None` if it is no such message.
    pub(in crate::edge) fn read(
        name: &str,
        text: &str,
        consumer: &Webhook,
    ) -> Result<Option<Self>, ApiError> {
        let mut m = Members::of(text);
        let word = match name {
            "ack" => Word::Acknowledged,
            "nack" => Word::Refused(read_ms(&mut m, "delay_ms", 0)),
            "extend" => {
                let ms = read_ms(&mut m, "visibility_ms", 1);
                Word::Extended(ms.unwrap_or(consumer.timeout_ms.into()))
            }
            _ => return Ok(None),
        };
        let ids = read_ids(&mut m);
        Ok(Some(m.finish().into_result(Self { ids, word })?))
    }
}

impl ConsumerReading {
    /// For a client that connects with this request.
    pub(in crate::edge) fn of(request: &HttpRequest) -> Option<Self> {
        let edge = request.app_data::<Data<Edge>>()?.clone();
        let consumers = request.app_data::<Data<Consumers>>()?.clone();
        Some(Self { edge, consumers })
    }

    /// The map's consumer of that name.
    pub(in crate::edge) async fn find(&self, grant: &Grant, name: &str) -> Result<Arc<Webhook>, ApiError> {
        find(&self.edge, grant, name).await
    }

    /// Reads events, or waits for some.
    pub(in crate::edge) async fn read(&self, consumer: &Arc<Webhook>, wish: Wish) -> Result<Got, ApiError> {
        owner::read(&self.edge, &self.consumers, consumer, wish).await
    }

    /// Passes on what a client says. The answer comes once a majority of the cluster has it.
    pub(in crate::edge) async fn say(&self, consumer: &Webhook, said: &Said) -> Result<Value, ApiError> {
        let unknown = owner::say(&self.edge, &self.consumers, consumer, &said.ids, said.word).await?;
        let settled = said.ids.len().saturating_sub(unknown.len());
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        Ok(json!({"settled": settled, "unknown": unknown}))
    }
}
