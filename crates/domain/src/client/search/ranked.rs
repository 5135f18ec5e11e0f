//! The statements of a search by words. It finds at most [`MOST_RANKED`] clients by their words, and as many of which
//! the whole text is an id, an address, a phone number or that of a document, and lists them by their rank and key.
//!
//! The words are found by an index of trigrams. PostgreSQL compares their similarity, too; SQLite can't.

use std::collections::BTreeSet;

use clientele_storage::{
    db::Dialect,
    paging::{Conditions, Order, Window},
};

use super::{
    prefix::begins,
    text::{SearchText, Word, WordKind},
};

/// Limit of the clients that are ranked. If more clients have all words, the database chooses among them.
pub const MOST_RANKED: i64 = 1_000;

/// Limit of the trigrams that SQLite looks up. Afterwards the found texts are compared with the words.
const MOST_TRIGRAMS: usize = 40;

/// The columns that ranks are computed from.
const TEXTS: &str = "s.client_key, s.words, s.text";

/// Exact matches first, then the most similar ones.
pub(super) const BY_RANK: Order = Order {
    name: "rank",
    columns: &["rank", "client_key"],
    descending: false,
};

/// Writes the statement that reads a window of the found clients for which the conditions hold, with their ranks, and
/// binds its values. `select` reads the clients of the table `page`.
pub(super) fn page(search: &SearchText, window: &Window, select: &str, conditions: &mut Conditions) -> String {
    let found = found(search, MOST_RANKED, conditions);
    let clauses = window.clauses(&BY_RANK, "f", conditions);
    format!(
        "{found}, page AS (SELECT f.client_key, f.rank FROM found f {clauses}) {select} ORDER BY {}",
        window.order_by(&BY_RANK, "f")
    )
}

/// Writes the statement that counts the found clients for which the conditions hold, up to one more than are ranked.
pub(super) fn count(search: &SearchText, conditions: &mut Conditions) -> String {
    let limit = MOST_RANKED + 1;
    let found = found(search, limit, conditions);
    format!("{found} SELECT count(*) FROM (SELECT 1 FROM found LIMIT {limit}) counted")
}

/// The table of found clients with their ranks. Each of its parts has the conditions so far, so that its limit counts
/// only clients for which they hold.
///
/// The clients of which the only word is the first name come first, then those of which a name begins with it, in the
/// order of an index. If they reach the limit, PostgreSQL doesn't look for others. Without the fence of a materialized
/// table, it would expect the limit to be reached soon anyway, and examine clients one by one.
fn found(search: &SearchText, limit: i64, conditions: &mut Conditions) -> String {
    let materialized = match conditions.dialect {
        Dialect::Postgres => "MATERIALIZED ",
        Dialect::Sqlite => "",
    };
    let filter = conditions.take_terms();
    let mut words = Words::default();
    let beginnings = match &search.words[..] {
        [word] => Some(beginnings(&word.folded, conditions)),
        _ => None,
    };
    let (mut ctes, mut selects) = (String::new(), Vec::new());
    if let Some([last, first]) = &beginnings {
        // A range, because PostgreSQL expects few rows with a value that it doesn't know, and would sort all of them.
        let whole = conditions.bind(search.words[0].folded.as_str());
        let whole = format!("(s.first_name >= {whole} AND s.first_name <= {whole})");
        for (holds, order) in [
            (whole.clone(), "s.first_name, s.client_key"),
            (
                format!("{last} AND NOT {whole}"),
                "s.last_name, s.first_name, s.client_key",
            ),
            (
                format!("{first} AND NOT {last} AND NOT {whole}"),
                "s.first_name, s.client_key",
            ),
        ] {
            let matching = matching(TEXTS, &["client_search s"], &[holds], &filter);
            selects.push(format!("{matching} ORDER BY {order} LIMIT {limit}"));
        }
        words.holds.push(format!("NOT {last} AND NOT {first}"));
    }
    if let [word] = &search.words[..]
        && word.kind == WordKind::Beginning
    {
        words.rank("words", word, conditions);
    } else {
        search.words.iter().for_each(|word| words.add(word, conditions));
        let tables = words.tables(conditions);
        let matching = matching(TEXTS, &tables, &words.holds, &filter);
        ctes = format!("matching AS {materialized}({matching}), ");
        selects.push("SELECT client_key, words, text FROM matching".to_owned());
    }
    let selects = selects.iter().enumerate();
    let selects: Vec<String> = selects
        .map(|(at, select)| format!("SELECT * FROM ({select}) m{at}"))
        .collect();
    let exact = exact(search, limit, &filter, conditions);
    format!(
        "WITH {ctes}found AS (SELECT client_key, min(rank) AS rank FROM ({exact} UNION ALL \
         SELECT client_key, {} FROM ({} LIMIT {limit}) m) every GROUP BY client_key)",
        words.ranks.join(" + "),
        selects.join(" UNION ALL ")
    )
}

/// Selects the clients of which the whole text is the id, the e-mail address, a phone number or that of a document, up
/// to the limit of each.
fn exact(search: &SearchText, limit: i64, filter: &[String], conditions: &mut Conditions) -> String {
    let [id, email, phone, document] =
        [&search.client_id, &search.email, &search.phone, &search.document_id].map(|value| {
            let placeholder = conditions.bind(value.clone());
            conditions.dialect.cast(&placeholder, "text")
        });
    let phones = ["home_phone", "mobile_phone1", "mobile_phone2"].map(|column| format!("s.{column} = {phone}"));
    // A client can have several documents of the number, and counts once. The empty text keeps the databases from
    // looking for them in the index of numbers, where a common one has many entries, and `min` keeps PostgreSQL from a
    // join.
    let is_first = "s.encoded_key = (SELECT min(o.encoded_key) FROM id_document_search o \
                    WHERE o.client_key = s.client_key AND o.document_id || '' = s.document_id)";
    let rows = [
        ("client_id_claim s", format!("s.client_id = {id}")),
        ("client_search s", format!("s.email = {email}")),
        ("client_search s", format!("({})", phones.join(" OR "))),
        (
            "id_document_search s",
            format!("s.document_id = {document} AND {is_first}"),
        ),
    ];
    let selects = rows.into_iter().enumerate().map(|(at, (table, holds))| {
        let matching = matching("s.client_key", &[table], &[holds], filter);
        format!("SELECT client_key, 0 AS rank FROM ({matching} LIMIT {limit}) e{at}")
    });
    selects.collect::<Vec<_>>().join(" UNION ALL ")
}

/// Selects columns of the clients for which all conditions hold, those of the filter included.
fn matching(columns: &str, tables: &[&str], holds: &[String], filter: &[String]) -> String {
    let (mut tables, mut holds) = (tables.to_vec(), holds.to_vec());
    if !filter.is_empty() {
        tables.push("client c");
        holds.push("c.encoded_key = s.client_key".to_owned());
        holds.extend_from_slice(filter);
    }
    // SQLite reads the tables of a cross join in their order.
    format!(
        "SELECT {columns} FROM {} WHERE {}",
        tables.join(" CROSS JOIN "),
        holds.join(" AND ")
    )
}

/// The conditions that the last name begins with a word, and that the first name does.
fn beginnings(word: &str, conditions: &mut Conditions) -> [String; 2] {
    ["s.last_name", "s.first_name"].map(|name| begins(name, word, conditions))
}

/// The conditions of the words, and the terms of the rank. Their sum is 1 if each word is a whole word of the client.
struct Words {
    holds: Vec<String>,
    ranks: Vec<String>,
    /// The trigrams to look up in the full-text index of SQLite.
    trigrams: BTreeSet<String>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            holds: Vec::new(),
            ranks: vec!["1".to_owned()],
            trigrams: BTreeSet::new(),
        }
    }
}

impl Words {
    fn add(&mut self, word: &Word, conditions: &mut Conditions) {
        let dialect = conditions.dialect;
        let Word { kind, folded, ascii } = word;
        let column = match kind {
            WordKind::Part => "text",
            WordKind::Beginning | WordKind::Similar => "words",
        };
        if *kind == WordKind::Beginning {
            self.holds
                .push(format!("({})", beginnings(folded, conditions).join(" OR ")));
            self.rank(column, word, conditions);
            return;
        }
        if *kind == WordKind::Similar && dialect == Dialect::Postgres {
            let bound = dialect.cast(&conditions.bind(ascii.as_str()), "text");
            self.holds.push(format!("{bound} <% s.words"));
            self.ranks
                .push(format!("100 - round(100 * word_similarity({bound}, m.words))::int"));
            return;
        }
        self.holds.push(match dialect {
            // Words have only letters and digits, so there is nothing to escape.
            Dialect::Postgres => format!("s.{column} LIKE {}", conditions.bind(format!("%{ascii}%"))),
            Dialect::Sqlite => {
                let trigrams = ascii.as_bytes().windows(3).map(String::from_utf8_lossy);
                self.trigrams.extend(trigrams.map(|trigram| trigram.into_owned()));
                format!("instr(s.{column}, {}) > 0", conditions.bind(ascii.as_str()))
            }
        });
        self.rank(column, word, conditions);
    }

    /// Ranks a whole word of the column before the beginning of one, and that before another part.
    fn rank(&mut self, column: &str, word: &Word, conditions: &mut Conditions) {
        let position = match conditions.dialect {
            Dialect::Postgres => "strpos",
            Dialect::Sqlite => "instr",
        };
        let bound = conditions.dialect.cast(&conditions.bind(word.ascii.as_str()), "text");
        self.ranks.push(format!(
            "CASE WHEN {position}(' ' || m.{column} || ' ', ' ' || {bound} || ' ') > 0 THEN 0 \
             WHEN {position}(' ' || m.{column}, ' ' || {bound}) > 0 THEN 25 ELSE 50 END"
        ));
    }

    /// The tables to read: the full-text index first.
    fn tables(&mut self, conditions: &mut Conditions) -> Vec<&'static str> {
        if self.trigrams.is_empty() {
            return vec!["client_search s"];
        }
        let terms: Vec<String> = self
            .trigrams
            .iter()
            .take(MOST_TRIGRAMS)
            .map(|trigram| format!("\"{trigram}\""))
            .collect();
        let terms = conditions.bind(terms.join(" AND "));
        self.holds.push("s.number = client_search_index.rowid".to_owned());
        self.holds.push(format!("client_search_index MATCH {terms}"));
        vec!["client_search_index", "client_search s"]
    }
}
