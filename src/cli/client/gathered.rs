//! Lists that a node gathers from all nodes: their pages, and the nodes whose part is missing.

use serde_json::Value;

use super::{Client, ClientError, encoded};
use crate::cli::output::{self, cell};

/// Entries of one page, at most.
const PAGE: usize = 200;

/// A list from all nodes.
pub(in crate::cli) struct Gathered {
    /// The entries: an array.
    pub(in crate::cli) data: Value,
    /// The nodes that did not answer.
    unreachable: Vec<Value>,
    /// Whether there are entries behind these.
    has_more: bool,
}

impl Client {
    /// Reads pages of a list until there are `most` entries. The path may have a query.
    pub(in crate::cli) async fn gathered(&self, path: &str, most: usize) -> Result<Gathered, ClientError> {
        let and = if path.contains('?') { '&' } else { '?' };
        let mut data = Vec::new();
        let mut unreachable: Vec<Value> = Vec::new();
        let mut after = String::new();
        let mut has_more = false;
        while data.len() < most {
            let limit = PAGE.min(most - data.len());
            let answer = self.read(&format!("{path}{and}limit={limit}{after}")).await?;
            let mut answer = self.document(self.at.get(), answer).await?;
            let Some(Value::Array(page)) = answer.get_mut("data").map(Value::take) else {
                return Err(self.foreign(self.at.get(), "an answer without a list".to_owned()));
            };
            data.extend(page);
            for node in answer["unreachable"].as_array().into_iter().flatten() {
                if !unreachable.contains(node) {
                    unreachable.push(node.clone());
                }
            }
            let next = next_of(&answer);
            has_more = next.is_some();
            let Some(next) = next else { break };
            after = format!("&after={}", encoded(next));
        }
        Ok(Gathered { data: data.into(), unreachable, has_more })
    }
}

impl Gathered {
    /// Says what is missing: the part of nodes that did not answer, and what is behind the limit.
    pub(in crate::cli) fn note_missing(&self) {
        if !self.unreachable.is_empty() {
            let named = self.unreachable.iter().map(called).collect::<Vec<_>>().join(", ");
            output::note(format_args!("No answer from node {named}: its part of the list is missing."));
        }
        if self.has_more {
            output::note(format_args!("There is more: a higher --limit shows it."));
        }
    }
}

/// Where the next page begins, whichever way the list says it.
fn next_of(answer: &Value) -> Option<&str> {
    match answer["has_more"].as_bool() {
        Some(has_more) => answer["cursor"].as_str().filter(|_| has_more),
        None => answer["next"].as_str(),
    }
}

/// A node for people, as in `3 (berlin-2)`.
fn called(node: &Value) -> String {
    match node["name"].as_str() {
        Some(name) => format!("{} ({})", cell(node, "id"), output::printable(name)),
        None => cell(node, "id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_called_by_id_and_name() {
        assert_eq!(called(&json!({"id": 3, "name": "berlin-2"})), "3 (berlin-2)");
        assert_eq!(called(&json!({"id": 3, "name": null})), "3");
    }

    #[test]
    fn a_list_goes_on_where_it_says() {
        for (answer, expected) in [
            (json!({"next": "a"}), Some("a")),
            (json!({"next": null}), None),
            (json!({"cursor": "a", "has_more": true}), Some("a")),
            (json!({"cursor": "a", "has_more": false}), None),
        ] {
            assert_eq!(next_of(&answer), expected, "{answer}");
        }
    }
}
