//! The claims of a token as an expression uses them: `claims`.

use super::budget::Failure;
use super::evaluate::Scene;
use super::step::Name;
use super::value::Value;

/// The claims of a token. `None` inside if they are not JSON.
pub(super) struct Claims<'c>(Option<Value<'c>>);

impl<'c> Claims<'c> {
    /// Reads the text of a JSON object.
    pub(super) fn read(text: &'c str) -> Self {
        Self(Value::read(text.as_bytes()))
    }
}

impl Scene for Claims<'_> {
    fn value(&self, name: Name) -> Result<Value<'_>, Failure> {
        match name {
            Name::Claims => self.0.clone().ok_or(Failure::Wrong("the claims are not JSON")),
            _ => Err(Failure::Wrong("only claims are known here")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::core::expression::Expression;

    #[test]
    fn a_condition_on_claims_knows_claims_alone() {
        let admin = Expression::of_claims("'admins' in claims.groups").unwrap();
        assert!(admin.admits(r#"{"groups":["users","admins"]}"#));
        for other in [r#"{"groups":["users"]}"#, r#"{"groups":"admins"}"#, "{}", "no JSON", "[]"] {
            assert!(!admin.admits(other), "{other}");
        }
        let verified = "claims.email_verified && claims.email == 'a@example.com'";
        let verified = Expression::of_claims(verified).unwrap();
        assert!(verified.admits(r#"{"email":"a@example.com","email_verified":true}"#));
        assert!(!verified.admits(r#"{"email":"a@example.com","email_verified":"true"}"#));
        for text in ["payload.x == 1", "type == 'x'", "claims", "1", "claims.x +"] {
            assert!(Expression::of_claims(text).is_err(), "{text}");
        }
        assert!(Expression::condition("claims.x == 1").is_err());
    }
}
