//! Turns a text into a tree of steps, and refuses what is not known here, with its position in the text.
//!
//! The crate `cel` parses the text. This file checks its tree and makes the steps. The work of an expression
//! is counted when it is evaluated. Here only its depth is bounded, because every level takes stack.

use super::ExpressionError;
use super::functions::{FUNCTIONS, Function};
use super::step::{About, Loop, LoopKind, Name, Operator, Step};
use crate::core::json::array_index;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SelectExpr,
    operators,
};
use cel::parser::{ParseErrors, PrattParser};

/// Deepest nesting that the parser allows: brackets, arguments, indices.
const MAX_PARSE_DEPTH: u16 = 24;
/// Deepest expression that is evaluated. A chain such as `a + b + c` nests too.
const MAX_DEPTH: usize = 20;
/// Most operators `?:` in one expression. The parser does not count the depth of a chain of them.
const MAX_TERNARIES: usize = 16;

/// Methods that are loops.
const LOOPS: [&str; 5] = ["all", "exists", "exists_one", "map", "filter"];

type Parsed = Result<Step, ExpressionError>;

/// Parses and checks an expression of at most [`super::MAX_EXPRESSION_LEN`] bytes.
pub(super) fn parse(text: &str, about: About) -> Parsed {
    if text.trim().is_empty() {
        return Err(ExpressionError::new("an expression is expected"));
    }
    if text.bytes().filter(|byte| *byte == b'?').count() > MAX_TERNARIES {
        return Err(ExpressionError::new(format!("at most {MAX_TERNARIES} question marks are allowed")));
    }
    // The default parser of this crate overflows the stack on a kilobyte of brackets.
    let parser = PrattParser::new().max_recursion_depth(MAX_PARSE_DEPTH).error_recovery_limit(0);
    let root = parser.parse(text).map_err(|errors| syntax_error(text, &errors))?;
    Checker { text, about, elements: Vec::new() }.step(root, 0)
}

/// The parser's first error with a position, as an error of this module.
fn syntax_error(text: &str, errors: &ParseErrors) -> ExpressionError {
    let Some(error) = errors.errors.iter().find(|error| error.pos.0 > 0).or(errors.errors.first()) else {
        return ExpressionError::new("not an expression");
    };
    let position = match (usize::try_from(error.pos.0), usize::try_from(error.pos.1)) {
        (Ok(line @ 1..), Ok(column)) => {
            // The parser's column counts bytes; a column here counts characters.
            let before = text.split('\n').nth(line - 1).and_then(|line| line.get(..column.saturating_sub(1)));
            Some((line, before.map_or(column, |before| before.chars().count() + 1)))
        }
        _ => None,
    };
    let message = if error.msg.contains("recursion limit") {
        "the expression is nested too deeply".to_owned()
    } else {
        in_words(error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg))
    };
    ExpressionError { position, message }
}

/// The parser's message in words that everybody understands.
fn in_words(said: &str) -> String {
    let Some((found, expected)) =
        said.strip_prefix("mismatched input ").and_then(|rest| rest.rsplit_once(" expecting "))
    else {
        return said.to_owned();
    };
    match (found.trim_matches('\'') == "<EOF>", expected) {
        (true, "expression") => "the expression ends too early".to_owned(),
        (true, _) => format!("the expression ends too early: {expected} is missing"),
        (false, "<EOF>") => format!("{found} can't stand here"),
        (false, _) => format!("{expected} is expected before {found}"),
    }
}

struct Checker<'t> {
    text: &'t str,
    about: About,
    /// The name of the element of each enclosing loop, from the outermost.
    elements: Vec<String>,
}

impl Checker<'_> {
    fn refuse<T>(&self, word: &str, message: impl Into<String>) -> Result<T, ExpressionError> {
        Err(ExpressionError { position: position_of(self.text, word), message: message.into() })
    }

    fn step(&mut self, node: IdedExpr, depth: usize) -> Parsed {
        if depth > MAX_DEPTH {
            return Err(ExpressionError::new(format!(
                "the expression is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        match node.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.name(&name),
            Expr::Select(select) => self.select(select, depth),
            Expr::List(list) if list.optional_indices.is_empty() => {
                Ok(Step::List(self.steps(list.elements, depth)?))
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(*comprehension, depth),
            Expr::Map(map) => self.object(map.entries, depth),
            Expr::Struct(of) => self.refuse("{", format!("{}{{…}} is not known here", of.type_name)),
            Expr::List(_) => self.refuse("?", "optional values are not known here"),
            Expr::Unspecified => Err(ExpressionError::new("not an expression")),
        }
    }

    fn steps(&mut self, nodes: Vec<IdedExpr>, depth: usize) -> Result<Vec<Step>, ExpressionError> {
        nodes.into_iter().map(|node| self.step(node, depth + 1)).collect()
    }

    fn literal(&self, literal: LiteralValue) -> Parsed {
        Ok(match literal {
            LiteralValue::Null => Step::Null,
            LiteralValue::Boolean(truth) => Step::Bool(*truth.inner()),
            LiteralValue::Int(number) => Step::Number(*number.inner() as f64),
            LiteralValue::UInt(number) => Step::Number(*number.inner() as f64),
            LiteralValue::Double(number) if number.inner().is_finite() => Step::Number(*number.inner()),
            LiteralValue::Double(_) => return Err(ExpressionError::new("a number is too large")),
            LiteralValue::String(text) => Step::Text(text.inner().into()),
            LiteralValue::Bytes(_) => return self.refuse("b", "bytes can't be compared with anything here"),
        })
    }

    fn name(&self, name: &str) -> Parsed {
        if let Some(depth) = self.elements.iter().rposition(|element| element == name) {
            return Ok(Step::Element(depth));
        }
        let known = Name::known(self.about);
        match known.iter().find(|(known, _)| *known == name) {
            Some((_, name)) => Ok(Step::Name(*name)),
            None => {
                let all: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
                self.refuse(name, format!("{name:?} is not known here; there are {}", all.join(", ")))
            }
        }
    }

    fn select(&mut self, select: SelectExpr, depth: usize) -> Parsed {
        let operand = self.step(*select.operand, depth + 1)?;
        if operand.is_scalar() {
            return self.refuse(&select.field, "only fields of the event can be asked for");
        }
        let operand = Box::new(operand);
        let field = select.field.into();
        Ok(if select.test { Step::Has(operand, field) } else { Step::Member(operand, field) })
    }

    /// An object. The names of its members must be literals, so that each occurs once and they can be sorted.
    fn object(&mut self, entries: Vec<IdedEntryExpr>, depth: usize) -> Parsed {
        let mut members: Vec<(Box<str>, Step)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let EntryExpr::MapEntry(entry) = entry.expr else {
                return self.refuse("{", "{…} is not known here");
            };
            if entry.optional {
                return self.refuse("?", "optional values are not known here");
            }
            let Expr::Literal(LiteralValue::String(name)) = entry.key.expr else {
                return self.refuse("{", "the name of a member is written out, in quotes");
            };
            if members.iter().any(|(known, _)| **known == *name.inner()) {
                return self.refuse("{", format!("the member {:?} stands there twice", name.inner()));
            }
            members.push((name.inner().into(), self.step(entry.value, depth + 1)?));
        }
        members.sort_by_key(|(name, _)| array_index(name).map_or(u64::MAX, u64::from));
        Ok(Step::Object(members))
    }

    fn call(&mut self, call: CallExpr, depth: usize) -> Parsed {
        let CallExpr { func_name: name, target, args } = call;
        let is_method = target.is_some();
        if is_method && LOOPS.contains(&&*name) {
            // With the right arguments, the parser would have turned it into a fold.
            return self.refuse(
                &name,
                format!("{name}() takes a name and an expression, as in list.{name}(x, x > 1)"),
            );
        }
        let mut parts = self.steps(target.map(|target| *target).into_iter().chain(args).collect(), depth)?;
        if matches!(&*name, operators::OPT_INDEX | operators::OPT_SELECT) {
            return self.refuse("?", "optional values are not known here");
        }
        if let Some(operator) = Operator::of(&name) {
            return Ok(Step::Operate(operator, self.exactly(parts)?));
        }
        match &*name {
            operators::LOGICAL_AND => Ok(Step::And(self.exactly(parts)?)),
            operators::LOGICAL_OR => Ok(Step::Or(self.exactly(parts)?)),
            operators::INDEX => Ok(Step::Index(self.exactly(parts)?)),
            operators::CONDITIONAL => Ok(Step::Choose(self.exactly(parts)?)),
            operators::LOGICAL_NOT | operators::NEGATE => {
                let Some(of) = parts.pop() else { return Err(ExpressionError::new("not an expression")) };
                let of = Box::new(of);
                Ok(if name == operators::NEGATE { Step::Negate(of) } else { Step::Not(of) })
            }
            "default" if !is_method && parts.len() > 1 => Ok(Step::Default(parts)),
            "default" if !is_method => self.refuse("default", "default() takes 2 or more arguments"),
            _ => Ok(Step::Call(self.function(&name, is_method, parts.len())?, parts)),
        }
    }

    fn exactly<const N: usize>(&self, parts: Vec<Step>) -> Result<Box<[Step; N]>, ExpressionError> {
        parts.try_into().map(Box::new).map_err(|_| ExpressionError::new("not an expression"))
    }

    fn function(
        &self,
        name: &str,
        is_method: bool,
        count: usize,
    ) -> Result<&'static Function, ExpressionError> {
        let known = || FUNCTIONS.iter().filter(|function| function.is_method == is_method);
        let given = count - usize::from(is_method);
        match known().find(|function| function.name == name) {
            Some(function) if (function.least..=function.most).contains(&given) => Ok(function),
            Some(Function { least, most, .. }) => {
                let needed = if least == most { least.to_string() } else { format!("{least} or {most}") };
                let plural = if *most == 1 { "" } else { "s" };
                self.refuse(name, format!("{name}() takes {needed} argument{plural}"))
            }
            None => {
                let shown = |function: &Function| {
                    if is_method { format!("x.{}()", function.name) } else { format!("{}()", function.name) }
                };
                let all: Vec<String> = known().map(shown).collect();
                let more = match is_method {
                    true => ", x.all(), x.exists(), x.exists_one(), x.map(), x.filter()",
                    false => ", default(), has()",
                };
                self.refuse(name, format!("{name}() is not known here; there are {}{more}", all.join(", ")))
            }
        }
    }

    /// A loop, which the parser has turned into a fold. The fold's initial value and its step show which loop
    /// it was.
    fn comprehension(&mut self, fold: ComprehensionExpr, depth: usize) -> Parsed {
        let ComprehensionExpr { iter_range, iter_var, iter_var2, accu_init, loop_step, .. } = fold;
        let Expr::Call(mut round) = loop_step.expr else {
            return Err(ExpressionError::new("not an expression"));
        };
        if iter_var2.is_some() {
            return self.refuse(&iter_var, "a loop has one element");
        }
        let over = self.step(iter_range, depth + 1)?;
        let chooses = round.func_name == operators::CONDITIONAL;
        let (kind, body, only) = match accu_init.expr {
            // `@result || condition`, `@result && condition`
            Expr::Literal(LiteralValue::Boolean(all)) => {
                (if *all.inner() { LoopKind::All } else { LoopKind::Exists }, round.args.pop(), None)
            }
            // `condition ? @result + 1 : @result`
            Expr::Literal(LiteralValue::Int(_)) => {
                (LoopKind::ExistsOne, Some(round.args.swap_remove(0)), None)
            }
            // `condition ? @result + [value] : @result`
            Expr::List(_) if chooses => {
                let made = appended(round.args.swap_remove(1));
                let condition = Some(round.args.swap_remove(0));
                match made {
                    Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == iter_var => {
                        (LoopKind::Filter, condition, None)
                    }
                    made => (LoopKind::Map, made, condition),
                }
            }
            // `@result + [value]`
            _ => (LoopKind::Map, appended(IdedExpr { id: 0, expr: Expr::Call(round) }), None),
        };
        let Some(body) = body else { return Err(ExpressionError::new("not an expression")) };
        self.elements.push(iter_var);
        let body = self.step(body, depth + 1);
        let only = only.map(|only| self.step(only, depth + 1)).transpose();
        self.elements.pop();
        Ok(Step::Loop(Box::new(Loop { kind, over, body: body?, only: only? })))
    }
}

/// The value in `@result + [value]`.
fn appended(node: IdedExpr) -> Option<IdedExpr> {
    let Expr::Call(mut sum) = node.expr else { return None };
    let Expr::List(mut list) = sum.args.pop()?.expr else { return None };
    list.elements.pop()
}

/// Line and column of the first occurrence of a word in the text.
fn position_of(text: &str, word: &str) -> Option<(usize, usize)> {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = word.starts_with(part_of_name);
    let alone = |at: &usize| {
        !name || !text[..*at].ends_with(part_of_name) && !text[at + word.len()..].starts_with(part_of_name)
    };
    let at = text.match_indices(word).map(|(at, _)| at).find(alone)?;
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or(before);
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}
