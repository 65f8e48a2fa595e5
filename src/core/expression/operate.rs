//! The operators of expressions.
//!
//! There is one type of number, as in JSON. CEL itself can't add an integer to a float: then `payload.value *
//! 2` would work or fail depending on whether the value happens to be whole. Values of two different types
//! are not equal, which is no error.

use super::budget::{Budget, Failure};
use super::functions::MAX_TEXT;
use super::step::Operator;
use super::value::{Members, Value};
use std::cmp::Ordering;
use std::rc::Rc;

type Outcome<'v> = Result<Value<'v>, Failure>;

pub(super) fn operate<'v>(
    operator: Operator,
    left: &Value<'v>,
    right: &Value<'v>,
    budget: &Budget,
) -> Outcome<'v> {
    match operator {
        Operator::Add => add(left, right, budget),
        Operator::Subtract => compute(left, right, |a, b| a - b),
        Operator::Multiply => compute(left, right, |a, b| a * b),
        Operator::Divide => compute(left, right, |a, b| a / b),
        Operator::Remainder => compute(left, right, |a, b| a % b),
        Operator::Equal => Ok(Value::Bool(equal(left, right, budget)?)),
        Operator::Unequal => Ok(Value::Bool(!equal(left, right, budget)?)),
        Operator::Less => Ok(Value::Bool(order(left, right, budget)?.is_lt())),
        Operator::LessEqual => Ok(Value::Bool(order(left, right, budget)?.is_le())),
        Operator::Greater => Ok(Value::Bool(order(left, right, budget)?.is_gt())),
        Operator::GreaterEqual => Ok(Value::Bool(order(left, right, budget)?.is_ge())),
        Operator::In => within(left, right, budget),
    }
}

/// The member of that name. A value that is not an object has none.
pub(super) fn member<'v>(of: &Value<'v>, name: &str, budget: &Budget) -> Outcome<'v> {
    let Value::Object(members) = of else { return Err(Failure::Missing) };
    find(members, name, budget)?.cloned().ok_or(Failure::Missing)
}

pub(super) fn find<'a, 'v>(
    members: &'a Members<'v>,
    name: &str,
    budget: &Budget,
) -> Result<Option<&'a Value<'v>>, Failure> {
    let at = members.iter().position(|(known, _)| known.as_str() == name);
    // Comparing a name costs much less than evaluating a value.
    budget.spend(at.unwrap_or(members.len()) / 16)?;
    Ok(at.map(|at| &members[at].1))
}

/// The element of a list at that index, or the member of an object with that name.
pub(super) fn index<'v>(of: &Value<'v>, at: &Value<'v>, budget: &Budget) -> Outcome<'v> {
    match (of, at) {
        (_, Value::Null) => Err(Failure::Missing),
        (Value::List(items), Value::Number(number)) if *number >= 0.0 && number.fract() == 0.0 => {
            // The cast saturates: a number that is too large becomes an index that no list has.
            items.get(*number as usize).cloned().ok_or(Failure::Missing)
        }
        (Value::List(_), _) => Err(Failure::Wrong("the index of an element is a whole number from 0")),
        (Value::Object(_), Value::Text(name)) => member(of, name.as_str(), budget),
        (Value::Object(_), _) => Err(Failure::Wrong("a member's name is a text")),
        _ => Err(Failure::Missing),
    }
}

/// Computes with two numbers. A result that JSON can't hold, such as that of a division by zero, is an error.
fn compute<'v>(left: &Value<'v>, right: &Value<'v>, how: fn(f64, f64) -> f64) -> Outcome<'v> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match how(*left, *right) {
            result if result.is_finite() => Ok(Value::Number(result)),
            _ => Err(Failure::Wrong("the result is no number: a division by zero?")),
        },
        (Value::Null, _) | (_, Value::Null) => Err(Failure::Missing),
        _ => Err(Failure::Wrong("numbers are needed")),
    }
}

/// Adds two numbers, or joins two texts or two lists.
fn add<'v>(left: &Value<'v>, right: &Value<'v>, budget: &Budget) -> Outcome<'v> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let left = left.as_str();
            let right = right.as_str();
            if left.len() + right.len() > MAX_TEXT {
                return Err(Failure::TooLong);
            }
            budget.spend_text(left.len() + right.len())?;
            Ok(Value::text(format!("{left}{right}")))
        }
        (Value::List(left), Value::List(right)) => {
            budget.spend(left.len() + right.len())?;
            Ok(Value::List(Rc::new(left.iter().chain(right.iter()).cloned().collect())))
        }
        (Value::Text(_), Value::Number(_)) | (Value::Number(_), Value::Text(_)) => {
            Err(Failure::Wrong("a number is added to a text; write string(…) around the number"))
        }
        _ => compute(left, right, |a, b| a + b),
    }
}

fn order(left: &Value<'_>, right: &Value<'_>, budget: &Budget) -> Result<Ordering, Failure> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right).ok_or(Failure::Missing),
        (Value::Text(left), Value::Text(right)) => {
            budget.spend_text(left.as_str().len().min(right.as_str().len()))?;
            Ok(left.as_str().cmp(right.as_str()))
        }
        (Value::Null, _) | (_, Value::Null) => Err(Failure::Missing),
        _ => Err(Failure::Wrong("two numbers or two texts are needed")),
    }
}

/// Whether two values are equal. Values of two different types are not.
fn equal(left: &Value<'_>, right: &Value<'_>, budget: &Budget) -> Result<bool, Failure> {
    budget.spend(1)?;
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(left, right, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(left), Value::Object(right)) => same_members(left, right, budget),
        _ => same_scalar(left, right, budget),
    }
}

fn same_members(left: &Members<'_>, right: &Members<'_>, budget: &Budget) -> Result<bool, Failure> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for ((name, one), (beside, other)) in left.iter().zip(right) {
        budget.spend_text(name.as_str().len())?;
        // Equal objects mostly have their members in the same order.
        let other =
            if name.as_str() == beside.as_str() { Some(other) } else { find(right, name.as_str(), budget)? };
        match other {
            Some(other) if equal(one, other, budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn same_scalar(left: &Value<'_>, right: &Value<'_>, budget: &Budget) -> Result<bool, Failure> {
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let left = left.as_str();
            let right = right.as_str();
            if left.len() == right.len() {
                budget.spend_text(left.len())?;
            }
            left == right
        }
        (Value::Number(left), Value::Number(right)) => left == right,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Null, Value::Null) => true,
        _ => false,
    })
}

/// Whether a scalar is an element of a list, or a text the name of an object's member. A list or an object
/// can't be looked for.
fn within<'v>(sought: &Value<'v>, all: &Value<'v>, budget: &Budget) -> Outcome<'v> {
    if matches!(sought, Value::List(_) | Value::Object(_)) {
        return Err(Failure::Wrong("a list or an object can't be looked for"));
    }
    match (all, sought) {
        (Value::List(items), _) => {
            for item in items.iter() {
                budget.spend(1)?;
                if same_scalar(sought, item, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        (Value::Object(members), Value::Text(name)) => {
            Ok(Value::Bool(find(members, name.as_str(), budget)?.is_some()))
        }
        (Value::Null, _) => Err(Failure::Missing),
        _ => Err(Failure::Wrong("a list or an object is needed behind in")),
    }
}
