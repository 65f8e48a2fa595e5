//! Arithmetic as JSON has numbers: of one kind.
//!
//! CEL adds no integer to a float, so whether `payload.value * 2` works would hang on whether the value happens to be
//! whole. Here all arithmetic is done in floats; comparing needs nothing, for there CEL mixes them.

use cel::common::ast::operators;
use cel::common::types::{CelDouble, CelInt, CelString, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// Longest text that `+` makes, in bytes.
const MAX_TEXT: usize = 64 * 1024;

const ADD: &str = "@add";
const SUBTRACT: &str = "@subtract";
const MULTIPLY: &str = "@multiply";
const DIVIDE: &str = "@divide";
const REMAINDER: &str = "@remainder";

/// Our function for an operator of arithmetic. Nobody can write its name.
pub(super) fn ours(operator: &str) -> Option<&'static str> {
    Some(match operator {
        operators::ADD => ADD,
        operators::SUBSTRACT => SUBTRACT,
        operators::MULTIPLY => MULTIPLY,
        operators::DIVIDE => DIVIDE,
        operators::MODULO => REMAINDER,
        _ => return None,
    })
}

/// The standard environment with our arithmetic.
pub(super) fn environment() -> Env {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    let both = || vec![DYN_TYPE, DYN_TYPE];
    let declared = [
        env.add_overload(ADD, ADD, both(), |args| add(&args)),
        env.add_overload(SUBTRACT, SUBTRACT, both(), |args| compute(&args, |a, b| a - b)),
        env.add_overload(MULTIPLY, MULTIPLY, both(), |args| compute(&args, |a, b| a * b)),
        env.add_overload(DIVIDE, DIVIDE, both(), |args| compute(&args, |a, b| a / b)),
        env.add_overload(REMAINDER, REMAINDER, both(), |args| compute(&args, |a, b| a % b)),
    ];
    debug_assert!(declared.iter().all(Result::is_ok));
    env
}

fn failed(message: &str) -> ExecutionError {
    ExecutionError::function_error("arithmetic", message)
}

fn number(value: &dyn Val) -> Option<f64> {
    let whole = value.downcast_ref::<CelInt>().map(|value| *value.inner() as f64);
    let unsigned = || value.downcast_ref::<CelUInt>().map(|value| *value.inner() as f64);
    let float = || value.downcast_ref::<CelDouble>().map(|value| *value.inner());
    whole.or_else(float).or_else(unsigned)
}

/// A result that JSON can't hold, such as a division by zero, is none.
fn compute<'b, 'v>(args: &[CowVal<'b, 'v>], how: fn(f64, f64) -> f64) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args else { return Err(failed("two numbers are needed")) };
    let (Some(left), Some(right)) = (number(&**left), number(&**right)) else {
        return Err(failed("numbers are needed"));
    };
    match how(left, right) {
        result if result.is_finite() => Ok(CowVal::owned(CelDouble::from(result))),
        _ => Err(failed("the result is no number")),
    }
}

fn add<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |place: usize| args.get(place)?.downcast_ref::<CelString<'_>>().map(CelString::inner);
    let (Some(left), Some(right)) = (text(0), text(1)) else { return compute(args, |a, b| a + b) };
    if left.len() + right.len() > MAX_TEXT {
        return Err(failed("the text is too long"));
    }
    Ok(CowVal::owned(CelString::from(format!("{left}{right}"))))
}
