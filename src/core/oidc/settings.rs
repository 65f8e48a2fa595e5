//! With which issuer people sign in, and what lets them in.

use crate::core::app::Secret;
use crate::core::expression::Expression;
use crate::core::issuer::ClaimPath;
use sha2::{Digest, Sha256};

/// The issuer, and the conditions of a sign-in. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer's URL, as its tokens have it as `iss`.
    pub issuer: Box<str>,
    /// The id of this cluster at the issuer.
    pub client_id: Box<str>,
    /// The secret that goes with the id, if there is one.
    pub client_secret: Option<Secret>,
    /// What the button says.
    pub name: Box<str>,
    /// The scopes that the issuer is asked for.
    pub scopes: Vec<String>,
    /// Where the issuer sends people back to.
    pub redirect_uri: Box<str>,
    /// Who is an admin; `None`: nobody.
    pub admin: Option<Expression>,
    /// How a claim names maps; `None`: it names none.
    pub maps: Option<MapsClaim>,
}

/// How a claim says which maps a person may use.
#[derive(Clone, Debug)]
pub struct MapsClaim {
    /// The claim: a list of texts, or a text with spaces between them.
    pub claim: ClaimPath,
    /// What the texts begin with that count. The rest is a map's id or slug, and perhaps `:` and a scope.
    pub prefix: Box<str>,
    /// The name of the token of a map as which people act.
    pub token: Box<str>,
}

impl OidcSettings {
    /// A mark of what decides about a person. Sessions of people have it, and end when it changes.
    pub fn tag(&self) -> [u8; 16] {
        let maps = self.maps.as_ref();
        let parts: [&str; 6] = [
            &self.issuer,
            &self.client_id,
            self.admin.as_ref().map_or("", |admin| &**admin.text()),
            maps.map_or("", |maps| maps.claim.as_str()),
            maps.map_or("", |maps| &*maps.prefix),
            maps.map_or("", |maps| &*maps.token),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            // Each part is hashed after its length, so that no two lists of parts give the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let whole: [u8; 32] = hash.finalize().into();
        let mut tag = [0; 16];
        tag.copy_from_slice(&whole[..16]);
        tag
    }
}
