//! The span of a statement: its kind and its tables, by OpenTelemetry's semantic conventions for databases.
//!
//! A span has neither the text of the statement nor its values: texts are long, and a summary shows that it holds no
//! data.

use std::time::Duration;

use clientele_core::trace::{self, Details, SpanKind};

use super::Dialect;

/// The most bytes of a summary.
const LONGEST: usize = 255;
const OPERATIONS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "COPY", "TRUNCATE"];

/// Records a statement of the current request that has ended now, after it ran for `elapsed`.
pub(super) fn record(dialect: Dialect, sql: &str, elapsed: Duration, failed: bool) {
    let Some(context) = trace::current().filter(|context| context.is_sampled) else {
        return;
    };
    if let Some(span) = trace::start(Some(context)) {
        span.end_after(elapsed, || {
            let summary = summary(sql);
            Details {
                name: summary.clone().into(),
                kind: SpanKind::Client,
                attributes: vec![
                    ("db.system.name", dialect.as_str().into()),
                    ("db.query.summary", summary.into()),
                ],
                is_failed: failed,
            }
        });
    }
}

/// The operations and tables of a statement, as in `UPDATE message SELECT due`. Keywords are written in capital letters
/// here, and tables in small ones.
fn summary(sql: &str) -> String {
    let mut summary = Summary::default();
    let mut rest = sql;
    while let Some(start) = rest.find(|letter: char| letter == '\'' || is_of_word(letter)) {
        if rest[..start].contains('(') {
            summary.expects_table = false;
        }
        rest = &rest[start..];
        rest = match rest.strip_prefix('\'') {
            // A literal. One with a quote in it looks like two.
            Some(literal) => literal.split_once('\'').map_or("", |(_, after)| after),
            None => {
                let end = rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                summary.add(word, after.starts_with('('));
                after
            }
        };
    }
    summary.text()
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[derive(Default)]
struct Summary<'s> {
    words: Vec<&'s str>,
    first: &'s str,
    previous: &'s str,
    operation: Option<&'s str>,
    expects_table: bool,
}

impl<'s> Summary<'s> {
    fn add(&mut self, word: &'s str, is_called: bool) {
        if self.first.is_empty() {
            self.first = word;
        }
        // `FOR UPDATE`, `FOR NO KEY UPDATE` and `DO UPDATE` are parts of another operation.
        let is_part = matches!(self.previous, "FOR" | "KEY" | "DO");
        if OPERATIONS.contains(&word) && !is_part {
            self.operation = Some(word);
            self.expects_table = matches!(word, "UPDATE" | "COPY" | "TRUNCATE");
        } else if matches!(word, "FROM" | "JOIN" | "INTO") {
            self.expects_table = true;
        } else if std::mem::take(&mut self.expects_table)
            && !is_called
            && word.starts_with(|letter: char| letter.is_ascii_lowercase())
        {
            self.add_table(word);
        }
        self.previous = word;
    }

    /// Adds a table, unless it is listed with the same operation.
    fn add_table(&mut self, table: &'s str) {
        let is_operation = |word: &&str| OPERATIONS.contains(word);
        let last = self.words.iter().rposition(is_operation);
        let is_same = last.is_some_and(|at| Some(self.words[at]) == self.operation);
        if !is_same {
            self.words.extend(self.operation);
        } else if last.is_some_and(|at| self.words[at..].contains(&table)) {
            return;
        }
        self.words.push(table);
    }

    fn text(&self) -> String {
        if self.words.is_empty() {
            return self.first.to_owned();
        }
        let mut text = String::new();
        for word in &self.words {
            if text.len() + word.len() >= LONGEST {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, summary};

    #[test]
    fn summary_has_operations_and_tables_and_no_values() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT"),
            ("BEGIN IMMEDIATE", "BEGIN"),
            ("COMMIT", "COMMIT"),
            ("SAVEPOINT part", "SAVEPOINT"),
            ("PRAGMA wal_checkpoint", "PRAGMA"),
            ("", ""),
            (
                "SELECT c.a, (SELECT count(*) FROM address a WHERE a.b = c.b) FROM client c JOIN client_role r ON 1=1",
                "SELECT address client client_role",
            ),
            ("SELECT value FROM json_each($1)", "SELECT"),
            ("SELECT * FROM (SELECT 1 FROM client) m0", "SELECT client"),
            (
                "SELECT a FROM client WHERE name = 'FROM okafor' AND x = 'it''s FROM linden' FOR UPDATE OF c",
                "SELECT client",
            ),
            ("SELECT a FROM client FOR NO KEY UPDATE SKIP LOCKED", "SELECT client"),
            (
                "INSERT INTO client (a, b) SELECT r.a FROM json_to_recordset($1) r ON CONFLICT (a) DO UPDATE SET b = 1",
                "INSERT client",
            ),
            (
                "WITH w0 AS (INSERT INTO client VALUES ($1)), w1 AS (DELETE FROM address WHERE a = $2) \
                 INSERT INTO audit_record VALUES ($3)",
                "INSERT client DELETE address INSERT audit_record",
            ),
            (
                "WITH due AS (SELECT a FROM message LIMIT 3 FOR UPDATE SKIP LOCKED) UPDATE message SET b = $1 \
                 WHERE a IN (SELECT a FROM due) RETURNING a",
                "SELECT message UPDATE message SELECT due",
            ),
            ("COPY client (a, b) FROM STDIN", "COPY client"),
            ("DELETE FROM session WHERE a = 'x", "DELETE session"),
        ] {
            assert_eq!(summary(sql), expected, "{sql}");
        }
    }

    #[test]
    fn summary_ends_at_a_word() {
        let tables: Vec<String> = (0..100).map(|at| format!("JOIN t{at}")).collect();
        let long = summary(&format!("SELECT a FROM t {}", tables.join(" ")));
        assert!(long.len() <= LONGEST && long.len() > LONGEST - 4, "{}", long.len());
        assert!(long.starts_with("SELECT t t0 t1 "), "{long}");
    }
}
