//! Messages for Slack's incoming webhooks: a few blocks an event, and a line of text for notifications.
//!
//! Wire source: Slack's Block Kit reference and "Formatting text for app surfaces". Whatever a payload holds,
//! the message keeps the limits and mentions nobody: `<`, `>` and `&` are sent as entities, and Slack does
//! not look for links in the texts.

use super::RenderError;
use super::card::{Card, Piece, Said, UNKNOWN};
use super::chat::Object;
use crate::core::event::{Event, MapText};
use crate::core::markup::{escape_slack, escaped, is_visible};
use crate::core::time::iso_millis;

/// The most events of one message. Each has at most five blocks, and a message may have fifty.
pub(super) const MAX_EVENTS: usize = 10;
/// The most fields of one section block.
const MAX_FIELDS: usize = 10;
/// The most sections with fields of one event.
const MAX_SECTIONS: usize = 3;
/// The most UTF-16 units of a title, a sentence, a field's name and its value. A section may have 3000 in its
/// text and 2000 in a field.
const TITLE: usize = 200;
const SENTENCE: usize = 2000;
const NAME: usize = 200;
const VALUE: usize = 1500;
/// The longest link, in bytes after escaping. Longer links are left out.
const LINK: usize = 600;
/// The most UTF-16 units of an event's line in the notification. A message may have 40,000.
const LINE: usize = 300;

/// Makes the message with all events.
pub(super) fn render(map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderError> {
    let cards = events.iter().map(|event| Card::new(map, event)).collect::<Result<Vec<_>, _>>()?;
    let blocks: Vec<Block> =
        cards.iter().zip(events).flat_map(|(card, event)| blocks(card, &event.kind)).collect();
    let lines: Vec<String> = cards.iter().map(notification).collect();
    let mut body = Vec::with_capacity(4096);
    Object::new(&mut body)
        .text("text", &lines.join("\n"))
        .list("blocks", &blocks, Block::write)
        .json("unfurl_links", "false")
        .json("unfurl_media", "false")
        .end();
    Ok(body)
}

/// A block. All its texts are mrkdwn.
enum Block {
    Text(String),
    Fields(Vec<String>),
    Context(String),
}

impl Block {
    fn write(&self, out: &mut Vec<u8>) {
        let section = |out| Object::new(out).text("type", "section");
        match self {
            Self::Text(text) => section(out).with("text", |out| mrkdwn(text, out)).end(),
            Self::Fields(fields) => {
                section(out).list("fields", fields, |field, out| mrkdwn(field, out)).end()
            }
            Self::Context(text) => {
                let elements = [text];
                Object::new(out)
                    .text("type", "context")
                    .list("elements", &elements, |text, out| mrkdwn(text, out))
                    .end();
            }
        }
    }
}

/// A text object. `verbatim` stops Slack from finding links and channels in it.
fn mrkdwn(text: &str, out: &mut Vec<u8>) {
    Object::new(out).text("type", "mrkdwn").text("text", text).json("verbatim", "true").end();
}

fn blocks(card: &Card, kind: &str) -> Vec<Block> {
    let title = text(&card.title, TITLE);
    let link = card.url.as_deref().map(|url| entities(url, usize::MAX)).filter(|url| url.len() <= LINK);
    let head = link.map_or_else(|| format!("*{title}*"), |url| format!("*<{url}|{title}>*"));
    let sentence = sentence(&card.text, SENTENCE);
    let mut blocks =
        vec![Block::Text(if sentence.is_empty() { head } else { format!("{head}\n{sentence}") })];
    let field = |(name, value): &Said| format!("*{}*\n{}", text(name, NAME), text(value, VALUE));
    let fields: Vec<String> = card.fields.iter().map(field).collect();
    blocks.extend(fields.chunks(MAX_FIELDS).take(MAX_SECTIONS).map(|chunk| Block::Fields(chunk.to_vec())));
    blocks.push(Block::Context(format!("{} · {}", entities(kind, NAME), iso_millis(card.time_ms))));
    blocks
}

fn notification(card: &Card) -> String {
    let sentence = sentence(&card.text, LINE / 2).replace('\n', " ");
    let title = text(&card.title, LINE / 4).replace('\n', " ");
    if sentence.is_empty() { title } else { format!("{title}: {sentence}") }
}

/// The sentence: our text in Slack's markup, and the values, each with an equal share of the room.
fn sentence(pieces: &[Piece], max: usize) -> String {
    let values = pieces.iter().filter(|piece| matches!(piece, Piece::Value(_))).count();
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Own(own) => own.replace("**", "*"),
            Piece::Value(value) => text(value, max / values.max(1)),
        })
        .collect()
}

/// Escaped text. Invisible text is replaced by [`UNKNOWN`].
fn text(value: &str, max: usize) -> String {
    if is_visible(value) { entities(value, max) } else { UNKNOWN.to_owned() }
}

fn entities(value: &str, max: usize) -> String {
    escaped(value, max, escape_slack)
}
