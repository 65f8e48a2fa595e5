//! What a node is called.

use serde::{Deserialize, Serialize};

/// Longest name of a node, in bytes.
const LONGEST: usize = 63;

/// What a name of a node must be, as a text for people.
pub(super) const FORM: &str =
    "must be 1 to 63 letters, digits, - _ and ., and not digits alone: a number is a node's id";

/// The node itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The name of the node for people. If absent, it is the host's name.
    pub name: Option<String>,
}

impl Node {
    /// The name of the node. It is always a valid one.
    pub fn name(&self) -> String {
        self.name_on(&gethostname::gethostname().to_string_lossy())
    }

    /// The name of the node on a host of that name. What a node's name may not have is left out.
    fn name_on(&self, host: &str) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let name: String = host.chars().filter(|c| is_allowed(*c)).take(LONGEST).collect();
        match name.as_str() {
            "" => "node".to_owned(),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("node-{digits}").chars().take(LONGEST).collect()
            }
            _ => name,
        }
    }
}

/// Whether a text may be the name of a node. An id and an address never look like a name.
pub(super) fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.chars().all(is_allowed)
        && !text.bytes().all(|b| b.is_ascii_digit())
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "berlin-2", "db1.example.com", "A_1", &"x".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "3", "a b", "a:1", "ä", "a/b", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn without_a_name_a_node_has_that_of_its_host() {
        let unnamed = Node::default();
        for (host, name) in [
            ("db1.example.com", "db1.example.com"),
            ("büro 1", "bro1"),
            ("4711", "node-4711"),
            ("", "node"),
            ("東京", "node"),
        ] {
            assert_eq!(unnamed.name_on(host), name);
        }
        for host in ["1".repeat(80), "h".repeat(80)] {
            assert!(is_name(&unnamed.name_on(&host)), "{host}");
        }
        assert_eq!(Node { name: Some("a".to_owned()) }.name_on("b"), "a");
        assert!(is_name(&unnamed.name()));
    }
}
