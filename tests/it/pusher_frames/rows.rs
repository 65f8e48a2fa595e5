//! The rows of the table, in the order of Pusher's documentation of the protocol.

use super::Step::{Binary, Closed, Get, Post, Quiet, Send, Until};
use super::Who::{Ada, Bob};
use super::{Row, Step, Who};
use serde_json::{Value, json};

fn text(who: Who, text: &'static str) -> Step {
    Send(who, Box::new(move |_, _| text.to_owned()))
}

/// Subscribes without a signature.
fn plain(who: Who, channel: &'static str) -> Step {
    Send(who, Box::new(move |_, _| subscribing(json!({"channel": channel}))))
}

/// Subscribes with the signature of `signed_channel`.
fn signed_as(who: Who, channel: &'static str, signed_channel: &'static str) -> Step {
    Send(
        who,
        Box::new(move |app, id| {
            let auth = app.channel_auth(id, signed_channel, None);
            subscribing(json!({"channel": channel, "auth": auth}))
        }),
    )
}

fn signed(who: Who, channel: &'static str) -> Step {
    signed_as(who, channel, channel)
}

/// Subscribes to a presence channel with that data.
fn member(who: Who, channel: &'static str, data: &Value) -> Step {
    let data = data.to_string();
    Send(
        who,
        Box::new(move |app, id| {
            let auth = app.channel_auth(id, channel, Some(&data));
            subscribing(json!({"channel": channel, "auth": auth, "channel_data": data}))
        }),
    )
}

fn subscribing(data: Value) -> String {
    json!({"event": "pusher:subscribe", "data": data}).to_string()
}

fn unsubscribe(who: Who, channel: &'static str) -> Step {
    Send(
        who,
        Box::new(move |_, _| {
            json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}).to_string()
        }),
    )
}

fn client_event(who: Who, channel: &'static str, data: &'static str) -> Step {
    Send(
        who,
        Box::new(move |_, _| format!(r#"{{"event":"client-typed","channel":"{channel}","data":{data}}}"#)),
    )
}

fn sign_in(who: Who, data: &Value) -> Step {
    let data = data.to_string();
    Send(
        who,
        Box::new(move |app, id| {
            let auth = app.user_auth(id, &data);
            json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": data}}).to_string()
        }),
    )
}

/// A back end publishes.
fn publish(channel: &'static str, data: &'static str) -> Step {
    Post(
        "events",
        Box::new(move |_, _| json!({"name": "placed", "channel": channel, "data": data}).to_string()),
    )
}

/// The subscription stands.
fn stands(who: Who, channel: &str) -> Step {
    Get(who, json!({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"}))
}

/// The subscription stands, with these members.
fn there(who: Who, channel: &str, members: &Value) -> Step {
    let ids: Vec<&String> = members.as_object().into_iter().flatten().map(|(user, _)| user).collect();
    let data = json!({"presence": {"count": ids.len(), "ids": ids, "hash": members}}).to_string();
    Get(who, json!({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": data}))
}

fn not_allowed(who: Who, channel: &str) -> Step {
    no_subscription(who, channel, "AuthError", 401)
}

fn no_subscription(who: Who, channel: &str, kind: &str, status: u16) -> Step {
    let data = json!({"type": kind, "error": "*", "status": status});
    Get(who, json!({"event": "pusher:subscription_error", "channel": channel, "data": data}))
}

fn error(who: Who, code: Option<u16>) -> Step {
    Get(who, json!({"event": "pusher:error", "data": {"code": code, "message": "*"}}))
}

fn placed(who: Who, channel: &str, data: &str) -> Step {
    Get(who, json!({"event": "placed", "channel": channel, "data": data}))
}

fn typed(who: Who, channel: &str, data: &str) -> Step {
    Get(who, json!({"event": "client-typed", "channel": channel, "data": data}))
}

fn signed_in(who: Who, data: &Value) -> Step {
    let data = json!({"user_data": data.to_string()}).to_string();
    Get(who, json!({"event": "pusher:signin_success", "data": data}))
}

fn watchlist(who: Who, name: &str, users: &[&str]) -> Step {
    let data = json!({"events": [{"name": name, "user_ids": users}]}).to_string();
    Get(who, json!({"event": "pusher_internal:watchlist_events", "data": data}))
}

pub(super) fn rows() -> Vec<Row> {
    let parts = [connection(), subscriptions(), presence(), cache(), events(), client_events(), users()];
    parts.into_iter().flatten().collect()
}

fn connection() -> Vec<Row> {
    let pong = |who| Get(who, json!({"event": "pusher:pong", "data": {}}));
    vec![
        Row("a ping is answered", vec![text(Ada, r#"{"event":"pusher:ping","data":{}}"#), pong(Ada)]),
        Row("a ping without data, too", vec![text(Ada, r#"{"event":"pusher:ping","data":""}"#), pong(Ada)]),
        Row("a pong is not answered", vec![text(Ada, r#"{"event":"pusher:pong"}"#), Quiet(Ada)]),
        Row("what is not JSON is an error", vec![text(Ada, "x"), error(Ada, None), Quiet(Ada)]),
        Row("a message has an event", vec![text(Ada, "{}"), error(Ada, None), Quiet(Ada)]),
        Row(
            "an unknown event of the protocol is an error",
            vec![text(Ada, r#"{"event":"pusher:other","data":{}}"#), error(Ada, None), Quiet(Ada)],
        ),
        Row(
            "only client- events are for other clients",
            vec![text(Ada, r#"{"event":"order","channel":"a","data":{}}"#), error(Ada, None), Quiet(Ada)],
        ),
        Row("there are no binary messages", vec![Binary(Ada), Closed(Ada, 1003)]),
    ]
}

fn subscriptions() -> Vec<Row> {
    let long: &'static str = "x".repeat(201).leak();
    vec![
        Row("a public channel needs no signature", vec![plain(Ada, "cache-x.1"), stands(Ada, "cache-x.1")]),
        Row(
            "the data may be JSON in a string",
            vec![
                text(Ada, r#"{"event":"pusher:subscribe","data":"{\"channel\":\"presence\"}"}"#),
                Get(
                    Ada,
                    json!({"event": "pusher_internal:subscription_succeeded", "channel": "presence", "data": "{}", "id": "*", "seq": "*"}),
                ),
            ],
        ),
        Row("a private channel", vec![signed(Ada, "private-a"), stands(Ada, "private-a")]),
        Row(
            "a private channel needs a signature",
            vec![plain(Ada, "private-a"), not_allowed(Ada, "private-a")],
        ),
        Row(
            "the signature is of this channel",
            vec![signed_as(Ada, "private-a", "private-b"), not_allowed(Ada, "private-a"), Quiet(Ada)],
        ),
        Row(
            "the signature is of this socket",
            vec![
                Send(
                    Ada,
                    Box::new(|app, _| {
                        let auth = app.channel_auth("1.1", "private-a", None);
                        subscribing(json!({"channel": "private-a", "auth": auth}))
                    }),
                ),
                not_allowed(Ada, "private-a"),
            ],
        ),
        Row(
            "the key is of this app",
            vec![
                Send(
                    Ada,
                    Box::new(|app, id| {
                        let auth = app.channel_auth(id, "private-a", None);
                        let auth = auth.replace(&app.key, "another");
                        subscribing(json!({"channel": "private-a", "auth": auth}))
                    }),
                ),
                not_allowed(Ada, "private-a"),
            ],
        ),
        Row(
            "an encrypted channel",
            vec![signed(Ada, "private-encrypted-a"), stands(Ada, "private-encrypted-a")],
        ),
        Row(
            "an encrypted channel needs a signature",
            vec![plain(Ada, "private-encrypted-a"), not_allowed(Ada, "private-encrypted-a")],
        ),
        Row(
            "a client subscribes once",
            vec![
                signed(Ada, "private-a"),
                stands(Ada, "private-a"),
                signed(Ada, "private-a"),
                error(Ada, None),
            ],
        ),
        Row(
            "after the end of a subscription, nothing comes",
            vec![
                signed(Ada, "private-ended"),
                stands(Ada, "private-ended"),
                unsubscribe(Ada, "private-ended"),
                Quiet(Ada),
                publish("private-ended", "1"),
                Quiet(Ada),
            ],
        ),
        Row(
            "a client may subscribe again",
            vec![
                signed(Ada, "private-a"),
                stands(Ada, "private-a"),
                unsubscribe(Ada, "private-a"),
                signed(Ada, "private-a"),
                stands(Ada, "private-a"),
            ],
        ),
        Row("the end of no subscription is ignored", vec![unsubscribe(Ada, "none"), Quiet(Ada)]),
        Row(
            "names have a small alphabet",
            vec![plain(Ada, "a b"), no_subscription(Ada, "a b", "InvalidRequest", 400), Quiet(Ada)],
        ),
        Row(
            "names have at most 200 characters",
            vec![plain(Ada, long), no_subscription(Ada, long, "InvalidRequest", 400)],
        ),
        Row(
            "a subscription names its channel",
            vec![text(Ada, r#"{"event":"pusher:subscribe","data":{}}"#), error(Ada, None), Quiet(Ada)],
        ),
    ]
}

fn presence() -> Vec<Row> {
    let ada = json!({"user_id": "ada", "user_info": {"name": "Ada"}});
    let bob = json!({"user_id": "bob", "user_info": {"name": "Bob"}});
    let both = json!({"ada": {"name": "Ada"}, "bob": {"name": "Bob"}});
    let added = |channel: &str, member: &Value| {
        let data = member.to_string();
        Get(Ada, json!({"event": "pusher_internal:member_added", "channel": channel, "data": data}))
    };
    vec![
        Row(
            "a presence channel tells its members",
            vec![
                member(Ada, "presence-1", &ada),
                there(Ada, "presence-1", &json!({"ada": {"name": "Ada"}})),
                member(Bob, "presence-1", &bob),
                there(Bob, "presence-1", &both),
                added("presence-1", &bob),
            ],
        ),
        Row(
            "a member may have a number, and nothing that is known of it",
            vec![
                member(Ada, "presence-2", &json!({"user_id": 7})),
                there(Ada, "presence-2", &json!({"7": null})),
            ],
        ),
        Row(
            "a member who ends its subscription leaves",
            vec![
                member(Ada, "presence-3", &ada),
                there(Ada, "presence-3", &json!({"ada": {"name": "Ada"}})),
                member(Bob, "presence-3", &bob),
                there(Bob, "presence-3", &both),
                added("presence-3", &bob),
                unsubscribe(Bob, "presence-3"),
                Get(
                    Ada,
                    json!({
                        "event": "pusher_internal:member_removed",
                        "channel": "presence-3",
                        "data": json!({"user_id": "bob"}).to_string(),
                    }),
                ),
            ],
        ),
        Row(
            "a second connection of a member is no news",
            vec![
                member(Ada, "presence-4", &ada),
                there(Ada, "presence-4", &json!({"ada": {"name": "Ada"}})),
                member(Bob, "presence-4", &ada),
                there(Bob, "presence-4", &json!({"ada": {"name": "Ada"}})),
                Quiet(Ada),
                unsubscribe(Bob, "presence-4"),
                Quiet(Bob),
                Quiet(Ada),
            ],
        ),
        Row(
            "a presence channel needs a user",
            vec![
                signed(Ada, "presence-5"),
                no_subscription(Ada, "presence-5", "InvalidRequest", 400),
                Quiet(Ada),
            ],
        ),
        Row(
            "a presence channel needs a signature",
            vec![plain(Ada, "presence-5"), not_allowed(Ada, "presence-5")],
        ),
        Row(
            "a user's id is short",
            vec![
                member(Ada, "presence-5", &json!({"user_id": "x".repeat(129)})),
                no_subscription(Ada, "presence-5", "InvalidRequest", 400),
            ],
        ),
        Row(
            "what is known of a user is short",
            vec![
                member(Ada, "presence-5", &json!({"user_id": "x", "user_info": "x".repeat(1025)})),
                no_subscription(Ada, "presence-5", "InvalidRequest", 400),
            ],
        ),
        Row(
            "a signed-in user need not say again who it is",
            vec![
                sign_in(Ada, &json!({"id": "eve", "user_info": {"name": "Eve"}})),
                signed_in(Ada, &json!({"id": "eve", "user_info": {"name": "Eve"}})),
                signed(Ada, "presence-6"),
                there(Ada, "presence-6", &json!({"eve": {"name": "Eve"}})),
            ],
        ),
    ]
}

fn cache() -> Vec<Row> {
    let miss = |who, channel: &str| Get(who, json!({"event": "pusher:cache_miss", "channel": channel}));
    vec![
        Row(
            "a cache channel without an event",
            vec![plain(Ada, "cache-1"), stands(Ada, "cache-1"), miss(Ada, "cache-1")],
        ),
        Row(
            "a cache channel begins with its last event",
            vec![
                publish("cache-2", "old"),
                publish("cache-2", "new"),
                plain(Ada, "cache-2"),
                stands(Ada, "cache-2"),
                placed(Ada, "cache-2", "new"),
                publish("cache-2", "newer"),
                placed(Ada, "cache-2", "newer"),
                plain(Bob, "cache-2"),
                stands(Bob, "cache-2"),
                placed(Bob, "cache-2", "newer"),
                Quiet(Ada),
            ],
        ),
        Row(
            "a private cache channel",
            vec![
                publish("private-cache-1", "x"),
                signed(Ada, "private-cache-1"),
                stands(Ada, "private-cache-1"),
                placed(Ada, "private-cache-1", "x"),
            ],
        ),
        Row(
            "a private cache channel needs a signature",
            vec![plain(Ada, "private-cache-1"), not_allowed(Ada, "private-cache-1"), Quiet(Ada)],
        ),
        Row(
            "an encrypted cache channel",
            vec![
                signed(Ada, "private-encrypted-cache-1"),
                stands(Ada, "private-encrypted-cache-1"),
                miss(Ada, "private-encrypted-cache-1"),
            ],
        ),
        Row(
            "a presence cache channel",
            vec![
                member(Ada, "presence-cache-1", &json!({"user_id": "ada"})),
                there(Ada, "presence-cache-1", &json!({"ada": null})),
                miss(Ada, "presence-cache-1"),
            ],
        ),
        Row(
            "only the beginning of a name says what a channel is",
            vec![signed(Ada, "private-my-cache-1"), stands(Ada, "private-my-cache-1"), Quiet(Ada)],
        ),
    ]
}

fn events() -> Vec<Row> {
    vec![
        Row(
            "an event has its data as it was published",
            vec![
                signed(Ada, "private-e1"),
                stands(Ada, "private-e1"),
                publish("private-e1", r#"{ "b" : 1.0, "a" : [ ] }"#),
                placed(Ada, "private-e1", r#"{ "b" : 1.0, "a" : [ ] }"#),
                publish("private-e1", "plain"),
                placed(Ada, "private-e1", "plain"),
            ],
        ),
        Row(
            "an event may leave out a socket",
            vec![
                signed(Ada, "private-e2"),
                stands(Ada, "private-e2"),
                signed(Bob, "private-e2"),
                stands(Bob, "private-e2"),
                Post(
                    "events",
                    Box::new(|_, id| {
                        json!({"name": "placed", "channel": "private-e2", "data": "1", "socket_id": id})
                            .to_string()
                    }),
                ),
                placed(Bob, "private-e2", "1"),
                Quiet(Ada),
            ],
        ),
        Row(
            "an event goes to several channels",
            vec![
                signed(Ada, "private-e3"),
                stands(Ada, "private-e3"),
                signed(Bob, "private-e4"),
                stands(Bob, "private-e4"),
                Post(
                    "events",
                    Box::new(|_, _| {
                        json!({"name": "placed", "channels": ["private-e3", "private-e4"], "data": "1"})
                            .to_string()
                    }),
                ),
                placed(Ada, "private-e3", "1"),
                placed(Bob, "private-e4", "1"),
            ],
        ),
    ]
}

fn client_events() -> Vec<Row> {
    let ada = json!({"user_id": "ada"});
    let both = |channel| {
        vec![signed(Ada, channel), stands(Ada, channel), signed(Bob, channel), stands(Bob, channel)]
    };
    let row = |says, channel, more: Vec<Step>| Row(says, both(channel).into_iter().chain(more).collect());
    vec![
        row(
            "a client event goes to the others",
            "private-c1",
            vec![
                client_event(Ada, "private-c1", r#"{"a":1}"#),
                typed(Bob, "private-c1", r#"{"a":1}"#),
                Quiet(Ada),
            ],
        ),
        Row(
            "on a presence channel it names the user",
            vec![
                member(Ada, "presence-c1", &ada),
                there(Ada, "presence-c1", &json!({"ada": null})),
                member(Bob, "presence-c1", &ada),
                there(Bob, "presence-c1", &json!({"ada": null})),
                client_event(Ada, "presence-c1", "1"),
                Get(
                    Bob,
                    json!({"event": "client-typed", "channel": "presence-c1", "data": "1", "user_id": "ada"}),
                ),
                Quiet(Ada),
            ],
        ),
        Row(
            "there are none on public channels",
            vec![
                plain(Ada, "cache-c1"),
                stands(Ada, "cache-c1"),
                Get(Ada, json!({"event": "pusher:cache_miss", "channel": "cache-c1"})),
                client_event(Ada, "cache-c1", "1"),
                error(Ada, None),
                Quiet(Ada),
            ],
        ),
        row(
            "there are none on encrypted channels",
            "private-encrypted-c1",
            vec![client_event(Ada, "private-encrypted-c1", "1"), error(Ada, None), Quiet(Bob)],
        ),
        Row(
            "who sends one has subscribed",
            vec![client_event(Ada, "private-c2", "1"), error(Ada, None), Quiet(Ada)],
        ),
        row(
            "a rule of the map turns them off",
            "private-quiet",
            vec![client_event(Ada, "private-quiet", "1"), error(Ada, None), Quiet(Bob)],
        ),
        row(
            "their data is limited",
            "private-c3",
            vec![
                Send(
                    Ada,
                    Box::new(|_, _| {
                        let data = "x".repeat(2000);
                        json!({"event": "client-typed", "channel": "private-c3", "data": data}).to_string()
                    }),
                ),
                error(Ada, None),
                Quiet(Bob),
            ],
        ),
        Row(
            "too many in a second are an error, and the connection stays",
            (0..60)
                .map(|_| client_event(Ada, "private-c4", "1"))
                .chain([
                    Until(Ada, json!({"event": "pusher:error", "data": {"code": 4301, "message": "*"}})),
                    text(Ada, r#"{"event":"pusher:ping"}"#),
                    Until(Ada, json!({"event": "pusher:pong", "data": {}})),
                ])
                .collect(),
        ),
    ]
}

fn users() -> Vec<Row> {
    let kim = json!({"id": "kim", "user_info": {"name": "Kim"}});
    let lee = json!({"id": "lee", "watchlist": ["max", "none"]});
    let max = json!({"id": "max"});
    let zoe = json!({"id": "zoe"});
    vec![
        Row("a user signs in", vec![sign_in(Ada, &kim), signed_in(Ada, &kim), Quiet(Ada)]),
        Row(
            "a sign-in needs a signature",
            vec![
                text(
                    Ada,
                    r#"{"event":"pusher:signin","data":{"auth":"x:y","user_data":"{\"id\":\"kim\"}"}}"#,
                ),
                error(Ada, Some(4009)),
                Closed(Ada, 4009),
            ],
        ),
        Row(
            "a user has an id",
            vec![sign_in(Ada, &json!({"name": "kim"})), error(Ada, Some(4009)), Closed(Ada, 4009)],
        ),
        Row(
            "the events of a user are for the user alone",
            vec![plain(Ada, "#server-to-user-kim"), not_allowed(Ada, "#server-to-user-kim"), Quiet(Ada)],
        ),
        Row(
            "a user gets the events that are sent to it",
            vec![
                sign_in(Ada, &kim),
                signed_in(Ada, &kim),
                plain(Ada, "#server-to-user-kim"),
                stands(Ada, "#server-to-user-kim"),
                publish("#server-to-user-kim", "1"),
                placed(Ada, "#server-to-user-kim", "1"),
                Quiet(Bob),
            ],
        ),
        Row(
            "a watchlist tells who comes and goes",
            vec![
                sign_in(Ada, &lee),
                signed_in(Ada, &lee),
                Quiet(Ada),
                sign_in(Bob, &max),
                signed_in(Bob, &max),
                watchlist(Ada, "online", &["max"]),
                text(Bob, r#"{"event":"pusher:signin","data":{"auth":"x:y","user_data":"{}"}}"#),
                error(Bob, None),
                Quiet(Bob),
            ],
        ),
        Row(
            "a watchlist tells who is there",
            vec![
                sign_in(Bob, &zoe),
                signed_in(Bob, &zoe),
                sign_in(Ada, &json!({"id": "ann", "watchlist": ["zoe"]})),
                signed_in(Ada, &json!({"id": "ann", "watchlist": ["zoe"]})),
                watchlist(Ada, "online", &["zoe"]),
                Post("users/zoe/terminate_connections", Box::new(|_, _| "{}".to_owned())),
                error(Bob, Some(4009)),
                Closed(Bob, 4009),
                watchlist(Ada, "offline", &["zoe"]),
            ],
        ),
        Row(
            "a watchlist has at most 100 users",
            vec![
                sign_in(Ada, &many_watched()),
                signed_in(Ada, &many_watched()),
                error(Ada, Some(4302)),
                Quiet(Ada),
            ],
        ),
    ]
}

fn many_watched() -> Value {
    let users: Vec<String> = (0..101).map(|n| format!("user-{n}")).collect();
    json!({"id": "ida", "watchlist": users})
}
