//! Collects the statements of operations, and writes the page about them.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    routing::{Route, route},
    text::formatted,
};
use crate::harness::TestServer;

/// The rows that an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One client: each statement needs one shard at most.
    Client,
    /// Definitions or access: the tables are on every machine, except where a definition is compared with clients.
    Definitions,
    /// Many clients, for this reason.
    Across(&'static str),
}

pub struct Operation {
    /// A root field, a route or a command, then a colon and the case.
    pub name: String,
    pub extent: Extent,
    /// In the order in which they were sent first.
    pub statements: Vec<String>,
}

#[derive(Default)]
pub struct Catalogue {
    pub operations: Vec<Operation>,
}

impl Catalogue {
    /// Runs an operation and adds its statements.
    pub async fn record<T>(
        &mut self,
        server: &TestServer,
        name: impl Into<String>,
        extent: Extent,
        operation: impl Future<Output = T>,
    ) -> T {
        // Definitions that were changed before are loaded now.
        server.services.definitions.current().await.expect("definitions");
        server.statements();
        let output = operation.await;
        let mut statements: Vec<String> = Vec::new();
        for sql in server.statements() {
            let is_bracket = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"]
                .iter()
                .any(|word| sql.starts_with(word));
            if !is_bracket && !statements.contains(&sql) {
                statements.push(sql);
            }
        }
        let name = name.into();
        self.operations.push(Operation {
            name,
            extent,
            statements,
        });
        output
    }

    /// The root fields, routes and commands that the operations belong to.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        let names = self.operations.iter().map(|operation| &*operation.name);
        names.map(|name| name.split(": ").next().unwrap_or_default())
    }

    /// The machines that each statement needs.
    pub async fn routes(&self, server: &TestServer) -> BTreeMap<&str, Route> {
        let mut routes = BTreeMap::new();
        for sql in self.operations.iter().flat_map(|operation| &operation.statements) {
            if is_planned(sql) && !routes.contains_key(&**sql) {
                routes.insert(&**sql, route(server, sql).await);
            }
        }
        routes
    }

    pub async fn page(&self, server: &TestServer) -> String {
        let routes = self.routes(server).await;
        let mut page = HEAD.to_owned();
        let mut group = "";
        let mut written: Vec<&str> = Vec::new();
        for operation in &self.operations {
            let subject = operation.name.split(": ").next().unwrap_or_default();
            let of = match subject.split(['.', ' ']).next().unwrap_or_default() {
                "Query" => "GraphQL queries",
                "Mutation" => "GraphQL mutations",
                "Worker" => "The worker",
                "Command" => "Commands and servers",
                _ => "REST routes",
            };
            if of != group {
                let _ = writeln!(page, "\n## {of}");
                group = of;
            }
            let case = operation.name.strip_prefix(subject).unwrap_or_default();
            let extent = match operation.extent {
                Extent::Client => "One client.",
                Extent::Definitions => "Definitions or access.",
                Extent::Across(reason) => reason,
            };
            let _ = writeln!(page, "\n### `{subject}`{case}\n\n{extent}");
            if operation.statements.is_empty() {
                let _ = writeln!(page, "\nNo statement.");
            }
            for sql in &operation.statements {
                let id = id(sql);
                let kind = match routes.get(&**sql) {
                    None => "not planned".to_owned(),
                    Some(Route::Any) => "reference".to_owned(),
                    Some(Route::Client) => "keyed".to_owned(),
                    Some(Route::Claim(table)) => format!("keyed by a claim in `{table}`"),
                    Some(Route::Several(reasons)) => {
                        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
                        format!("across clients: {}", reasons.join(", "))
                    }
                };
                if written.contains(&&**sql) {
                    let _ = writeln!(page, "\nAgain [`{id}`](#{id}): {kind}.");
                    continue;
                }
                written.push(sql);
                let _ = writeln!(page, "\n<a id=\"{id}\"></a>`{id}`: {kind}.\n");
                let text = formatted(sql);
                let is_long = text.lines().count() > 8;
                if is_long {
                    let first = text.lines().next().unwrap_or_default().trim_end_matches([' ', '(']);
                    let first: String = first.chars().take(90).collect();
                    let first = first.replace('<', "&lt;");
                    let _ = writeln!(page, "<details><summary><code>{first} …</code></summary>\n");
                }
                let _ = writeln!(page, "```sql\n{text}\n```");
                if is_planned(sql) {
                    let plan = server.plan_by_statistics(sql).await.join("\n");
                    let _ = writeln!(page, "\n```text plan\n{plan}\n```");
                }
                if is_long {
                    let _ = writeln!(page, "\n</details>");
                }
            }
        }
        page
    }
}

/// False for statements that PostgreSQL runs without a plan.
fn is_planned(sql: &str) -> bool {
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"]
        .iter()
        .any(|word| sql.starts_with(word))
}

/// Identifies a statement by its text (FNV-1a).
fn id(sql: &str) -> String {
    let hash = sql.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("s{hash:08x}")
}

/// The page without what differs between databases: the plans' conditions and the order of their steps, and on versions
/// of PostgreSQL other than the page's, all plans.
pub fn comparable(page: &str, has_plans: bool) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut plan: Option<Vec<&str>> = None;
    for line in page.lines() {
        match &mut plan {
            None if line == "```text plan" => plan = Some(Vec::new()),
            None => lines.push(line),
            Some(_) if line == "```" => {
                let mut scans = plan.take().unwrap_or_default();
                scans.sort_unstable();
                if has_plans {
                    lines.extend(scans);
                }
            }
            Some(scans) if line.contains(" Scan") => scans.push(line.trim_start_matches([' ', '-', '>'])),
            Some(_) => {}
        }
    }
    lines.join("\n")
}

const HEAD: &str = "# Statements

All SQL statements on PostgreSQL, by the operation that sends them: the text, the plan, and whether one shard has all
its rows when the tables are distributed over several machines. For database administrators, and for reviews of changes.

This page is generated. `UPDATE_STATEMENTS=1 bin/test page_of_statements` writes it again, and a test fails when a text
or, on PostgreSQL 15, an access to a table in a plan isn't the one of this page. The plans are generic ones, as sessions
of the server make them (`plan_cache_mode = force_generic_plan`), for 2,000 clients with statistics: small tables are
read as a whole there. Texts vary with what a request selects, filters by and sorts by; the cases are examples. BEGIN,
COMMIT and savepoints, the steps of the migration and `clientele import` are left out.

| statement | its rows are |
| --- | --- |
| reference | in definitions, access or other small tables, which every machine can have |
| keyed | those of one client, bound by its key: on one shard |
| keyed by a claim | those of one unique value or of one idempotency key: on one shard |
| across clients | not bound so, for the reason that is given |

A test fails when a statement of an operation on one client is across clients, except those in `NOT_ROUTABLE` of
`tests/it/statements.rs`.
";
