//! Messages for Discord's incoming webhooks: one embed an event.
//!
//! Wire source: Discord's documentation of webhooks and its limits of embeds. Whatever a payload holds, the
//! message keeps the limits and mentions nobody. The rate limit is the sender's concern.

use super::RenderError;
use super::card::{Card, Piece, Said, UNKNOWN};
use super::chat::Object;
use crate::core::event::{Event, MapText, push_number};
use crate::core::markup::{escape_discord, escaped, is_visible, units};
use crate::core::time::iso_millis;

/// The most embeds of one message.
pub(super) const MAX_EVENTS: usize = 10;
/// The most characters in all texts of all embeds of a message.
const MAX_TOTAL: usize = 6000;

/// The limits for the parts of an embed, in UTF-16 units.
#[derive(Clone, Copy)]
struct Limits {
    title: usize,
    description: usize,
    fields: usize,
    name: usize,
    value: usize,
}

const fn limits(title: usize, description: usize, fields: usize, name: usize, value: usize) -> Limits {
    Limits { title, description, fields, name, value }
}

/// Discord's own limits, and shorter ones after them. The first ones under which all embeds fit together are
/// used. So only long texts are shortened. The last ones always fit: ten embeds of at most 600 units.
const LIMITS: [Limits; 7] = [
    limits(256, 4096, 25, 256, 1024),
    limits(256, 2048, 25, 128, 512),
    limits(256, 1024, 25, 100, 256),
    limits(128, 512, 15, 64, 128),
    limits(100, 320, 10, 40, 80),
    limits(100, 240, 6, 32, 56),
    limits(80, 160, 4, 30, 60),
];

/// An embed whose texts are escaped and cut.
struct Embed {
    title: String,
    description: String,
    fields: Vec<(String, String)>,
    colour: u32,
    url: Option<String>,
    time_ms: u64,
}

/// Makes the message with all events.
pub(super) fn render(map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderError> {
    let cards = events.iter().map(|event| Card::new(map, event)).collect::<Result<Vec<_>, _>>()?;
    let under = |limits: &Limits| cards.iter().map(|card| Embed::new(card, *limits)).collect::<Vec<_>>();
    let fitting =
        LIMITS.iter().map(under).find(|embeds| embeds.iter().map(Embed::units).sum::<usize>() <= MAX_TOTAL);
    let embeds = fitting.ok_or(RenderError::TooLarge("the embeds exceed 6000 characters"))?;
    let mut body = Vec::with_capacity(4096);
    Object::new(&mut body)
        .list("embeds", &embeds, Embed::write)
        .json("allowed_mentions", r#"{"parse":[]}"#)
        .end();
    Ok(body)
}

impl Embed {
    fn new(card: &Card, limits: Limits) -> Self {
        let field = |(name, value): &Said| (line(name, limits.name), text(value, limits.value));
        Self {
            title: line(&card.title, limits.title),
            description: description(&card.text, limits.description),
            fields: card.fields.iter().take(limits.fields).map(field).collect(),
            colour: card.colour,
            url: card.url.clone(),
            time_ms: card.time_ms,
        }
    }

    /// The units that count towards [`MAX_TOTAL`].
    fn units(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| units(name) + units(value)).sum::<usize>();
        units(&self.title) + units(&self.description) + fields
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::new(out).text("title", &self.title);
        if !self.description.is_empty() {
            object = object.text("description", &self.description);
        }
        if let Some(url) = &self.url {
            object = object.text("url", url);
        }
        object
            .with("color", |out| push_number(self.colour.into(), out))
            .list("fields", &self.fields, |(name, value), out| {
                Object::new(out).text("name", name).text("value", value).json("inline", "true").end();
            })
            .text("timestamp", &iso_millis(self.time_ms))
            .end();
    }
}

/// The sentence: our text unchanged, and the values, each with an equal share of the remaining room.
fn description(pieces: &[Piece], max: usize) -> String {
    let own: usize =
        pieces.iter().map(|piece| if let Piece::Own(own) = piece { units(own) } else { 0 }).sum();
    let values = pieces.iter().filter(|piece| matches!(piece, Piece::Value(_))).count();
    let share = max.saturating_sub(own) / values.max(1);
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Own(own) => (*own).to_owned(),
            Piece::Value(value) => text(value, share),
        })
        .collect()
}

/// Text of several lines. Invisible text is replaced by [`UNKNOWN`].
fn text(value: &str, max: usize) -> String {
    if is_visible(value) { escaped(value, max, escape_discord()) } else { UNKNOWN.to_owned() }
}

/// Text of one line. Invisible text is replaced by [`UNKNOWN`].
fn line(value: &str, max: usize) -> String {
    let value = value.trim();
    if is_visible(value) {
        let mut escape = escape_discord();
        escaped(value, max, |c, out| escape(if c == '\n' { ' ' } else { c }, out))
    } else {
        UNKNOWN.to_owned()
    }
}
