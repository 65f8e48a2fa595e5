#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::config::{Config, Loader};
use crate::core::webhook::Profile;

/// The configuration of the Sockudo guide.
const SOCKUDO: &str = r#"{
    "webhooks": {"batching": {"enabled": true, "duration": 50}},
    "app_manager": {"driver": "memory", "array": {"apps": [{
        "id": "my-app", "key": "my-key", "secret": "my-secret", "enable_client_messages": true,
        "max_connections": "7", "enable_watchlist_events": true, "max_event_payload_in_kb": 100,
        "webhooks": [
            {"url": "https://yourapi.com/sockudo/webhooks",
             "event_types": ["channel_occupied", "channel_vacated"],
             "headers": {"Authorization": "Bearer x"}},
            {"lambda": {"function_name": "sockudoPresenceHandler", "region": "us-east-1",
                        "invocation_type": "Event", "qualifier": "PROD"},
             "event_types": ["member_added", "member_removed"],
             "filter": {"channel_type": "presence", "channel_prefix": "presence-"}}
        ]}]}}}"#;

/// The configuration that the printed text is. Each of its webhooks passes `config check`.
fn loaded(json: &str) -> Config {
    let text = toml_of(json).unwrap();
    let config = Loader::default().toml(&text, Path::new("import")).unwrap().finish().unwrap().config;
    let guard = Guard::new(config.webhooks.allow_nets.clone());
    let account = Account { functions: config.webhooks.aws.functions.clone(), ..Account::default() };
    for webhook in config.listed_webhooks() {
        let (mut plain, mut faults) = webhook.read(&config.webhooks.defaults());
        plain.check(&Checks::new(&guard, &account), &mut faults);
        assert!(faults.is_empty(), "{faults}: {text}");
    }
    config
}

/// One app of the other server, with these members besides.
fn app(more: &str) -> String {
    format!(r#"{{"apps": [{{"id": "1", "key": "k", "secret": "long-enough", {more}}}]}}"#)
}

#[test]
fn the_guide_s_configuration_is_taken_over() {
    let text = toml_of(SOCKUDO).unwrap();
    for told in [
        "# Not taken over: enable_watchlist_events (app my-app): it is always on here\n",
        "# Not taken over: max_event_payload_in_kb (app my-app): here it is the setting pusher.event_bytes\n",
        "waypost map create --slug my-app --requests-per-minute none\n",
        "functions = [\"sockudoPresenceHandler\"]\n",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let config = loaded(SOCKUDO);
    let [app] = &config.apps[..] else { panic!("{text}") };
    assert_eq!((app.map.as_str(), app.settings.id.as_deref()), ("my-app", Some("my-app")));
    assert_eq!(app.settings.secret.as_ref().map(|secret| secret.expose()), Some("my-secret"));
    assert_eq!((app.settings.client_events, app.settings.max_connections), (true, Some(7)));
    let webhooks: Vec<_> = config.listed_webhooks().collect();
    assert_eq!(webhooks.len(), 2);
    for webhook in webhooks {
        let plain = webhook.read(&config.webhooks.defaults()).0;
        assert_eq!((plain.webhook.profile, plain.webhook.key.as_deref()), (Profile::Pusher, Some("my-key")));
        assert_eq!(plain.webhook.batch.map(|batch| batch.duration_ms), Some(50));
    }
}

#[test]
fn apps_of_soketi_are_taken_over() {
    let json = r#"{"appManager.array.apps": [
        {"id": 7, "key": "a", "secret": "secret-a", "enableClientMessages": false, "maxConnections": -1},
        {"id": "7.", "key": "c", "secret": "secret-c", "allowedOrigins": ["*"]},
        {"id": "off", "key": "e", "secret": "secret-e", "enabled": false}
    ]}"#;
    let config = loaded(json);
    let of = |app: &ConfiguredApp| (app.map.clone(), app.settings.max_connections);
    assert_eq!(config.apps.iter().map(of).collect::<Vec<_>>(), [("7".into(), None), ("7-".into(), None)]);
    assert!(config.apps.iter().all(|app| app.settings.origins.is_empty()));
    assert!(toml_of(json).unwrap().contains("# Not taken over: the app off: it is not enabled\n"));
}

/// The faults that a node would refuse the file for are found before it is printed.
#[test]
fn an_app_that_no_node_would_take_is_left_out_with_the_reason() {
    for (bad, why) in [
        (r#""id": "2""#, "the app 2: key: is required; secret: is required"),
        (r#""id": "2 3", "key": "l", "secret": "long-enough""#, "the app 2 3: app_id: must have 1 to 64"),
        (r#""id": "2", "key": "l m", "secret": "long-enough""#, "the app 2: key: must have 1 to 64"),
        (r#""id": "2", "key": "l", "secret": "short""#, "the app 2: secret: must have 8 to 256"),
        (r#""id": "2", "key": "k", "secret": "long-enough""#, "the app 2: key: another app has it"),
        (r#""id": "1", "key": "l", "secret": "long-enough""#, "the app 1: id: an app of another map has it"),
        (r#""key": "l", "secret": "long-enough""#, "the app number 2: id: is required"),
        (
            r#""id": "2", "key": "l", "secret": "long-enough", "allowed_origins": ["a b"]"#,
            "the app 2: origins: must be",
        ),
    ] {
        let json = format!(r#"{{"apps": [{{"id": "1", "key": "k", "secret": "long-enough"}}, {{{bad}}}]}}"#);
        let text = toml_of(&json).unwrap();
        assert!(text.contains(&format!("# Not taken over: {why}")), "{why}: {text}");
        assert_eq!(loaded(&json).apps.len(), 1, "{text}");
    }
}

#[test]
fn a_webhook_that_no_node_would_take_is_left_out_with_the_reason() {
    for (bad, why) in [
        (r#""lambda_function": "f", "event_types": ["a"]"#, "lambda_function names no region"),
        (r#""event_types": ["a"]"#, "url: is required"),
        (r#""url": "https://example.com/x", "event_types": []"#, "events: must be"),
        (r#""url": "https://example.com/x", "headers": {"A": 1}"#, "headers: "),
        (r#""url": "https://example.com/x", "filter": {"channel_type": "secret"}"#, "filter.channel_type: "),
        (r#""lambda": {"function_name": "f", "region": "no region"}"#, "lambda.region: "),
    ] {
        let good = r#"{"url": "https://example.com/good", "event_types": ["a"]}"#;
        let json = app(&format!(r#""webhooks": [{{{bad}}}, {good}]"#));
        let text = toml_of(&json).unwrap();
        assert!(text.contains(&format!("# Not taken over: webhook 1 of the app 1: {why}")), "{why}: {text}");
        let config = loaded(&json);
        assert_eq!(config.listed_webhooks().count(), 1, "{text}");
        assert!(!text.contains("[webhooks.aws]"), "{text}");
    }
    let text = toml_of(&app(r#""webhooks": [{"url": "http://10.1.2.3/x"}]"#)).unwrap();
    assert!(text.contains("# Some webhooks lead to 10.0.0.0/8, which is not public"), "{text}");
    assert!(text.contains("url = \"http://10.1.2.3/x\""), "nodes may be told to reach it: {text}");
    assert!(toml_of(&app(r#""webhooks": {}"#)).unwrap().contains("they are no list"));
    assert!(toml_of(&app(r#""webhooks": [7]"#)).unwrap().contains("webhook 1 of the app 1: it is no object"));
}

#[test]
fn settings_that_are_elsewhere_here_are_named() {
    for (setting, here) in [
        ("max_presence_members_per_channel", "`members_max` of a channel rule"),
        ("maxEventPayloadInKb", "the setting pusher.event_bytes"),
        ("max_client_events_per_second", "the setting pusher.client_events_per_second"),
    ] {
        let text = toml_of(&app(&format!(r#""{setting}": 5"#))).unwrap();
        assert!(
            text.contains(&format!("# Not taken over: {setting} (app 1): here it is {here}\n")),
            "{text}"
        );
    }
    let text = toml_of(&app(r#""max_cats": 5"#)).unwrap();
    assert!(text.contains("# Not taken over: max_cats (app 1)\n"), "{text}");
}

#[test]
fn slugs_are_valid_and_differ() {
    for (id, slug) in [("My App", "my-app"), ("--x", "x"), ("", "app-"), ("1234", "1234"), ("ä", "app-")] {
        assert_eq!(slug_of(id, &[]), slug, "{id}");
    }
    assert!(is_slug(&slug_of(&"a".repeat(99), &[])));
    assert_eq!(slug_of("x", &["x".into(), "x-2".into()]), "x-3");
}

#[test]
fn files_without_apps_are_refused() {
    for bad in ["", "[]", "{}", r#"{"apps": {}}"#, r#"{"apps": [7]}"#, r#"{"apps": [{"key": "a"}]}"#] {
        assert!(toml_of(bad).is_err(), "{bad}");
    }
    let told = toml_of(r#"{"apps": [{"id": "1"}]}"#).unwrap_err().to_string();
    assert!(
        told.contains("no app can be taken over") && told.contains("the app 1: key: is required"),
        "{told}"
    );
}
