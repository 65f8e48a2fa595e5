//! Where a reader starts, as callers name it. Streams, joins, pages and replays share one grammar and one set
//! of errors.
//!
//! A caller names a position by the id of an event, by a time, or by a number of newest events. Each place
//! says which parameters it takes, and in which form. The hub finds where the position lies.

use super::given::{BadParameter, Given};
use crate::core::error_code::Code;
use crate::core::history::Start;
use crate::core::ids::EventId;
use crate::core::time::parse_iso;

/// Most stored events that a subscription may ask for by a number of newest events.
const MAX_NEWEST: u64 = 100_000;

/// The form in which a parameter names a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By the id of an event.
    Id,
    /// By a time with an offset.
    Time,
    /// By the id of an event or by a time.
    IdOrTime,
    /// By a number of newest events.
    Newest,
}

/// A position as a caller named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The event with that id.
    Event(EventId),
    /// Unix milliseconds.
    Time(u64),
    /// This many of the newest events.
    Newest(u64),
}

/// The value does not have the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", .0.expected())]
pub struct BadPosition(Form);

impl Form {
    /// Reads a position in this form.
    pub fn read(self, given: Given<'_>) -> Result<Named, BadPosition> {
        let id = || given.text().and_then(|text| text.parse().ok()).map(Named::Event);
        let time = || given.text().and_then(parse_iso).map(Named::Time);
        let named = match self {
            Self::Id => id(),
            Self::Time => time(),
            Self::IdOrTime => time().or_else(id),
            Self::Newest => given.number().filter(|count| *count <= MAX_NEWEST).map(Named::Newest),
        };
        named.ok_or(BadPosition(self))
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Id => "the id of an event, 26 characters",
            Self::Time => "a time with an offset, as in 2025-06-21T12:34:56Z",
            Self::IdOrTime => "a time with an offset, as in 2025-06-21T12:34:56Z, or the id of an event",
            Self::Newest => "a whole number from 0 to 100000",
        }
    }
}

impl Named {
    /// The event, if an event was named.
    pub fn event(self) -> Option<EventId> {
        match self {
            Self::Event(id) => Some(id),
            Self::Time(_) | Self::Newest(_) => None,
        }
    }

    /// The time in Unix milliseconds, if a time was named.
    pub fn time_ms(self) -> Option<u64> {
        match self {
            Self::Time(ms) => Some(ms),
            Self::Event(_) | Self::Newest(_) => None,
        }
    }

    /// Where a reader that names this starts: after the event, or with the first event of that time or later.
    pub fn start(self) -> Start {
        match self {
            Self::Event(id) => Start::After(id),
            Self::Time(ms) => Start::Since(ms),
            Self::Newest(count) => Start::Last(count),
        }
    }
}

/// A parameter that names a start position.
#[derive(Debug)]
struct Parameter {
    name: &'static str,
    code: Code,
    form: Form,
    hint: Option<&'static str>,
}

/// The parameters by which a route lets callers name their start.
#[derive(Debug)]
pub struct Starts {
    /// In order of precedence.
    parameters: &'static [Parameter],
    /// The error text if more than one is given. `None` if the first given one wins.
    alone: Option<&'static str>,
    /// Where a caller that gives none of them starts.
    otherwise: Start,
}

const SINCE: Parameter = Parameter { name: "since", code: Code::InvalidSince, form: Form::Time, hint: None };

/// For subscriptions. A client may keep asking for a backfill and add its last event id once it has one.
pub const OF_SUBSCRIPTION: Starts = Starts {
    parameters: &[
        Parameter {
            name: "last_event_id",
            code: Code::InvalidLastEventId,
            form: Form::Id,
            hint: Some("leave it out to begin with new events"),
        },
        SINCE,
        Parameter { name: "backfill", code: Code::InvalidBackfill, form: Form::Newest, hint: None },
    ],
    alone: None,
    otherwise: Start::Live,
};

/// For pages of stored events, from the oldest on.
pub const OF_PAGE: Starts = Starts {
    parameters: &[Parameter { name: "after", code: Code::InvalidAfter, form: Form::Id, hint: None }, SINCE],
    alone: Some("give after or since, not both"),
    otherwise: Start::Last(u64::MAX),
};

impl Starts {
    /// Where a caller that gives these parameters starts.
    pub fn read<'v>(&self, given: impl Fn(&str) -> Option<Given<'v>>) -> Result<Start, BadParameter> {
        let mut all =
            self.parameters.iter().filter_map(|parameter| Some((parameter, given(parameter.name)?)));
        let Some((Parameter { name, code, form, hint }, value)) = all.next() else {
            return Ok(self.otherwise);
        };
        if let Some(message) = self.alone.filter(|_| all.next().is_some()) {
            return Err(BadParameter::new("query", Code::InvalidQuery, message));
        }
        let bad =
            |error| BadParameter { hint: *hint, ..BadParameter::new(name, *code, format!("{name} {error}")) };
        form.read(value).map(Named::start).map_err(bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: &str = "01JY97R74N0000000000070003";
    const TIME: &str = "2025-06-21T12:34:56Z";

    #[test]
    fn each_form_reads_only_its_own_positions() {
        let id = Named::Event(ID.parse().unwrap());
        let time = Named::Time(1_750_509_296_000);
        for (form, text, named) in [
            (Form::Id, ID, Some(id)),
            (Form::Id, TIME, None),
            (Form::Id, "", None),
            (Form::Time, TIME, Some(time)),
            (Form::Time, ID, None),
            (Form::Time, "2025-06-21", None),
            (Form::IdOrTime, ID, Some(id)),
            (Form::IdOrTime, TIME, Some(time)),
            (Form::IdOrTime, "7", None),
            (Form::Newest, "7", Some(Named::Newest(7))),
            (Form::Newest, "100001", None),
            (Form::Newest, "-1", None),
            (Form::Newest, ID, None),
        ] {
            assert_eq!(form.read(Given::Text(text)).ok(), named, "{form:?} {text}");
            // A text is the same in JSON, except for a number, which must not be a JSON string.
            let in_json = form.read(Given::Json(&Value::from(text))).ok();
            assert_eq!(in_json, named.filter(|_| form != Form::Newest), "{form:?} {text}");
        }
        assert_eq!(Form::Newest.read(Given::Json(&json!(7))), Ok(Named::Newest(7)));
        for bad in [json!(7.5), json!(-1), json!([]), json!(null), json!(true)] {
            for form in [Form::Id, Form::Time, Form::IdOrTime, Form::Newest] {
                assert_eq!(form.read(Given::Json(&bad)), Err(BadPosition(form)), "{bad}");
            }
        }
    }

    fn read(starts: &Starts, given: &[(&str, &str)]) -> Result<Start, BadParameter> {
        starts.read(|name| given.iter().find(|(known, _)| *known == name).map(|(_, text)| Given::Text(text)))
    }

    #[test]
    fn the_first_given_parameter_wins() {
        let after = Start::After(ID.parse().unwrap());
        assert_eq!(read(&OF_SUBSCRIPTION, &[]), Ok(Start::Live));
        assert_eq!(read(&OF_SUBSCRIPTION, &[("backfill", "5")]), Ok(Start::Last(5)));
        assert_eq!(
            read(&OF_SUBSCRIPTION, &[("backfill", "5"), ("last_event_id", ID), ("since", "x")]),
            Ok(after)
        );
        let bad = read(&OF_SUBSCRIPTION, &[("since", "x"), ("backfill", "5")]).unwrap_err();
        assert_eq!((bad.field, bad.code), ("since", Code::InvalidSince));
        assert_eq!(bad.to_string(), "since must be a time with an offset, as in 2025-06-21T12:34:56Z");
    }

    #[test]
    fn a_page_starts_in_one_way() {
        assert_eq!(read(&OF_PAGE, &[]), Ok(Start::Last(u64::MAX)));
        assert_eq!(read(&OF_PAGE, &[("after", ID)]), Ok(Start::After(ID.parse().unwrap())));
        assert_eq!(read(&OF_PAGE, &[("since", TIME)]), Ok(Start::Since(1_750_509_296_000)));
        assert_eq!(read(&OF_PAGE, &[("since", "x"), ("after", ID)]).unwrap_err().code, Code::InvalidQuery);
        assert_eq!(read(&OF_PAGE, &[("after", TIME)]).unwrap_err().code, Code::InvalidAfter);
    }
}
