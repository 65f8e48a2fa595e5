//! Where a subscription starts: `after` the last event that the client has seen, or `rewind` by a number of
//! events or a time. And which sockets the client had before, so that it does not get its own events.

use crate::core::history::Start;
use crate::core::ids::SocketId;
use crate::edge::given::Given;
use crate::edge::pusher::frame;
use crate::edge::start::Form;
use serde_json::Value;

/// The most former sockets that a client names.
const FORMER_SOCKETS: usize = 16;

/// What a client asked for can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadStart {
    /// Not the id of an event.
    #[error("after must be the id of an event, 26 characters")]
    After,
    /// Neither a number nor a time.
    #[error(
        "rewind must be a whole number from 0 to 100000, or a time such as \"30s\", \"2m\", \"1h\" or \"1d\""
    )]
    Rewind,
    /// Not a list of ids, or too long.
    #[error("former_sockets must be a list of at most {FORMER_SOCKETS} ids of sockets, such as \"12.34\"")]
    FormerSockets,
}

/// The start that a client asks for; `None` if it asks for none. `now_ms` is the cluster's time.
pub(super) fn start_of(asked: &frame::Subscribe, now_ms: u64) -> Result<Option<Start>, BadStart> {
    let given = |value: &Option<Value>| value.clone().filter(|value| !value.is_null());
    if let Some(after) = given(&asked.after) {
        let named = Form::Id.read(Given::Json(&after)).map_err(|_| BadStart::After)?;
        return Ok(Some(named.start()));
    }
    let Some(rewind) = given(&asked.rewind) else { return Ok(None) };
    if let Some(ms) = rewind.as_str().and_then(duration_ms) {
        return Ok(Some(Start::Since(now_ms.saturating_sub(ms))));
    }
    let named = Form::Newest.read(Given::Json(&rewind)).map_err(|_| BadStart::Rewind)?;
    Ok(Some(named.start()))
}

/// The sockets that the client had before, if it names any.
pub(super) fn former_sockets(asked: &frame::Subscribe) -> Result<Option<Vec<SocketId>>, BadStart> {
    let Some(given) = asked.former_sockets.as_ref().filter(|value| !value.is_null()) else { return Ok(None) };
    let list = given.as_array().filter(|list| list.len() <= FORMER_SOCKETS);
    let ids = list.ok_or(BadStart::FormerSockets)?.iter().map(|id| id.as_str()?.parse().ok());
    ids.collect::<Option<_>>().map(Some).ok_or(BadStart::FormerSockets)
}

/// The milliseconds of a time such as `2m`.
fn duration_ms(text: &str) -> Option<u64> {
    let (number, unit_ms) = [("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        .into_iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit_ms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::EventId;
    use serde_json::json;

    fn read(data: Value) -> Result<Option<Start>, BadStart> {
        let mut data = data;
        data["channel"] = "a".into();
        start_of(&serde_json::from_value(data).unwrap(), 10_000_000)
    }

    #[test]
    fn a_start_is_an_event_a_number_or_a_time() {
        let id = EventId::new(1, 2, 3);
        for (data, start) in [
            (json!({}), None),
            (json!({"after": null, "rewind": null}), None),
            (json!({"after": id.to_string(), "rewind": 5}), Some(Start::After(id))),
            (json!({"rewind": 5}), Some(Start::Last(5))),
            (json!({"rewind": "30s"}), Some(Start::Since(9_970_000))),
            (json!({"rewind": "2m"}), Some(Start::Since(9_880_000))),
            (json!({"rewind": "1h"}), Some(Start::Since(6_400_000))),
            (json!({"rewind": "1d"}), Some(Start::Since(0))),
        ] {
            assert_eq!(read(data.clone()), Ok(start), "{data}");
        }
        for bad in [json!(""), json!(7), json!("x")] {
            assert_eq!(read(json!({"after": bad})), Err(BadStart::After), "{bad}");
        }
        for bad in [json!(""), json!("2"), json!("m"), json!("+2m"), json!(-1), json!(100_001), json!("2 m")]
        {
            assert_eq!(read(json!({"rewind": bad})), Err(BadStart::Rewind), "{bad}");
        }
        assert_eq!(read(json!({"rewind": format!("{}d", u64::MAX)})), Err(BadStart::Rewind));
    }

    #[test]
    fn former_sockets_are_a_short_list_of_ids() {
        let read = |given: Value| {
            let asked = json!({"channel": "a", "former_sockets": given});
            former_sockets(&serde_json::from_value(asked).unwrap())
        };
        let (one, two) = (SocketId { a: 12, b: 34 }, SocketId { a: 1, b: 2 });
        assert_eq!(read(Value::Null), Ok(None));
        assert_eq!(read(json!([])), Ok(Some(Vec::new())));
        assert_eq!(read(json!(["12.34", "1.2"])), Ok(Some(vec![one, two])));
        assert_eq!(read(json!(vec!["1.2"; 16])), Ok(Some(vec![two; 16])));
        for bad in [json!("1.2"), json!([12]), json!(["12"]), json!(vec!["1.2"; 17])] {
            assert_eq!(read(bad.clone()), Err(BadStart::FormerSockets), "{bad}");
        }
    }
}
