//! Apps: unique keys, one map for each app id, the end of an app's token, and how a map is prepared for its
//! first app.

use super::subjects::publish_to;
use super::*;
use crate::core::app::{
    App, AppPatch, DeleteApp, MAX_APPS, OriginPattern, Prepared, PutApp, TerminateUser, UpdateApp,
};
use crate::core::channel_rules::Durability;
use crate::core::command::RetentionPatch;
use crate::core::webhook::Origin;

fn app(token: u8, map: u8, id: &str, key: &str) -> App {
    App {
        token: token_id(token),
        map: map_id(map),
        id: id.into(),
        key: key.into(),
        client_events: false,
        origins: Vec::new(),
        max_connections: None,
        origin: Origin::Api,
        encrypted: vec![token],
        inserted_ms: 0,
    }
}

fn put_app(app: App) -> Command {
    Command::PutApp(Box::new(PutApp {
        by: None,
        app,
        usual_connections: Some(10),
        connections: 1000,
        has_subjects: false,
    }))
}

fn delete_app(map: u8, token: u8, from: Origin) -> Command {
    Command::DeleteApp(DeleteApp { map: map_id(map), by: None, token: token_id(token), from })
}

fn update_app(map: u8, token: u8, patch: AppPatch) -> Command {
    Command::UpdateApp(UpdateApp { map: map_id(map), by: None, token: token_id(token), patch })
}

fn stored(reply: Reply) -> (App, Prepared) {
    match reply {
        Reply::App(app, prepared) => (*app, prepared),
        other => panic!("{other:?}"),
    }
}

fn two_maps() -> Node {
    let mut node = Node::new();
    node.entry(10, &[create(1, None, NO_LIMITS, KEEP_ALL), create(2, None, NO_LIMITS, KEEP_ALL)]);
    node
}

#[test]
fn keys_are_unique_and_an_app_id_is_of_one_map() {
    let mut node = two_maps();
    let (one, _) = stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    assert_eq!(one.inserted_ms, 20);
    stored(node.one(30, put_app(app(101, 1, "7", "b"))));
    let refused = |node: &mut Node, app| node.one(40, put_app(app));
    for (app, why) in [
        (app(102, 2, "7", "c"), Refusal::AppIdTaken),
        (app(102, 2, "8", "a"), Refusal::AppKeyTaken),
        (app(102, 1, "7", "a"), Refusal::AppKeyTaken),
        (app(100, 1, "7", "a"), Refusal::IdTaken),
        (app(1, 1, "7", "d"), Refusal::IdTaken),
        (app(102, 3, "9", "d"), Refusal::UnknownMap),
    ] {
        assert_eq!(refused(&mut node, app), Reply::Refused(why));
    }
    // A map's token does not learn which ids other maps have.
    let Command::PutApp(put) = put_app(app(102, 2, "7", "c")) else { panic!("no app") };
    let put = Command::PutApp(Box::new(PutApp { by: Some(token_id(2)), ..*put }));
    assert_eq!(node.one(40, put), Reply::Refused(Refusal::Forbidden));
    // A deleted app frees its key, and the last one with an app id frees the id.
    for token in [100, 101] {
        assert_eq!(node.one(50, delete_app(1, token, Origin::Api)), Reply::Done);
    }
    stored(node.one(60, put_app(app(102, 2, "7", "a"))));
}

#[test]
fn a_map_has_a_bounded_number_of_apps() {
    let mut node = two_maps();
    for n in 0..MAX_APPS as u8 {
        stored(node.one(20, put_app(app(100 + n, 1, "7", &format!("k{n}")))));
    }
    let full = Reply::Refused(Refusal::Limit(Counted::Apps, MAX_APPS as u32));
    assert_eq!(node.one(30, put_app(app(200, 1, "7", "more"))), full);
    stored(node.one(30, put_app(app(200, 2, "8", "more"))));
}

#[test]
fn an_app_s_token_publishes_until_the_app_is_deleted_and_manages_nothing() {
    let mut node = two_maps();
    stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    let by = Some(token_id(100));
    published(node.one(30, publish(1, by, &["a"], None)));
    let forbidden = Reply::Refused(Refusal::Forbidden);
    assert_eq!(node.one(30, publish(2, by, &["a"], None)), forbidden, "another map");
    let revoke = |by, token| Command::RevokeToken(RevokeToken { map: map_id(1), by, token: token_id(token) });
    assert_eq!(node.one(30, revoke(by, 1)), forbidden);
    assert_eq!(node.one(30, revoke(None, 100)), Reply::Refused(Refusal::UnknownToken));
    assert_eq!(node.one(30, delete_app(2, 100, Origin::Api)), Reply::Refused(Refusal::UnknownApp));
    let replies = node.entry(40, &[delete_app(1, 100, Origin::Api), publish(1, by, &["a"], None)]);
    assert_eq!(replies, [Reply::Done, forbidden]);
    assert_eq!(node.one(50, delete_app(1, 100, Origin::Api)), Reply::Refused(Refusal::UnknownApp));
}

#[test]
fn apps_survive_a_restart_and_go_with_their_map() {
    let mut node = two_maps();
    stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    stored(node.one(20, put_app(app(101, 2, "8", "b"))));
    node.state = State::load(&node.store).unwrap();
    published(node.one(30, publish(1, Some(token_id(100)), &["a"], None)));
    assert_eq!(node.state.access().apps().with_key("a").map(|app| app.inserted_ms), Some(20));
    node.one(40, Command::DeleteMap(map_id(1)));
    let left = node.store.0.keys().filter(|key| key[0] == keys::APPS).count();
    assert_eq!((left, node.state.access().apps().len()), (1, 1));
}

#[test]
fn only_the_files_change_an_app_of_the_files() {
    let mut node = two_maps();
    let of_file = || App { origin: Origin::Config, ..app(100, 1, "7", "a") };
    stored(node.one(20, put_app(of_file())));
    let changed = App { client_events: true, id: "9".into(), ..of_file() };
    let (changed, _) = stored(node.one(30, put_app(changed)));
    assert_eq!((&*changed.id, changed.client_events, changed.inserted_ms), ("9", true, 20));
    assert_eq!(node.state.access().apps().with_id("7").count(), 0);
    assert_eq!(node.one(40, put_app(app(100, 1, "7", "a"))), Reply::Refused(Refusal::IdTaken));
    assert_eq!(node.one(40, delete_app(1, 100, Origin::Api)), Reply::Refused(Refusal::ConfiguredApp));
    assert_eq!(node.one(50, delete_app(1, 100, Origin::Config)), Reply::Done);
}

#[test]
fn a_change_of_an_app_changes_what_it_names_and_nothing_else() {
    let mut node = two_maps();
    let (made, _) = stored(node.one(20, put_app(App { max_connections: Some(7), ..app(100, 1, "7", "a") })));
    let origins = vec![OriginPattern::new("https://good.example").unwrap()];
    let first = AppPatch { client_events: Some(true), ..AppPatch::default() };
    let second = AppPatch { origins: Some(origins.clone()), ..AppPatch::default() };
    let third = AppPatch { max_connections: Some(None), ..AppPatch::default() };
    for patch in [first, second, third] {
        assert_eq!(stored(node.one(30, update_app(1, 100, patch))).1, Prepared::default());
    }
    let changed = App { client_events: true, origins, max_connections: None, ..made };
    node.state = State::load(&node.store).unwrap();
    assert_eq!(node.state.access().apps().with_key("a").map(|app| App::clone(app)), Some(changed.clone()));
    let same = stored(node.one(40, update_app(1, 100, AppPatch::default()))).0;
    assert_eq!(same, changed);
    published(node.one(50, publish(1, Some(token_id(100)), &["a"], None)));
}

#[test]
fn who_may_not_manage_the_map_or_names_another_app_changes_none() {
    let mut node = two_maps();
    stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    stored(node.one(20, put_app(App { origin: Origin::Config, ..app(101, 1, "7", "b") })));
    let patch = || AppPatch { client_events: Some(true), ..AppPatch::default() };
    let by_the_app =
        UpdateApp { map: map_id(1), by: Some(token_id(100)), token: token_id(100), patch: patch() };
    for (command, why) in [
        (update_app(2, 100, patch()), Refusal::UnknownApp),
        (update_app(1, 102, patch()), Refusal::UnknownApp),
        (update_app(3, 100, patch()), Refusal::UnknownMap),
        (update_app(1, 101, patch()), Refusal::ConfiguredApp),
        (Command::UpdateApp(by_the_app), Refusal::Forbidden),
    ] {
        assert_eq!(node.one(30, command), Reply::Refused(why));
    }
    assert!(node.state.access().apps().all().all(|app| !app.client_events));
    stored(node.one(40, update_app(1, 100, patch())));
}

#[test]
fn the_first_app_prepares_its_map() {
    let mut node = Node::new();
    let usual = Limits { connections: Some(10), joins_per_minute: Some(60), ..NO_LIMITS };
    let own = Limits { connections: Some(11), joins_per_minute: Some(60), ..NO_LIMITS };
    node.entry(10, &[create(1, None, usual, KEEP_ALL), create(2, None, own.clone(), KEEP_ALL)]);
    let map = |node: &Node, n| node.state.access().map(map_id(n)).unwrap().clone();
    let (_, prepared) = stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    assert_eq!(prepared, Prepared { rule: true, connections: Some(1000) });
    let one = map(&node, 1);
    let limits = (one.limits.connections, one.limits.joins_per_minute);
    assert_eq!((limits, one.updated_ms), ((Some(1000), Some(60)), 20));
    assert_eq!(one.rules.durability_of("orders"), Durability::Ephemeral);
    let by = Some(token_id(100));
    assert_eq!(node.one(25, publish_to(by, &["orders"])), Reply::Refused(Refusal::Ephemeral));
    published(node.one(25, publish_to(by, &[""])));
    // Later apps change nothing of the map, whatever it is by then.
    let rules = crate::core::command::SetChannelRules { map: map_id(1), by: None, rules: Default::default() };
    node.one(30, Command::SetChannelRules(rules));
    assert_eq!(stored(node.one(40, put_app(app(101, 1, "7", "b")))).1, Prepared::default());
    assert!(map(&node, 1).rules.all().is_empty());
    // A map with subjects keeps its rules, and one with limits of its own keeps those.
    let Command::PutApp(put) = put_app(app(102, 2, "8", "c")) else { panic!("no app") };
    let put = Command::PutApp(Box::new(PutApp { has_subjects: true, ..*put }));
    assert_eq!(stored(node.one(50, put)).1, Prepared::default());
    assert_eq!(map(&node, 2).limits, own);
    assert!(map(&node, 2).rules.all().is_empty());
}

#[test]
fn a_limit_that_somebody_has_set_stays_with_the_first_app() {
    let mut node = Node::new();
    let usual = Limits { connections: Some(10), ..NO_LIMITS };
    node.entry(10, &[create(1, None, usual.clone(), KEEP_ALL), create(2, None, usual.clone(), KEEP_ALL)]);
    let set = |map| {
        let limits = LimitsPatch { connections: Some(Some(10)), ..LimitsPatch::default() };
        let retention = RetentionPatch::default();
        Command::UpdateMap(UpdateMap {
            map: map_id(map),
            by: None,
            slug: None,
            name: None,
            limits,
            retention,
        })
    };
    let limit = |node: &Node, map| node.state.access().map(map_id(map)).unwrap().limits.connections;
    node.one(20, set(1));
    node.state = State::load(&node.store).unwrap();
    assert_eq!(stored(node.one(30, put_app(app(100, 1, "7", "a")))).1.connections, None);
    assert_eq!(limit(&node, 1), Some(10), "it was set, to what new maps get");
    // Nor does a later first app raise what was set after the first one.
    stored(node.one(30, put_app(app(101, 2, "8", "b"))));
    assert_eq!(limit(&node, 2), Some(1000));
    node.one(40, set(2));
    node.one(50, delete_app(2, 101, Origin::Api));
    stored(node.one(60, put_app(app(102, 2, "9", "c"))));
    assert_eq!(limit(&node, 2), Some(10));
    for map in [1, 2] {
        node.one(70, Command::DeleteMap(map_id(map)));
    }
    assert!(node.store.0.keys().all(|key| key[0] != keys::LIMITED));
}

#[test]
fn the_first_app_never_lowers_or_sets_a_limit() {
    for (usual, with_app, left) in [(None, 1000, None), (Some(10), 10, Some(10)), (Some(10), 5, Some(10))] {
        let mut node = Node::new();
        let limits = Limits { connections: usual, ..NO_LIMITS };
        node.entry(10, &[create(1, None, limits, KEEP_ALL)]);
        let Command::PutApp(put) = put_app(app(100, 1, "7", "a")) else { panic!("no app") };
        let put = PutApp { usual_connections: usual, connections: with_app, ..*put };
        let (_, prepared) = stored(node.one(20, Command::PutApp(Box::new(put))));
        assert_eq!(prepared.connections, None, "{usual:?} {with_app}");
        assert_eq!(node.state.access().map(map_id(1)).unwrap().limits.connections, left);
    }
}

#[test]
fn subjects_with_a_prefix_of_channels_are_ephemeral_unless_a_rule_stores_them() {
    let mut node = two_maps();
    for name in ["private-a", "presence-a", "cache-a", "#server-to-user-7"] {
        assert_eq!(node.one(20, publish_to(None, &[name])), Reply::Refused(Refusal::Ephemeral), "{name}");
    }
    published(node.one(20, publish_to(None, &["not-private-a"])));
}

#[test]
fn an_app_s_token_ends_the_connections_of_users_of_its_own_map() {
    let mut node = two_maps();
    stored(node.one(20, put_app(app(100, 1, "7", "a"))));
    node.state.take_changes();
    let terminate =
        |map, by| Command::TerminateUser(TerminateUser { map: map_id(map), by, user: "ann".into() });
    let by = Some(token_id(100));
    assert_eq!(node.one(30, terminate(1, by)), Reply::Done);
    assert_eq!(node.state.take_changes(), [Change::UserTerminated(map_id(1), "ann".into())]);
    for (map, by, why) in [(2, by, Refusal::Forbidden), (9, None, Refusal::UnknownMap)] {
        assert_eq!(node.one(40, terminate(map, by)), Reply::Refused(why));
    }
    assert_eq!(node.one(50, delete_app(1, 100, Origin::Api)), Reply::Done);
    node.state.take_changes();
    assert_eq!(node.one(60, terminate(1, by)), Reply::Refused(Refusal::Forbidden));
    assert!(node.state.take_changes().is_empty());
}
