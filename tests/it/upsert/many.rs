//! `upsertClients`: each client is stored or refused by itself, and answered at its place in the input.

mod parts;
mod races;
mod repetition;

use clientele::{
    db::{Database, DatabaseSettings, Dialect, Step, Transaction, Work},
    error::Result,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use self::races::assert_undisturbed;
use super::create_trevor;
use crate::harness::{
    Answer, Settings, TestServer,
    graphql::{define_template, store_key},
    with,
};

const MANY: &str = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { clientMutationId
    results { created clientMutationId conflictingVersion client { clientId version firstName addresses { city } }
        userErrors { code path } }
    userErrors { code message path } } }";

async fn many(server: &TestServer, input: Value) -> Answer {
    server.graphql(MANY, json!({ "input": input })).await
}

/// The payload of a call whose input has no problem as a whole.
fn results(results: Value) -> Value {
    json!({ "upsertClients": { "clientMutationId": null, "results": results, "userErrors": [] } })
}

fn stored(created: bool, id: &str, version: i32, first: &str) -> Value {
    let client = json!({ "clientId": id, "version": version, "firstName": first, "addresses": [] });
    json!({ "created": created, "clientMutationId": null, "conflictingVersion": null, "client": client,
        "userErrors": [] })
}

fn refused(code: &str, path: &[&str]) -> Value {
    let path: Vec<&str> = ["input", "clients"].iter().chain(path).copied().collect();
    json!({ "created": false, "clientMutationId": null, "conflictingVersion": null, "client": null,
        "userErrors": [{ "code": code, "path": path }] })
}

/// A client with this id, which is changed if it exists.
fn named(id: &str, first: &str) -> Value {
    json!({ "client": { "clientId": id, "firstName": first, "lastName": "Bellweather" }, "matchOn": "CLIENT_ID" })
}

on_both!(
    clients_are_answered_in_the_order_of_the_input,
    no_client_is_an_empty_list,
    thousand_clients_are_stored_and_one_more_is_refused,
    input_sees_what_an_earlier_one_has_stored,
    checked_clients_are_not_stored,
    database_error_concerns_only_its_own_client,
    repeated_list_gets_the_first_answer,
    list_repeated_under_its_key_carries_out_the_rest,
    key_of_a_client_is_that_of_a_single_upsert,
    invalid_key_refuses_the_whole_list,
    messages_and_audit_records_are_those_of_single_upserts,
    large_stored_clients_end_the_list_early,
    statements_for_each_client_are_few,
    results_are_answered_when_the_selection_cannot_be_read,
);

async fn clients_are_answered_in_the_order_of_the_input(server: &TestServer) {
    create_trevor(server).await;
    let input = json!({ "clientMutationId": "all", "clients": [
        named("A", "Amara"),
        { "client": { "firstName": " ", "lastName": "Bellweather" }, "clientMutationId": "second" },
        { "client": { "encodedKey": "<key 1>", "firstName": "Theo" }, "addresses": [{ "city": "Exampleton" }] },
        { "client": { "encodedKey": "<key 1>" }, "expectedVersion": 9 },
        { "client": {}, "matchOn": "CLIENT_ID" },
        { "client": { "encodedKey": "<key 1>" }, "idempotencyKey": "" },
        named("B", "Bela"),
    ] });
    let theo = json!({ "clientId": "<id 1>", "version": 2, "firstName": "Theo",
        "addresses": [{ "city": "Exampleton" }] });
    let second = json!({ "clientMutationId": "second" });
    let conflict = json!({ "conflictingVersion": 2 });
    many(server, input)
        .await
        .data(json!({ "upsertClients": { "clientMutationId": "all", "userErrors": [],
        "results": [
            stored(true, "A", 1, "Amara"),
            with(refused("BLANK", &["1", "client", "firstName"]), second),
            with(stored(false, "", 0, ""), json!({ "client": theo })),
            with(refused("VERSION_CONFLICT", &["3", "expectedVersion"]), conflict),
            refused("BLANK", &["4", "client", "clientId"]),
            refused("MALFORMED", &["5", "idempotencyKey"]),
            stored(true, "B", 1, "Bela"),
        ] } }));
}

async fn no_client_is_an_empty_list(server: &TestServer) {
    let before = server.snapshot().await;
    many(server, json!({ "clients": [] })).await.data(results(json!([])));
    assert_eq!(server.snapshot().await, before);
}

async fn thousand_clients_are_stored_and_one_more_is_refused(server: &TestServer) {
    let clients = |count: usize| -> Value {
        (0..count)
            .map(|n| json!({ "client": { "firstName": format!("F{n}"), "lastName": "Bellweather" } }))
            .collect()
    };
    let before = server.snapshot().await;
    many(server, json!({ "clients": clients(1_001) }))
        .await
        .data(json!({ "upsertClients": {
        "clientMutationId": null, "results": [],
        "userErrors": [{ "code": "TOO_MANY", "message": "Send at most 1000 clients.", "path": ["input", "clients"] }],
    } }));
    assert_eq!(server.snapshot().await, before);
    let answer = many(server, json!({ "clients": clients(1_000) })).await;
    let found = answer.body["data"]["upsertClients"]["results"]
        .as_array()
        .expect("a list");
    let names: Vec<&Value> = found.iter().map(|result| &result["client"]["firstName"]).collect();
    assert_eq!(
        names,
        (0..1_000)
            .map(|n| json!(format!("F{n}")))
            .collect::<Vec<_>>()
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(server.snapshot().await.rows("client").len(), 1_000);
}

async fn input_sees_what_an_earlier_one_has_stored(server: &TestServer) {
    create_trevor(server).await;
    let chosen = |id: &str| json!({ "client": { "clientId": id, "firstName": "Amara", "lastName": "Bellweather" } });
    let change = |first: &str| json!({ "client": { "encodedKey": "<key 1>", "firstName": first } });
    let input = json!({ "clients": [
        named("A", "Amara"), named("A", "Bela"), named("A", "Bela"), chosen("A"), chosen("B"), chosen("B"),
        change("Theo"), change(" "), with(change("Tom"), json!({ "expectedVersion": 2 })),
    ] });
    many(server, input).await.data(results(json!([
        stored(true, "A", 1, "Amara"),
        stored(false, "A", 2, "Bela"),
        stored(false, "A", 2, "Bela"),
        refused("TAKEN", &["3", "client", "clientId"]),
        stored(true, "B", 1, "Amara"),
        refused("TAKEN", &["5", "client", "clientId"]),
        stored(false, "<id 1>", 2, "Theo"),
        refused("BLANK", &["7", "client", "firstName"]),
        stored(false, "<id 1>", 3, "Tom"),
    ])));
}

async fn checked_clients_are_not_stored(server: &TestServer) {
    create_trevor(server).await;
    let before = server.snapshot().await;
    let valid = json!({ "created": false, "clientMutationId": null, "conflictingVersion": null, "client": null,
        "userErrors": [] });
    let clients =
        json!([named("A", "Amara"), named("A", " "), { "client": { "encodedKey": "<key 1>", "notes": "n" } }]);
    let input = json!({ "clients": clients, "validateOnly": true, "idempotencyKey": "k" });
    let answer = results(json!([valid, refused("BLANK", &["1", "client", "firstName"]), valid]));
    many(server, input).await.data(answer);
    assert_eq!(server.snapshot().await, before);
    let clients = json!([
        with(named("A", "Amara"), json!({ "validateOnly": true })),
        named("B", "Bela")
    ]);
    let answer = results(json!([valid, stored(true, "B", 1, "Bela")]));
    many(server, json!({ "clients": clients })).await.data(answer);
}

/// Makes the database refuse clients of this last name.
async fn poison(server: &TestServer, name: &str) {
    let statements = match server.services.db.read().dialect {
        Dialect::Sqlite => vec![format!(
            "CREATE TRIGGER poison BEFORE INSERT ON client WHEN NEW.last_name = '{name}' \
             BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )],
        Dialect::Postgres => vec![
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poison'; END $$".to_owned(),
            format!(
                "CREATE TRIGGER poison BEFORE INSERT ON client FOR EACH ROW WHEN (NEW.last_name = '{name}') \
                 EXECUTE FUNCTION poison()"
            ),
        ],
    };
    for sql in statements {
        server.write(&sql).await.expect("a trigger can be created");
    }
}

async fn database_error_concerns_only_its_own_client(server: &TestServer) {
    poison(server, "Arsenic").await;
    let arsenic = with(
        named("B", "Bela"),
        json!({ "client": { "clientId": "B", "firstName": "Bela", "lastName": "Arsenic" } }),
    );
    let input = json!({ "clients": [named("A", "Amara"), arsenic, named("C", "Chidi"), named("A", "Ada")] });
    many(server, input).await.data(results(json!([
        stored(true, "A", 1, "Amara"),
        refused("NOT_CARRIED_OUT", &["1"]),
        stored(true, "C", 1, "Chidi"),
        stored(false, "A", 2, "Ada"),
    ])));
    let snapshot = server.snapshot().await;
    assert_eq!(
        ["client", "client_id_claim"].map(|table| snapshot.rows(table).len()),
        [2, 2]
    );
}

async fn repeated_list_gets_the_first_answer(server: &TestServer) {
    let input =
        json!({ "clients": [named("A", "Amara"), named("B", " "), named("C", "Chidi")], "idempotencyKey": "k" });
    let first = many(server, input.clone()).await;
    first.data(results(json!([
        stored(true, "A", 1, "Amara"),
        refused("BLANK", &["1", "client", "firstName"]),
        stored(true, "C", 1, "Chidi"),
    ])));
    many(server, json!({ "clients": [named("A", "Ada")] })).await;
    let before = server.snapshot().await;
    assert_eq!(many(server, input).await.text, first.text);
    assert_eq!(server.snapshot().await, before, "nothing is done a second time");
}

async fn list_repeated_under_its_key_carries_out_the_rest(server: &TestServer) {
    poison(server, "Arsenic").await;
    let arsenic = json!({ "client": { "clientId": "B", "firstName": "Bela", "lastName": "Arsenic" } });
    let input = json!({ "clients": [named("A", "Amara"), arsenic], "idempotencyKey": "k" });
    let first = stored(true, "A", 1, "Amara");
    let answer = results(json!([first, refused("NOT_CARRIED_OUT", &["1"])]));
    many(server, input.clone()).await.data(answer);
    let heal = match server.services.db.read().dialect {
        Dialect::Sqlite => "DROP TRIGGER poison",
        Dialect::Postgres => "DROP TRIGGER poison ON client",
    };
    server.write(heal).await.expect("it exists");
    let answer = results(json!([first, stored(true, "B", 1, "Bela")]));
    many(server, input).await.data(answer);
    assert_eq!(server.snapshot().await.rows("client").len(), 2);
}

async fn key_of_a_client_is_that_of_a_single_upsert(server: &TestServer) {
    let one = with(named("A", "Amara"), json!({ "idempotencyKey": "one" }));
    let single = json!({ "upsertClient": { "created": true, "client": { "version": 1 } } });
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created client { version } } }";
    server.graphql(query, json!({ "input": one })).await.data(single);
    let before = server.snapshot().await;
    let input = json!({ "clients": [one], "idempotencyKey": "all" });
    many(server, input)
        .await
        .data(results(json!([stored(true, "A", 1, "Amara")])));
    assert_eq!(server.snapshot().await, before);
}

async fn invalid_key_refuses_the_whole_list(server: &TestServer) {
    let before = server.snapshot().await;
    let input = json!({ "clients": [named("A", "Amara")], "idempotencyKey": "k".repeat(256) });
    let message = "An idempotency key has at most 255 characters.";
    many(server, input)
        .await
        .data(json!({ "upsertClients": { "clientMutationId": null, "results": [],
        "userErrors": [{ "code": "TOO_LONG", "message": message, "path": ["input", "idempotencyKey"] }] } }));
    assert_eq!(server.snapshot().await, before);
}

async fn messages_and_audit_records_are_those_of_single_upserts(server: &TestServer) {
    let variant = json!({ "language": "ENGLISH", "subject": "S", "text": "T" });
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [variant] });
    define_template(server, template).await;
    let before = server.snapshot().await.rows("audit_record").len();
    let client =
        |first: &str| json!({ "client": { "firstName": first, "lastName": "B", "emailAddress": "a@example.test" } });
    let input = json!({ "clients": [client("Amara"), client(" "), client("Chidi")] });
    assert_eq!(many(server, input).await.status, 200);
    let snapshot = server.snapshot().await;
    let found = ["client", "message", "audit_record"].map(|table| snapshot.rows(table).len());
    assert_eq!(found, [2, 2, before + 2]);
}

/// The stored clients fill a quarter of a request's memory, whatever is sent about them.
async fn large_stored_clients_end_the_list_early(server: &TestServer) {
    let notes = "n".repeat(60_000);
    let key = store_key(
        server,
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather", "notes": notes } }),
    )
    .await;
    let change = |n: usize| json!({ "client": { "encodedKey": key, "firstName": format!("F{n}") } });
    let clients: Vec<Value> = (0..200).map(change).collect();
    let query = |selection: &str| {
        format!(
            "mutation($input: UpsertClientsInput!) {{ upsertClients(input: $input) {{ results {{ {selection} created \
             userErrors {{ code }} }} }} }}"
        )
    };
    let variables = json!({ "input": { "clients": clients } });
    let answer = server.graphql(&query("client { notes }"), variables.clone()).await;
    let found = answer.body["data"]["upsertClients"]["results"]
        .as_array()
        .expect("a list");
    let done = found.iter().filter(|result| result["client"]["notes"] == notes).count();
    let left = found
        .iter()
        .filter(|result| result["userErrors"] == json!([{ "code": "NOT_CARRIED_OUT" }]))
        .count();
    assert!(done > 100 && left > 20 && done + left == 200, "{done} {left}");
    let version = format!("{{ client(by: {{ encodedKey: \"{key}\" }}) {{ version }} }}");
    let expected = json!({ "client": { "version": 1 + done } });
    server.graphql(&version, json!({})).await.data(expected);
    // Without the clients in the answer, there is room for all.
    let answer = server.graphql(&query(""), variables).await;
    assert!(!answer.text.contains("NOT_CARRIED_OUT"), "{}", answer.text);
}

async fn statements_for_each_client_are_few(server: &TestServer) {
    let clients = |from: usize, count: usize| -> Value {
        (from..from + count)
            .map(|n| json!({ "client": { "firstName": format!("F{n}"), "lastName": "Bellweather" } }))
            .collect()
    };
    many(server, json!({ "clients": clients(0, 1) })).await;
    server.statements();
    many(server, json!({ "clients": clients(1, 10) })).await;
    let ten = server.statements().len();
    many(server, json!({ "clients": clients(11, 20) })).await;
    let twenty = server.statements().len();
    let each = match server.services.db.read().dialect {
        Dialect::Sqlite => 5,
        Dialect::Postgres => 6,
    };
    assert_eq!([ten, twenty], [10 * each, 20 * each]);
}

/// The messages of the stored clients can't be read.
async fn results_are_answered_when_the_selection_cannot_be_read(server: &TestServer) {
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created \
        client { clientId messages { nodes { state } } } userErrors { code } } userErrors { code } } }";
    server
        .write("ALTER TABLE message RENAME TO hidden_message")
        .await
        .expect("it is renamed");
    let input = json!({ "clients": [named("A", "Amara"), named("B", " "), named("C", "Chidi")] });
    let answer = server.graphql(query, json!({ "input": input })).await;
    server
        .write("ALTER TABLE hidden_message RENAME TO message")
        .await
        .expect("it is renamed");
    let result = |created: bool, codes: Value| json!({ "created": created, "client": null, "userErrors": codes });
    let blank = json!([{ "code": "BLANK" }]);
    let results = json!([result(true, json!([])), result(false, blank), result(true, json!([]))]);
    assert_eq!(
        answer.body["data"],
        json!({ "upsertClients": { "results": results, "userErrors": [] } }),
        "{}",
        answer.text
    );
    let message = "The results say which clients are stored, but the selection of `client` could not be read: read the \
                   clients, asking for less.";
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&error["message"], &error["path"], &error["extensions"]["code"]),
        (&json!(message), &json!(["upsertClients"]), &json!("INTERNAL"))
    );
    assert_eq!(server.snapshot().await.rows("client").len(), 2);
}

/// Locks one client, reports it, and holds the lock until released. On SQLite all writers wait.
struct Lock<'a> {
    locked: &'a Notify,
    done: &'a Notify,
}

impl Work for Lock<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        if transaction.dialect == Dialect::Postgres {
            let lock = "SELECT 1 FROM client WHERE client_id = 'LOCKED' FOR UPDATE";
            transaction.one(lock, []).await?;
        }
        self.locked.notify_one();
        self.done.notified().await;
        Ok(Step::Discard(()))
    }
}

on_postgres!(deadline_leaves_the_rest_of_the_list_to_the_caller);

async fn deadline_leaves_the_rest_of_the_list_to_the_caller(server: &TestServer) {
    many(server, json!({ "clients": [named("LOCKED", "Lena")] })).await;
    let settings = Settings {
        request_timeout_seconds: 2,
        ..Settings::default()
    };
    let hurried = server.another(settings).await;
    let onlooker = Database::connect(&server.database_url(), &DatabaseSettings::default())
        .await
        .expect("it opens");
    let (locked, done) = (Notify::new(), Notify::new());
    let work = Lock {
        locked: &locked,
        done: &done,
    };
    let mut clients: Vec<Value> = (0..60).map(|n| named(&format!("C{n}"), "Chidi")).collect();
    clients[55] = named("LOCKED", "Lou");
    let input = json!({ "clients": clients, "idempotencyKey": "k" });
    let calling = async {
        locked.notified().await;
        let answer = many(&hurried, input.clone()).await;
        done.notify_one();
        answer
    };
    let (locking, answer) = tokio::join!(onlooker.write(&work), calling);
    locking.expect("the lock is held and let go");
    let found = answer.body["data"]["upsertClients"]["results"]
        .as_array()
        .expect("a list");
    let done = found.iter().filter(|result| result["created"] == true).count();
    assert!((1..=50).contains(&done), "{}", answer.text);
    let first = |n: usize| stored(true, &format!("C{n}"), 1, "Chidi");
    let left = |n: usize| refused("NOT_CARRIED_OUT", &[&n.to_string()]);
    let expected: Value = (0..60).map(|n| if n < done { first(n) } else { left(n) }).collect();
    answer.data(results(expected));
    assert_eq!(server.snapshot().await.rows("client").len(), 1 + done);
    let again = many(server, input).await;
    assert!(!again.text.contains("NOT_CARRIED_OUT"), "{}", again.text);
    assert_eq!(server.snapshot().await.rows("client").len(), 60);
    onlooker.close().await;
    hurried.stop().await;
}
