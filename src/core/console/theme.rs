//! How the pages of a portal link look.

use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// A colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour([u8; 3]);

/// The colours of the pages; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theme {
    accent: Option<Colour>,
    background: Option<Colour>,
    text: Option<Colour>,
    dark: Option<bool>,
}

impl Colour {
    /// Returns `None` unless the text is `#` and six hexadecimal digits.
    pub fn new(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let mut parts = [0; 3];
        hex::decode_to_slice(digits, &mut parts).ok()?;
        Some(Self(parts))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.0))
    }
}

impl Theme {
    /// Reads the members of a theme.
    pub fn read(m: &mut Members<'_>) -> Self {
        Self {
            accent: colour(m, "accent"),
            background: colour(m, "background"),
            text: colour(m, "text"),
            dark: m.nullable("dark", "true or false").flatten(),
        }
    }

    /// The theme as it is shown.
    pub fn shown(&self) -> Value {
        let text = |colour: Option<Colour>| colour.map(|colour| colour.to_string());
        json!({
            "accent": text(self.accent),
            "background": text(self.background),
            "text": text(self.text),
            "dark": self.dark,
        })
    }
}

fn colour(m: &mut Members<'_>, name: &str) -> Option<Colour> {
    const EXPECTED: &str = "a colour such as #336699";
    let text: String = m.nullable(name, EXPECTED).flatten()?;
    let colour = Colour::new(&text);
    if colour.is_none() {
        m.fault(name, FieldCode::Invalid, format_args!("must be {EXPECTED}"));
    }
    colour
}
