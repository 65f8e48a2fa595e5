//! Expressions over an event, in CEL: conditions of filters, and keys.
//!
//! Owns what may be written, how much work it may make, and what an event looks like from inside. An expression is
//! compiled once; it can neither fail loudly nor run long: what can't be evaluated matches nothing.

mod check;
mod condition;
mod operate;
mod subject;

pub use condition::Condition;
pub use subject::Subject;

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::parser::PrattParser;
use cel::{IdedExpr, Value};
use std::fmt;
use std::sync::Arc;

/// Longest text of an expression, in bytes.
pub const MAX_EXPRESSION_LEN: usize = 1024;

/// Deepest nesting that the parser follows: brackets, arguments, indices.
const MAX_PARSE_DEPTH: u16 = 24;
/// Questions asked in one expression. The parser follows a chain of them without counting.
const MAX_TERNARIES: usize = 16;
/// Work that one evaluation may make: its steps that look at whole values, times the values of the payload. Some two
/// milliseconds: nothing interrupts an evaluation.
const MAX_WORK: u64 = 50_000;

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    root: IdedExpr,
    /// Steps that may look at all of the payload.
    walks: u64,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Place(.place))]
pub struct ExpressionError {
    /// Line and column, from 1, where it can be told.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

struct Place<'a>(&'a Option<(usize, usize)>);

impl fmt::Display for Place<'_> {
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
        Self { place: None, message: message.into() }
    }
}

impl Expression {
    /// Compiles a condition: what can't be true or false is refused.
    pub fn condition(text: &str) -> Result<Self, ExpressionError> {
        let expression = Self::key(text)?;
        if check::may_be_boolean(&expression.root) {
            return Ok(expression);
        }
        Err(ExpressionError::new("the expression is neither true nor false; compare it with something"))
    }

    /// Compiles an expression of any scalar kind.
    pub fn key(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_EXPRESSION_LEN {
            return Err(ExpressionError::new(format!("an expression may have at most {MAX_EXPRESSION_LEN} bytes")));
        }
        if text.trim().is_empty() {
            return Err(ExpressionError::new("an expression is expected"));
        }
        if text.bytes().filter(|byte| *byte == b'?').count() > MAX_TERNARIES {
            return Err(ExpressionError::new(format!("at most {MAX_TERNARIES} question marks are allowed")));
        }
        // The other parser of this crate, the default, overflows the stack on a kilobyte of brackets.
        let parser = PrattParser::new().max_recursion_depth(MAX_PARSE_DEPTH).error_recovery_limit(0);
        let mut root = parser.parse(text).map_err(|errors| check::syntax_error(text, &errors))?;
        let walks = check::check(text, &mut root)?;
        Ok(Self { text: text.into(), root, walks })
    }

    /// As it was written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether the event meets the condition. What can't be evaluated (a field that isn't there, a text where a
    /// number is needed), is too much work, or is neither true nor false is not met.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let result = self.evaluate(subject);
        result.and_then(|value| value.downcast_ref::<CelBool>().map(|value| *value.inner())).unwrap_or(false)
    }

    /// The value as JSON text in normal form, the same for the same event everywhere; `None` for what can't be
    /// evaluated or is a list or an object.
    pub fn value(&self, subject: &Subject<'_>) -> Option<String> {
        scalar(&*self.evaluate(subject)?)
    }

    fn evaluate<'s>(&'s self, subject: &'s Subject<'_>) -> Option<CowVal<'s, 's>> {
        let scene = subject.scene()?;
        if self.walks.saturating_mul(scene.size) > MAX_WORK {
            subject.too_large.set(true);
            return None;
        }
        Value::resolve_val(&self.root, &scene.context).ok()
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

/// JSON of a scalar: numbers as JavaScript writes them, so that 9 and 9.0 are the same.
fn scalar(value: &dyn Val) -> Option<String> {
    let mut out = String::new();
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        super::json::write_string(text.inner(), &mut out);
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        out = number.inner().to_string();
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        out = number.inner().to_string();
    } else if let Some(number) = value.downcast_ref::<CelDouble>().filter(|number| number.is_finite()) {
        out.push_str(ryu_js::Buffer::new().format_finite(*number.inner()));
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        out = truth.inner().to_string();
    } else if value.downcast_ref::<CelNull>().is_some() {
        out.push_str("null");
    } else {
        return None;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
