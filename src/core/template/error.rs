//! The errors of parsing and of rendering a template.

use super::MAX_DEPTH;
use crate::core::expression::ExpressionError;
use crate::core::webhook::MAX_TEMPLATE;
use std::fmt;

/// A position in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The JSON pointer of the string; `None` if the position is not in a string of a JSON document.
    pub pointer: Option<String>,
    /// The line in that string, or in the template, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pointer) = self.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            write!(f, "{pointer}, ")?;
        }
        if self.line > 1 || self.pointer.is_none() {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}", self.column)
    }
}

/// Why a text is not a valid template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Its position; `None` if it concerns the whole template.
    pub position: Option<Position>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(f, "{position}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for TemplateError {}

impl From<Problem> for TemplateError {
    fn from(problem: Problem) -> Self {
        Self { position: None, problem }
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than [`MAX_TEMPLATE`] bytes.
    #[error("a template may have at most {MAX_TEMPLATE} bytes")]
    TooLong,
    /// It is not JSON, and its media type needs JSON.
    #[error("the template is not JSON: {0}")]
    NotJson(String),
    /// An expression outside quotes, as in `"isk": ${payload.value}`.
    #[error("an expression stands in quotes, also where its value is a number: \"${{payload.value}}\"")]
    Unquoted,
    /// It nests deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A `${` without its `}`.
    #[error("the }} that ends this ${{ is missing; $${{ stands for ${{ itself")]
    Open,
    /// An invalid expression.
    #[error("{0}")]
    Expression(String),
    /// `${…}` in the name of a member.
    #[error("the name of a member can't be computed; ${{…}} stands in values alone")]
    Name,
    /// `{{ … }}` or `{% … %}`, as in Jinja.
    #[error("{written} is not known here; write {instead}")]
    Jinja {
        /// What the template has.
        written: &'static str,
        /// What to write instead.
        instead: String,
    },
}

impl Problem {
    /// The expression's error without its position in the expression. [`TemplateError::position`] has the
    /// position in the template.
    pub(super) fn expression(error: ExpressionError) -> Self {
        Self::Expression(error.message)
    }
}

/// Why a template gives no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderFailure {
    /// There is nothing to render.
    #[error("there is no event")]
    NoEvent,
    /// An expression can't use a value of the event.
    #[error("{position}: {why}")]
    Expression {
        /// The expression's position.
        position: Position,
        /// The reason as a text.
        why: String,
    },
    /// A limit is exceeded. With fewer events it may not be.
    #[error("{0}")]
    TooLarge(&'static str),
}
