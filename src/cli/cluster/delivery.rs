//! The line of `waypost cluster status` about webhooks and consumers that deliver nothing, or late.

use serde_json::Value;

use super::super::output::{self, cell};

/// The states that are worth a word, the worst first.
const TROUBLES: [(&str, &[&str]); 2] = [
    ("webhooks", &["losing", "disabled", "failing", "throttled", "behind"]),
    ("consumers", &["losing", "unread", "behind"]),
];

/// How many webhooks and consumers deliver nothing, or late, and in which maps; nothing if all is well.
pub(super) fn delivery(status: &Value) -> String {
    let delivery = &status["delivery"];
    let told = TROUBLES.into_iter().filter_map(|(kind, states)| {
        let counts = &delivery[kind];
        let counted = states.iter().filter(|state| counts[**state].as_u64() > Some(0));
        let named: Vec<String> = counted.map(|state| format!("{} {state}", cell(counts, state))).collect();
        (!named.is_empty()).then(|| format!("{kind}: {} of {}", named.join(", "), cell(counts, "total")))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return String::new();
    }
    let called = |map: &Value| if map["slug"].is_null() { cell(map, "id") } else { cell(map, "slug") };
    let maps: Vec<String> = delivery["maps"].as_array().into_iter().flatten().map(called).collect();
    format!("\n\n{} (maps: {})", output::paint(output::STRONG, told.join("; ")), maps.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(status: &Value) -> String {
        console::strip_ansi_codes(&delivery(status)).into_owned()
    }

    #[test]
    fn only_trouble_is_worth_a_line() {
        let well = json!({"webhooks": {"total": 2, "healthy": 2, "failing": 0}, "consumers": {"total": 0}});
        for status in [json!({}), json!({"delivery": null}), json!({ "delivery": well })] {
            assert_eq!(shown(&status), "", "{status}");
        }
        let webhooks = json!({"total": 3, "failing": 1, "behind": 2, "losing": 0});
        let consumers = json!({"total": 2, "unread": 1, "up_to_date": 1});
        let maps = json!([{"id": "1", "slug": "shop"}, {"id": "2", "slug": null}]);
        let status = json!({"delivery": {"webhooks": webhooks, "consumers": consumers, "maps": maps}});
        let expected = "\n\nwebhooks: 1 failing, 2 behind of 3; consumers: 1 unread of 2 (maps: shop, 2)";
        assert_eq!(shown(&status), expected);
    }
}
