//! What can be wrong with a template, and why one gives no body.

use super::MAX_DEPTH;
use crate::core::expression::ExpressionError;
use crate::core::webhook::MAX_TEMPLATE;
use std::fmt;

/// Where in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The JSON pointer of the string; `None` in what is no JSON document's string.
    pub pointer: Option<String>,
    /// The line in that string, or in the template, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
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

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Where; `None` if it is about the whole.
    pub place: Option<Place>,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for TemplateError {}

impl From<Problem> for TemplateError {
    fn from(problem: Problem) -> Self {
        Self { place: None, problem }
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than [`MAX_TEMPLATE`] bytes.
    #[error("a template may have at most {MAX_TEMPLATE} bytes")]
    TooLong,
    /// The type of content asks for JSON.
    #[error("the template is not JSON: {0}")]
    NotJson(String),
    /// `"isk": ${payload.value}`.
    #[error("an expression stands in quotes, also where its value is a number: \"${{payload.value}}\"")]
    Unquoted,
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A `${` without its `}`.
    #[error("the }} that ends this ${{ is missing; $${{ stands for ${{ itself")]
    Open,
    /// An expression that is none.
    #[error("{0}")]
    Expression(String),
    /// `${…}` in the name of a member.
    #[error("the name of a member can't be computed; ${{…}} stands in values alone")]
    Name,
    /// `{{ … }}` or `{% … %}`, as Jinja has it.
    #[error("{written} is not known here; write {instead}")]
    Jinja {
        /// What stands there.
        written: &'static str,
        /// What to write.
        instead: String,
    },
}

impl Problem {
    /// Without its place, which the template's own place tells.
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
    /// An expression can't work with what the event holds.
    #[error("{place}: {why}")]
    Expression {
        /// Where the expression stands.
        place: Place,
        /// Why it can't.
        why: String,
    },
    /// A limit is exceeded; with fewer events it may not be.
    #[error("{0}")]
    TooLarge(&'static str),
}
