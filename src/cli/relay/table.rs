//! The table of events in the application's database: its SQL.

use std::str::FromStr;

/// The table's name unless another one is given.
pub(super) const DEFAULT_TABLE: &str = "waypost_outbox";
/// Most bytes of one name: PostgreSQL cuts longer ones off, and two suffixes are added.
const MAX_NAME: usize = 48;
/// The first key of the advisory lock under which transactions commit; the second is the table.
const COMMIT_LOCK: i32 = 0x7761_7901;
/// The first key of the advisory lock that the active relay holds; the second is the table.
const RELAY_LOCK: i32 = 0x7761_7902;

/// A table, as in `waypost_outbox` or `shop.waypost_outbox`. The names are plain identifiers, so that they are
/// safe in SQL as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Table(String);

/// Why a text names no table.
#[derive(Debug, thiserror::Error)]
#[error(
    "a table is named by 1 to {MAX_NAME} of a-z 0-9 _, not a digit first, after a schema and a dot if it has one"
)]
pub(in crate::cli) struct BadName;

impl FromStr for Table {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut names = text.split('.');
        let are_names = names.by_ref().take(2).all(is_name) && names.next().is_none();
        are_names.then(|| Self(text.to_owned())).ok_or(BadName)
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(is_part)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

impl Table {
    /// The name as it was given.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The channel of its notifications.
    pub(super) fn channel(&self) -> String {
        self.0.replace('.', "_")
    }

    /// The SQL that makes the table.
    pub(super) fn schema(&self) -> String {
        include_str!("table.sql")
            .replace("{table_commit_order}", &format!("{}_commit_order", self.0))
            .replace("{table_commit}", &format!("{}_commit", self.0))
            .replace("{table}", &self.0)
            .replace("{channel}", &self.channel())
            .replace("{commit_lock}", &COMMIT_LOCK.to_string())
    }

    /// Takes the lock of the active relay, if no other session has it.
    pub(super) fn try_lock(&self) -> String {
        format!("SELECT pg_try_advisory_lock({RELAY_LOCK}, '{}'::regclass::oid::integer)", self.0)
    }

    /// Waits for that lock.
    pub(super) fn lock(&self) -> String {
        format!("SELECT pg_advisory_lock({RELAY_LOCK}, '{}'::regclass::oid::integer)", self.0)
    }

    /// The rows of the request whose answer is not known, in order.
    pub(super) fn under_way(&self) -> String {
        let columns = "id, type, subject, payload::text, request";
        format!(
            "SELECT {columns} FROM {0} WHERE published_at IS NULL AND refused IS NULL AND request = (\
                SELECT request FROM {0} WHERE published_at IS NULL AND refused IS NULL AND request IS NOT NULL \
                ORDER BY commit_order LIMIT 1\
             ) ORDER BY commit_order",
            self.0
        )
    }

    /// The next rows, in order: $1 at most, with $2 bytes of payloads, and the first one in any case.
    pub(super) fn waiting(&self) -> String {
        format!(
            "SELECT id, type, subject, text FROM (\
                SELECT id, type, subject, text, commit_order, row_number() OVER this AS n, \
                    sum(octet_length(text)) OVER this AS bytes \
                FROM (\
                    SELECT id, type, subject, payload::text AS text, commit_order FROM {} \
                    WHERE published_at IS NULL AND refused IS NULL AND commit_order IS NOT NULL \
                    ORDER BY commit_order LIMIT $1\
                ) AS first WINDOW this AS (ORDER BY commit_order)\
             ) AS summed WHERE n = 1 OR bytes <= $2 ORDER BY commit_order",
            self.0
        )
    }

    /// Notes that the rows $2 are in the request $1.
    pub(super) fn claim(&self) -> String {
        format!("UPDATE {} SET request = $1 WHERE id = ANY($2)", self.0)
    }

    /// Notes that the request $1 was stored.
    pub(super) fn mark(&self) -> String {
        format!(
            "UPDATE {} SET published_at = clock_timestamp() \
             WHERE request = $1 AND published_at IS NULL AND refused IS NULL",
            self.0
        )
    }

    /// Takes the rows out of the request $1, which was refused.
    pub(super) fn release(&self) -> String {
        format!(
            "UPDATE {} SET request = NULL WHERE request = $1 AND published_at IS NULL AND refused IS NULL",
            self.0
        )
    }

    /// Sets the row $1 aside, for the reason $2.
    pub(super) fn set_aside(&self) -> String {
        format!("UPDATE {} SET refused = $2, request = NULL WHERE id = $1", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        for good in ["waypost_outbox", "shop.outbox", "_a1"] {
            assert_eq!(good.parse::<Table>().unwrap().name(), good);
        }
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", ".", "a.", "a.b.c", "1a", "Outbox", "a b", "a;drop table b", "a'", "ä", &long] {
            assert!(bad.parse::<Table>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_schema_has_no_name_left_open() {
        let schema = "shop.outbox".parse::<Table>().unwrap().schema();
        let open = ["{table", "{channel", "{commit_lock"];
        assert!(open.iter().all(|name| !schema.contains(name)), "{schema}");
        assert!(schema.contains("pg_notify('shop_outbox', '')"), "{schema}");
        assert!(schema.contains("CREATE SEQUENCE shop.outbox_commit_order;"), "{schema}");
    }
}
