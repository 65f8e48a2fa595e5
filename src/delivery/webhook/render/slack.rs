//! Messages for Slack's incoming webhooks: a few blocks an event, and a line of text for notifications.
//!
//! Wire source: Slack's Block Kit reference and "Formatting text for app surfaces". Whatever a payload holds, the message
//! keeps the limits and mentions nobody: `<`, `>` and `&` go out as entities, and nothing is made a link by itself.

use super::RenderError;
use super::card::{Card, Piece, Said, UNKNOWN};
use super::chat::Object;
use crate::core::event::{Event, MapText};
use crate::core::markup::{escape_slack, escaped, is_visible};
use crate::core::time::iso_millis;

/// Events of one message: at most five blocks each, of the fifty that a message may have.
pub(super) const MAX_EVENTS: usize = 10;
/// Fields of one section block.
const MAX_FIELDS: usize = 10;
/// Sections with fields of one event.
const MAX_SECTIONS: usize = 3;
/// UTF-16 units of a title, a sentence, a field's name and its value. A section takes 3000 in its text and 2000 in a
/// field.
const TITLE: usize = 200;
const SENTENCE: usize = 2000;
const NAME: usize = 200;
const VALUE: usize = 1500;
/// Longer links are left out, in bytes as they are escaped.
const LINK: usize = 600;
/// Of an event's line in the notification; a message takes 40,000.
const LINE: usize = 300;

/// The message with all events.
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

/// A block; all texts are mrkdwn.
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

/// A text object; `verbatim` keeps Slack from finding links and channels in it.
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

/// A sentence: what is ours in Slack's own markup, the values sharing the room.
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

/// Escaped text, never empty.
fn text(value: &str, max: usize) -> String {
    if is_visible(value) { entities(value, max) } else { UNKNOWN.to_owned() }
}

fn entities(value: &str, max: usize) -> String {
    escaped(value, max, escape_slack)
}
