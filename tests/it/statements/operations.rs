//! The operations of the catalogue. Each root field and each route must be among them.

use std::{collections::BTreeSet, time::SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use clientele::{
    caller::{Caller, Limit, Permission, Rights},
    client::{CheckLevel, DuplicateChecks, fill_search_rows},
    expiry::{remove_expired_outcomes, remove_expired_sessions},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::catalogue::{Catalogue, Extent};
use crate::{
    harness::{
        Answer, Settings, TestServer,
        graphql::{data, define, define_document_template, define_template, store, store_key},
        peers::{Answering, GatewayPeer, Mailing, SmtpPeer},
    },
    notifications::manual_worker::{Hand, settings, sms_settings},
    reads::statements::EVERYTHING,
    sign_in::credentials::{PASSWORD, user},
    upsert::duplicates::checking,
};

const ONE: Extent = Extent::Client;
const DEFINED: Extent = Extent::Definitions;
const PAGE: Extent = Extent::Across("A page of a list, in an order of its own.");
const SEARCH: Extent = Extent::Across("Clients are searched by their values.");
const MANY: Extent = Extent::Across("Many clients in one request.");
const LINKS: Extent = Extent::Across("Links of other clients to this one are looked for.");
const LINKED: Extent = Extent::Across("The linked client is locked, too.");
const OUTBOX: Extent = Extent::Across("Messages of all clients are taken by their time.");
const UPKEEP: Extent = Extent::Across("Rows of all clients are removed by their time.");
const WHOLE: Extent = Extent::Across("All clients are read, part by part.");

const UPSERTED: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created client { \
    encodedKey version } userErrors { message } } }";

/// The rows of production that the seed lacks, so that plans don't count on empty tables.
const MORE_ROWS: [&str; 8] = [
    "INSERT INTO message (client_key, encoded_key, event, channel, template_key, template_id, variant_key, language, \
     recipient, placeholders, state, attempts, created_at, queued_at, sent_at) SELECT encoded_key, encoded_key, \
     'CLIENT_CREATED', 'EMAIL', 'k', 'welcome', 'v', 'ENGLISH', encoded_key, '{}', 'SENT', 1, created_at, created_at, \
     created_at FROM client",
    "INSERT INTO raised_message (client_key, encoded_key, channel, recipient, caller, created_at) SELECT client_key, \
     encoded_key, channel, recipient, recipient, created_at FROM message",
    "INSERT INTO provider_message (provider_id, client_key, encoded_key, created_at) SELECT 'p' || encoded_key, \
     client_key, encoded_key, created_at FROM message",
    "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at, client_key) SELECT 'caller', encoded_key, \
     'f', now() + interval '1 day', encoded_key FROM client",
    "INSERT INTO suppression (encoded_key, channel, recipient, reason, created_at, caller_kind, caller_id, \
     caller_name) SELECT encoded_key, 'EMAIL', 'r' || encoded_key, 'BOUNCED', created_at, 'USER', 'i', 'n' FROM client",
    "INSERT INTO custom_field_claim (field_key, value, client_key) SELECT f.encoded_key, c.encoded_key, c.encoded_key \
     FROM client c, custom_field f WHERE f.field_id = 'badge'",
    "INSERT INTO audit_chain (chain, head, count) SELECT 'x' || substr(encoded_key, 2), 'h', 4 FROM client \
     WHERE encoded_key ~ '[048c]$'",
    "INSERT INTO audit_record (chain, position, recorded_at, caller_kind, caller_id, caller_name, door, request_id, \
     subject, subject_key, action, digest, hmac, key_id) SELECT chain, position, now(), 'USER', 'i', 'n', 'GRAPHQL', \
     'r', 'CLIENT', chain, 'CREATED', 'd', 'h', 'k' FROM audit_chain, generate_series(1, 4) position WHERE head = 'h'",
];

/// The key of a seeded client and its message.
const SEEDED: &str = "01900000000070008000000000000000";

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Asserts that an operation did what it is for.
fn succeeded(name: &str, answer: &Answer) {
    let is_refused = answer.body.get("errors").is_some() || answer.text.contains("\"userErrors\":[{");
    assert!(
        answer.status == 200 && !is_refused,
        "{name}: {} {}",
        answer.status,
        answer.text
    );
}

struct Run<'a> {
    server: &'a TestServer,
    catalogue: Catalogue,
}

impl Run<'_> {
    async fn graphql(&mut self, name: &str, extent: Extent, document: &str, variables: Value) -> Answer {
        let asking = self.server.graphql(document, variables);
        let answer = self.catalogue.record(self.server, name, extent, asking).await;
        succeeded(name, &answer);
        answer
    }

    /// A mutation without a selection of its own.
    async fn mutation(&mut self, case: &str, extent: Extent, ty: &str, input: Value) -> Answer {
        let field = case.split(": ").next().unwrap_or_default();
        let document = format!("mutation($input: {ty}!) {{ {field}(input: $input) {{ userErrors {{ message }} }} }}");
        let name = format!("Mutation.{case}");
        self.graphql(&name, extent, &document, json!({ "input": input })).await
    }

    async fn upsert(&mut self, case: &str, extent: Extent, input: Value) {
        let name = format!("Mutation.upsertClient: {case}");
        self.graphql(&name, extent, UPSERTED, json!({ "input": input })).await;
    }

    /// A request to a route, whose path has these values.
    async fn rest(&mut self, name: &str, extent: Extent, values: &[(&str, &str)], body: Value) {
        let route = name.split(": ").next().unwrap_or_default();
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let mut path = path.to_owned();
        for (placeholder, value) in values {
            path = path.replace(&format!("{{{placeholder}}}"), value);
        }
        let mut request = self.server.request(method.parse::<Method>().expect("a method"), &path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let sending = self.server.send(request);
        let answer = self.catalogue.record(self.server, name, extent, sending).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    }
}

fn full(id: &str) -> Value {
    json!({
        "client": { "clientId": id, "firstName": "Amara", "lastName": "Bellweather", "birthDate": "1990-04-17",
            "emailAddress": format!("{id}@example.test"), "mobilePhone1": "+14155550101" },
        "addresses": [{ "line1": "1 Test Lane", "city": "Exampleton", "country": "Wales" }],
        "idDocuments": [{ "documentType": "Passport", "documentId": format!("N{id}") }],
        "customInformation": [{ "fieldId": "note", "value": "x" }, { "fieldId": "badge", "value": format!("b{id}") }],
    })
}

/// A client with these members only.
fn plain(id: &str) -> Value {
    json!({ "client": { "clientId": id, "firstName": "Amara", "lastName": "Bellweather" } })
}

async fn prepare(server: &TestServer) {
    // Statistics must not change by themselves.
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()";
    for row in server.services.db.read().all(tables, []).await.expect("the catalog") {
        let table: String = row.try_get_by_index(0).expect("a name");
        let sql = format!("ALTER TABLE {table} SET (autovacuum_enabled = false)");
        server.write(&sql).await.expect("it is written");
    }
    define(
        server,
        "facts",
        json!([
            { "fieldId": "note", "name": "Note", "type": "TEXT" },
            { "fieldId": "badge", "name": "Badge", "type": "TEXT", "unique": true },
            { "fieldId": "next", "name": "Next", "type": "CLIENT_LINK" },
        ]),
    )
    .await;
    define_document_template(server, json!({ "templateId": "pass", "documentType": "Passport" })).await;
    for (id, event) in [("welcome", "CLIENT_CREATED"), ("changed", "CLIENT_UPDATED")] {
        let variant = json!({ "language": "ENGLISH", "subject": "S", "text": "Dear {CLIENT_NAME}" });
        let template = json!({ "templateId": id, "name": id, "event": event, "channel": "EMAIL",
            "variants": [variant] });
        define_template(server, template).await;
    }
}

pub async fn collect(server: &TestServer) -> Catalogue {
    prepare(server).await;
    let catalogue = Catalogue::default();
    let mut run = Run { server, catalogue };
    let seeding = server.seed(2_000);
    run.catalogue
        .record(server, "Command clientele seed", MANY, seeding)
        .await;
    for sql in MORE_ROWS {
        server.write(sql).await.expect("rows");
    }
    server.analyze().await;
    // Listed last, with the other commands.
    let seeded = run.catalogue.operations.pop().expect("it was recorded");
    let key = store_key(server, full("C-1")).await;
    store(server, full("C-2"), "clientId").await;
    queries(&mut run, &key).await;
    accounts(&mut run).await;
    mutations(&mut run, &key).await;
    routes(&mut run, &key).await;
    worker(&mut run).await;
    run.catalogue.operations.push(seeded);
    commands(&mut run, &key).await;
    // Accounts have queries and mutations, too.
    run.catalogue.operations.sort_by_key(|operation| {
        let kinds = [
            "Query.",
            "Mutation.",
            "GET ",
            "POST ",
            "PATCH ",
            "DELETE ",
            "Worker",
            "Command",
        ];
        let kind = kinds.iter().position(|kind| operation.name.starts_with(kind));
        kind.map(|kind| if (2..6).contains(&kind) { 2 } else { kind })
    });
    run.catalogue
}

async fn queries(run: &mut Run<'_>, key: &str) {
    let ask = async |run: &mut Run<'_>, name: &str, extent: Extent, document: &str| {
        run.graphql(&format!("Query.{name}"), extent, document, json!({ "key": key }))
            .await
    };
    let by_key = "by: { encodedKey: $key }";
    let of = |fields: &str| format!("query($key: String!) {{ client({by_key}) {{ {fields} }} }}");
    let found = ask(
        run,
        "client: by key, without collections",
        ONE,
        &of("id clientId firstName"),
    )
    .await;
    let body: Value = serde_json::from_str(&found.text).expect("JSON");
    let id = body["data"]["client"]["id"].as_str().expect("an id").to_owned();
    ask(run, "client: by key, with addresses", ONE, &of("addresses { line1 }")).await;
    ask(run, "client: by key, with all values", ONE, &of(EVERYTHING)).await;
    let messages = "messages(first: 10) { totalCount nodes { id state subject } }";
    ask(run, "client: by key, with messages", ONE, &of(messages)).await;
    let history = "history(first: 10) { totalCount nodes { id action changes { path } } }";
    ask(run, "client: by key, with its history", ONE, &of(history)).await;
    let by_id = format!("{{ client(by: {{ clientId: \"C-1\" }}) {{ {EVERYTHING} }} }}");
    ask(run, "client: by client id", ONE, &by_id).await;
    let limited = run.server.as_caller(&Rights {
        branches: Limit::To(BTreeSet::from(["b".to_owned()])),
        ..Rights::all()
    });
    let server = run.server;
    for (name, extent, document) in [
        ("client: by key, for a branch", ONE, of("clientId")),
        (
            "clients: a page for a branch",
            PAGE,
            "{ clients { totalCount nodes { clientId } } }".to_owned(),
        ),
        (
            "messages: a page for a branch",
            PAGE,
            "{ messages { totalCount nodes { id } } }".to_owned(),
        ),
    ] {
        let asking = limited.graphql(&document, json!({ "key": key }));
        let answer = run
            .catalogue
            .record(server, format!("Query.{name}"), extent, asking)
            .await;
        succeeded(name, &answer);
    }
    let node = "query($id: ID!) { node(id: $id) { id ... on Client { clientId addresses { line1 } } } }";
    let variables = json!({ "id": id });
    run.graphql("Query.node: a client", ONE, node, variables.clone()).await;
    let nodes = "query($id: ID!) { nodes(ids: [$id]) { id ... on Client { clientId } } }";
    run.graphql("Query.nodes: clients", MANY, nodes, variables).await;
    let version =
        format!("query($key: String!) {{ clientAt({by_key}, version: 1) {{ clientId addresses {{ line1 }} }} }}");
    ask(run, "clientAt", ONE, &version).await;
    let difference = format!("query($key: String!) {{ clientDifference({by_key}, to: 1) {{ changes {{ path }} }} }}");
    ask(run, "clientDifference", ONE, &difference).await;
    let preview =
        "query($key: String!) { previewMessage(templateId: \"welcome\", client: { encodedKey: $key }) { text } }";
    ask(run, "previewMessage", ONE, preview).await;
    for (name, fields) in [
        ("customFieldSets", " { setId fields { fieldId options { value } } }"),
        ("customField", "(by: { fieldId: \"note\" }) { name }"),
        ("clientRoles", " { roleId }"),
        ("idDocumentTemplates", " { templateId }"),
        ("messageTemplates", " { templateId variants { text } }"),
        ("viewer", " { kind permissions }"),
        ("users", " { totalCount nodes { name } }"),
        ("tokens", " { totalCount nodes { name } }"),
        ("sessions", " { totalCount nodes { userName } }"),
    ] {
        ask(run, name, DEFINED, &format!("{{ {name}{fields} }}")).await;
    }
    for (case, arguments) in [
        ("a page in the order of creation", "(first: 50)".to_owned()),
        ("a page by name", "(first: 50, orderBy: { field: NAME })".to_owned()),
        (
            "the last page of a state",
            "(last: 50, filter: { states: [ACTIVE] })".to_owned(),
        ),
        ("of a branch", "(filter: { assignedBranchKey: \"b\" })".to_owned()),
    ] {
        let document = format!("{{ clients{arguments} {{ totalCount nodes {{ clientId }} }} }}");
        ask(run, &format!("clients: {case}"), PAGE, &document).await;
    }
    let all = format!("{{ clients(first: 50) {{ nodes {{ {EVERYTHING} }} }} }}");
    ask(run, "clients: a page with all values", PAGE, &all).await;
    let links = "{ clients(first: 5) { nodes { customInformation { linkedClient { clientId } } } } }";
    ask(run, "clients: with linked clients", PAGE, links).await;
    for (case, arguments) in [
        ("by a first name", "filter: { firstName: { startsWith: \"a\" } }"),
        ("by an e-mail address", "filter: { email: \"a@example.test\" }"),
        ("by a phone number", "filter: { phone: \"+14155550101\" }"),
        ("by a document", "filter: { documentId: \"N1\" }"),
        ("by a city", "filter: { city: \"Exampleton\" }"),
        (
            "by a custom field",
            "filter: { customField: { fieldId: \"note\", value: \"x\" } }",
        ),
        ("by words", "search: \"amara bellweather\""),
    ] {
        let document = format!("{{ clients({arguments}) {{ totalCount nodes {{ clientId }} }} }}");
        ask(run, &format!("clients: {case}"), SEARCH, &document).await;
    }
    for (case, arguments) in [
        ("a page", ""),
        (
            "failed ones of a template",
            "(filter: { states: [FAILED], templateId: \"welcome\" })",
        ),
    ] {
        let document = format!("{{ messages{arguments} {{ totalCount nodes {{ id text }} }} }}");
        ask(run, &format!("messages: {case}"), PAGE, &document).await;
    }
    let document = "query($key: String!) { messages(filter: { client: { encodedKey: $key } }) { nodes { id } } }";
    ask(run, "messages: of a client", ONE, document).await;
    let document = "{ auditLog { totalCount nodes { id action changes { path } } } }";
    ask(run, "auditLog: a page", PAGE, document).await;
    let document = "query($key: String!) { auditLog(filter: { client: { encodedKey: $key } }) { nodes { id } } }";
    ask(run, "auditLog: of a client", ONE, document).await;
    let document = "{ clientChanges { nodes { version client { clientId } } end } }";
    ask(run, "clientChanges: the oldest", PAGE, document).await;
    let document = "{ clientChanges(after: \"0.0.\") { nodes { version } position } }";
    ask(run, "clientChanges: after a position", PAGE, document).await;
    let document = "{ suppressions(filter: { channel: EMAIL }) { totalCount nodes { recipient } } }";
    ask(run, "suppressions", PAGE, document).await;
}

async fn mutations(run: &mut Run<'_>, key: &str) {
    run.upsert("a new client with all values", ONE, full("C-3")).await;
    run.upsert(
        "a new client without an id",
        ONE,
        json!({ "client": { "firstName": "A", "lastName": "B" } }),
    )
    .await;
    let with_key = crate::harness::with(plain("C-4"), json!({ "idempotencyKey": "once" }));
    run.upsert("a new client, with an idempotency key", ONE, with_key.clone())
        .await;
    run.upsert("a repetition with an idempotency key", ONE, with_key).await;
    let checked = crate::harness::with(full("C-5"), json!({ "validateOnly": true }));
    run.upsert("validateOnly", ONE, checked).await;
    for (case, members, others) in [
        ("scalars", json!({ "notes": "n", "lastName": "Cruz" }), json!({})),
        ("nothing", json!({}), json!({})),
        (
            "addresses",
            json!({}),
            json!({ "addresses": [{ "line1": "2 Test Lane" }] }),
        ),
        (
            "documents",
            json!({}),
            json!({ "idDocuments": [{ "documentType": "Passport", "documentId": "M2" }] }),
        ),
        (
            "a unique value",
            json!({}),
            json!({ "customInformation": [{ "fieldId": "badge", "value": "new" }] }),
        ),
        (
            "no values",
            json!({}),
            json!({ "addresses": [], "idDocuments": [], "customInformation": [] }),
        ),
    ] {
        let client = crate::harness::with(json!({ "encodedKey": key }), members);
        let input = crate::harness::with(json!({ "client": client }), others);
        run.upsert(&format!("by key, changes {case}"), ONE, input).await;
    }
    let link = json!({ "client": { "encodedKey": key }, "customInformation": [{ "fieldId": "next",
        "linkedKey": store_key(run.server, plain("C-10")).await }] });
    run.upsert("by key, links another client", LINKED, link).await;
    let by_id = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "C-1", "notes": "by id" } });
    run.upsert("by client id, changes scalars", ONE, by_id).await;
    let by_value = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "badge", "value": "bC-3" },
        "client": { "notes": "by value" } });
    run.upsert("by a unique value, changes scalars", ONE, by_value).await;
    let both = json!({ "clients": [full("C-11"), full("C-12")] });
    let document = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { userErrors { \
        message } } userErrors { message } } }";
    run.graphql("Mutation.upsertClients", MANY, document, json!({ "input": both }))
        .await;
    let once = json!({ "clients": [full("C-20")], "idempotencyKey": "many" });
    let name = "Mutation.upsertClients: with an idempotency key";
    run.graphql(name, MANY, document, json!({ "input": once })).await;
    let level = CheckLevel::Warning;
    let duplicates = DuplicateChecks {
        document: level,
        home_phone: level,
        mobile_phone: level,
        email_address: level,
        names: level,
        last_name_and_birth_date: level,
    };
    let checked = checking(run.server, duplicates).await;
    let upserting = checked.graphql(UPSERTED, json!({ "input": full("C-21") }));
    let name = "Mutation.upsertClient: a new client, with checks for duplicates";
    let answer = run.catalogue.record(&checked, name, SEARCH, upserting).await;
    succeeded(name, &answer);
    checked.stop().await;
    let state = json!({ "by": { "encodedKey": key }, "state": "ACTIVE" });
    run.mutation("changeClientState", ONE, "ChangeClientStateInput", state)
        .await;
    let merge = json!({ "from": { "clientId": "C-11" }, "into": { "clientId": "C-12" }, "addresses": "ADD" });
    run.mutation("mergeClients", MANY, "MergeClientsInput", merge).await;
    let removed = store_key(run.server, full("C-13")).await;
    let by = json!({ "by": { "encodedKey": removed } });
    run.mutation("deleteClient", LINKS, "DeleteClientInput", by.clone())
        .await;
    run.mutation("eraseClient: a deleted one", ONE, "EraseClientInput", by)
        .await;
    let removed = store_key(run.server, full("C-14")).await;
    let by = json!({ "by": { "encodedKey": removed } });
    run.mutation("eraseClient: a stored one", LINKS, "EraseClientInput", by)
        .await;
    let set = json!({ "set": { "setId": "more", "name": "More" }, "fields": [{ "fieldId": "risk", "name": "Risk",
        "type": "SELECTION", "options": [{ "value": "low" }] }] });
    run.mutation(
        "upsertCustomFieldSet: a new one",
        DEFINED,
        "UpsertCustomFieldSetInput",
        set,
    )
    .await;
    let unique = json!({ "set": { "setId": "facts" }, "fields": [{ "fieldId": "note", "maxLength": 200 },
        { "fieldId": "badge" }, { "fieldId": "next" }] });
    run.mutation(
        "upsertCustomFieldSet: a stricter one",
        DEFINED,
        "UpsertCustomFieldSetInput",
        unique,
    )
    .await;
    let role = json!({ "roleId": "company", "name": "Company" });
    run.mutation("upsertClientRole", DEFINED, "UpsertClientRoleInput", role)
        .await;
    let document = json!({ "templateId": "card", "documentType": "Card" });
    run.mutation(
        "upsertIdDocumentTemplate",
        DEFINED,
        "UpsertIdDocumentTemplateInput",
        document,
    )
    .await;
    let template = json!({ "templateId": "changed", "name": "Renamed", "variants": [{ "language": "ENGLISH",
        "subject": "S", "text": "Hello" }] });
    run.mutation("upsertMessageTemplate", DEFINED, "UpsertMessageTemplateInput", template)
        .await;
    let template = json!({ "templateId": "changed" });
    run.mutation("deleteMessageTemplate", DEFINED, "DeleteMessageTemplateInput", template)
        .await;
    let filter = json!({ "filter": {} });
    run.mutation("resendMessages: by a filter", OUTBOX, "ResendMessagesInput", filter)
        .await;
    let failed = format!("UPDATE message SET state = 'FAILED', placeholders = '{{}}' WHERE encoded_key = '{SEEDED}'");
    run.server.write(&failed).await.expect("it is written");
    let found = data(
        run.server,
        "{ messages(filter: { states: [FAILED] }) { nodes { id } } }",
        json!({}),
    )
    .await;
    let ids = json!({ "ids": [found["messages"]["nodes"][0]["id"]] });
    run.mutation("resendMessages: by ids", MANY, "ResendMessagesInput", ids)
        .await;
    let suppression = json!({ "channel": "EMAIL", "recipient": "bo@example.test" });
    run.mutation("addSuppression", ONE, "AddSuppressionInput", suppression.clone())
        .await;
    run.mutation("removeSuppression", ONE, "RemoveSuppressionInput", suppression)
        .await;
}

/// Users, tokens and sessions, on a server that requires credentials.
async fn accounts(run: &mut Run<'_>) {
    let permissions: Vec<&str> = vec!["VIEW_CLIENT"];
    let ada = json!({ "name": "ada", "password": PASSWORD, "permissions": permissions });
    run.mutation("upsertUser: a new one", DEFINED, "UpsertUserInput", ada)
        .await;
    let ada = json!({ "name": "ada", "active": false });
    run.mutation("upsertUser: a known one", DEFINED, "UpsertUserInput", ada)
        .await;
    run.mutation("deleteUser", DEFINED, "DeleteUserInput", json!({ "name": "ada" }))
        .await;
    let token = json!({ "name": "batch", "permissions": permissions });
    let document = "mutation($input: CreateTokenInput!) { createToken(input: $input) { token { encodedKey } userErrors \
        { message } } }";
    let input = json!({ "input": token });
    let created = run.graphql("Mutation.createToken", DEFINED, document, input).await;
    let key = |answer: &Answer, pointer: &str| {
        let body: Value = serde_json::from_str(&answer.text).expect("JSON");
        body.pointer(pointer)
            .and_then(Value::as_str)
            .expect("a text")
            .to_owned()
    };
    let token = json!({ "encodedKey": key(&created, "/data/createToken/token/encodedKey") });
    run.mutation("revokeToken", DEFINED, "RevokeTokenInput", token).await;
    user(run.server, "eve", &Permission::ALL).await;
    let signed = run.server.another(Settings::signed_in()).await;
    let sign_in = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken session { \
        encodedKey } userErrors { message } } }";
    let input = json!({ "input": { "name": "eve", "password": PASSWORD } });
    let catalogue = &mut run.catalogue;
    let asking = signed.graphql(sign_in, input.clone());
    let first = catalogue.record(&signed, "Mutation.signIn", DEFINED, asking).await;
    let second = signed.graphql(sign_in, input.clone()).await;
    let refresh = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken userErrors { \
        message } } }";
    let token = json!({ "input": { "refreshToken": key(&first, "/data/signIn/refreshToken") } });
    let refreshing = signed.graphql(refresh, token);
    let refreshed = catalogue
        .record(&signed, "Mutation.refreshSession", DEFINED, refreshing)
        .await;
    let bearer = signed.as_bearer(key(&refreshed, "/data/refreshSession/accessToken"));
    let revoke = "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { userErrors { message } } }";
    let session = json!({ "input": { "encodedKey": key(&second, "/data/signIn/session/encodedKey") } });
    let revoking = bearer.graphql(revoke, session);
    let revoked = catalogue
        .record(&signed, "Mutation.revokeSession", DEFINED, revoking)
        .await;
    let reading = bearer.graphql("{ viewer { name } }", json!({}));
    let viewed = catalogue
        .record(&signed, "Query.viewer: with an access token", DEFINED, reading)
        .await;
    let api_token = run.server.token(&Rights::all()).await;
    let batch = signed.as_bearer(api_token);
    let reading = batch.graphql("{ viewer { name } }", json!({}));
    let by_token = catalogue
        .record(&signed, "Query.viewer: with an API token", DEFINED, reading)
        .await;
    let request = signed
        .request(Method::POST, "/graphql")
        .basic_auth("eve", Some(PASSWORD));
    let reading = signed.send(request.json(&json!({ "query": "{ viewer { name } }" })));
    let basic = catalogue
        .record(&signed, "Query.viewer: with a password", DEFINED, reading)
        .await;
    let ending = bearer.graphql(
        "mutation { signOut { endedSessions userErrors { message } } }",
        json!({}),
    );
    let ended = catalogue.record(&signed, "Mutation.signOut", DEFINED, ending).await;
    let change = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { changed userErrors { \
        message } } }";
    let passwords = json!({ "input": { "oldPassword": PASSWORD, "newPassword": "another horse battery" } });
    let third = signed.graphql(sign_in, input).await;
    let bearer = signed.as_bearer(key(&third, "/data/signIn/accessToken"));
    let changing = bearer.graphql(change, passwords);
    let changed = catalogue
        .record(&signed, "Mutation.changePassword", DEFINED, changing)
        .await;
    for (name, answer) in [
        ("signIn", first),
        ("refreshSession", refreshed),
        ("revokeSession", revoked),
        ("viewer", viewed),
        ("viewer", by_token),
        ("viewer", basic),
        ("signOut", ended),
        ("changePassword", changed),
    ] {
        succeeded(name, &answer);
    }
    signed.stop().await;
}

async fn routes(run: &mut Run<'_>, key: &str) {
    let id = [("id", key), ("field", "note"), ("group", "-1")];
    run.rest("GET /api/clients", PAGE, &[], Value::Null).await;
    run.rest(
        "POST /api/clients",
        ONE,
        &[],
        json!({ "client": { "firstName": "A", "lastName": "B" } }),
    )
    .await;
    let search = json!({ "filterConstraints": [{ "filterSelection": "FIRST_NAME", "filterElement": "EQUALS",
        "value": "amara" }] });
    run.rest("POST /api/clients/search: by a first name", SEARCH, &[], search)
        .await;
    let search = json!({ "filterConstraints": [{ "filterSelection": "NOTES", "filterElement": "STARTS_WITH",
        "value": "a" }] });
    run.rest("POST /api/clients/search: without an index", SEARCH, &[], search)
        .await;
    run.rest("GET /api/clients/{id}: by key", ONE, &id, Value::Null).await;
    run.rest(
        "GET /api/clients/{id}: by client id",
        ONE,
        &[("id", "C-1")],
        Value::Null,
    )
    .await;
    let change = json!({ "client": { "firstName": "Ines" }, "addresses": [{ "line1": "3 Test Lane" }] });
    run.rest("POST /api/clients/{id}: by key", ONE, &id, change).await;
    let change = json!({ "client": { "firstName": "Bo" } });
    run.rest("PATCH /api/clients/{id}: by key", ONE, &id, change.clone())
        .await;
    run.rest("PATCH /api/clients/{id}: by client id", ONE, &[("id", "C-3")], change)
        .await;
    let state = json!({ "client": { "state": "INACTIVE" } });
    run.rest("PATCH /api/clients/{id}: a state", ONE, &id, state).await;
    let values = json!({ "customInformation": [{ "customFieldID": "note", "value": "y" }] });
    run.rest("PATCH /api/clients/{id}/custominformation", ONE, &id, values)
        .await;
    for (suffix, value) in [("/{field}", "v"), ("/{field}/{group}", "w")] {
        let path = format!("/api/clients/{{id}}/custominformation{suffix}");
        run.rest(&format!("PATCH {path}"), ONE, &id, json!({ "value": value }))
            .await;
        run.rest(&format!("DELETE {path}"), ONE, &id, Value::Null).await;
        let values = json!({ "customInformation": [{ "customFieldID": "note", "value": "y" }] });
        let again = format!("/api/clients/{key}/custominformation");
        run.server.send_json(Method::PATCH, &again, values).await;
    }
    let removed = store_key(run.server, plain("C-15")).await;
    run.rest("DELETE /api/clients/{id}", LINKS, &[("id", &removed)], Value::Null)
        .await;
    run.rest("GET /api/customfieldsets", DEFINED, &id, Value::Null).await;
    run.rest("GET /api/customfields/{field}", DEFINED, &id, Value::Null)
        .await;
    run.rest("GET /api/clienttypes", DEFINED, &id, Value::Null).await;
    run.rest("GET /api/settings/iddocumenttemplates", DEFINED, &id, Value::Null)
        .await;
    let receipt = json!([{ "providerId": "unknown", "status": "DELIVERED" }]);
    run.rest("POST /api/notifications/receipts: an early one", OUTBOX, &[], receipt)
        .await;
    let receipt = json!([{ "messageId": SEEDED, "status": "BOUNCED", "permanent": true }]);
    run.rest("POST /api/notifications/receipts: a bounce", OUTBOX, &[], receipt)
        .await;
}

async fn worker(run: &mut Run<'_>) {
    let server = run.server;
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    store_key(server, full("C-16")).await;
    let sending = worker.finish();
    run.catalogue
        .record(server, "Worker: sends due messages", OUTBOX, sending)
        .await;
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut limited = sms_settings(&gateway);
    limited.sms.rate_per_minute = Some(60);
    let template = json!({ "templateId": "text", "name": "text", "event": "CLIENT_CREATED", "channel": "SMS",
        "variants": [{ "language": "ENGLISH", "text": "T" }] });
    define_template(server, template).await;
    store_key(server, full("C-18")).await;
    let mut texting = Hand::new(server, limited);
    let sending = texting.step();
    run.catalogue
        .record(
            server,
            "Worker: sends due messages by a gateway, at a rate",
            OUTBOX,
            sending,
        )
        .await;
    mail.set(Mailing::Greet("421 closing"));
    store_key(server, full("C-17")).await;
    let sending = worker.step();
    run.catalogue
        .record(server, "Worker: can't send", OUTBOX, sending)
        .await;
    let removing = worker.remove_expired();
    run.catalogue
        .record(server, "Worker: removes what has expired", UPKEEP, removing)
        .await;
    // Channels work at the same time.
    for operation in &mut run.catalogue.operations {
        if operation.name.starts_with("Worker") {
            operation.statements.sort();
        }
    }
}

async fn commands(run: &mut Run<'_>, key: &str) {
    let server = run.server;
    let services = &server.services;
    let operator = Caller::operator();
    let catalogue = &mut run.catalogue;
    let exporting = async {
        let mut snapshot = services.clients.snapshot(&operator).await.expect("a snapshot");
        while snapshot.next().await.expect("a line").is_some() {}
        snapshot.end().await.expect("it ends");
    };
    catalogue
        .record(server, "Command clientele export", WHOLE, exporting)
        .await;
    let verifying = services.audit.verify(&operator, None, |_| ());
    catalogue
        .record(server, "Command clientele audit verify", WHOLE, verifying)
        .await
        .expect("it is verified");
    let verifying = services.audit.verify(&operator, Some(key), |_| ());
    let one = "Command clientele audit verify --client";
    catalogue
        .record(server, one, ONE, verifying)
        .await
        .expect("it is verified");
    let exporting = async {
        let mut snapshot = services.audit.snapshot(&operator, None).await.expect("a snapshot");
        while snapshot.next().await.expect("a line").is_some() {}
        snapshot.end().await.expect("it ends");
    };
    catalogue
        .record(server, "Command clientele audit export", WHOLE, exporting)
        .await;
    let reading = services.messages.read_outbox(&operator, now());
    catalogue
        .record(server, "Command /metrics", OUTBOX, reading)
        .await
        .expect("it is read");
    let expired = now() + TimeDelta::days(2);
    let removing = remove_expired_outcomes(&services.db, expired);
    catalogue
        .record(
            server,
            "Command clientele serve: removes expired outcomes",
            UPKEEP,
            removing,
        )
        .await
        .expect("it is removed");
    let removing = remove_expired_sessions(&services.db, expired);
    catalogue
        .record(
            server,
            "Command clientele serve: removes expired sessions",
            UPKEEP,
            removing,
        )
        .await
        .expect("it is removed");
    let old_form = "UPDATE client_search_fill SET form = 0, filled_to = NULL";
    server.write(old_form).await.expect("it is written");
    let filling = fill_search_rows(&services.db, |_| ());
    catalogue
        .record(server, "Command clientele serve: folds texts again", WHOLE, filling)
        .await
        .expect("it is filled");
    let checking = services.db.check();
    catalogue
        .record(server, "Command /health/ready", DEFINED, checking)
        .await
        .expect("it can be read");
}
