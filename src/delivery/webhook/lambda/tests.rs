#![allow(clippy::unwrap_used, clippy::panic)]
//! Tests of Lambda targets. botocore made the expected signatures: `python tests/py/lambda_standin.py --sign
//! …`.

use super::*;
use crate::delivery::webhook::client::Rest;

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:kills";
const AT: u64 = 1_750_509_296_789; // 20250621T123456Z
const BODY: &str = r#"{"type":"kill","ünïcode":1e9}"#;

fn function(name: &str, region: &str) -> Lambda {
    let function_name = name.to_owned();
    let region = region.to_owned();
    Lambda { function_name, region, invocation: Invocation::Event, qualifier: None }
}

/// An account that may invoke any function.
fn anything(endpoint: Option<&str>) -> Account {
    let endpoint = endpoint.map(str::to_owned);
    Account { functions: vec!["*".to_owned()], endpoint, ..Account::default() }
}

fn authorization(function: &Lambda, token: Option<&str>) -> String {
    let target = target(function, &anything(None), &Guard::default()).unwrap();
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        session_token: token.map(str::to_owned),
    };
    let call = invoke(function, &target, &credentials, BODY.into(), Duration::from_secs(5), AT).unwrap();
    let header = |name: &str| call.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    assert_eq!(header("x-amz-date").unwrap(), "20250621T123456Z");
    assert_eq!(header("x-amz-invocation-type").unwrap(), "Event");
    assert_eq!(header("x-amz-security-token").map(HeaderValue::as_bytes), token.map(str::as_bytes));
    header("authorization").unwrap().to_str().unwrap().to_owned()
}

#[test]
fn botocore_makes_the_same_signatures() {
    let plain = function("kills", "us-east-1");
    let full = Lambda { qualifier: Some("$LATEST".to_owned()), ..function(ARN, "eu-west-1") };
    let token = Some("FwoGZXIvYXdzE//token==");
    let table = [
        (&plain, None, "15162ed2c1a8bc2ff870bbaa6c5f7febfaaac010d58dd66c4241754332d63132"),
        (&plain, token, "ccd0ce425d024cd7a79187e58c1d9b7927f05eb63600a914d562d2cf6688a4cc"),
        (&full, None, "4eeb91ef83cd1dc2b9040d8710d18ec3ad3cc5f38986dfb911ce414940c2833a"),
        (&full, token, "61f8ab5b6985de53adab3092c7f24b8fefca1990a60f05c1de170b82571c98d0"),
    ];
    for (function, token, signature) in table {
        let made = authorization(function, token);
        assert!(
            made.ends_with(&format!("Signature={signature}")),
            "{} {token:?}: {made}",
            function.function_name
        );
        let names = if token.is_some() { ";x-amz-security-token" } else { "" };
        let signed = format!("SignedHeaders=content-type;host;x-amz-date;x-amz-invocation-type{names}, ");
        assert!(made.contains(&signed), "{made}");
    }
}

#[test]
fn each_function_has_its_url() {
    let at = |function: &Lambda, account: &Account| {
        target(function, account, &Guard::default()).map(|target| target.as_str().to_owned())
    };
    let url = |function: &Lambda| at(function, &anything(None));
    let mut f = function("kills", "us-east-1");
    let path = "/2015-03-31/functions/kills/invocations";
    assert_eq!(url(&f).unwrap(), format!("https://lambda.us-east-1.amazonaws.com{path}"));
    f.qualifier = Some("prod".to_owned());
    assert_eq!(url(&f).unwrap(), format!("https://lambda.us-east-1.amazonaws.com{path}?Qualifier=prod"));
    assert!(
        url(&function("kills", "cn-north-1"))
            .unwrap()
            .starts_with("https://lambda.cn-north-1.amazonaws.com.cn/")
    );
    let elsewhere = anything(Some("https://lambda.example.com/base/"));
    assert_eq!(at(&f, &elsewhere).unwrap(), format!("https://lambda.example.com/base{path}?Qualifier=prod"));
}

#[test]
fn valid_names_and_arns_are_accepted() {
    let at = |name: &str, region: &str| target(&function(name, region), &anything(None), &Guard::default());
    let check = |name: &str| at(name, "eu-west-1").is_ok();
    for good in
        ["f", "my-func_1", "f:7", "f:$LATEST", "123456789012:function:f", "123456789012:function:f:prod", ARN]
    {
        assert!(check(good), "{good}");
    }
    assert!(check(&format!("{ARN}:7")) && check(&ARN.replace("arn:aws:", "arn:aws-us-gov:")));
    let long = "f".repeat(LONGEST_NAME + 1);
    let bad = [
        "",
        "a b",
        "a/b",
        "../f",
        "f?x",
        "f#",
        "f%2F",
        "f:",
        "12:function:f",
        "arn:aws:lambda:eu-west-1",
        &long,
    ];
    for bad in bad.into_iter().chain([
        "arn:aws:s3:::f",
        "arn:aws:lambda:eu-west-1:123456789012:layer:f",
        "f\r\nx: y",
    ]) {
        assert!(!check(bad), "{bad}");
    }
    assert!(matches!(at(ARN, "us-east-1"), Err(BadFunction::OtherRegion { .. })));
    for region in ["", "us", "us-east-1.evil.example", "us-east-1/", "@10.0.0.1", "US-EAST-1"] {
        assert!(matches!(at("f", region), Err(BadFunction::Region(_))), "{region}");
    }
}

#[test]
fn only_what_is_listed_is_invoked() {
    let may = |patterns: &[&str], name: &str| {
        let functions = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let account = Account { functions, ..Account::default() };
        match target(&function(name, "eu-west-1"), &account, &Guard::default()) {
            Ok(_) => true,
            Err(BadFunction::NotListed(_)) => false,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(!may(&[], "kills") && !may(&[], ARN));
    let listed = ["kills", "waypost-*", "arn:aws:lambda:eu-west-1:123456789012:function:*"];
    for good in ["kills", "waypost-", "waypost-a", "waypost-a:7", ARN] {
        assert!(may(&listed, good), "{good}");
    }
    let foreign = ARN.replace("123456789012", "999999999999");
    for bad in ["kill", "kills2", "kills:7", "my-waypost-a", "123456789012:function:kills", &foreign] {
        assert!(!may(&listed, bad), "{bad}");
    }
}

#[test]
fn the_endpoint_goes_through_the_guard() {
    let at =
        |endpoint: &str, guard: &Guard| target(&function("f", "us-east-1"), &anything(Some(endpoint)), guard);
    for endpoint in
        ["http://127.0.0.1:4566", "http://169.254.169.254", "http://[::1]:1", "http://localhost", "ftp://a.b"]
    {
        assert!(matches!(at(endpoint, &Guard::default()), Err(BadFunction::Target(_))), "{endpoint}");
    }
    assert!(at("http://127.0.0.1:4566", &Guard::new(vec!["127.0.0.0/8".parse().unwrap()])).is_ok());
}

fn answer(status: u16, error: Option<&str>, body: &str) -> Answer {
    let function_error = error.map(str::to_owned);
    let head = Bytes::copy_from_slice(body.as_bytes());
    Answer {
        status,
        retry_after_ms: None,
        ratelimit: None,
        function_error,
        location: None,
        head,
        rest: Rest::None,
        ms: 1,
    }
}

#[test]
fn each_answer_has_its_outcome() {
    for invocation in [Invocation::Event, Invocation::RequestResponse, Invocation::DryRun] {
        let class = |status, error| outcome(invocation, &answer(status, error, ""), AT).0.class;
        assert_eq!([200, 202, 204].map(|status| class(status, None)), [Class::Delivered; 3]);
        assert_eq!(class(200, Some("Unhandled")), Class::Function);
        assert_eq!(class(429, None), Class::Throttled);
        assert_eq!([403, 404, 500].map(|status| class(status, None)), [Class::Status; 3]);
        assert_eq!(class(302, None), Class::Redirect);
    }
}

/// The status that a function returns decides, in any form and at any position.
#[test]
fn the_returned_status_decides() {
    let of = |body: &str| {
        let (outcome, why) = outcome(Invocation::RequestResponse, &answer(200, None, body), AT);
        assert_eq!(why.is_none(), outcome.class == Class::Delivered, "{body}: {why:?}");
        (outcome.class, outcome.status)
    };
    let long = format!(r#"{{"body":"{}","#, "x".repeat(30_000));
    for (body, class, status) in [
        ("", Class::Delivered, 200),
        ("null", Class::Delivered, 200),
        (r#""done""#, Class::Delivered, 200),
        ("[401]", Class::Delivered, 200),
        ("not JSON", Class::Delivered, 200),
        ("{}", Class::Delivered, 200),
        (r#"{"ok":true,"inner":{"statusCode":500}}"#, Class::Delivered, 200),
        (r#"{"statusCode":200}"#, Class::Delivered, 200),
        (r#"{"body":"{\"statusCode\":500}","statusCode":204}"#, Class::Delivered, 204),
        (r#"{"statusCode":"201"}"#, Class::Delivered, 201),
        (r#"{"statusCode":401,"body":"Unauthorized"}"#, Class::Status, 401),
        (r#" {"headers":{"a":"b"},"statusCode": 500 }"#, Class::Status, 500),
        (r#"{"statusCode":"503"}"#, Class::Status, 503),
        (r#"{"statusCode":410}"#, Class::Status, 410),
        (r#"{"statusCode":302}"#, Class::Redirect, 302),
        (r#"{"statusCode":429}"#, Class::Throttled, 429),
        // Perhaps only the beginning was read. The deciding member may be in it, or after it.
        (r#"{"statusCode":401,"body":"cut o"#, Class::Status, 401),
        (r#"{"statusCode":200,"body":"cut o"#, Class::Delivered, 200),
        (&long, Class::Function, 200),
        ("{", Class::Function, 200),
        (r#"{"statusCode":null}"#, Class::Function, 200),
        (r#"{"statusCode":"soon"}"#, Class::Function, 200),
        (r#"{"statusCode":99999}"#, Class::Function, 200),
        (r#"{"statusCode":200.5}"#, Class::Function, 200),
    ] {
        assert_eq!(of(body), (class, Some(status)), "{}", &body[..body.len().min(60)]);
    }
    let failed =
        outcome(Invocation::RequestResponse, &answer(200, Some("Handled"), r#"{"statusCode":200}"#), AT);
    assert_eq!(failed.0.class, Class::Function);
    let queued = outcome(Invocation::Event, &answer(202, None, r#"{"statusCode":401}"#), AT);
    assert_eq!(queued.0.class, Class::Delivered);
}

#[test]
fn a_function_can_ask_for_a_pause() {
    let pause = |body| outcome(Invocation::RequestResponse, &answer(200, None, body), AT).0;
    let busy = pause(r#"{"statusCode":503,"headers":{"retry-After":"7"}}"#);
    assert_eq!((busy.class, busy.pause_ms), (Class::Throttled, Some(7000)));
    assert_eq!(pause(r#"{"headers":{"Retry-After":2},"statusCode":429}"#).pause_ms, Some(2000));
    assert_eq!(pause(r#"{"headers":{"Retry-After":2},"statusCode":500}"#).pause_ms, None);
    assert_eq!(pause(r#"{"headers":["Retry-After"],"statusCode":429}"#).pause_ms, None);
}

#[test]
fn secrets_stay_out_of_debug() {
    let credentials = Credentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "hush".to_owned(),
        session_token: Some("psst".to_owned()),
    };
    let shown = format!("{credentials:?}");
    assert!(shown.contains("AKID") && !shown.contains("hush") && !shown.contains("psst"), "{shown}");
}
