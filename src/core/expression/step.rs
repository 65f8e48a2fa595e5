//! A checked expression as a tree of steps. [`super::parse`] makes it, and [`super::evaluate`] evaluates it.

use super::functions::Function;
use cel::common::ast::operators;

/// The names that an expression may use, beside the elements of its loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Kind,
    Subject,
    Id,
    Seq,
    Ts,
    MapId,
    Payload,
    /// The ingest source through which the event came in.
    Source,
    /// The whole envelope; only in templates.
    Event,
    /// All envelopes of a request; only in templates.
    Events,
    /// The claims of a token; only in conditions on tokens.
    Claims,
}

/// What an expression is about, which decides the names that it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// One event.
    Event,
    /// A request with events: templates.
    Request,
    /// The claims of a token.
    Claims,
}

impl Name {
    const ALL: [(&'static str, Self); 10] = [
        ("type", Self::Kind),
        ("subject", Self::Subject),
        ("id", Self::Id),
        ("seq", Self::Seq),
        ("ts", Self::Ts),
        ("map_id", Self::MapId),
        ("payload", Self::Payload),
        ("source", Self::Source),
        ("event", Self::Event),
        ("events", Self::Events),
    ];

    const OF_CLAIMS: [(&'static str, Self); 1] = [("claims", Self::Claims)];

    /// The names that an expression may use.
    pub(super) fn known(about: About) -> &'static [(&'static str, Self)] {
        match about {
            About::Event => &Self::ALL[..8],
            About::Request => &Self::ALL,
            About::Claims => &Self::OF_CLAIMS,
        }
    }
}

/// One step, with the steps whose values it needs.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    Name(Name),
    /// The element of an enclosing loop, counted from the outermost.
    Element(usize),
    Member(Box<Step>, Box<str>),
    Has(Box<Step>, Box<str>),
    Index(Box<[Step; 2]>),
    Not(Box<Step>),
    Negate(Box<Step>),
    And(Box<[Step; 2]>),
    Or(Box<[Step; 2]>),
    /// Condition, value if it is true, value if it is false.
    Choose(Box<[Step; 3]>),
    Operate(Operator, Box<[Step; 2]>),
    Call(&'static Function, Vec<Step>),
    /// The first value that is neither missing, null nor an empty text.
    Default(Vec<Step>),
    List(Vec<Step>),
    /// Members in JavaScript's order, each name once.
    Object(Vec<(Box<str>, Step)>),
    Loop(Box<Loop>),
}

/// A loop over the elements of a list, or the names of an object's members.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) over: Step,
    /// The new value of a `map()`; the condition of every other loop.
    pub(super) body: Step,
    /// The condition of `map(x, condition, value)`.
    pub(super) only: Option<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Operator {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            operators::ADD => Self::Add,
            operators::SUBSTRACT => Self::Subtract,
            operators::MULTIPLY => Self::Multiply,
            operators::DIVIDE => Self::Divide,
            operators::MODULO => Self::Remainder,
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::Unequal,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterEqual,
            operators::IN => Self::In,
            _ => return None,
        })
    }

    fn is_comparison(self) -> bool {
        !matches!(self, Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder)
    }
}

impl Step {
    /// Whether its value could be true or false.
    pub(super) fn may_be_boolean(&self) -> bool {
        match self {
            Self::Null
            | Self::Number(_)
            | Self::Text(_)
            | Self::Negate(_)
            | Self::List(_)
            | Self::Object(_) => false,
            Self::Name(name) => *name == Name::Payload,
            Self::Choose(parts) => parts[1].may_be_boolean() && parts[2].may_be_boolean(),
            Self::Operate(operator, _) => operator.is_comparison(),
            Self::Call(function, _) => function.is_condition,
            Self::Default(values) => values.iter().any(Self::may_be_boolean),
            Self::Loop(all) => !matches!(all.kind, LoopKind::Map | LoopKind::Filter),
            _ => true,
        }
    }

    /// Whether it is a literal that has no members.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self, Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_))
    }
}
