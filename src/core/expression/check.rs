//! What may be written: walks the parsed expression once, refuses what isn't known or can't be bounded, and counts how
//! much work is left.
//!
//! A path into the payload costs nothing, nor does what is made of the event's other fields, which are small. A step
//! that may look at all of a value counts as one walk over the payload, and each step inside `all()`, `exists()` or
//! `exists_one()` counts as one too, since it runs for every element. So that this is all, no such macro stands in
//! another, and inside one only the element itself is at hand, never the payload: no pair of large things can meet
//! there.

use super::operate;
use super::subject::{NAMES, PAYLOAD};
use super::{ExpressionError, MAX_EXPRESSION_LEN};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::parser::ParseErrors;

/// Deepest expression that is evaluated. A chain such as `a + b + c` nests too.
const MAX_DEPTH: usize = 20;
/// Steps at most; macros make several.
const MAX_STEPS: u64 = 2 * MAX_EXPRESSION_LEN as u64;

/// Functions, with how many arguments they take, the value before the dot counted.
const FUNCTIONS: [(&str, usize); 4] = [("size", 1), ("int", 1), ("double", 1), ("string", 1)];
const METHODS: [(&str, usize); 4] = [("contains", 2), ("startsWith", 2), ("endsWith", 2), ("size", 1)];

/// What a part is made of.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// A literal, or what is small of every event.
    Scalar,
    /// Literals alone: small.
    Literal,
    /// A path into the event.
    Path,
    /// Anything else.
    Made,
}

/// What the parser has to say, in our words.
pub(super) fn syntax_error(text: &str, errors: &ParseErrors) -> ExpressionError {
    let Some(error) = errors.errors.iter().find(|error| error.pos.0 > 0).or(errors.errors.first()) else {
        return ExpressionError::new("not an expression");
    };
    let place = match (usize::try_from(error.pos.0), usize::try_from(error.pos.1)) {
        (Ok(line @ 1..), Ok(column)) => {
            // The parser counts bytes.
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
    ExpressionError { place, message }
}

/// What the parser says, for people who write no parsers.
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

/// Checks the expression, and makes its arithmetic ours. Gives the walks.
pub(super) fn check(text: &str, root: &mut IdedExpr) -> Result<u64, ExpressionError> {
    let mut checker = Checker { text, walks: 0, steps: 0, inside: None };
    checker.part(root, 0)?;
    Ok(checker.walks)
}

/// Whether evaluating it could give true or false.
pub(super) fn may_be_boolean(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) => false,
        Expr::Call(call) => match (&*call.func_name, &*call.args) {
            (operators::CONDITIONAL, [_, yes, no]) => may_be_boolean(yes) && may_be_boolean(no),
            (operators::NEGATE, _) => false,
            (name, _) if name.starts_with('@') => operate::is_comparison(name),
            (name, _) => !FUNCTIONS.iter().any(|(function, _)| *function == name),
        },
        Expr::Ident(name) => !NAMES.contains(&&**name) || name == PAYLOAD,
        _ => true,
    }
}

impl Part {
    fn is_variable(self) -> bool {
        matches!(self, Self::Path | Self::Made)
    }
}

struct Checker<'t> {
    text: &'t str,
    walks: u64,
    steps: u64,
    /// The names that the macro around has made: its element and its result.
    inside: Option<[String; 2]>,
}

impl Checker<'_> {
    fn refuse<T>(&self, word: &str, message: impl Into<String>) -> Result<T, ExpressionError> {
        Err(ExpressionError { place: place_of(self.text, word), message: message.into() })
    }

    fn part(&mut self, node: &mut IdedExpr, depth: usize) -> Result<Part, ExpressionError> {
        self.steps += 1;
        if depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return Err(ExpressionError::new(format!("the expression is nested deeper than {MAX_DEPTH} levels")));
        }
        if self.inside.is_some() {
            self.walks += 1;
        }
        match &mut node.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => self.refuse("b", "bytes can't be compared with anything here"),
            Expr::Literal(_) => Ok(Part::Scalar),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => match self.part(&mut select.operand, depth + 1)? {
                Part::Literal => self.refuse(&select.field, "only fields of the event can be asked for"),
                _ if select.test => Ok(Part::Made),
                part => Ok(part),
            },
            Expr::List(list) if list.optional_indices.is_empty() => {
                let mut whole = Part::Literal;
                for element in &mut list.elements {
                    if self.part(element, depth + 1)?.is_variable() {
                        // The element is copied into the list.
                        self.walks += 1;
                        whole = Part::Made;
                    }
                }
                Ok(whole)
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Map(_) | Expr::Struct(_) => self.refuse("{", "{…} is not known here"),
            Expr::List(_) => self.refuse("?", "optional values are not known here"),
            Expr::Unspecified => Err(ExpressionError::new("not an expression")),
        }
    }

    fn name(&self, name: &str) -> Result<Part, ExpressionError> {
        match &self.inside {
            Some(made) if made.iter().any(|made| made == name) => Ok(Part::Path),
            Some([element, _]) if name == PAYLOAD => self.refuse(
                element,
                format!("inside all(), exists() and exists_one() the payload can't be used, only {element:?}"),
            ),
            _ if name == PAYLOAD => Ok(Part::Path),
            _ if NAMES.contains(&name) => Ok(Part::Scalar),
            _ => self.refuse(name, format!("{name:?} is not known here; there are {}", NAMES.join(", "))),
        }
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Result<Part, ExpressionError> {
        let mut parts = Vec::with_capacity(3);
        for part in call.target.iter_mut().map(|target| &mut **target).chain(&mut call.args) {
            parts.push(self.part(part, depth + 1)?);
        }
        let name = call.func_name.clone();
        let variable = parts.iter().any(|part| part.is_variable());
        match &*name {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::NEGATE => {}
            operators::CONDITIONAL | operators::NOT_STRICTLY_FALSE => {}
            operators::INDEX => {
                // An index that turns out to be none makes an error that holds a copy of the list.
                let good = matches!(call.args[1].expr, Expr::Literal(LiteralValue::Int(_) | LiteralValue::String(_)));
                self.walks += u64::from(!good);
                if parts[0] == Part::Path {
                    return Ok(Part::Path);
                }
            }
            operators::OPT_INDEX | operators::OPT_SELECT => {
                return self.refuse("?", "optional values are not known here");
            }
            _ => match operate::ours(&name) {
                Some(ours) => {
                    // With a small thing beside it, comparing ends soon. Looking into a literal does, too.
                    let ends_soon = match (&*name, &*parts) {
                        (operators::IN, [_, all]) => !all.is_variable(),
                        _ => parts.contains(&Part::Scalar),
                    };
                    self.walks += u64::from(variable && !ends_soon);
                    ours.clone_into(&mut call.func_name);
                }
                None => {
                    self.function(&name, call.target.is_some(), parts.len())?;
                    self.walks += u64::from(variable);
                }
            },
        }
        Ok(if variable { Part::Made } else { Part::Literal })
    }

    fn function(&self, name: &str, method: bool, count: usize) -> Result<(), ExpressionError> {
        let known = if method { &METHODS } else { &FUNCTIONS };
        let shown = |(name, _): &(&str, usize)| if method { format!("x.{name}()") } else { format!("{name}()") };
        match known.iter().find(|(known, _)| *known == name) {
            Some((_, arguments)) if *arguments == count => Ok(()),
            Some((_, arguments)) => {
                let needed = arguments - usize::from(method);
                self.refuse(name, format!("{name}() takes {needed} argument{}", if needed == 1 { "" } else { "s" }))
            }
            None if method && matches!(name, "map" | "filter") => {
                self.refuse(name, format!("{name}() is not known here; use exists() or all()"))
            }
            None => {
                let all: Vec<String> = known.iter().map(shown).collect();
                let macros = if method { ", x.all(), x.exists(), x.exists_one()" } else { ", has()" };
                self.refuse(name, format!("{name}() is not known here; there are {}{macros}", all.join(", ")))
            }
        }
    }

    fn comprehension(&mut self, all: &mut ComprehensionExpr, depth: usize) -> Result<Part, ExpressionError> {
        if matches!(all.accu_init.expr, Expr::List(_)) || all.iter_var2.is_some() {
            return self.refuse(&all.iter_var, "map() and filter() are not known here; use exists() or all()");
        }
        if self.inside.is_some() {
            return self.refuse(&all.iter_var, "all(), exists() and exists_one() can't stand in one another");
        }
        let range = self.part(&mut all.iter_range, depth + 1)?;
        if range == Part::Made {
            return self
                .refuse(&all.iter_var, "all(), exists() and exists_one() go over a field, not what is made of it");
        }
        self.inside = Some([all.iter_var.clone(), all.accu_var.clone()]);
        for part in [&mut all.accu_init, &mut all.loop_cond, &mut all.loop_step, &mut all.result] {
            self.part(part, depth + 1)?;
        }
        self.inside = None;
        Ok(Part::Made)
    }
}

/// Line and column of a word's first place in the text.
fn place_of(text: &str, word: &str) -> Option<(usize, usize)> {
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
