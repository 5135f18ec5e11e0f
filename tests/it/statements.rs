//! The catalogue of statements, `docs/statements.md`: it is generated from operations of both APIs, the worker and the
//! commands. Statements of one client must be routable to one shard.

mod catalogue;
mod operations;
mod placement;
mod routing;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use clientele::api;

use self::{
    catalogue::{Catalogue, Extent, comparable},
    routing::{Route, route},
};
use crate::harness::{TestServer, schema::root_fields};

const PAGE: &str = "docs/statements.md";
/// The version of PostgreSQL whose plans are on the page.
const VERSION: &str = "15";

/// Statements of one client that need several shards, with … for any text, and why.
const NOT_ROUTABLE: &[(&str, &str)] = &[
    ("INSERT INTO custom_field_claim (…", IN_JSON),
    ("WITH w0 AS (INSERT INTO client (…", IN_JSON),
    ("WITH w0 AS (INSERT INTO audit_chain (…", IN_PARTS),
    ("WITH w0 AS (INSERT INTO audit_record (…", IN_PARTS),
    (
        "DELETE FROM custom_field_claim WHERE client_key = $1 AND (field_key, value) IN (…",
        IN_JSON,
    ),
    (
        "SELECT c.encoded_key, (SELECT … c.encoded_key = ANY(ARRAY(SELECT json_array_elements_text($1::json)))",
        OF_LIST,
    ),
    (
        "SELECT … FROM client c WHERE c.encoded_key = ANY(ARRAY(SELECT json_array_elements_text($1::json)))",
        OF_LIST,
    ),
    (
        "SELECT r.channel, r.recipient, (SELECT count(*) FROM suppression s …",
        "they are counted by recipient",
    ),
    (
        "SELECT … c.encoded_key = (SELECT client_key FROM client_id_claim WHERE client_id = $1)…",
        LOOKED_UP,
    ),
    (
        "SELECT … c.encoded_key = coalesce((SELECT client_key FROM client_id_claim WHERE client_id = $1), $1)…",
        LOOKED_UP,
    ),
    (
        "SELECT 1 FROM client_id_claim WHERE client_id = $1 UNION ALL SELECT 1 FROM client WHERE …",
        LOOKED_UP,
    ),
    (
        "INSERT INTO client_id_claim (client_id, client_key) SELECT $1, $2 WHERE NOT EXISTS …",
        LOOKED_UP,
    ),
    (
        "SELECT … FROM audit_record a WHERE (a.chain, a.position) > ($1, $2) AND …",
        "any range of chains is read",
    ),
    (
        "SELECT 1 FROM idempotency_record WHERE client_key = $1 LIMIT 1",
        OUTCOMES,
    ),
    ("UPDATE idempotency_record SET outcome = …", OUTCOMES),
];
const IN_JSON: &str = "the keys of the rows are within JSON";
const IN_PARTS: &str = "a distributed database gets its parts one by one";
const OF_LIST: &str = "a list of clients is read, here of one";
const LOOKED_UP: &str = "the client id and the client are looked up together";
const OUTCOMES: &str = "the outcomes of all requests about a client are erased";

on_postgres!(
    route_of_a_statement_follows_from_its_plan,
    page_of_statements_is_generated,
    statements_of_one_client_are_routable,
);

async fn route_of_a_statement_follows_from_its_plan(server: &TestServer) {
    let several = |reason: &str| Route::Several(BTreeSet::from([reason.to_owned()]));
    for (sql, expected) in [
        ("SELECT name FROM client_role WHERE role_id = $1", Route::Any),
        (
            "SELECT line1 FROM address WHERE client_key = $1 AND city = $2",
            Route::Client,
        ),
        (
            "SELECT c.notes, (SELECT count(*) FROM address a WHERE a.client_key = c.encoded_key) FROM client c \
             JOIN message m ON m.client_key = c.encoded_key WHERE m.client_key = $1",
            Route::Client,
        ),
        (
            "UPDATE client SET notes = $2 WHERE encoded_key = $1 AND version = $3",
            Route::Client,
        ),
        (
            "INSERT INTO audit_chain (chain, head, count) VALUES ($2, $1, 1)",
            Route::Client,
        ),
        (
            "SELECT client_key FROM client_id_claim WHERE client_id = $1",
            Route::Claim("client_id_claim".to_owned()),
        ),
        (
            "SELECT line1 FROM address WHERE city = $1",
            several("`address` isn't bound by `client_key`"),
        ),
        (
            "SELECT line1 FROM address WHERE client_key = $1 OR city = $2",
            several("`address` isn't bound by `client_key`"),
        ),
        (
            "SELECT line1 FROM address WHERE client_key > $1",
            several("`address` isn't bound by `client_key`"),
        ),
        (
            "SELECT 1 FROM client c, address a WHERE c.encoded_key = $1 AND a.client_key = $2",
            several("several shards together: 2 of `client`"),
        ),
        (
            "SELECT 1 FROM client WHERE encoded_key = (SELECT client_key FROM client_id_claim WHERE client_id = $1)",
            several("`client` isn't bound by `encoded_key`"),
        ),
        (
            "INSERT INTO audit_chain (chain, head, count) SELECT chain, head, count FROM \
             json_populate_recordset(NULL::audit_chain, $1::json)",
            several("`audit_chain` isn't bound by `chain`"),
        ),
    ] {
        assert_eq!(route(server, sql).await, expected, "{sql}");
    }
}

/// The statements of all operations.
async fn collected(server: &TestServer) -> Catalogue {
    let catalogue = operations::collect(server).await;
    let found: BTreeSet<&str> = catalogue.subjects().collect();
    let fields = root_fields();
    let routes = api::rest::ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path));
    let missing: Vec<String> = fields
        .into_iter()
        .chain(routes)
        .filter(|subject| !found.contains(&**subject))
        .collect();
    assert_eq!(
        missing, [""; 0],
        "they have no operation in tests/it/statements/operations.rs"
    );
    catalogue
}

async fn page_of_statements_is_generated(server: &TestServer) {
    let page = collected(server).await.page(server).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let version = server.services.db.read().one("SHOW server_version", []).await;
    let version: String = version
        .expect("it is read")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a text");
    let has_plans = version.split('.').next() == Some(VERSION);
    if std::env::var_os("UPDATE_STATEMENTS").is_some() {
        assert!(
            has_plans,
            "the plans of the page are those of PostgreSQL {VERSION}, not {version}"
        );
        fs::write(&file, &page).expect("the page can be written");
        return;
    }
    let stored = fs::read_to_string(&file).expect("the page is text");
    let [stored, page] = [&stored, &page].map(|page| comparable(page, has_plans));
    let difference = stored.lines().zip(page.lines()).find(|(stored, page)| stored != page);
    assert!(
        stored == page,
        "{PAGE} is out of date: run UPDATE_STATEMENTS=1 bin/test page_of_statements, and read the difference, which \
         begins here: {difference:#?}"
    );
}

async fn statements_of_one_client_are_routable(server: &TestServer) {
    let catalogue = collected(server).await;
    let routes = catalogue.routes(server).await;
    // Each reason with the statements and operations that it is about.
    let mut found: BTreeMap<String, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for operation in catalogue
        .operations
        .iter()
        .filter(|operation| operation.extent == Extent::Client)
    {
        for sql in &operation.statements {
            if let Some(Route::Several(reasons)) = routes.get(&**sql) {
                let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
                let (statements, operations) = found.entry(reasons.join(", ")).or_default();
                statements.insert(sql);
                operations.insert(&operation.name);
            }
        }
    }
    let mut used = BTreeSet::new();
    let mut failures = String::new();
    for (reason, (statements, operations)) in &found {
        for sql in statements {
            let known = NOT_ROUTABLE.iter().position(|(pattern, _)| fits(pattern, sql));
            match known {
                Some(known) => {
                    used.insert(known);
                }
                None => failures += &format!("{operations:?}: {reason}:\n{sql}\n\n"),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "statements of one client that need several shards:\n{failures}"
    );
    let unused: Vec<_> = (0..NOT_ROUTABLE.len())
        .filter(|at| !used.contains(at))
        .map(|at| NOT_ROUTABLE[at])
        .collect();
    assert_eq!(unused, [], "no statement needs these lines any more");
}

/// True if the statement is the pattern, in which … stands for any text.
fn fits(pattern: &str, sql: &str) -> bool {
    let (first, rest) = pattern.split_once('…').unwrap_or((pattern, ""));
    let Some(after) = sql.strip_prefix(first) else {
        return false;
    };
    if first.len() == pattern.len() {
        return after.is_empty();
    }
    rest.is_empty()
        || after
            .match_indices(rest.split('…').next().unwrap_or_default())
            .any(|(at, _)| fits(rest, &after[at..]))
}
