//! The console: whether it is served, and how people sign in.

use super::{Config, Secret, fault::Fault};
use crate::core::app;
use crate::core::expression::Expression;
use crate::core::issuer::ClaimPath;
use crate::core::oidc::{MapsClaim, OidcSettings};
use serde::{Deserialize, Serialize};
use url::Url;

/// The scope without which an issuer gives no ID token.
const OPENID: &str = "openid";
/// Where issuers send people back to, below `http.public_url`.
const CALLBACK: &str = "/console/oidc/callback";

/// The console, and the portal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Whether this node serves them.
    pub enabled: bool,
    /// How long a sign-in lasts, in minutes.
    pub session_minutes: u64,
    /// Sign-in by OpenID Connect.
    pub oidc: Oidc,
}

/// Sign-in by OpenID Connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The issuer's URL, as its tokens have it as `iss`. If absent, nobody signs in so.
    pub issuer: Option<String>,
    /// The id of this cluster at the issuer.
    pub client_id: Option<String>,
    /// The secret that goes with it, if the issuer has given one.
    pub client_secret: Option<Secret>,
    /// What the button says.
    pub name: String,
    /// The scopes that the issuer is asked for.
    pub scopes: Vec<String>,
    /// A condition in CEL over `claims`, the claims of the ID token: who meets it is an admin.
    pub admin: Option<String>,
    /// The claim that names maps.
    pub maps_claim: Option<String>,
    /// What the names begin with that count.
    pub maps_prefix: String,
    /// The name of the token of a map as which people act there.
    pub maps_token: String,
}

impl Default for Console {
    fn default() -> Self {
        Self { enabled: true, session_minutes: 480, oidc: Oidc::default() }
    }
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            name: "single sign-on".into(),
            scopes: vec![OPENID.into(), "profile".into(), "email".into()],
            admin: None,
            maps_claim: None,
            maps_prefix: String::new(),
            maps_token: "console".into(),
        }
    }
}

impl Oidc {
    /// The settings, compiled, for a node with that public URL. `None` if there is no issuer, or if something
    /// is missing or wrong, which the checks of the configuration have reported.
    pub fn settings(&self, public_url: Option<&str>) -> Option<OidcSettings> {
        let admin = self.admin.as_deref().map(Expression::of_claims).transpose().ok()?;
        let maps = match &self.maps_claim {
            Some(claim) => Some(MapsClaim {
                claim: ClaimPath::new(claim)?,
                prefix: self.maps_prefix.as_str().into(),
                token: self.maps_token.as_str().into(),
            }),
            None => None,
        };
        Some(OidcSettings {
            issuer: self.issuer.as_deref()?.into(),
            client_id: self.client_id.as_deref()?.into(),
            client_secret: self.client_secret.as_ref().map(|secret| app::Secret::new(secret.expose())),
            name: self.name.as_str().into(),
            scopes: self.scopes.clone(),
            redirect_uri: format!("{}{CALLBACK}", public_url?).into(),
            admin,
            maps,
        })
    }

    /// Whether nothing is set that needs an issuer.
    fn is_unset(&self) -> bool {
        let Self { client_id, client_secret, admin, maps_claim, .. } = self;
        client_id.is_none() && client_secret.is_none() && admin.is_none() && maps_claim.is_none()
    }
}

/// Returns the first of these settings that is invalid.
pub(super) fn check(config: &Config) -> Option<Fault> {
    let fault = |path, allowed: String| Some(Fault { path, allowed });
    let oidc = &config.console.oidc;
    let Some(issuer) = &oidc.issuer else {
        let allowed = "must be set together with the other settings of console.oidc";
        return if oidc.is_unset() { None } else { fault("console.oidc.issuer", allowed.to_owned()) };
    };
    if !is_issuer(issuer) {
        let allowed = "must be http(s)://host[:port][/path], without a user, a query and a fragment";
        return fault("console.oidc.issuer", allowed.to_owned());
    }
    if oidc.client_id.as_deref().is_none_or(str::is_empty) {
        return fault("console.oidc.client_id", "must be set: the issuer gives it".to_owned());
    }
    if config.http.public_url.is_none() {
        let allowed = format!("must be set: the issuer sends people back to it, at {CALLBACK}");
        return fault("http.public_url", allowed);
    }
    if oidc.name.trim().is_empty() || oidc.name.chars().count() > 64 {
        return fault("console.oidc.name", "must have 1 to 64 characters".to_owned());
    }
    let is_scope = |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if !oidc.scopes.iter().all(is_scope) || !oidc.scopes.iter().any(|scope| scope == OPENID) {
        return fault("console.oidc.scopes", format!("must be scopes, with {OPENID} among them"));
    }
    if oidc.admin.is_none() && oidc.maps_claim.is_none() {
        let allowed = "must be set, or console.oidc.maps_claim: they say who may come in";
        return fault("console.oidc.admin", allowed.to_owned());
    }
    if let Some(Err(error)) = oidc.admin.as_deref().map(Expression::of_claims) {
        return fault("console.oidc.admin", format!("must be a condition in CEL over claims ({error})"));
    }
    if oidc.maps_claim.as_deref().is_some_and(|claim| ClaimPath::new(claim).is_none()) {
        return fault(
            "console.oidc.maps_claim",
            "must be the name of a claim, or the path to one".to_owned(),
        );
    }
    if oidc.maps_token.is_empty() {
        return fault("console.oidc.maps_token", "must be the name of a token".to_owned());
    }
    None
}

fn is_issuer(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && url.password().is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn configured() -> Config {
        let mut config = Config::default();
        config.http.public_url = Some("https://events.example.com".into());
        config.console.oidc = Oidc {
            issuer: Some("https://id.example.com/realms/one".into()),
            client_id: Some("waypost".into()),
            admin: Some("claims.email == 'a@example.com'".into()),
            maps_claim: Some("groups".into()),
            ..Oidc::default()
        };
        config
    }

    #[test]
    fn a_whole_configuration_is_compiled() {
        let config = configured();
        assert!(check(&config).is_none() && check(&Config::default()).is_none());
        let settings = config.console.oidc.settings(config.http.public_url.as_deref()).unwrap();
        assert_eq!(&*settings.redirect_uri, "https://events.example.com/console/oidc/callback");
        assert!(Oidc::default().settings(Some("https://events.example.com")).is_none());
    }

    #[test]
    fn each_fault_is_told_with_its_setting() {
        type Change = fn(&mut Config);
        let table: [(Change, &str); 11] = [
            (|c| c.console.oidc.issuer = None, "console.oidc.issuer"),
            (|c| c.console.oidc.issuer = Some("id.example.com".into()), "console.oidc.issuer"),
            (|c| c.console.oidc.issuer = Some("https://id.example.com?x".into()), "console.oidc.issuer"),
            (|c| c.console.oidc.client_id = None, "console.oidc.client_id"),
            (|c| c.http.public_url = None, "http.public_url"),
            (|c| c.console.oidc.name = " ".into(), "console.oidc.name"),
            (|c| c.console.oidc.scopes = vec!["email".into()], "console.oidc.scopes"),
            (|c| c.console.oidc.admin = Some("claims.email ==".into()), "console.oidc.admin"),
            (|c| c.console.oidc.admin = Some("payload.x == 1".into()), "console.oidc.admin"),
            (|c| c.console.oidc.maps_claim = Some(String::new()), "console.oidc.maps_claim"),
            (|c| c.console.oidc.maps_token = String::new(), "console.oidc.maps_token"),
        ];
        for (change, path) in table {
            let mut config = configured();
            change(&mut config);
            assert_eq!(check(&config).map(|fault| fault.path), Some(path));
        }
        let mut nobody = configured();
        (nobody.console.oidc.admin, nobody.console.oidc.maps_claim) = (None, None);
        assert_eq!(check(&nobody).map(|fault| fault.path), Some("console.oidc.admin"));
    }
}
