//! Makes HTML of a page's Markdown, with an anchor at each heading, and takes its text apart by headings.

use pulldown_cmark::{Alignment, Event, Options, Parser, Tag, TagEnd, html};
use std::collections::BTreeSet;

/// A part of a page: from one heading to the next.
#[derive(Default)]
pub(crate) struct Section {
    /// The anchor of its heading; empty before the first one.
    pub(crate) anchor: String,
    /// The text of its heading.
    pub(crate) heading: String,
    /// The text below it.
    pub(crate) text: String,
}

/// A page.
pub(crate) struct Rendered {
    /// Its HTML, without head and navigation.
    pub(crate) html: String,
    /// Its parts, in order.
    pub(crate) sections: Vec<Section>,
    /// The anchors of its headings.
    pub(crate) anchors: BTreeSet<String>,
}

/// Renders Markdown. `link` returns the address that a link or an image becomes.
pub(crate) fn render(text: &str, mut link: impl FnMut(&str) -> String) -> Rendered {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut sections = vec![Section::default()];
    let mut anchors = BTreeSet::new();
    // Where the heading that is read begins.
    let mut heading = None;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                heading = Some(events.len());
                sections.push(Section::default());
                events.push(event);
            }
            Event::End(TagEnd::Heading(level)) => {
                if let (Some(at), Some(section)) = (heading.take(), sections.last_mut()) {
                    section.anchor = unique(&slug(&section.heading), &mut anchors);
                    let id = Some(section.anchor.clone().into());
                    events[at] =
                        Event::Start(Tag::Heading { level, id, classes: Vec::new(), attrs: Vec::new() });
                }
                events.push(event);
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let dest_url = link(&dest_url).into();
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let dest_url = link(&dest_url).into();
                events.push(Event::Start(Tag::Image { link_type, dest_url, title, id }));
            }
            // Alignments would be styles within the page, which its policy forbids.
            Event::Start(Tag::Table(columns)) => {
                events.push(Event::Start(Tag::Table(vec![Alignment::None; columns.len()])));
            }
            event => {
                if let (Some(section), Some(text)) = (sections.last_mut(), text_of(&event)) {
                    let into = if heading.is_some() { &mut section.heading } else { &mut section.text };
                    into.push_str(text);
                }
                events.push(event);
            }
        }
    }
    let mut html = String::new();
    html::push_html(&mut html, events.into_iter());
    Rendered { html, sections, anchors }
}

/// What a reader sees of an event.
fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        Event::SoftBreak
        | Event::HardBreak
        | Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell | TagEnd::CodeBlock) => Some(" "),
        _ => None,
    }
}

/// The anchor of a heading, as mdbook and GitHub make it.
fn slug(heading: &str) -> String {
    let shown = |char: char| match char {
        ' ' => Some('-'),
        char if char.is_alphanumeric() || matches!(char, '-' | '_') => Some(char.to_ascii_lowercase()),
        _ => None,
    };
    heading.trim().chars().filter_map(shown).collect()
}

/// The anchor, with a number if an earlier heading has it.
fn unique(slug: &str, known: &mut BTreeSet<String>) -> String {
    let mut anchor = slug.to_owned();
    let mut number = 0;
    while !known.insert(anchor.clone()) {
        number += 1;
        anchor = format!("{slug}-{number}");
    }
    anchor
}
