//! Whatever a client presents as a token, and an issuer as keys: nothing panics, and nothing is accepted that nobody
//! has signed.
#![no_main]

use waypost::core::jwt::{Algorithm, KeySource, Unverified, Verifier};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = Unverified::read(input);
    let secret = KeySource::Secret("a secret that no input knows, whatever it is".to_owned());
    if let Ok(verifier) = Verifier::new(Algorithm::Hs256, &secret, None, None) {
        assert!(verifier.verify(input, 1).is_err(), "{input}");
    }
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        for source in [KeySource::Jwks(input.to_owned()), KeySource::Pem(input.to_owned())] {
            if let Ok(verifier) = Verifier::new(algorithm, &source, None, None) {
                let _ = verifier.verify("eyJhbGciOiJFZERTQSJ9.e30.AA", 1);
            }
        }
    }
});
