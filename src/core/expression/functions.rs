//! The functions of expressions.
//!
//! Each function takes values that are already evaluated, and spends work for what it reads. `default()` is
//! not among them, because it also takes arguments that can't be evaluated.

use super::budget::{Budget, Failure};
use super::value::{Value, push_number};
use super::write::Writer;
use crate::core::markup::{cut, escape_discord, escape_slack, escaped};
use crate::core::time::{format_utc, parse_iso};

/// Longest text that a function or `+` makes, in bytes.
pub(super) const MAX_TEXT: usize = 64 * 1024;
/// Most decimals of `fixed()`.
const MAX_DECIMALS: f64 = 20.0;

type Outcome<'v> = Result<Value<'v>, Failure>;
type Run = for<'v> fn(&[Value<'v>], &Budget) -> Outcome<'v>;

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Whether it is written behind a dot, as in `payload.name.contains("a")`.
    pub(super) is_method: bool,
    /// The least number of arguments. The value before the dot does not count.
    pub(super) least: usize,
    pub(super) most: usize,
    /// Whether its value is true or false.
    pub(super) is_condition: bool,
    pub(super) run: Run,
}

const fn function(name: &'static str, least: usize, most: usize, run: Run) -> Function {
    Function { name, is_method: false, least, most, is_condition: false, run }
}

const fn method(name: &'static str, is_condition: bool, count: usize, run: Run) -> Function {
    Function { name, is_method: true, least: count, most: count, is_condition, run }
}

/// All functions.
pub(super) static FUNCTIONS: [Function; 17] = [
    function("size", 1, 1, size),
    function("int", 1, 1, int),
    function("double", 1, 1, double),
    function("string", 1, 1, string),
    function("fixed", 2, 2, fixed),
    function("upper", 1, 1, |of, budget| changed(of, budget, str::to_uppercase)),
    function("lower", 1, 1, |of, budget| changed(of, budget, str::to_lowercase)),
    function("join", 1, 2, join),
    function("date", 2, 2, date),
    function("json", 1, 1, json),
    function("truncate", 2, 2, truncate),
    function("discord", 1, 1, |of, budget| marked_up(of, budget, escape_discord())),
    function("slack", 1, 1, |of, budget| marked_up(of, budget, escape_slack)),
    method("contains", true, 1, |of, budget| compared(of, budget, |text, part| text.contains(part))),
    method("startsWith", true, 1, |of, budget| compared(of, budget, |text, part| text.starts_with(part))),
    method("endsWith", true, 1, |of, budget| compared(of, budget, |text, part| text.ends_with(part))),
    method("size", false, 0, size),
];

/// `size("text")` in characters, `size([1, 2])`, `size(an object)`.
fn size<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    let size = match &of[0] {
        Value::Text(text) => {
            budget.spend_text(text.as_str().len())?;
            text.as_str().chars().count()
        }
        Value::List(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null => return Err(Failure::Missing),
        _ => return Err(Failure::Wrong("size() takes a text, a list or an object")),
    };
    Ok(Value::Number(size as f64))
}

/// `int(2.7)` is 2, `int("12")` is 12.
fn int<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    const WRONG: Failure = Failure::Wrong("int() takes a number, or a text of digits");
    let number = match &of[0] {
        Value::Number(number) => number.trunc(),
        Value::Text(text) => {
            budget.spend_text(text.as_str().len())?;
            text.as_str().parse::<i64>().map_err(|_| WRONG)? as f64
        }
        Value::Null => return Err(Failure::Missing),
        _ => return Err(WRONG),
    };
    let is_integer = number > i64::MIN as f64 && number < i64::MAX as f64;
    if is_integer { Ok(Value::Number(number)) } else { Err(WRONG) }
}

/// `double("2.5")` is 2.5.
fn double<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    const WRONG: Failure = Failure::Wrong("double() takes a number, or a text that is one");
    match &of[0] {
        Value::Number(number) => Ok(Value::Number(*number)),
        Value::Text(text) => {
            budget.spend_text(text.as_str().len())?;
            let number = text.as_str().parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Value::Number).ok_or(WRONG)
        }
        Value::Null => Err(Failure::Missing),
        _ => Err(WRONG),
    }
}

/// `string(2.5)` is `"2.5"`.
fn string<'v>(of: &[Value<'v>], _: &Budget) -> Outcome<'v> {
    match &of[0] {
        Value::Text(text) => Ok(Value::Text(text.clone())),
        Value::Bool(truth) => Ok(Value::text(truth.to_string())),
        Value::Number(number) => {
            let mut text = String::new();
            push_number(*number, &mut text);
            Ok(Value::text(text))
        }
        Value::Null => Err(Failure::Missing),
        _ => Err(Failure::Wrong("a list or an object is not a text; join() and json() make one")),
    }
}

/// `fixed(2.25, 1)` is `"2.3"`, as with JavaScript's `toFixed`.
fn fixed<'v>(of: &[Value<'v>], _: &Budget) -> Outcome<'v> {
    let number = number(&of[0], "fixed() takes a number, and how many decimals")?;
    let decimals = number_in(&of[1], MAX_DECIMALS, "fixed() takes 0 to 20 decimals")?;
    Ok(Value::text(to_fixed(number, decimals)))
}

/// Rounds the exact value of the number, halves away from zero.
fn to_fixed(number: f64, decimals: usize) -> String {
    let mut text = String::new();
    let exact = number.abs();
    if exact >= 1e21 {
        push_number(number, &mut text);
        return text;
    }
    // Thirty more digits tell a half from a number near it, because the neighbours of a half differ much
    // earlier.
    let longer = format!("{exact:.*}", decimals + 30);
    let is_half = longer.strip_suffix(&"0".repeat(29)).is_some_and(|head| head.ends_with('5'));
    let rounded = if is_half { exact.next_up() } else { exact };
    if number < 0.0 {
        text.push('-');
    }
    text + &format!("{rounded:.decimals$}")
}

/// A text with a change of its letters.
fn changed<'v>(of: &[Value<'v>], budget: &Budget, change: fn(&str) -> String) -> Outcome<'v> {
    let text = text(&of[0], "upper() and lower() take a text")?;
    budget.spend_text(text.len())?;
    bounded(change(text), budget)
}

/// `join(["a", "b"], ", ")` is `"a, b"`. Without a separator the items are put side by side.
fn join<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    let separator = of.get(1).map_or(Ok(""), |one| text(one, "the second argument of join() is a text"))?;
    let items = match &of[0] {
        Value::List(items) => items,
        Value::Null => return Err(Failure::Missing),
        _ => return Err(Failure::Wrong("join() takes a list")),
    };
    let mut out = Writer::new(MAX_TEXT, budget);
    for (index, item) in items.iter().enumerate() {
        budget.spend(1)?;
        if index > 0 {
            out.raw(separator)?;
        }
        out.display(item)?;
    }
    Ok(Value::text(out.end()))
}

/// `date(ts, "DD.MM.YYYY HH:mm")` writes an ISO time or Unix milliseconds in UTC. `X` stands for Unix
/// seconds.
fn date<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    const WRONG: Failure = Failure::Wrong("date() takes an ISO time, or Unix milliseconds");
    let unix_ms = match &of[0] {
        Value::Text(text) => parse_iso(text.as_str()).ok_or(WRONG)?,
        // The cast saturates. The format only writes years of four digits.
        Value::Number(unix_ms) if *unix_ms >= 0.0 => *unix_ms as u64,
        Value::Null => return Err(Failure::Missing),
        _ => return Err(WRONG),
    };
    let form = text(&of[1], "the second argument of date() is a text such as 'YYYY-MM-DD HH:mm'")?;
    budget.spend_text(form.len())?;
    bounded(format_utc(unix_ms, form), budget)
}

/// The value as JSON, in a text.
fn json<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    let mut out = Writer::new(MAX_TEXT, budget);
    out.json(&of[0], usize::MAX)?;
    Ok(Value::text(out.end()))
}

/// `truncate("Stratios", 4)` is `"Str…"`. The number limits the characters as chats count them.
fn truncate<'v>(of: &[Value<'v>], budget: &Budget) -> Outcome<'v> {
    let text = text(&of[0], "truncate() takes a text, and how many characters")?;
    let most = number_in(&of[1], MAX_TEXT as f64, "truncate() takes a number of characters from 0")?;
    budget.spend_text(text.len())?;
    match cut(text, most) {
        Some(shorter) => Ok(Value::text(shorter)),
        None => Ok(of[0].clone()),
    }
}

/// A text in which no character has a special meaning for a chat. Other values are first written as a text.
fn marked_up<'v>(of: &[Value<'v>], budget: &Budget, escape: impl FnMut(char, &mut String)) -> Outcome<'v> {
    if matches!(of[0], Value::Null) {
        return Err(Failure::Missing);
    }
    let mut shown = Writer::new(MAX_TEXT, budget);
    shown.display(&of[0])?;
    bounded(escaped(&shown.end(), usize::MAX, escape), budget)
}

fn compared<'v>(of: &[Value<'v>], budget: &Budget, how: fn(&str, &str) -> bool) -> Outcome<'v> {
    const WRONG: &str = "contains(), startsWith() and endsWith() are for texts";
    let (text, part) = (text(&of[0], WRONG)?, text(&of[1], WRONG)?);
    budget.spend_text(text.len() + part.len())?;
    Ok(Value::Bool(how(text, part)))
}

fn text<'a>(value: &'a Value<'_>, wrong: &'static str) -> Result<&'a str, Failure> {
    match value {
        Value::Text(text) => Ok(text.as_str()),
        Value::Null => Err(Failure::Missing),
        _ => Err(Failure::Wrong(wrong)),
    }
}

fn number(value: &Value<'_>, wrong: &'static str) -> Result<f64, Failure> {
    match value {
        Value::Number(number) => Ok(*number),
        Value::Null => Err(Failure::Missing),
        _ => Err(Failure::Wrong(wrong)),
    }
}

/// A whole number from 0 to `most`.
fn number_in(value: &Value<'_>, most: f64, wrong: &'static str) -> Result<usize, Failure> {
    let number = number(value, wrong)?;
    let good = number.fract() == 0.0 && (0.0..=most).contains(&number);
    if good { Ok(number as usize) } else { Err(Failure::Wrong(wrong)) }
}

fn bounded<'v>(text: String, budget: &Budget) -> Outcome<'v> {
    budget.spend_text(text.len())?;
    if text.len() > MAX_TEXT { Err(Failure::TooLong) } else { Ok(Value::text(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_rounds_as_javascript_does() {
        for (number, decimals, expected) in [
            (250.0, 1, "250.0"),
            (0.25, 1, "0.3"),
            (-1.25, 1, "-1.3"),
            (1.45, 1, "1.4"),
            (2.5, 0, "3"),
            (0.149_999, 1, "0.1"),
            (1.005, 2, "1.00"),
            (-0.04, 1, "-0.0"),
            (0.0, 2, "0.00"),
            (1e-7, 3, "0.000"),
            (1e21, 2, "1e+21"),
            (123_456_789.987_654_3, 20, "123456789.98765429854393005371"),
        ] {
            assert_eq!(to_fixed(number, decimals), expected, "{number} to {decimals}");
        }
    }
}
