//! Settings as callers write them.

use super::*;

fn made(_: Authentication) -> String {
    "made-by-the-server".to_owned()
}

fn applied(text: &str) -> (Settings, SourceSecrets, Vec<String>) {
    let (mut settings, mut secrets) = (Settings::new(), SourceSecrets::new(""));
    let errors = SourcePatch::read(text).apply(&mut settings, &mut secrets, made);
    (settings, secrets, errors.messages())
}

#[test]
fn the_names_of_the_seed_are_read() {
    let (settings, secrets, errors) = applied(
        r#"{"name":"Game Server Events","authentication":"hmac","secretKey":"your-secret-key","hmacAlgorithm":"sha256"}"#,
    );
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!((&*settings.name, settings.authentication), ("Game Server Events", Authentication::Hmac));
    assert_eq!(secrets, SourceSecrets::new("your-secret-key"));
    let (settings, secrets, errors) = applied(r#"{"authentication":"api_key","apiKey":"your-api-key"}"#);
    assert_eq!((settings.authentication, errors), (Authentication::ApiKey, Vec::new()));
    assert_eq!(secrets.current, "your-api-key");
}

#[test]
fn a_secret_is_made_where_the_sender_takes_one() {
    assert_eq!(applied(r#"{"authentication":"github"}"#).1.current, "made-by-the-server");
    assert_eq!(applied(r#"{"authentication":"none"}"#).1.current, "");
    let errors = applied(r#"{"authentication":"stripe"}"#).2;
    assert_eq!(errors, ["secretKey: is required"]);
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let (mut settings, mut secrets, _) =
        applied(r#"{"name":"a","authentication":"hmac","secretKey":"first-secret"}"#);
    let errors = SourcePatch::read(r#"{"active":false,"limits":{"requestsPerMinute":7}}"#).apply(
        &mut settings,
        &mut secrets,
        made,
    );
    assert!(errors.is_empty(), "{errors}");
    assert_eq!((&*settings.name, settings.active, &*secrets.current), ("a", false, "first-secret"));
    let expected = SourceLimits { per_minute: Some(7), ..SourceLimits::default() };
    assert_eq!(settings.limits, expected);
    // Another authentication has another secret.
    let errors =
        SourcePatch::read(r#"{"authentication":"api_key"}"#).apply(&mut settings, &mut secrets, made);
    assert!(errors.is_empty() && secrets.current == "made-by-the-server", "{errors}");
}

#[test]
fn all_faults_are_reported_with_their_fields() {
    for (text, field) in [
        (r#"{"authentication":"basic"}"#, "authentication: "),
        (r#"{"secretKey":"short"}"#, "secretKey: "),
        (r#"{"secretKey":"long-enough","apiKey":"long-enough"}"#, "given twice"),
        (r#"{"hmacAlgorithm":"md5"}"#, "hmacAlgorithm: "),
        (r#"{"authentication":"none","secretKey":"long-enough"}"#, "secretKey: "),
        (r#"{"mapping":{"subject":"a"}}"#, "mapping.type: is required"),
        (r#"{"mapping":{"type":"${nothing}"}}"#, "mapping.type: "),
        (r#"{"mapping":{"type":"a","kind":"b"}}"#, "mapping.kind: "),
        (r#"{"schema":{"type":"nothing"}}"#, "schema: "),
        (r#"{"limits":{"requestsPerMinute":0}}"#, "limits.requestsPerMinute: "),
        (r#"{"dedupeHeader":"a b"}"#, "dedupeHeader: "),
        (r#"{"nam":"a"}"#, "did you mean name?"),
        (r#"{"jwt":{}}"#, "jwt: "),
        (r#"{"authentication":"jwt"}"#, "jwt.algorithm: is required"),
    ] {
        let errors = applied(text).2;
        assert!(errors.len() == 1 && errors[0].contains(field), "{text}: {errors:?}");
    }
}
