//! Evaluates a checked expression, step by step, within a budget.

use super::budget::{Budget, Failure};
use super::operate::{find, index, member, operate};
use super::step::{Loop, LoopKind, Name, Step};
use super::value::{Text, Value};
use std::rc::Rc;

type Outcome<'v> = Result<Value<'v>, Failure>;

/// The values of the names in an expression.
pub(crate) trait Scene {
    /// The value of that name.
    fn value(&self, name: Name) -> Result<Value<'_>, Failure>;
}

/// One evaluation.
pub(super) struct Evaluation<'v> {
    pub(super) scene: &'v dyn Scene,
    pub(super) budget: &'v Budget,
    /// The current element of each enclosing loop, from the outermost.
    elements: Vec<Value<'v>>,
}

impl<'v> Evaluation<'v> {
    pub(super) fn new(scene: &'v dyn Scene, budget: &'v Budget) -> Self {
        Self { scene, budget, elements: Vec::new() }
    }

    pub(super) fn value(&mut self, step: &'v Step) -> Outcome<'v> {
        self.budget.spend(1)?;
        match step {
            Step::Null => Ok(Value::Null),
            Step::Bool(truth) => Ok(Value::Bool(*truth)),
            Step::Number(number) => Ok(Value::Number(*number)),
            Step::Text(text) => Ok(Value::borrowed(text)),
            Step::Name(name) => self.scene.value(*name),
            Step::Element(depth) => self.elements.get(*depth).cloned().ok_or(Failure::Missing),
            Step::Member(of, name) => member(&self.value(of)?, name, self.budget),
            Step::Has(of, name) => match self.value(of)? {
                Value::Object(members) => Ok(Value::Bool(find(&members, name, self.budget)?.is_some())),
                Value::Null => Err(Failure::Missing),
                _ => Err(Failure::Wrong("has() asks for a member of an object")),
            },
            Step::Index(parts) => index(&self.value(&parts[0])?, &self.value(&parts[1])?, self.budget),
            Step::Not(of) => Ok(Value::Bool(!self.condition(of)?)),
            Step::Negate(of) => match self.value(of)? {
                Value::Number(number) => Ok(Value::Number(-number)),
                Value::Null => Err(Failure::Missing),
                _ => Err(Failure::Wrong("a number is needed behind the minus")),
            },
            Step::And(parts) => self.both(&parts[0], &parts[1], false),
            Step::Or(parts) => self.both(&parts[0], &parts[1], true),
            Step::Choose(parts) => {
                let chosen = if self.condition(&parts[0])? { &parts[1] } else { &parts[2] };
                self.value(chosen)
            }
            Step::Operate(operator, parts) => {
                operate(*operator, &self.value(&parts[0])?, &self.value(&parts[1])?, self.budget)
            }
            Step::Call(function, arguments) => {
                let arguments = self.values(arguments)?;
                (function.run)(&arguments, self.budget)
            }
            Step::Default(values) => self.first(values),
            Step::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.part(item)?);
                }
                Ok(Value::List(Rc::new(list)))
            }
            Step::Object(members) => {
                let mut object = Vec::with_capacity(members.len());
                for (name, member) in members {
                    object.push((Text::Borrowed(name), self.part(member)?));
                }
                Ok(Value::Object(Rc::new(object)))
            }
            Step::Loop(all) => self.repeat(all),
        }
    }

    fn values(&mut self, steps: &'v [Step]) -> Result<Vec<Value<'v>>, Failure> {
        let mut values = Vec::with_capacity(steps.len());
        for step in steps {
            values.push(self.value(step)?);
        }
        Ok(values)
    }

    /// A value that becomes part of a list or an object. A missing value becomes null.
    fn part(&mut self, step: &'v Step) -> Outcome<'v> {
        match self.value(step) {
            Err(Failure::Missing) => Ok(Value::Null),
            other => other,
        }
    }

    fn condition(&mut self, step: &'v Step) -> Result<bool, Failure> {
        match self.value(step)? {
            Value::Bool(truth) => Ok(truth),
            Value::Null => Err(Failure::Missing),
            _ => Err(Failure::Wrong("true or false is needed")),
        }
    }

    /// `&&` and `||`. If one side is `decisive`, it is the result, even if the other side fails.
    fn both(&mut self, left: &'v Step, right: &'v Step, decisive: bool) -> Outcome<'v> {
        let left = self.condition(left);
        if left == Ok(decisive) || left == Err(Failure::TooMuch) {
            return left.map(Value::Bool);
        }
        let right = self.condition(right)?;
        if right == decisive { Ok(Value::Bool(right)) } else { left.map(Value::Bool) }
    }

    /// The first value that can be evaluated and is neither null nor an empty text; null if there is none.
    fn first(&mut self, values: &'v [Step]) -> Outcome<'v> {
        for step in values {
            match self.value(step) {
                Err(Failure::TooMuch) => return Err(Failure::TooMuch),
                Err(_) | Ok(Value::Null) => {}
                Ok(Value::Text(text)) if text.as_str().is_empty() => {}
                Ok(value) => return Ok(value),
            }
        }
        Ok(Value::Null)
    }

    fn repeat(&mut self, all: &'v Loop) -> Outcome<'v> {
        let over = self.value(&all.over)?;
        let count = match &over {
            Value::List(items) => items.len(),
            Value::Object(members) => members.len(),
            Value::Null => return Err(Failure::Missing),
            _ => return Err(Failure::Wrong("only lists and objects have elements")),
        };
        let mut found = Found::default();
        for at in 0..count {
            let element = match &over {
                Value::List(items) => items[at].clone(),
                Value::Object(members) => Value::Text(members[at].0.clone()),
                _ => break,
            };
            self.elements.push(element);
            let goes_on = self.round(all, &mut found);
            self.elements.pop();
            if !goes_on? {
                break;
            }
        }
        found.end(all.kind)
    }

    /// Runs the body for the element that was pushed last. Returns whether the loop must go on.
    fn round(&mut self, all: &'v Loop, found: &mut Found<'v>) -> Result<bool, Failure> {
        match all.kind {
            LoopKind::All | LoopKind::Exists => {
                let decisive = all.kind == LoopKind::Exists;
                match self.condition(&all.body) {
                    Ok(truth) if truth == decisive => found.decided = true,
                    Ok(_) => {}
                    Err(Failure::TooMuch) => return Err(Failure::TooMuch),
                    // As with `||`, another element may decide.
                    Err(failure) => found.failure = found.failure.or(Some(failure)),
                }
                Ok(!found.decided)
            }
            LoopKind::ExistsOne => {
                found.count += usize::from(self.condition(&all.body)?);
                Ok(true)
            }
            LoopKind::Map => {
                let wanted = match &all.only {
                    Some(only) => self.condition(only)?,
                    None => true,
                };
                if wanted {
                    let made = self.part(&all.body)?;
                    found.list.push(made);
                }
                Ok(true)
            }
            LoopKind::Filter => {
                if self.condition(&all.body)? {
                    found.list.extend(self.elements.last().cloned());
                }
                Ok(true)
            }
        }
    }
}

/// The result of a loop so far.
#[derive(Default)]
struct Found<'v> {
    decided: bool,
    failure: Option<Failure>,
    count: usize,
    list: Vec<Value<'v>>,
}

impl<'v> Found<'v> {
    fn end(self, kind: LoopKind) -> Outcome<'v> {
        match kind {
            LoopKind::All | LoopKind::Exists => match self.failure {
                Some(failure) if !self.decided => Err(failure),
                _ => Ok(Value::Bool(self.decided == (kind == LoopKind::Exists))),
            },
            LoopKind::ExistsOne => Ok(Value::Bool(self.count == 1)),
            LoopKind::Map | LoopKind::Filter => Ok(Value::List(Rc::new(self.list))),
        }
    }
}
