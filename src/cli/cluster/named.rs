//! Nodes as people name them and read them.

use serde_json::Value;

use super::super::output::{self, cell};

/// An argument that names a node, as the API takes it: an id as a number, a name or address as a text.
pub(in crate::cli) fn as_json(node: &str) -> Value {
    node.trim().parse::<u64>().map_or_else(|_| node.into(), Value::from)
}

/// A node of an answer for people, from its members with the id, the name and the address:
/// `node 3 (berlin-2, 10.0.0.3:4001)`.
pub(in crate::cli) fn named(answer: &Value, [id, name, address]: [&str; 3]) -> String {
    let known = [name, address].into_iter().filter(|field| answer[*field].is_string());
    let known: Vec<String> = known.map(|field| cell(answer, field)).collect();
    let id = cell(answer, id);
    if known.is_empty() { format!("node {id}") } else { format!("node {id} ({})", known.join(", ")) }
}

/// A member in short: `3 (berlin-2)`.
pub(in crate::cli) fn called(member: &Value) -> String {
    called_by(member, "id", "name")
}

/// A node in short, from the members of an object with its id and its name.
pub(in crate::cli) fn called_by(object: &Value, id: &str, name: &str) -> String {
    match object[name].is_string() {
        true => format!("{} ({})", cell(object, id), cell(object, name)),
        false => cell(object, id),
    }
}

/// Why a question can't say which node is meant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::cli) enum Unclear {
    /// No member fits.
    #[error(
        "no member of the cluster has the name or address {0}; nothing was changed; `waypost cluster status` lists ids, \
         names and addresses"
    )]
    Nobody(String),
    /// Several members fit.
    #[error(
        "{node} is the name or address of several nodes: {members}; nothing was changed; give the node's id"
    )]
    Several {
        /// The argument.
        node: String,
        /// The members, for people.
        members: String,
    },
}

/// The member of a status that an argument names: its id, and a text for the question to people. An id is not
/// checked: the node that gave the status may not know the newest member.
///
/// # Errors
/// If a name or address is that of no member, or of several.
pub(in crate::cli) fn who(status: &Value, node: &str) -> Result<(Value, String), Unclear> {
    let wanted = as_json(node);
    let is = |member: &&Value| match &wanted {
        Value::String(text) => {
            let text = text.trim();
            ["name", "peer_addr", "http_addr"].iter().any(|field| member[*field] == *text)
        }
        id => member["id"] == *id,
    };
    let found: Vec<&Value> = status["members"].as_array().into_iter().flatten().filter(is).collect();
    let told = |member: &Value| named(member, ["id", "name", "peer_addr"]);
    match found.as_slice() {
        [one] => Ok((one["id"].clone(), told(one))),
        _ if wanted.is_number() => Ok((wanted.clone(), format!("node {wanted}"))),
        [] => Err(Unclear::Nobody(output::printable(node))),
        several => {
            let members: Vec<String> = several.iter().map(|member| told(member)).collect();
            Err(Unclear::Several { node: output::printable(node), members: members.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_are_named_by_all_that_is_known() {
        let known = json!({"node": 3, "name": "berlin-2", "address": "10.0.0.3:4001"});
        assert_eq!(named(&known, ["node", "name", "address"]), "node 3 (berlin-2, 10.0.0.3:4001)");
        let unknown = json!({"node": 3, "name": null});
        assert_eq!(named(&unknown, ["node", "name", "address"]), "node 3");
        assert_eq!((as_json(" 3 "), as_json("berlin-2")), (json!(3), json!("berlin-2")));
        assert_eq!(called(&json!({"id": 3, "name": "a"})), "3 (a)");
        assert_eq!(called(&json!({"id": 3})), "3");
    }

    #[test]
    fn the_question_names_the_member_that_is_meant() {
        let member = |id: u64, name: &str| {
            let (peer, http) = (format!("h{id}:1"), format!("h{id}:2"));
            json!({"id": id, "name": name, "peer_addr": peer, "http_addr": http})
        };
        let status = json!({"members": [member(1, "a"), member(2, "b"), member(3, "b")]});
        for node in ["1", " a ", "h1:1", "h1:2"] {
            assert_eq!(who(&status, node), Ok((json!(1), "node 1 (a, h1:1)".to_owned())), "{node}");
        }
        assert_eq!(who(&status, "9"), Ok((json!(9), "node 9".to_owned())), "the cluster decides");
        let told = |node| who(&status, node).map_err(|error| error.to_string());
        assert!(told("b").is_err_and(|told| told.contains("node 2 (b, h2:1), node 3 (b, h3:1)")));
        assert!(told("c").is_err_and(|told| told.contains("nothing was changed")));
    }
}
