//! What a request has changed: settings by their paths. What they were and what they are is said where that is
//! short and no secret.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most bytes of all changes of a line, as JSON.
const MOST: usize = 700;
/// The most bytes of a path, and of a value as JSON.
const MOST_OF_PATH: usize = 80;
const MOST_OF_VALUE: usize = 60;
/// Stands for the changes for which a line has no room.
const MORE: &str = "…";
/// What changes with each change.
const ALWAYS: [&str; 2] = ["updated_at", "updatedAt"];

/// One setting that was changed. A value is `None` if it is not told, and null if there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

impl Change {
    /// A setting whose values are not told.
    pub fn of(field: impl Into<String>) -> Self {
        let mut field: String = field.into();
        field.truncate(field.floor_char_boundary(MOST_OF_PATH));
        Self { field, from: None, to: None }
    }

    /// The same without its values: they may be secret.
    pub fn without_values(self) -> Self {
        Self { from: None, to: None, ..self }
    }

    fn with(field: &str, from: &Value, to: &Value) -> Self {
        let told = |value: &Value| (value.to_string().len() <= MOST_OF_VALUE).then(|| value.clone());
        Self { from: told(from), to: told(to), ..Self::of(field) }
    }
}

/// What differs between two values, by the paths of the members of their objects.
pub fn between(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    let (Value::Object(had), Value::Object(has)) = (before, after) else {
        if before != after {
            found.push(Change::with(path, before, after));
        }
        return;
    };
    let of = |object: &Map<String, Value>, name: &str| object.get(name).cloned().unwrap_or_default();
    let names: BTreeSet<&String> = had.keys().chain(has.keys()).collect();
    for name in names.into_iter().filter(|name| !ALWAYS.contains(&name.as_str())) {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&inner, &of(had, name), &of(has, name), found);
    }
}

/// The changes for which a line has room. If there are more, the last one says so.
pub(super) fn bounded(changes: &[Change]) -> Vec<Change> {
    let mut left = MOST;
    let mut told = Vec::new();
    for change in changes {
        let length = serde_json::to_string(change).map_or(MOST, |text| text.len() + 1);
        if length > left {
            told.push(Change::of(MORE));
            break;
        }
        left -= length;
        told.push(change.clone());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(changes: &[Change]) -> Value {
        serde_json::to_value(changes).unwrap_or_default()
    }

    #[test]
    fn settings_are_named_by_their_paths_with_their_values() {
        let before = json!({"name": "a", "limits": {"webhooks": 5, "subjects": null}, "updated_at": "1"});
        let after = json!({"name": "a", "limits": {"webhooks": 9, "subjects": 7}, "updated_at": "2"});
        let expected = json!([
            {"field": "limits.subjects", "from": null, "to": 7},
            {"field": "limits.webhooks", "from": 5, "to": 9},
        ]);
        assert_eq!(shown(&between(&before, &after)), expected);
        assert!(between(&before, &before).is_empty());
        let names: Vec<Change> = between(&before, &after).into_iter().map(Change::without_values).collect();
        assert_eq!(shown(&names), json!([{"field": "limits.subjects"}, {"field": "limits.webhooks"}]));
    }

    #[test]
    fn what_is_added_or_removed_was_or_is_null() {
        let added = between(&json!({}), &json!({"chat-*": {"durability": "ephemeral"}}));
        let expected = json!([{"field": "chat-*", "from": null, "to": {"durability": "ephemeral"}}]);
        assert_eq!(shown(&added), expected);
        let removed = between(&json!({"chat-*": {"presence": true}}), &json!({}));
        assert_eq!(shown(&removed), json!([{"field": "chat-*", "from": {"presence": true}, "to": null}]));
    }

    #[test]
    fn a_long_value_is_not_told_and_a_line_has_room_for_so_much() {
        let long = between(&json!({"a": "x"}), &json!({"a": "y".repeat(100)}));
        assert_eq!(shown(&long), json!([{"field": "a", "from": "x"}]));
        let many: Vec<Change> = (0..1000).map(|n| Change::of(format!("{n}-{}", "é".repeat(200)))).collect();
        let told = bounded(&many);
        assert!(serde_json::to_string(&told).is_ok_and(|text| text.len() < MOST + 30), "{told:?}");
        assert_eq!((told.len() < many.len(), told.last()), (true, Some(&Change::of(MORE))));
        assert_eq!(bounded(&long), long);
    }
}
