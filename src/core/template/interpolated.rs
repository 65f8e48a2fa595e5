//! A string with expressions in it.

use super::error::{Position, Problem, RenderFailure, TemplateError};
use super::unwritten;
use crate::core::expression::{
    Budget, Expression, ExpressionError, Failure, MAX_EXPRESSION_LEN, Scene, Value, Writer,
};
use cel::parser::pratt_parser::{Lexer, TokenKind};

/// A parsed string: pieces of its own text, and expressions.
#[derive(Debug)]
pub(crate) struct Interpolated {
    parts: Vec<Part>,
    /// The JSON pointer of the string.
    pointer: Option<Box<str>>,
}

#[derive(Debug)]
enum Part {
    Own(Box<str>),
    Computed(Computed),
}

#[derive(Debug)]
struct Computed {
    expression: Expression,
    line: usize,
    column: usize,
}

/// A part of a string that was rendered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// The template's own text.
    Own(&'a str),
    /// The value of an expression as people read it; `None` if there is none.
    Computed(Option<String>),
}

impl Interpolated {
    /// Parses the string at that JSON pointer, or a whole text (`None`).
    pub(crate) fn parse(text: &str, pointer: Option<&str>) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut own = String::new();
        let mut at = 0;
        let position = |at: usize| position_of(text, at, pointer);
        while at < text.len() {
            let rest = &text[at..];
            let next = rest.find(['$', '{']).unwrap_or(rest.len());
            own.push_str(&rest[..next]);
            at += next;
            let rest = &text[at..];
            if rest.starts_with("$${") {
                own.push_str("${");
                at += 3;
            } else if rest.starts_with("${") {
                let end = end_of(text, at + 2, pointer)?;
                if !own.is_empty() {
                    parts.push(Part::Own(std::mem::take(&mut own).into()));
                }
                parts.push(Part::Computed(computed(text, at + 2, end, pointer)?));
                at = end + 1;
            } else if let Some(problem) = jinja(rest) {
                return Err(TemplateError { position: Some(position(at)), problem });
            } else if let Some(character) = rest.chars().next() {
                own.push(character);
                at += character.len_utf8();
            }
        }
        if !own.is_empty() {
            parts.push(Part::Own(own.into()));
        }
        Ok(Self { parts, pointer: pointer.map(Into::into) })
    }

    /// The string, if there is no expression in it.
    pub(super) fn constant(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Own(text)] => Some(text),
            _ => None,
        }
    }

    /// The position at which it begins.
    pub(super) fn position(&self) -> Position {
        position_in(1, 1, self.pointer.as_deref())
    }

    /// The value of a string that is exactly one expression; a missing value is null. `None` for any other
    /// string.
    pub(super) fn value<'v>(
        &'v self,
        scene: &'v dyn Scene,
        budget: &'v Budget,
    ) -> Option<Result<Value<'v>, RenderFailure>> {
        let [Part::Computed(computed)] = &*self.parts else { return None };
        Some(self.evaluated(computed, scene, budget).map(|value| value.unwrap_or(Value::Null)))
    }

    /// Writes the text. The values are escaped by `escape`.
    pub(super) fn write(
        &self,
        scene: &dyn Scene,
        budget: &Budget,
        out: &mut Writer<'_>,
        escape: fn(char) -> Option<&'static str>,
    ) -> Result<(), RenderFailure> {
        for part in &self.parts {
            let written = match part {
                Part::Own(text) => out.raw(text),
                Part::Computed(computed) => match self.evaluated(computed, scene, budget)? {
                    Some(value) => out.escaped(&value, escape),
                    None => Ok(()),
                },
            };
            written.map_err(|failure| unwritten(failure, || self.position()))?;
        }
        Ok(())
    }

    /// Its pieces, for a caller that treats values differently from the template's own text. An expression
    /// that can't be evaluated has no value.
    pub(crate) fn pieces<'s>(&'s self, scene: &dyn Scene, budget: &Budget) -> Vec<Piece<'s>> {
        let piece = |part: &'s Part| match part {
            Part::Own(text) => Piece::Own(text),
            Part::Computed(computed) => {
                let shown = || {
                    let value = computed.expression.evaluate(scene, budget).ok()?;
                    if matches!(value, Value::Null) {
                        return None;
                    }
                    let mut out = Writer::new(usize::MAX, budget);
                    out.display(&value).ok()?;
                    Some(out.end())
                };
                Piece::Computed(shown())
            }
        };
        self.parts.iter().map(piece).collect()
    }

    /// The value of an expression; `None` if it is missing.
    fn evaluated<'v>(
        &self,
        computed: &'v Computed,
        scene: &'v dyn Scene,
        budget: &'v Budget,
    ) -> Result<Option<Value<'v>>, RenderFailure> {
        match computed.expression.evaluate(scene, budget) {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(unwritten(failure, || {
                position_in(computed.line, computed.column, self.pointer.as_deref())
            })),
        }
    }
}

fn position_in(line: usize, column: usize, pointer: Option<&str>) -> Position {
    Position { pointer: pointer.map(str::to_owned), line, column }
}

/// The position of a byte in a string.
pub(super) fn position_of(text: &str, at: usize, pointer: Option<&str>) -> Position {
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or(before);
    position_in(before.matches('\n').count() + 1, line.chars().count() + 1, pointer)
}

/// The byte of the `}` that ends the expression which begins at `start`. The lexer of expressions finds it,
/// so that a `}` in quotes, or one that ends an object, does not end the expression.
fn end_of(text: &str, start: usize, pointer: Option<&str>) -> Result<usize, TemplateError> {
    let mut lexer = Lexer::new(&text[start..]);
    let mut open = 0usize;
    let fail =
        |at: usize, problem| Err(TemplateError { position: Some(position_of(text, at, pointer)), problem });
    loop {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokLeftBrace => open += 1,
            TokenKind::TokRightBrace if open == 0 => return Ok(start + token.start),
            TokenKind::TokRightBrace => open -= 1,
            TokenKind::TokEnd => return fail(start - 2, Problem::Open),
            TokenKind::TokError => {
                let message = lexer.get_error().map_or("not an expression", |error| error.message.as_str());
                return fail(start + token.start, Problem::Expression(message.to_owned()));
            }
            _ if token.end > 2 * MAX_EXPRESSION_LEN => return fail(start - 2, Problem::Open),
            _ => {}
        }
    }
}

fn computed(text: &str, start: usize, end: usize, pointer: Option<&str>) -> Result<Computed, TemplateError> {
    let begin = position_of(text, start, pointer);
    match Expression::of_template(&text[start..end]) {
        // A later failure is reported at the position of the `${`.
        Ok(expression) => Ok(Computed { expression, line: begin.line, column: begin.column - 2 }),
        Err(error) => Err(repositioned(error, begin)),
    }
}

/// An expression's error with its position in the string.
fn repositioned(error: ExpressionError, begin: Position) -> TemplateError {
    let position = match error.position {
        Some((1, column)) => Position { column: begin.column + column - 1, ..begin },
        Some((line, column)) => Position { line: begin.line + line - 1, column, ..begin },
        None => Position { column: begin.column - 2, ..begin },
    };
    TemplateError { position: Some(position), problem: Problem::expression(error) }
}

/// The error of a template that is written as in Jinja, with what to write instead.
pub(super) fn jinja(rest: &str) -> Option<Problem> {
    if let Some(inside) = rest.strip_prefix("{{") {
        let inside = inside.split("}}").next().unwrap_or_default();
        let value = inside.split('|').next().unwrap_or_default().trim();
        let known = Expression::of_template(value).is_ok();
        let instead = if known { format!("${{{value}}}") } else { "${payload.name}".to_owned() };
        return Some(Problem::Jinja { written: "{{ … }}", instead });
    }
    let inside = rest.strip_prefix("{%")?.trim_start_matches(['-', ' ']);
    let instead = match inside.split_whitespace().next() {
        Some("for") => "${events.map(e, e.id)} for a list",
        Some("set") => "the expression where its value is needed",
        _ => "${has(payload.name) ? payload.name : 'nobody'}",
    };
    Some(Problem::Jinja { written: "{% … %}", instead: instead.to_owned() })
}
