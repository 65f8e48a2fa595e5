//! Writes values as text: as JSON in normal form, or for people. Everything written spends work of a budget
//! and counts against a limit of bytes.

use super::budget::{Budget, Failure};
use super::value::{Value, push_number};
use crate::core::json::write_string;

/// A text that is being written.
pub(crate) struct Writer<'b> {
    out: String,
    /// The most bytes of the text.
    limit: usize,
    budget: &'b Budget,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(limit: usize, budget: &'b Budget) -> Self {
        Self { out: String::new(), limit, budget }
    }

    /// Writes `text` as it is.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.spend_text(text.len())?;
        self.out.push_str(text);
        self.bounded()
    }

    /// Writes `text` as a JSON string.
    pub(crate) fn string(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.spend_text(text.len())?;
        write_string(text, &mut self.out);
        self.bounded()
    }

    /// Writes a value for people: a text as it is, null as nothing, lists and objects as JSON.
    pub(crate) fn display(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        match value {
            Value::Null => Ok(()),
            Value::Text(text) => self.raw(text.as_str()),
            other => self.json(other, usize::MAX),
        }
    }

    /// Writes a value for people. `escape` gives the replacement of a character that needs one.
    pub(crate) fn escaped(
        &mut self,
        value: &Value<'_>,
        escape: fn(char) -> Option<&'static str>,
    ) -> Result<(), Failure> {
        let from = self.out.len();
        self.display(value)?;
        if self.out[from..].chars().all(|character| escape(character).is_none()) {
            return Ok(());
        }
        let shown = self.out.split_off(from);
        self.budget.spend_text(shown.len())?;
        for character in shown.chars() {
            match escape(character) {
                Some(escaped) => self.out.push_str(escaped),
                None => self.out.push(character),
            }
        }
        self.bounded()
    }

    /// Writes a value as JSON that nests at most `depth` deep.
    pub(crate) fn json(&mut self, value: &Value<'_>, depth: usize) -> Result<(), Failure> {
        self.budget.spend(1)?;
        let inside = depth.checked_sub(1).ok_or(Failure::Wrong("the body is nested too deeply"));
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => push_number(*number, &mut self.out),
            Value::Text(text) => return self.string(text.as_str()),
            Value::List(items) => {
                let inside = inside?;
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.comma(index);
                    self.json(item, inside)?;
                }
                self.out.push(']');
            }
            Value::Object(members) => {
                let inside = inside?;
                self.out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    self.comma(index);
                    self.name(name.as_str())?;
                    self.json(member, inside)?;
                }
                self.out.push('}');
            }
        }
        self.bounded()
    }

    /// Writes the comma before an element or a member, unless it is the first.
    pub(crate) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    /// Writes the name of a member.
    pub(crate) fn name(&mut self, name: &str) -> Result<(), Failure> {
        self.string(name)?;
        self.out.push(':');
        Ok(())
    }

    /// The text that was written.
    pub(crate) fn end(self) -> String {
        self.out
    }

    fn bounded(&self) -> Result<(), Failure> {
        if self.out.len() > self.limit { Err(Failure::TooLong) } else { Ok(()) }
    }
}
