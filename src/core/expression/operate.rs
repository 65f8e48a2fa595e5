//! Operators with meanings of our own: numbers as JSON has them, of one kind, and no comparison that copies.
//!
//! CEL adds no integer to a float, so whether `payload.value * 2` works would hang on whether the value happens to be
//! whole. And where it compares a number with something else, it copies that for an error that nobody reads: looking
//! for a long list in a long list took minutes.

use cel::common::ast::operators;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, DYN_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// Longest text that `+` makes, in bytes.
const MAX_TEXT: usize = 64 * 1024;

type Outcome = Result<Box<dyn Val>, ExecutionError>;
type Function = for<'b, 'v> fn(Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError>;

/// The operator, the name of our function for it, which nobody can write, and the function.
const OURS: [(&str, &str, Function); 12] = [
    (operators::ADD, "@add", |args| of_two(&args, add)),
    (operators::SUBSTRACT, "@subtract", |args| of_two(&args, |a, b| compute(a, b, |a, b| a - b))),
    (operators::MULTIPLY, "@multiply", |args| of_two(&args, |a, b| compute(a, b, |a, b| a * b))),
    (operators::DIVIDE, "@divide", |args| of_two(&args, |a, b| compute(a, b, |a, b| a / b))),
    (operators::MODULO, "@remainder", |args| of_two(&args, |a, b| compute(a, b, |a, b| a % b))),
    (operators::EQUALS, "@equal", |args| of_two(&args, |a, b| truth(equal(a, b)))),
    (operators::NOT_EQUALS, "@unequal", |args| of_two(&args, |a, b| truth(!equal(a, b)))),
    (operators::LESS, "@less", |args| of_two(&args, |a, b| truth(order(a, b)?.is_lt()))),
    (operators::LESS_EQUALS, "@less_equal", |args| of_two(&args, |a, b| truth(order(a, b)?.is_le()))),
    (operators::GREATER, "@greater", |args| of_two(&args, |a, b| truth(order(a, b)?.is_gt()))),
    (operators::GREATER_EQUALS, "@greater_equal", |args| of_two(&args, |a, b| truth(order(a, b)?.is_ge()))),
    (operators::IN, "@within", |args| of_two(&args, within)),
];

/// Our function for an operator.
pub(super) fn ours(operator: &str) -> Option<&'static str> {
    OURS.iter().find(|(theirs, _, _)| *theirs == operator).map(|(_, name, _)| *name)
}

/// Whether our function gives true or false.
pub(super) fn is_comparison(function: &str) -> bool {
    OURS.iter().skip(5).any(|(_, name, _)| *name == function)
}

/// The standard environment with our operators.
pub(super) fn environment() -> Env {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    for (_, name, function) in OURS {
        let declared = env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function);
        debug_assert!(declared.is_ok());
    }
    env
}

fn failed(message: &str) -> ExecutionError {
    ExecutionError::function_error("operator", message)
}

fn of_two<'b, 'v>(
    args: &[CowVal<'b, 'v>],
    operation: fn(&dyn Val, &dyn Val) -> Outcome,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args else { return Err(failed("two values are needed")) };
    operation(&**left, &**right).map(CowVal::Owned)
}

fn truth(value: bool) -> Outcome {
    Ok(Box::new(CelBool::from(value)))
}

fn number(value: &dyn Val) -> Option<f64> {
    let whole = value.downcast_ref::<CelInt>().map(|value| *value.inner() as f64);
    let float = || value.downcast_ref::<CelDouble>().map(|value| *value.inner());
    let unsigned = || value.downcast_ref::<CelUInt>().map(|value| *value.inner() as f64);
    whole.or_else(float).or_else(unsigned)
}

fn text(value: &dyn Val) -> Option<&str> {
    value.downcast_ref::<CelString<'_>>().map(CelString::inner)
}

/// A result that JSON can't hold, such as that of a division by zero, is none.
fn compute(left: &dyn Val, right: &dyn Val, how: fn(f64, f64) -> f64) -> Outcome {
    let (Some(left), Some(right)) = (number(left), number(right)) else { return Err(failed("numbers are needed")) };
    match how(left, right) {
        result if result.is_finite() => Ok(Box::new(CelDouble::from(result))),
        _ => Err(failed("the result is no number")),
    }
}

fn add(left: &dyn Val, right: &dyn Val) -> Outcome {
    let (Some(left), Some(right)) = (text(left), text(right)) else { return compute(left, right, |a, b| a + b) };
    if left.len() + right.len() > MAX_TEXT {
        return Err(failed("the text is too long"));
    }
    Ok(Box::new(CelString::from(format!("{left}{right}"))))
}

fn order(left: &dyn Val, right: &dyn Val) -> Result<std::cmp::Ordering, ExecutionError> {
    let numbers = || number(left)?.partial_cmp(&number(right)?);
    let texts = || Some(text(left)?.cmp(text(right)?));
    numbers().or_else(texts).ok_or_else(|| failed("two numbers or two texts are needed"))
}

/// Things of two kinds are not equal.
fn equal(left: &dyn Val, right: &dyn Val) -> bool {
    if let Some(left) = left.downcast_ref::<CelList<'_>>() {
        let right = right.downcast_ref::<CelList<'_>>().filter(|right| right.len() == left.len());
        return right.is_some_and(|right| left.iter().zip(right.iter()).all(|(a, b)| equal(&**a, &**b)));
    }
    if let Some(left) = left.downcast_ref::<CelMap<'_>>() {
        let right = right.downcast_ref::<CelMap<'_>>().filter(|right| right.len() == left.len());
        let same = |right: &CelMap<'_>| left.iter().all(|(key, a)| right.get(key).is_some_and(|b| equal(&**a, &**b)));
        return right.is_some_and(same);
    }
    same_scalar(left, right)
}

fn same_scalar(left: &dyn Val, right: &dyn Val) -> bool {
    let numbers = || Some(number(left)? == number(right)?);
    let texts = || Some(text(left)? == text(right)?);
    let truths = || Some(left.downcast_ref::<CelBool>()?.inner() == right.downcast_ref::<CelBool>()?.inner());
    let nulls = || Some(left.downcast_ref::<CelNull>().is_some() && right.downcast_ref::<CelNull>().is_some());
    texts().or_else(numbers).or_else(truths).or_else(nulls).unwrap_or(false)
}

/// An element of a list, or a key of an object. Only what is small is looked for.
fn within(sought: &dyn Val, all: &dyn Val) -> Outcome {
    if sought.downcast_ref::<CelList<'_>>().is_some() || sought.downcast_ref::<CelMap<'_>>().is_some() {
        return Err(failed("no list or object can be looked for"));
    }
    if let Some(list) = all.downcast_ref::<CelList<'_>>() {
        return truth(list.iter().any(|element| same_scalar(sought, &**element)));
    }
    let (Some(object), Some(key)) = (all.downcast_ref::<CelMap<'_>>(), text(sought)) else {
        return Err(failed("only lists and objects have something in them"));
    };
    truth(object.contains_key(&CelMapKey::from(key)))
}
