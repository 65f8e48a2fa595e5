//! The problems of a cluster's status as texts for people: one block for each kind of problem.

use serde_json::Value;

use super::super::output::{self, cell};

/// Problems with one severity and code.
struct Block {
    severity: String,
    code: String,
    /// What is wrong, once for each node that has the problem.
    what: Vec<String>,
    /// What to do. It may depend on the node.
    todo: Vec<String>,
}

/// All problems. Those with the same code are one block, in the place of the first: a code that many nodes
/// have is read once.
pub(super) fn blocks<'p>(problems: impl IntoIterator<Item = &'p Value>) -> String {
    let mut blocks: Vec<Block> = Vec::new();
    for problem in problems {
        let [severity, code, what, todo] =
            ["severity", "code", "what", "do"].map(|field| cell(problem, field));
        let same = blocks.iter_mut().find(|block| block.severity == severity && block.code == code);
        match same {
            Some(block) => block.add(what, todo),
            None => blocks.push(Block { severity, code, what: vec![what], todo: vec![todo] }),
        }
    }
    blocks.iter().map(Block::shown).collect()
}

impl Block {
    fn add(&mut self, what: String, todo: String) {
        if !self.what.contains(&what) {
            self.what.push(what);
        }
        if !self.todo.contains(&todo) {
            self.todo.push(todo);
        }
    }

    fn shown(&self) -> String {
        let style = match self.severity.as_str() {
            "critical" => output::BAD,
            "warning" => output::STRONG,
            _ => output::FAINT,
        };
        let what: Vec<String> = self.what.iter().map(|what| output::paint(style, what)).collect();
        let todo: String = self.todo.iter().map(|todo| format!("\n  → {todo}")).collect();
        format!("\n\n{} {}: {}{todo}", self.severity, self.code, what.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_code_that_several_nodes_have_is_one_block() {
        let problem = |code: &str, node: u64, todo: &str| -> Value {
            let what = format!("node {node} {code}");
            json!({"severity": "warning", "code": code, "what": what, "do": todo})
        };
        let all = [
            problem("lag", 1, "wait"),
            problem("disk_low", 2, "make room"),
            problem("lag", 3, "wait"),
            problem("lag", 3, "look at it"),
        ];
        let shown = blocks(&all);
        let shown = console::strip_ansi_codes(&shown);
        assert_eq!(
            shown,
            "\n\nwarning lag: node 1 lag\n  node 3 lag\n  → wait\n  → look at it\
             \n\nwarning disk_low: node 2 disk_low\n  → make room"
        );
    }
}
