//! Expressions over an event, in CEL: conditions of filters, keys of orderings, and values in templates.
//!
//! This module decides which expressions are valid, how much work an evaluation may make, and which values of
//! an event an expression can use. An expression is compiled once. Its evaluation is bounded. A condition
//! that can't be evaluated matches no event, and it reports no error.

mod budget;
mod claims;
mod condition;
mod evaluate;
mod functions;
mod operate;
mod parse;
mod step;
mod subject;
mod value;
mod write;

pub(crate) use budget::{Budget, Failure, MAX_WORK};
pub use condition::Condition;
pub(crate) use evaluate::Scene;
pub(crate) use step::Name;
pub use subject::Subject;
pub(crate) use value::{Text, Value};
pub(crate) use write::Writer;

use super::json::write_string;
use claims::Claims;
use evaluate::Evaluation;
use std::fmt;
use std::sync::Arc;
use step::{About, Step};

/// Longest text of an expression, in bytes.
pub const MAX_EXPRESSION_LEN: usize = 1024;

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    root: Arc<Step>,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Position(.position))]
pub struct ExpressionError {
    /// Line and column, from 1; `None` if they are not known.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

struct Position<'a>(&'a Option<(usize, usize)>);

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((1, column)) => write!(f, "at {column}: "),
            Some((line, column)) => write!(f, "at {line}:{column}: "),
            None => Ok(()),
        }
    }
}

impl ExpressionError {
    fn new(message: impl Into<String>) -> Self {
        Self { position: None, message: message.into() }
    }
}

impl Expression {
    /// Compiles a condition. It refuses an expression whose value can't be true or false.
    pub fn condition(text: &str) -> Result<Self, ExpressionError> {
        Self::key(text)?.boolean()
    }

    /// Compiles a condition on the claims of a token, which are `claims` in it.
    pub fn of_claims(text: &str) -> Result<Self, ExpressionError> {
        Self::compiled(text, About::Claims)?.boolean()
    }

    fn boolean(self) -> Result<Self, ExpressionError> {
        if self.root.may_be_boolean() {
            return Ok(self);
        }
        Err(ExpressionError::new("the expression is neither true nor false; compare it with something"))
    }

    /// Compiles an expression whose value is the key of an ordering. The value may be of any scalar type.
    pub fn key(text: &str) -> Result<Self, ExpressionError> {
        Self::compiled(text, About::Event)
    }

    /// Compiles an expression of a template, which may also use the whole event and all events of a request.
    pub(crate) fn of_template(text: &str) -> Result<Self, ExpressionError> {
        Self::compiled(text, About::Request)
    }

    fn compiled(text: &str, about: About) -> Result<Self, ExpressionError> {
        if text.len() > MAX_EXPRESSION_LEN {
            return Err(ExpressionError::new(format!(
                "an expression may have at most {MAX_EXPRESSION_LEN} bytes"
            )));
        }
        Ok(Self { root: Arc::new(parse::parse(text, about)?), text: text.into() })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether the event meets the condition. It does not if the condition can't be evaluated (a field is
    /// missing, or a text stands where a number is needed), makes too much work, or is neither true nor
    /// false.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let budget = Budget::default();
        matches!(self.of_event(subject, &budget), Some(Value::Bool(true)))
    }

    /// Why a condition is neither true nor false for the event; `None` if it is one of the two.
    pub fn fault(&self, subject: &Subject<'_>) -> Option<String> {
        let budget = Budget::default();
        match self.evaluate(subject, &budget) {
            Ok(Value::Bool(_)) => None,
            Ok(_) => Some("its value is neither true nor false".to_owned()),
            Err(failure) => Some(failure.to_string()),
        }
    }

    /// Whether claims, the text of a JSON object, meet a condition of [`Expression::of_claims`]. They do not
    /// if it can't be evaluated.
    pub fn admits(&self, claims: &str) -> bool {
        let budget = Budget::default();
        let scene = Claims::read(claims);
        matches!(self.evaluate(&scene, &budget), Ok(Value::Bool(true)))
    }

    /// The value as JSON text in normal form, which is the same for the same event on every node. `None` if
    /// the expression can't be evaluated, or if its value is a list or an object.
    pub fn value(&self, subject: &Subject<'_>) -> Option<String> {
        let budget = Budget::default();
        match self.of_event(subject, &budget)? {
            Value::List(_) | Value::Object(_) => None,
            Value::Text(text) => {
                let mut json = String::with_capacity(text.as_str().len() + 2);
                write_string(text.as_str(), &mut json);
                Some(json)
            }
            scalar => {
                let mut json = Writer::new(usize::MAX, &budget);
                json.json(&scalar, 1).ok()?;
                Some(json.end())
            }
        }
    }

    /// The value in a scene. The evaluation spends from the budget.
    pub(crate) fn evaluate<'v>(
        &'v self,
        scene: &'v dyn Scene,
        budget: &'v Budget,
    ) -> Result<Value<'v>, Failure> {
        Evaluation::new(scene, budget).value(&self.root)
    }

    fn of_event<'v>(&'v self, subject: &'v Subject<'_>, budget: &'v Budget) -> Option<Value<'v>> {
        let value = self.evaluate(subject, budget);
        if matches!(value, Err(Failure::TooMuch)) {
            subject.too_large.set(true);
        }
        value.ok()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
