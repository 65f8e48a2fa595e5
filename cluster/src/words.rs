//! Numbers in sentences for people.

/// A number with what it counts: `1 day`, `2 days`.
pub(crate) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refused;

    #[test]
    fn one_is_no_several() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "day", "days")), ["0 days", "1 day", "2 days"]);
        let behind = |entries| Refused::Behind { node: 3, entries }.to_string();
        assert_eq!(behind(1), "node 3 is 1 log entry behind");
        assert_eq!(behind(20), "node 3 is 20 log entries behind");
        let without = |voters, needed| Refused::Majority { voters, reachable: 0, needed }.to_string();
        assert_eq!(without(1, 1), "the only remaining voter cannot be reached");
        assert_eq!(without(3, 2), "only 0 of the 3 remaining voters can be reached, and 2 are needed");
    }
}
