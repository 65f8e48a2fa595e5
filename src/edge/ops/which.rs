//! Which member a caller means: by its id, its name or one of its addresses.

use crate::core::error_code::Code;
use crate::core::ids::NodeId;
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use waypost_cluster::{MemberStatus, Status};

/// How a caller names a member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Which {
    /// By its id.
    Id(NodeId),
    /// By its name or an address, or by its id as text.
    Text(String),
}

/// The node that an operation is about, for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) id: NodeId,
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
}

impl Which {
    /// The node that the caller means. An id is not checked: the leader knows all members, and this node may
    /// lack the newest one.
    ///
    /// # Errors
    /// 404 if no member has the name or address, and 409 if several have it.
    pub(super) fn find(&self, status: &Status) -> Result<Meant, ApiError> {
        let text = match self {
            Self::Id(id) => return Ok(Meant::of(status, *id)),
            Self::Text(text) => text.trim(),
        };
        if let Ok(id) = text.parse() {
            return Ok(Meant::of(status, id));
        }
        let has = |member: &&MemberStatus| {
            let http = member.meta.get("http_addr").map(String::as_str);
            [member.name(), Some(&*member.peer_addr), http].contains(&Some(text))
        };
        let found: Vec<&MemberStatus> = status.members.iter().filter(has).collect();
        match found.as_slice() {
            [] => Err(unknown(text)),
            [one] => Ok(Meant::member(one)),
            several => Err(ambiguous(text, several)),
        }
    }
}

impl Meant {
    /// The node with that id.
    pub(super) fn of(status: &Status, id: NodeId) -> Self {
        status.member(id).map_or(Self { id, name: None, address: None }, Self::member)
    }

    fn member(member: &MemberStatus) -> Self {
        let name = member.name().map(str::to_owned);
        Self { id: member.id, name, address: Some(member.peer_addr.clone()) }
    }

    /// The members of an answer that say which node was meant.
    pub(super) fn json(&self) -> Value {
        json!({"node": self.id, "name": self.name, "address": self.address})
    }

    /// Which node it is, for people: `node 3 is berlin-2 at 10.0.0.3:4001`. `None` if only the id is known.
    pub(super) fn told(&self) -> Option<String> {
        let address = self.address.as_ref()?;
        let name = self.name.as_ref().map_or_else(String::new, |name| format!("{name} "));
        Some(format!("node {} is {name}at {address}", self.id))
    }
}

/// The start of a text that a caller sent, for an error.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

fn unknown(text: &str) -> ApiError {
    let message = format!("no member of this cluster has the name or address {:?}", shown(text));
    ApiError::new(StatusCode::NOT_FOUND, Code::UnknownNode, message)
        .hint("`waypost cluster status` lists the ids, names and addresses")
}

fn ambiguous(text: &str, several: &[&MemberStatus]) -> ApiError {
    let candidates: Vec<String> =
        several.iter().map(|member| format!("{} at {}", member.id, member.peer_addr)).collect();
    let message =
        format!("{:?} is the name or address of several nodes: {}", shown(text), candidates.join(", "));
    let listed: Vec<Value> = several
        .iter()
        .map(|member| json!({"id": member.id, "name": member.name(), "address": member.peer_addr}))
        .collect();
    ApiError::new(StatusCode::CONFLICT, Code::AmbiguousNode, message)
        .hint(
            "nothing was changed; give the node's id; set node.name so that each node has a name of its own",
        )
        .with("candidates", listed.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use waypost_cluster::NAME;

    fn member(id: u64, name: &str) -> MemberStatus {
        let facts = [(NAME, name.to_owned()), ("http_addr", format!("10.0.0.{id}:4000"))];
        MemberStatus {
            id,
            peer_addr: format!("10.0.0.{id}:4001"),
            meta: facts.into_iter().map(|(fact, value)| (fact.to_owned(), value)).collect::<BTreeMap<_, _>>(),
            ..MemberStatus::default()
        }
    }

    fn status() -> Status {
        let members = vec![member(1, "a"), member(2, "b"), member(3, "b")];
        Status { members, ..Status::default() }
    }

    fn found(which: &str) -> Result<u64, String> {
        let which: Which = serde_json::from_str(which).unwrap();
        let found = which.find(&status()).map(|meant| meant.id);
        found.map_err(|error| format!("{} {}", error.body()["error"], error.body()["message"]))
    }

    #[test]
    fn a_node_is_found_by_id_name_and_address() {
        for (which, id) in [
            ("2", 2),
            ("\"2\"", 2),
            ("\"a\"", 1),
            ("\" a \"", 1),
            ("\"10.0.0.3:4001\"", 3),
            ("\"10.0.0.3:4000\"", 3),
            // The leader decides whether there is such a member.
            ("99", 99),
        ] {
            assert_eq!(found(which), Ok(id), "{which}");
        }
        assert!(found("\"c\"").unwrap_err().starts_with("\"unknown_node\" "));
    }

    #[test]
    fn a_name_that_several_nodes_have_is_refused_with_all_of_them() {
        let refused = found("\"b\"").unwrap_err();
        assert!(refused.starts_with("\"ambiguous_node\" "), "{refused}");
        assert!(refused.contains("2 at 10.0.0.2:4001, 3 at 10.0.0.3:4001"), "{refused}");
    }

    #[test]
    fn an_answer_says_which_node_was_meant() {
        let one = Meant::of(&status(), 1);
        assert_eq!(one.json(), json!({"node": 1, "name": "a", "address": "10.0.0.1:4001"}));
        assert_eq!(one.told().as_deref(), Some("node 1 is a at 10.0.0.1:4001"));
        let unknown = Meant::of(&status(), 9);
        assert_eq!((unknown.told(), &unknown.json()["name"]), (None, &Value::Null));
    }
}
