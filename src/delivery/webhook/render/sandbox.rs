//! What may stand in a template, so that running one takes no more memory than its source and its input allow.
//!
//! Fuel counts instructions, not what they work on: forty lines of `{% set x = x ~ x %}` are cheap in fuel and fill the
//! memory. So a template is read before it is compiled, and every value in it has a *weight*, the copies of the events
//! that it can hold at most: what is joined adds up, and no weight may exceed [`MAX_WEIGHT`]. What could grow without
//! that being seen (functions, macros, captured blocks, repetition of text) isn't there, and what filters make of text is
//! bounded as they run. The time that a run takes, [`super::meter`] bounds. See docs/adr/0011.

use super::RenderError;
use super::filters::{NUMBERS, PARTS, TESTS, TEXTS};
use minijinja::machinery::ast::{BinOp, BinOpKind, CallArg, Expr, Filter, ForLoop, IfCond, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};
use std::collections::HashMap;

/// Copies of the events that a value may hold.
const MAX_WEIGHT: u64 = 48;
/// Tokens of one tag, and tags that start a block: what the parser nests is bounded by them.
const MAX_TOKENS: usize = 400;
const MAX_BLOCKS: usize = 200;
/// Names that a template begins with.
const GIVEN: [&str; 3] = ["event", "events", "map_id"];

/// An error of minijinja, in words: what, and on which line.
pub(super) fn error(error: Error) -> RenderError {
    if error.kind() == ErrorKind::OutOfFuel {
        return RenderError::Template("it takes too long: fewer rounds of loops are needed".into());
    }
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        text = format!("{text}: {detail}");
    }
    match error.line() {
        Some(line) => RenderError::Template(format!("line {line}: {text}")),
        None => RenderError::Template(text),
    }
}

/// Refuses a source that could cost more than it should, with the line where it does.
pub(super) fn check(source: &str) -> Result<(), RenderError> {
    count_tokens(source)?;
    let template = parse(source, "template", SyntaxConfig::default()).map_err(error)?;
    let mut names = GIVEN.iter().map(|name| (*name, Size::SMALL)).collect();
    statement(&template, &mut names)
}

/// Bounds what the parser has to nest, before it does.
fn count_tokens(source: &str) -> Result<(), RenderError> {
    let (mut tokens, mut blocks) = (0, 0);
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let (token, span) = token.map_err(error)?;
        match token {
            Token::VariableStart => tokens = 0,
            Token::BlockStart => (tokens, blocks) = (0, blocks + 1),
            _ => tokens += 1,
        }
        if tokens > MAX_TOKENS {
            return refuse(span, "too much in one tag");
        }
        if blocks > MAX_BLOCKS {
            return refuse(span, "too many tags");
        }
    }
    Ok(())
}

/// How large a value can become.
#[derive(Clone, Copy)]
struct Size {
    /// Copies of the events.
    weight: u64,
    /// It may hold a list or a map of the template's own making. As text it is quoted, and what is quoted over and over
    /// doubles each time.
    built: bool,
}

impl Size {
    const SMALL: Self = Self { weight: 1, built: false };
    const NONE: Self = Self { weight: 0, built: false };

    fn plus(self, other: Self) -> Self {
        Self { weight: self.weight + other.weight, built: self.built || other.built }
    }

    fn or(self, other: Self) -> Self {
        Self { weight: self.weight.max(other.weight), built: self.built || other.built }
    }
}

/// The names in scope.
type Names<'a> = HashMap<&'a str, Size>;

fn refuse<T>(at: Span, why: &str) -> Result<T, RenderError> {
    Err(RenderError::Template(format!("line {}: {why}", at.start_line)))
}

fn statements<'a>(list: &[Stmt<'a>], names: &mut Names<'a>) -> Result<(), RenderError> {
    list.iter().try_for_each(|one| statement(one, names))
}

fn statement<'a>(one: &Stmt<'a>, names: &mut Names<'a>) -> Result<(), RenderError> {
    match one {
        Stmt::Template(template) => statements(&template.children, names),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emit) => size(&emit.expr, names).map(drop),
        Stmt::ForLoop(one) => for_loop(one, one.span(), names),
        Stmt::IfCond(condition) => if_condition(condition, names),
        Stmt::WithBlock(with) => {
            let mut inner = names.clone();
            for (target, value) in &with.assignments {
                let size = size(value, &inner)?;
                assign(target, size, with.span(), &mut inner)?;
            }
            statements(&with.body, &mut inner)
        }
        Stmt::Set(set) => {
            let size = size(&set.expr, names)?;
            assign(&set.target, size, set.span(), names)
        }
        Stmt::AutoEscape(escape) => {
            size(&escape.enabled, names)?;
            statements(&escape.body, names)
        }
        Stmt::SetBlock(block) => refuse(block.span(), "a block can't be captured; use {% set name = … %}"),
        Stmt::FilterBlock(block) => refuse(block.span(), "a block can't be filtered"),
        Stmt::Do(call) => refuse(call.span(), "nothing can be called"),
    }
}

fn for_loop<'a>(one: &ForLoop<'a>, at: Span, names: &mut Names<'a>) -> Result<(), RenderError> {
    if one.recursive {
        return refuse(at, "loops can't be recursive");
    }
    let items = size(&one.iter, names)?;
    let mut inner = names.clone();
    // What is set in a round may still be there in the next one: nothing may be made of it before it is set anew.
    carried(&one.body, &mut inner);
    inner.insert("loop", items);
    assign(&one.target, items, at, &mut inner)?;
    if let Some(filter) = &one.filter_expr {
        size(filter, &inner)?;
    }
    statements(&one.body, &mut inner)?;
    statements(&one.else_body, &mut names.clone())
}

/// Marks all names that are set in a loop's body.
fn carried<'a>(body: &[Stmt<'a>], names: &mut Names<'a>) {
    for one in body {
        match one {
            Stmt::Set(set) => {
                let _ = assign(&set.target, Size { weight: MAX_WEIGHT + 1, built: true }, set.span(), names);
            }
            Stmt::IfCond(condition) => {
                carried(&condition.true_body, names);
                carried(&condition.false_body, names);
            }
            Stmt::AutoEscape(escape) => carried(&escape.body, names),
            // What loops and `with` set ends with them.
            _ => {}
        }
    }
}

fn if_condition<'a>(condition: &IfCond<'a>, names: &mut Names<'a>) -> Result<(), RenderError> {
    size(&condition.expr, names)?;
    let mut other = names.clone();
    statements(&condition.true_body, names)?;
    statements(&condition.false_body, &mut other)?;
    for (name, size) in other {
        let known = names.entry(name).or_insert(size);
        *known = size.or(*known);
    }
    Ok(())
}

fn assign<'a>(target: &Expr<'a>, size: Size, at: Span, names: &mut Names<'a>) -> Result<(), RenderError> {
    match target {
        Expr::Var(name) => {
            names.insert(name.id, size);
            Ok(())
        }
        Expr::List(list) => list.items.iter().try_for_each(|item| assign(item, size, at, names)),
        Expr::Tuple(tuple) => tuple.items.iter().try_for_each(|item| assign(item, size, at, names)),
        _ => refuse(at, "only names can be set"),
    }
}

/// How large the value of `one` can become.
fn size<'a>(one: &Expr<'a>, names: &Names<'a>) -> Result<Size, RenderError> {
    let (size, at) = match one {
        Expr::Const(_) => return Ok(Size::SMALL),
        Expr::Var(name) => match names.get(name.id) {
            Some(known) => (*known, name.span()),
            None => return refuse(name.span(), &format!("`{}` is not known here", name.id)),
        },
        Expr::Slice(slice) => {
            for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                size(bound, names)?;
            }
            (size(&slice.expr, names)?, slice.span())
        }
        Expr::UnaryOp(unary) => (size(&unary.expr, names)?, unary.span()),
        Expr::BinOp(binary) => (operation(binary, binary.span(), names)?, binary.span()),
        Expr::Compare(compare) => {
            size(&compare.expr, names)?;
            compare.ops.iter().try_for_each(|op| size(&op.expr, names).map(drop))?;
            (Size::SMALL, compare.span())
        }
        Expr::IfExpr(choice) => {
            size(&choice.test_expr, names)?;
            let other = choice.false_expr.as_ref().map_or(Ok(Size::SMALL), |other| size(other, names))?;
            (size(&choice.true_expr, names)?.or(other), choice.span())
        }
        Expr::Filter(filter) => (filtered(filter, filter.span(), names)?, filter.span()),
        Expr::Test(test) => {
            if !TESTS.contains(&test.name) {
                return refuse(test.span(), &format!("there is no test `{}`", test.name));
            }
            size(&test.expr, names)?;
            arguments(&test.args, test.span(), names)?;
            (Size::SMALL, test.span())
        }
        Expr::GetAttr(get) => (size(&get.expr, names)?, get.span()),
        Expr::GetItem(get) => {
            size(&get.subscript_expr, names)?;
            (size(&get.expr, names)?, get.span())
        }
        Expr::Call(call) => return refuse(call.span(), "nothing can be called"),
        Expr::List(list) => (built(list.items.iter(), names)?, list.span()),
        Expr::Tuple(tuple) => (built(tuple.items.iter(), names)?, tuple.span()),
        Expr::Map(map) if map.keys.iter().any(|key| !matches!(key, Expr::Const(_))) => {
            return refuse(map.span(), "the keys of a map must be written out");
        }
        Expr::Map(map) => (built(map.keys.iter().chain(&map.values), names)?, map.span()),
    };
    if size.weight > MAX_WEIGHT {
        return refuse(at, "this could grow too large: it joins too much, or what a loop's last round has set");
    }
    Ok(size)
}

fn operation<'a>(binary: &BinOp<'a>, at: Span, names: &Names<'a>) -> Result<Size, RenderError> {
    let joined = size(&binary.left, names)?.plus(size(&binary.right, names)?);
    match binary.op {
        BinOpKind::Mul if !(is_number(&binary.left) && is_number(&binary.right)) => {
            refuse(at, "`*` is for numbers: say so, as in `event.payload.mass|float * 2`")
        }
        BinOpKind::Concat if joined.built => refuse(at, "a list or map is no text: use `|join` or `|tojson`"),
        BinOpKind::Add | BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Concat => Ok(joined),
        _ => Ok(Size::SMALL),
    }
}

fn filtered<'a>(filter: &Filter<'a>, at: Span, names: &Names<'a>) -> Result<Size, RenderError> {
    let value = filter.expr.as_ref().map_or(Ok(Size::NONE), |value| size(value, names))?;
    let all = value.plus(arguments(&filter.args, at, names)?);
    match filter.name {
        name if NUMBERS.contains(&name) => Ok(if has_default(filter) { all } else { Size::SMALL }),
        name if TEXTS.contains(&name) => Ok(Size { built: false, ..all }),
        name if PARTS.contains(&name) => Ok(all),
        name => refuse(at, &format!("there is no filter `{name}`")),
    }
}

/// Whether `int` and `float` may give back something else that is no number.
fn has_default(filter: &Filter<'_>) -> bool {
    filter.name != "round" && !filter.args.is_empty()
}

/// Whether the value is a number, or an error, whatever the events hold.
fn is_number(one: &Expr<'_>) -> bool {
    match one {
        Expr::Const(constant) => constant.value.is_number(),
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg),
        Expr::Filter(filter) => NUMBERS.contains(&filter.name) && !has_default(filter),
        Expr::BinOp(binary) => match binary.op {
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => true,
            BinOpKind::Mul | BinOpKind::Add => is_number(&binary.left) && is_number(&binary.right),
            _ => false,
        },
        _ => false,
    }
}

/// A list or map written out in the template.
fn built<'a, 'e>(mut items: impl Iterator<Item = &'e Expr<'a>>, names: &Names<'a>) -> Result<Size, RenderError>
where
    'a: 'e,
{
    items.try_fold(Size { weight: 1, built: true }, |sum, item| Ok(sum.plus(size(item, names)?)))
}

fn arguments<'a>(list: &[CallArg<'a>], at: Span, names: &Names<'a>) -> Result<Size, RenderError> {
    list.iter().try_fold(Size::NONE, |sum, argument| match argument {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => Ok(sum.plus(size(value, names)?)),
        CallArg::PosSplat(_) | CallArg::KwargSplat(_) => refuse(at, "arguments must be written out"),
    })
}
