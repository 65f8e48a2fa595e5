//! A JSON document with expressions in its strings.

use super::error::{Position, Problem, RenderFailure, TemplateError};
use super::interpolated::{Interpolated, jinja, position_of};
use super::{MAX_BODY, MAX_DEPTH, unwritten};
use crate::core::expression::{Budget, Scene, Writer};
use crate::core::json::{JsonError, Node, normalise, write_string};

/// A value of the document.
#[derive(Debug)]
pub(crate) enum Document {
    /// JSON in normal form without an expression, as it is sent.
    Constant(Box<str>),
    /// A string with expressions.
    String(Interpolated),
    /// A list.
    List(Vec<Document>),
    /// Members in JavaScript's order. The names are written as JSON strings already.
    Object(Vec<(Box<str>, Document)>),
}

impl Document {
    /// Parses a document. The error says what is wrong, and where.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateError> {
        let normal = normalise(source, MAX_DEPTH).map_err(|error| not_json(source, error))?;
        let Some(node) = Node::read(normal.as_bytes()) else {
            return Err(Problem::NotJson("it can't be read".to_owned()).into());
        };
        Self::of(&node, &mut String::new())
    }

    fn of(node: &Node<'_>, pointer: &mut String) -> Result<Self, TemplateError> {
        let document = match node {
            Node::Text(text) => Self::String(Interpolated::parse(text, Some(pointer.as_str()))?),
            Node::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(Self::inside(&index.to_string(), item, pointer)?);
                }
                Self::List(list)
            }
            Node::Object(members) => {
                let mut object = Vec::with_capacity(members.len());
                for (name, member) in members {
                    if name.contains("${") {
                        let position = Some(Position { pointer: Some(pointer.clone()), line: 1, column: 1 });
                        return Err(TemplateError { position, problem: Problem::Name });
                    }
                    let member = Self::inside(name, member, pointer)?;
                    let mut quoted = String::with_capacity(name.len() + 2);
                    write_string(name, &mut quoted);
                    object.push((quoted.into(), member));
                }
                Self::Object(object)
            }
            scalar => Self::Constant(scalar.display().into()),
        };
        Ok(document.folded())
    }

    /// Parses a member or an element; appends its name to the JSON pointer (RFC 6901) meanwhile.
    fn inside(name: &str, node: &Node<'_>, pointer: &mut String) -> Result<Self, TemplateError> {
        let before = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let document = Self::of(node, pointer);
        pointer.truncate(before);
        document
    }

    /// Turns a value without an expression into a constant, so that it is written only once.
    fn folded(self) -> Self {
        let constant = match &self {
            Self::Constant(_) => None,
            Self::String(string) => string.constant().map(|text| {
                let mut json = String::with_capacity(text.len() + 2);
                write_string(text, &mut json);
                json
            }),
            Self::List(items) => {
                let items: Option<Vec<&str>> = items.iter().map(Self::constant).collect();
                items.map(|items| format!("[{}]", items.join(",")))
            }
            Self::Object(members) => {
                let member =
                    |(name, member): &(Box<str>, Self)| Some(format!("{name}:{}", member.constant()?));
                let members: Option<Vec<String>> = members.iter().map(member).collect();
                members.map(|members| format!("{{{}}}", members.join(",")))
            }
        };
        constant.map_or(self, |json| Self::Constant(json.into()))
    }

    fn constant(&self) -> Option<&str> {
        if let Self::Constant(json) = self { Some(json) } else { None }
    }

    /// Writes the document with the values of that scene.
    pub(crate) fn write(
        &self,
        scene: &dyn Scene,
        budget: &Budget,
        out: &mut Writer<'_>,
    ) -> Result<(), RenderFailure> {
        self.write_at(MAX_DEPTH, scene, budget, out)
    }

    /// Writes the document, which may nest at most `depth` deep.
    fn write_at(
        &self,
        depth: usize,
        scene: &dyn Scene,
        budget: &Budget,
        out: &mut Writer<'_>,
    ) -> Result<(), RenderFailure> {
        let whole = || Position { pointer: Some(String::new()), line: 1, column: 1 };
        let bounded = |failure| unwritten(failure, whole);
        match self {
            Self::Constant(json) => out.raw(json).map_err(bounded),
            Self::String(string) => write_string_at(string, depth, scene, budget, out),
            Self::List(items) => {
                out.raw("[").map_err(bounded)?;
                for (index, item) in items.iter().enumerate() {
                    out.comma(index);
                    item.write_at(depth.saturating_sub(1), scene, budget, out)?;
                }
                out.raw("]").map_err(bounded)
            }
            Self::Object(members) => {
                out.raw("{").map_err(bounded)?;
                for (index, (name, member)) in members.iter().enumerate() {
                    out.comma(index);
                    out.raw(name).map_err(bounded)?;
                    out.raw(":").map_err(bounded)?;
                    member.write_at(depth.saturating_sub(1), scene, budget, out)?;
                }
                out.raw("}").map_err(bounded)
            }
        }
    }
}

fn write_string_at(
    string: &Interpolated,
    depth: usize,
    scene: &dyn Scene,
    budget: &Budget,
    out: &mut Writer<'_>,
) -> Result<(), RenderFailure> {
    let position = || string.position();
    if let Some(value) = string.value(scene, budget) {
        return out.json(&value?, depth).map_err(|failure| unwritten(failure, position));
    }
    let mut text = Writer::new(MAX_BODY, budget);
    string.write(scene, budget, &mut text, |_| None)?;
    out.string(&text.end()).map_err(|failure| unwritten(failure, position))
}

/// Why a source is not JSON. Often it is written in the language of Jinja, and the error says what to write
/// instead.
fn not_json(source: &str, error: JsonError) -> TemplateError {
    let starts = [source.find("{{"), source.find("{%")];
    if let Some(at) = starts.into_iter().flatten().min()
        && let Some(problem) = jinja(&source[at..])
    {
        return TemplateError { position: Some(position_of(source, at, None)), problem };
    }
    match error {
        JsonError::TooDeep(_) => Problem::TooDeep.into(),
        JsonError::UnsafeInteger(_) => Problem::NotJson(error.to_string()).into(),
        JsonError::Syntax(_) => syntax(source),
    }
}

fn syntax(source: &str) -> TemplateError {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(source) else {
        return Problem::NotJson("it can't be read".to_owned()).into();
    };
    let position = Position { pointer: None, line: error.line(), column: error.column() };
    let said = error.to_string();
    let message = said.split(" at line ").next().unwrap_or_default().to_owned();
    let line = source.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let unquoted = line.get(error.column().saturating_sub(1)..).is_some_and(|rest| rest.starts_with("${"));
    let problem = if unquoted { Problem::Unquoted } else { Problem::NotJson(message) };
    TemplateError { position: Some(position), problem }
}
