use super::*;

fn id(text: &str) -> SessionId {
    SessionId::of_path(text).unwrap()
}

fn data(said: Result<Said, ApiError>) -> String {
    said.unwrap().data
}

fn refused(said: Result<Said, ApiError>) -> String {
    said.unwrap_err().to_string()
}

#[test]
fn a_session_keeps_its_id_or_gets_one() {
    for (body, expected) in [
        ("", r#"{"session":{"id":7,"is_active":true}}"#),
        ("{}", r#"{"session":{"id":7,"is_active":true}}"#),
        (r#"{"session":{"id":3}}"#, r#"{"session":{"id":3,"is_active":true}}"#),
        (r#"{"session":{"notes":"a","id":3}}"#, r#"{"session":{"id":3,"is_active":true,"notes":"a"}}"#),
        (r#"{"session":{"id":"x","is_active":1}}"#, r#"{"session":{"id":"x","is_active":1}}"#),
    ] {
        assert_eq!(data(started(body, id("7"))), expected, "{body}");
    }
    assert_eq!(started(r#"{"session":{"id":3}}"#, id("7")).unwrap().session, id("3"));
    for bad in
        [r#"{"session":3}"#, r#"{"session":{"id":-1}}"#, r#"{"id":3}"#, r#"{"session":null}"#, "[]", "x"]
    {
        assert!(refused(started(bad, id("7"))).starts_with("invalid_body: "), "{bad}");
    }
}

/// The guide's own example.
#[test]
fn the_data_of_a_game_is_as_the_guide_has_it() {
    let guide = r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3","pack_name":"Jackbox Party Pack 7","min_players":3,"max_players":8,"manually_added":false}}"#;
    assert_eq!(data(game_added(guide, &id("3"))), guide);
    let short = r#"{"session":{"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3"}}"#;
    assert_eq!(
        data(game_added(short, &id("3"))),
        r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3"}}"#
    );
}

#[test]
fn a_body_names_no_other_session_than_the_path() {
    let body = r#"{"session":{"id":4},"game":{"id":42,"title":"a"}}"#;
    assert!(refused(game_added(body, &id("3"))).starts_with("other_session: "));
    assert!(refused(ended(r#"{"session":{"id":"4"}}"#, &id("3"))).starts_with("other_session: "));
    // The number and the text are one session; the path's form is shown.
    assert_eq!(
        data(ended(r#"{"session":{"id":"3"}}"#, &id("3"))),
        r#"{"session":{"id":3,"is_active":false}}"#
    );
}

#[test]
fn counts_and_votes() {
    assert_eq!(
        data(players_counted(r#"{"player_count":5}"#, &id("3"), &id("7"))),
        r#"{"session":{"id":3},"session_game_id":7,"player_count":5}"#
    );
    assert_eq!(
        data(players_counted(r#"{"game":{"title":"a"},"player_count":0}"#, &id("3"), &id("7"))),
        r#"{"session":{"id":3},"session_game_id":7,"game":{"title":"a"},"player_count":0}"#
    );
    let vote = r#"{"session":{"id":3},"vote":{"username":"ada","type":"up"},"totals":{"upvotes":1}}"#;
    assert_eq!(data(voted(vote)), vote);
}

#[test]
fn every_fault_of_a_body_is_told_with_its_field() {
    let session = id("3");
    for (told, fields) in [
        (refused(game_added("{}", &session)), &["game: is required"][..]),
        (refused(game_added(r#"{"game":{}}"#, &session)), &["game.id: must be", "game.title: must be"]),
        (refused(game_added(r#"{"game":{"id":1,"title":"a"},"zzz":1}"#, &session)), &["zzz: is not a known"]),
        (refused(ended(r#"{"zzz":1}"#, &session)), &["zzz: is not a known"]),
        (refused(players_counted("{}", &session, &session)), &["player_count: is required"]),
        (refused(players_counted(r#"{"player_count":-1}"#, &session, &session)), &["player_count: must be"]),
        (refused(players_counted(r#"{"player_count":1000001}"#, &session, &session)), &["must be from 0 to"]),
        (refused(voted("{}")), &["session: is required", "session.id: is required", "vote: is required"]),
        (
            refused(voted(r#"{"session":{"id":3},"vote":{"type":"sideways","username":7}}"#)),
            &["vote.type: must be one of up, down", "vote.username: must be a text"],
        ),
    ] {
        for field in fields {
            assert!(told.contains(field), "{told}: no {field}");
        }
    }
}
