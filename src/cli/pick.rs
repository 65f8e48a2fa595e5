//! Finds what an argument names: by its id, or by the beginning of its id, as git finds commits.

use serde_json::Value;

use super::output::{self, cell};

/// Where the entries are that an argument may name.
pub(super) struct Among<'a> {
    /// Their kind, as in `token`.
    pub(super) kind: &'a str,
    /// Map that they belong to.
    pub(super) map: &'a str,
    /// The command that lists them.
    pub(super) list: &'a str,
}

/// Why no entry was found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotFound {
    /// Nothing matches.
    #[error("the map {map} has no {kind} {text}; `waypost {list} {map}` shows which there are")]
    None {
        /// What was looked for.
        text: String,
        /// The kind of the entries.
        kind: String,
        /// The map.
        map: String,
        /// The command that lists them.
        list: String,
    },
    /// Several match.
    #[error("{text} may be any of {count}; say which by its id, or more of its beginning:\n{table}")]
    Several {
        /// What was looked for.
        text: String,
        /// How many match.
        count: usize,
        /// The candidates.
        table: String,
    },
}

impl Among<'_> {
    /// The id of the one entry of the list whose id begins with the text. A whole id wins over longer ones.
    pub(super) fn find(&self, all: &Value, text: &str) -> Result<String, NotFound> {
        let ids = |entry: &&Value| !text.is_empty() && cell(entry, "id").starts_with(text);
        let found: Vec<&Value> = all.as_array().into_iter().flatten().filter(ids).collect();
        match found.as_slice() {
            [entry] => Ok(cell(entry, "id")),
            [] => Err(NotFound::None {
                text: output::printable(text),
                kind: self.kind.to_owned(),
                map: self.map.to_owned(),
                list: self.list.to_owned(),
            }),
            several if several.iter().any(|entry| entry["id"] == *text) => Ok(text.to_owned()),
            several => {
                let row = |entry: &&Value| vec![cell(entry, "id"), cell(entry, "name")];
                let rows: Vec<Vec<String>> = several.iter().map(row).collect();
                let table = output::table(&["ID", "NAME"], &rows);
                Err(NotFound::Several { text: output::printable(text), count: several.len(), table })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_beginning_of_an_id_is_enough_where_it_is_of_one_only() {
        let among = Among { kind: "token", map: "demo", list: "token list" };
        let all =
            json!([{"id": "ab12", "name": "bot"}, {"id": "ab34", "name": ""}, {"id": "ab3", "name": "x"}]);
        let find = |text| among.find(&all, text);
        assert_eq!(find("ab1").as_deref(), Ok("ab12"));
        assert_eq!(find("ab3").as_deref(), Ok("ab3"), "a whole id");
        let several = find("ab").map_err(|error| error.to_string());
        assert!(several.is_err_and(|told| told.contains("any of 3") && told.contains("ab12  bot")));
        for nothing in ["b", "", "ab123"] {
            let told = find(nothing).map_err(|error| error.to_string());
            assert!(told.is_err_and(|told| told.contains("`waypost token list demo`")), "{nothing}");
        }
    }
}
