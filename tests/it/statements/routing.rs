//! Decides from a statement's plan whether one shard has all its rows.
//!
//! The statement is planned with a different value for each parameter. All tables of a client must be read where their
//! key equals one of these values, directly or by way of another table, and written with it.

use std::collections::{BTreeMap, BTreeSet};

use clientele::{
    db::{Step, Transaction, Work},
    error::Result,
};
use serde_json::Value;

use super::placement::{self, Place};
use crate::harness::TestServer;

/// The machines that a statement needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Any one: the tables are on all of them.
    Any,
    /// The one with the shard of a client.
    Client,
    /// The one with the shard of a unique value of this table.
    Claim(String),
    /// Several, for these reasons.
    Several(BTreeSet<String>),
}

pub async fn route(server: &TestServer, sql: &str) -> Route {
    let (plan, columns) = server.services.db.write(&Explained(sql)).await.expect("a plan");
    let mut found = Found::default();
    found.add(&plan, &columns);
    found.route()
}

/// Returns the plan of a statement with values, and the columns of each table in their order.
struct Explained<'a>(&'a str);

type Columns = BTreeMap<String, Vec<String>>;

impl Work for Explained<'_> {
    type Output = (Value, Columns);

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let Self(sql) = self;
        let text = |row: &sea_orm::QueryResult, at: usize| row.try_get_by_index::<String>(at).expect("a text");
        transaction.run(format!("PREPARE routed AS {sql}"), []).await?;
        transaction
            .run("SET LOCAL plan_cache_mode = force_custom_plan", [])
            .await?;
        let types = "SELECT t.type::text FROM pg_prepared_statements p, unnest(p.parameter_types) WITH ORDINALITY \
            t(type, number) WHERE p.name = 'routed' ORDER BY t.number";
        let types = transaction.all(types, []).await?;
        let values = types.iter().enumerate().map(|(at, row)| value(at + 1, &text(row, 0)));
        let values: Vec<String> = values.collect();
        let values = if values.is_empty() {
            String::new()
        } else {
            format!("({})", values.join(", "))
        };
        let plan = format!("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE routed{values}");
        let plan: Value = transaction.one(plan, []).await?.expect("a plan").try_get_by_index(0)?;
        transaction.run("DEALLOCATE routed", []).await?;
        // Columns that were dropped have a place in the rows of an INSERT.
        let columns = "SELECT c.relname::text, a.attname::text FROM pg_class c \
            JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = current_schema()::regnamespace \
            AND c.relkind = 'r' AND a.attnum > 0 ORDER BY c.relname, a.attnum";
        let mut of_tables = Columns::new();
        for row in transaction.all(columns, []).await? {
            of_tables.entry(text(&row, 0)).or_default().push(text(&row, 1));
        }
        Ok(Step::Discard((plan[0]["Plan"].clone(), of_tables)))
    }
}

/// A value for a parameter. Texts can be JSON, too.
fn value(number: usize, ty: &str) -> String {
    match ty {
        "text" | "character varying" | "json" => format!("'[\"{number}\"]'"),
        "bigint" | "integer" | "numeric" | "double precision" => number.to_string(),
        "timestamp with time zone" | "date" => format!("'{}-01-01'", 2000 + number),
        "boolean" => "TRUE".to_owned(),
        other => panic!("no value for a parameter of the type {other}"),
    }
}

/// The conditions and the accesses of a plan.
#[derive(Debug, Default)]
struct Found {
    equal: Vec<(String, String)>,
    /// Each table with the expression that its rows are placed by.
    accesses: Vec<(String, Place, String)>,
}

impl Found {
    fn add(&mut self, node: &Value, columns: &Columns) {
        let text = |name: &str| node[name].as_str().unwrap_or_default().trim_matches('"');
        for condition in [
            "Index Cond",
            "Recheck Cond",
            "Filter",
            "Join Filter",
            "Hash Cond",
            "Merge Cond",
        ] {
            self.add_condition(text(condition));
        }
        let table = text("Relation Name");
        let parts = node["Plans"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(place @ (Place::Client(key) | Place::Value(key))) = placement::of(table) {
            match (text("Node Type"), text("Operation")) {
                ("ModifyTable", "Insert") => {
                    let at = columns[table].iter().position(|column| column == key);
                    let rows = parts.iter().find(|part| part["Parent Relationship"] == "Outer");
                    let output = &rows.expect("the inserted rows")["Output"][at.expect("a column")];
                    let output = term(output.as_str().unwrap_or_default());
                    self.accesses.push((table.to_owned(), place, output));
                }
                // Its rows are those of a scan.
                ("ModifyTable", _) => {}
                _ => {
                    let key = format!("{}.{key}", text("Alias"));
                    self.accesses.push((table.to_owned(), place, key));
                }
            }
        }
        for part in parts {
            self.add(part, columns);
        }
    }

    fn add_condition(&mut self, condition: &str) {
        let condition = unwrapped(condition);
        let parts = split(condition, " AND ");
        if let [_, _, ..] = parts[..] {
            parts.into_iter().for_each(|part| self.add_condition(part));
        } else if split(condition, " OR ").len() == 1
            && let [left, right] = split(condition, " = ")[..]
        {
            self.equal.push((term(left), term(right)));
        }
    }

    /// The value that an expression equals.
    fn value(&self, expression: &str) -> Option<String> {
        let mut known = BTreeSet::from([expression]);
        loop {
            let before = known.len();
            for (left, right) in &self.equal {
                if known.contains(&**left) || known.contains(&**right) {
                    known.extend([&**left, &**right]);
                }
            }
            if known.len() == before {
                break;
            }
        }
        known
            .into_iter()
            .find(|expression| expression.starts_with('\''))
            .map(str::to_owned)
    }

    fn route(&self) -> Route {
        let (mut reasons, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (table, place, expression) in &self.accesses {
            let (column, claim) = match place {
                Place::Client(column) => (column, None),
                Place::Value(column) => (column, Some(table)),
                Place::Anywhere => continue,
            };
            match self.value(expression) {
                Some(value) => {
                    places.insert((claim, value));
                }
                None => {
                    reasons.insert(format!("`{table}` isn't bound by `{column}`"));
                }
            }
        }
        if reasons.is_empty() && places.len() > 1 {
            let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
            for (claim, _) in &places {
                *numbers.entry(claim.map_or("client", |table| table)).or_default() += 1;
            }
            let named = |(table, number): (&str, usize)| format!("{number} of `{table}`");
            let named: Vec<String> = numbers.into_iter().map(named).collect();
            reasons.insert(format!("several shards together: {}", named.join(", ")));
        }
        match (reasons.is_empty(), places.first()) {
            (false, _) => Route::Several(reasons),
            (true, None) => Route::Any,
            (true, Some((None, _))) => Route::Client,
            (true, Some((Some(table), _))) => Route::Claim((*table).clone()),
        }
    }
}

/// An expression without the parentheses around it and without casts.
fn term(expression: &str) -> String {
    let expression = unwrapped(expression);
    match split(expression, "::")[..] {
        [inner, ..] if inner.len() < expression.len() => term(inner),
        _ => expression.to_owned(),
    }
}

fn unwrapped(expression: &str) -> &str {
    let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inner {
        Some(inner) if is_balanced(inner) => unwrapped(inner),
        _ => expression,
    }
}

/// False if a parenthesis is closed that isn't opened here.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0;
    text.chars().all(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        depth >= 0
    })
}

/// The parts of a condition between these words, outside parentheses and literals.
fn split<'t>(text: &'t str, between: &str) -> Vec<&'t str> {
    let (mut parts, mut start, mut depth, mut is_literal) = (Vec::new(), 0, 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '\'' => is_literal = !is_literal,
            _ if is_literal => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && !is_literal && at >= start && text[at..].starts_with(between) {
            parts.push(&text[start..at]);
            start = at + between.len();
        }
    }
    parts.push(&text[start..]);
    parts
}
