//! Whatever a query says, it is signed or refused, and only with the secret over the same request is it signed.
#![no_main]

use waypost::core::app::Secret;
use waypost::core::app::signature::request_signature;
use waypost::edge::pusher::api::signature::{SignatureError, Signed, check_body};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (line, body) = text.split_once('\n').unwrap_or((text, ""));
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut params: Vec<(&str, &str)> = pairs.collect();
    // A route takes each name once, in small letters.
    params.sort_by_key(|(name, _)| *name);
    params.dedup_by_key(|(name, _)| *name);
    params.retain(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let secret = Secret::new("7ad3773142a6692b25b8");
    let signature = request_signature(&secret, "POST", path, &params);
    if let Ok(signed) = Signed::of(params.iter().copied()) {
        let _ = signed.check_time(1_353_088_179);
        let is_signed = signed.check(&secret, "POST", &[path]).is_ok();
        let presented = params
            .iter()
            .any(|(name, value)| *name == "auth_signature" && value.to_ascii_lowercase() == signature);
        assert_eq!(is_signed, presented);
    }
    params.retain(|(name, _)| *name != "auth_signature");
    params.push(("auth_signature", &signature));
    match Signed::of(params.iter().copied()) {
        Ok(signed) => {
            assert_eq!(signed.check(&secret, "POST", &["/elsewhere", path]), Ok(()));
            assert!(signed.check(&Secret::new("another"), "POST", &[path]).is_err());
            assert!(signed.check(&secret, "GET", &[path]).is_err());
            if let Some((_, md5)) = params.iter().find(|(name, _)| *name == "body_md5") {
                let _ = check_body(md5, body.as_bytes());
            }
        }
        Err(error) => assert!(!matches!(error, SignatureError::Mismatch { .. })),
    }
});
