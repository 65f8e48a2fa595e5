//! The token of a command, and where it is from.

use std::{env, fmt};

/// The variable with the token of a map, or with any other token.
const TOKEN: &str = "WAYPOST_TOKEN";
/// The variable with the admin token.
const ADMIN_TOKEN: &str = "WAYPOST_ADMIN_TOKEN";

/// Whose token a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// That of a map is enough.
    Map,
    /// The admin's, for all or some of what the command does.
    Admin,
}

/// Where a token is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `--token`.
    Flag,
    /// `WAYPOST_TOKEN`.
    Variable,
    /// `WAYPOST_ADMIN_TOKEN`.
    AdminVariable,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "--token",
            Self::Variable => TOKEN,
            Self::AdminVariable => ADMIN_TOKEN,
        })
    }
}

/// A token that was given. It is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Its text.
    pub(super) text: String,
    /// Where it is from.
    pub(super) source: Source,
    /// Whether `WAYPOST_ADMIN_TOKEN` was set too, and was passed over.
    pub(super) hides_admin: bool,
}

impl Token {
    /// The token of a command. `--token` comes first, whatever it is. Then comes `WAYPOST_TOKEN`, and at last
    /// `WAYPOST_ADMIN_TOKEN`; a command that needs the admin token looks at these two in the other order. An
    /// empty variable counts as one that is not set.
    pub(super) fn choose(flag: Option<String>, needs: Needs) -> Option<Self> {
        Self::among(flag, needs, |name| env::var(name).ok())
    }

    fn among(flag: Option<String>, needs: Needs, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        // A token that was read from a file may end with a line break.
        let given =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let admin = given(variable(ADMIN_TOKEN));
        let hides_admin = admin.is_some();
        if flag.is_some() {
            return given(flag).map(|text| Self { text, source: Source::Flag, hides_admin });
        }
        let own = given(variable(TOKEN)).map(|text| Self { text, source: Source::Variable, hides_admin });
        let admin = admin.map(|text| Self { text, source: Source::AdminVariable, hides_admin: false });
        match needs {
            Needs::Map => own.or(admin),
            Needs::Admin => admin.or(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token that is chosen, its source, and whether it hides the admin's.
    fn chosen(flag: Option<&str>, needs: Needs, [own, admin]: [&str; 2]) -> Option<(String, Source, bool)> {
        let variable = |name: &str| Some(if name == TOKEN { own } else { admin }.to_owned());
        let token = Token::among(flag.map(str::to_owned), needs, variable)?;
        Some((token.text, token.source, token.hides_admin))
    }

    #[test]
    fn a_command_of_the_admin_takes_the_admins_token_first() {
        let both = ["m", "a\n"];
        assert_eq!(chosen(None, Needs::Map, both), Some(("m".into(), Source::Variable, true)));
        assert_eq!(chosen(None, Needs::Admin, both), Some(("a".into(), Source::AdminVariable, false)));
        assert_eq!(chosen(Some("f"), Needs::Admin, both), Some(("f".into(), Source::Flag, true)));
        assert_eq!(chosen(None, Needs::Admin, ["m", ""]), Some(("m".into(), Source::Variable, false)));
        assert_eq!(chosen(None, Needs::Map, [" ", "a"]), Some(("a".into(), Source::AdminVariable, false)));
        assert_eq!(chosen(None, Needs::Map, ["", ""]), None);
        assert_eq!(chosen(Some(""), Needs::Map, both), None, "nobody meant another one");
        assert_eq!(Token::among(None, Needs::Admin, |_| None), None);
    }
}
