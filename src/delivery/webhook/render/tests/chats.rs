//! Messages of chats: golden messages, the limits for any payload, and texts that must not be injected.

use super::*;
use serde_json::json;

fn message(profile: Profile, events: &[Event]) -> Value {
    serde_json::from_str(&body(profile, events)).unwrap()
}

fn discord(kind: &str, payload: &str) -> Value {
    message(Profile::Discord, &[event(kind, payload)])["embeds"][0].clone()
}

/// The expected messages are those of the transformer in Wanderer's post for the post's examples. Values are
/// text, as Discord requires.
#[test]
fn golden_discord() {
    assert_eq!(
        message(Profile::Discord, &[event("add_system", ADDED)]),
        json!({
            "embeds": [{
                "title": "New System Added",
                "description": "System **J123456** has been added to the map",
                "color": 0x00ff00,
                "fields": [
                    {"name": "System ID", "value": "31000001", "inline": true},
                    {"name": "Type", "value": "wormhole", "inline": true},
                    {"name": "Class", "value": "C3", "inline": true},
                ],
                "timestamp": "2025-06-21T12:34:56.789Z",
            }],
            "allowed_mentions": {"parse": []},
        })
    );
    let kill = r#"{"killmail_id":12345678,"system_name":"J123456","victim":{"name":"Pilot Name","ship":"Stratios","corporation":"Corp Name"},"value":250000000}"#;
    assert_eq!(
        discord("map_kill", kill),
        json!({
            "title": "Kill Detected",
            "description": "Stratios destroyed in J123456",
            "url": "https://zkillboard.com/kill/12345678",
            "color": 0xff0000,
            "fields": [
                {"name": "Victim", "value": "Pilot Name", "inline": true},
                {"name": "Ship", "value": "Stratios", "inline": true},
                {"name": "Value", "value": "250.0M ISK", "inline": true},
            ],
            "timestamp": "2025-06-21T12:34:56.789Z",
        })
    );
    assert_eq!(
        discord("connection_added", r#"{"from_name":"J1","to_name":"Jita"}"#),
        json!({
            "title": "New Connection",
            "description": "Connection established: **J1** → **Jita**",
            "color": 0x0099ff,
            "fields": [
                {"name": "Type", "value": "Unknown", "inline": true},
                {"name": "Mass Status", "value": "Fresh", "inline": true},
            ],
            "timestamp": "2025-06-21T12:34:56.789Z",
        })
    );
}

#[test]
fn any_other_type_has_a_message() {
    assert_eq!(
        discord(
            "tower.low-fuel",
            r#"{"system_id":7,"where":{"moon":3},"note":"","url":"https://example.com/t/7"}"#
        ),
        json!({
            "title": "Tower low fuel",
            "url": "https://example.com/t/7",
            "color": 0x95a5a6,
            "fields": [
                {"name": "System id", "value": "7", "inline": true},
                {"name": "Where", "value": "{\"moon\":3}", "inline": true},
                {"name": "Note", "value": "Unknown", "inline": true},
                {"name": "Url", "value": "https://example.com/t/7", "inline": true},
            ],
            "timestamp": "2025-06-21T12:34:56.789Z",
        })
    );
    assert_eq!(discord("x", "null")["description"], "No details");
    assert_eq!(discord("x", "{}")["description"], "No details");
    assert_eq!(discord("x", "[1,2]")["description"], "\\[1,2\\]");
    let wide: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
    let fields = discord("x", &format!("{{{}}}", wide.trim_end_matches(',')))["fields"].clone();
    assert_eq!(fields.as_array().unwrap().len(), 25);
    assert_eq!(fields[24]["value"], "16 further members");
}

#[test]
fn a_message_survives_missing_values() {
    for payload in ["{}", "null", "[]", "\"x\"", r#"{"victim":null}"#, r#"{"victim":"x","value":"much"}"#] {
        let kill = discord("map_kill", payload);
        assert_eq!(kill["description"], "Unknown destroyed in Unknown", "{payload}");
        assert_eq!(kill["fields"][0]["value"], "Unknown");
        assert!(kill.get("url").is_none());
    }
    assert_eq!(discord("map_kill", r#"{"value":"much"}"#)["fields"][2]["value"], "much");
}

/// A text that tries every kind of injection.
const HOSTILE: &str = r#"@everyone @here <@123> <@&4> <#5> </x:6> [free](javascript:alert(1)) `x` **b** ||s|| ~~ # h\n> q\n- l <!channel> <!here> <!subteam^S1> <https://evil.example|ok> & \\"#;

#[test]
fn nothing_is_injected() {
    for kind in ["add_system", "map_kill", "signature_added", "other"] {
        let payload = format!(
            r#"{{"name":"{HOSTILE}","system_name":"{HOSTILE}","victim":{{"ship":"{HOSTILE}"}},"{HOSTILE}":1,"eve_id":"{HOSTILE}","url":"javascript:alert(1)","killmail_id":"1)[x](javascript:1"}}"#
        );
        let discord = message(Profile::Discord, &[event(kind, &payload)]);
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        texts(&discord, &mut |text| {
            let bare = text.replace("\\\\", "");
            for mention in ["@everyone", "@here", "<@123>"] {
                assert!(!bare.contains(mention), "{mention} in {text}");
            }
            for mark in ['<', '[', ']', '`', '|', '~', '_'] {
                let escaped = bare.matches(&format!("\\{mark}")).count();
                assert_eq!(bare.matches(mark).count(), escaped, "{mark} in {text}");
            }
            for start in ["\n>", "\n-", "\n#"] {
                assert!(!bare.contains(start), "{start:?} in {text}");
            }
        });
        assert!(discord["embeds"][0].get("url").is_none());
        let slack = message(Profile::Slack, &[event(kind, &payload)]);
        texts(&slack, &mut |text| {
            assert!(!text.contains(['<', '>']), "{text}");
            let entities =
                ["&amp;", "&lt;", "&gt;"].iter().map(|entity| text.matches(entity).count()).sum::<usize>();
            assert_eq!(text.matches('&').count(), entities, "{text}");
        });
        assert!(slack.get("link_names").is_none() && slack.get("parse").is_none());
    }
}

#[test]
fn golden_slack() {
    assert_eq!(
        message(
            Profile::Slack,
            &[event("map_kill", r#"{"killmail_id":1,"system_name":"A&B","victim":{"ship":"Stratios"}}"#)]
        ),
        json!({
            "text": "Kill Detected: Stratios destroyed in A&amp;B",
            "blocks": [
                {"type": "section", "text": {
                    "type": "mrkdwn", "verbatim": true,
                    "text": "*<https://zkillboard.com/kill/1|Kill Detected>*\nStratios destroyed in A&amp;B",
                }},
                {"type": "section", "fields": [
                    {"type": "mrkdwn", "text": "*Victim*\nUnknown", "verbatim": true},
                    {"type": "mrkdwn", "text": "*Ship*\nStratios", "verbatim": true},
                    {"type": "mrkdwn", "text": "*Value*\nUnknown", "verbatim": true},
                ]},
                {"type": "context", "elements": [
                    {"type": "mrkdwn", "text": "map_kill · 2025-06-21T12:34:56.789Z", "verbatim": true},
                ]},
            ],
            "unfurl_links": false,
            "unfurl_media": false,
        })
    );
}

#[test]
fn long_links_keep_the_limits() {
    for (n, linked) in [(100, true), (1900, false)] {
        let payload = format!(r#"{{"url":"https://example.com/{}"}}"#, "&".repeat(n));
        let slack = message(Profile::Slack, &[event("x", &payload)]);
        keeps_slacks_limits(&slack, 1);
        assert_eq!(slack["blocks"][0]["text"]["text"].as_str().unwrap().contains("*<https://"), linked);
        assert!(discord("x", &payload)["url"].is_string());
    }
}

#[test]
fn many_events_are_shortened_evenly_and_none_is_dropped() {
    let long = format!(r#"{{"name":"{}","type":"{}"}}"#, "n".repeat(3000), "t".repeat(3000));
    let mut events: Vec<Event> = (0..9).map(|slot| event_at(slot, "add_system", &long)).collect();
    events.push(event_at(9, "add_system", ADDED));
    let embeds = message(Profile::Discord, &events)["embeds"].as_array().unwrap().clone();
    assert_eq!(embeds.len(), 10);
    let units = |embed: &Value| embed["description"].as_str().unwrap().encode_utf16().count();
    assert!(embeds[..9].iter().all(|embed| units(embed) == units(&embeds[0]) && units(embed) > 100));
    assert_eq!(embeds[9]["description"], "System **J123456** has been added to the map");
    assert_eq!(embeds[9]["fields"].as_array().unwrap().len(), 3);
}

/// Passes all texts of a message to `check`.
fn texts(value: &Value, check: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, check)),
        Value::Object(members) => members.values().for_each(|member| texts(member, check)),
        _ => {}
    }
}

/// Checks one text against a limit. Returns its length.
fn text(value: &Value, name: &str, max: usize) -> usize {
    let Some(value) = value.get(name) else { return 0 };
    let value = value.as_str().unwrap();
    let units = value.encode_utf16().count();
    assert!(units <= max, "{name} has {units}: {value}");
    assert!(
        value.chars().any(|c| !c.is_whitespace() && !c.is_control() && c != '\u{200b}'),
        "{name} is empty: {value:?}"
    );
    units
}

fn keeps_discords_limits(message: &Value, events: usize) {
    let embeds = message["embeds"].as_array().unwrap();
    assert_eq!(embeds.len(), events);
    let mut total = 0;
    for embed in embeds {
        assert!(embed["title"].is_string());
        total += text(embed, "title", 256) + text(embed, "description", 4096);
        let fields = embed.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 25);
        for field in fields {
            assert!(field["name"].is_string() && field["value"].is_string());
            total += text(field, "name", 256) + text(field, "value", 1024);
        }
    }
    assert!(total <= 6000, "{total}");
}

fn keeps_slacks_limits(message: &Value, events: usize) {
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    text(message, "text", 40_000);
    let contexts = blocks.iter().filter(|block| block["type"] == "context").count();
    assert_eq!(contexts, events);
    for block in blocks {
        block.get("text").map(|object| text(object, "text", 3000));
        let fields = block.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 10);
        for field in fields {
            text(field, "text", 2000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn limits_hold_for_any_payload(
        payloads in prop::collection::vec(payloads(), 1..=10),
        kind in prop::sample::select(vec!["add_system", "map_kill", "game.added", "signature_removed", "x", "a_b.c"]),
    ) {
        let events: Vec<Event> = (0..).zip(&payloads).map(|(slot, payload)| event_at(slot, kind, payload)).collect();
        keeps_discords_limits(&message(Profile::Discord, &events), events.len());
        keeps_slacks_limits(&message(Profile::Slack, &events), events.len());
    }
}
