//! An event as expressions see it: `type`, `subject`, `id`, `seq`, `ts`, `map_id` and `payload`.

use super::operate;
use crate::core::event::{Event, MapText};
use crate::core::time::iso_millis;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;
use cel::{Context, Env};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The names that an expression may use.
pub(super) const NAMES: [&str; 7] = ["type", "subject", "id", "seq", "ts", "map_id", PAYLOAD];
/// The name of what may be large.
pub(super) const PAYLOAD: &str = "payload";

/// Bytes of text that count as much as one value.
const TEXT_PER_VALUE: usize = 16;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(operate::environment()));

/// An event under examination. Its payload is parsed when the first expression asks for it, and only then.
pub struct Subject<'e> {
    event: &'e Event,
    map: &'e MapText,
    pub(super) scene: OnceCell<Option<Scene<'e>>>,
    pub(super) too_large: Cell<bool>,
}

/// What expressions are evaluated in.
pub(super) struct Scene<'e> {
    pub(super) context: Context<'e, 'e>,
    /// How much there is to look at: values, and texts by their length.
    pub(super) size: u64,
}

impl<'e> Subject<'e> {
    /// The event of that map.
    pub fn new(event: &'e Event, map: &'e MapText) -> Self {
        Self { event, map, scene: OnceCell::new(), too_large: Cell::new(false) }
    }

    /// Whether an expression was not evaluated, since it would have been too much work.
    pub fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// `None` when the payload is no JSON, which the log never holds.
    pub(super) fn scene(&self) -> Option<&Scene<'e>> {
        self.scene.get_or_init(|| self.make_scene()).as_ref()
    }

    fn make_scene(&self) -> Option<Scene<'e>> {
        let count = Cell::new(0);
        let mut deserializer = serde_json::Deserializer::from_slice(&self.event.payload);
        let payload = ValueSeed(&count).deserialize(&mut deserializer).ok()?;
        let (kind, subject): (&'e str, &'e str) = (&self.event.kind, self.event.subject.as_str());
        let mut context = Context::with_env(ENVIRONMENT.clone());
        let mut set = |name: &str, value| context.add_variable_as_val(name, value);
        set("type", Box::new(CelString::from(kind)));
        set("subject", Box::new(CelString::from(subject)));
        set("id", Box::new(CelString::from(self.event.id.to_string())));
        let seq: Box<dyn Val> = match self.event.id.is_ephemeral() {
            true => Box::new(CelNull),
            false => Box::new(CelInt::from(i64::try_from(self.event.seq).ok()?)),
        };
        set("seq", seq);
        set("ts", Box::new(CelString::from(iso_millis(self.event.time_ms))));
        set("map_id", Box::new(CelString::from(self.map.as_str())));
        set(PAYLOAD, payload);
        Some(Scene { context, size: (count.get() + self.event.payload.len() / TEXT_PER_VALUE) as u64 })
    }
}

/// Reads JSON into CEL's values, and counts them. Keys are taken as they are: none has a meaning of its own, as some
/// have for `serde_json::Value`.
struct ValueSeed<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Box<dyn Val + 'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.set(self.0.get() + 1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Box<dyn Val + 'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Box::new(CelInt::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Box::new(CelInt::from(value))),
            Err(_) => Ok(Box::new(CelDouble::from(value as f64))),
        }
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Box::new(CelDouble::from(value)))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(ValueSeed(self.0))? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut object = HashMap::new();
        while let Some(key) = entries.next_key_seed(KeySeed)? {
            object.insert(key, entries.next_value_seed(ValueSeed(self.0))?);
        }
        Ok(Box::new(CelMap::from(object)))
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = CelMapKey<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = CelMapKey<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(key.into())
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(key.to_owned().into())
    }
}
