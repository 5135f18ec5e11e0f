//! The rows of the table: each request and its answer.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CLIENTS, Code,
    Graphql::{self, Error, Problem, Without},
    Row, Server,
};
use crate::harness::with;

fn row(code: Code, source: &'static str, (method, path): (Method, &'static str), graphql: Graphql) -> Row {
    Row {
        code,
        source: Some(source).filter(|source| !source.is_empty()),
        server: Server::Open,
        method,
        path,
        headers: &[],
        body: Vec::new(),
        graphql,
    }
}

impl Row {
    fn json(self, body: &Value) -> Self {
        Self {
            headers: &[("content-type", "application/json")],
            body: body.to_string().into_bytes(),
            ..self
        }
    }

    fn raw(self, headers: &'static [(&'static str, &'static str)], body: &[u8]) -> Self {
        Self {
            headers,
            body: body.to_vec(),
            ..self
        }
    }

    fn to(self, server: Server) -> Self {
        Self { server, ..self }
    }
}

/// A name of a client, with its other members.
pub fn ana(own: Value) -> Value {
    with(json!({ "firstName": "Ana", "lastName": "Cruz" }), own)
}

const POST: (Method, &str) = (Method::POST, CLIENTS);
const CHANGE: (Method, &str) = (Method::POST, "/api/clients/C-1");

pub fn all() -> Vec<Row> {
    [requests(), clients(), custom_values(), lists()]
        .into_iter()
        .flatten()
        .collect()
}

/// The codes of requests as such.
fn requests() -> Vec<Row> {
    let list = |query| (Method::GET, query);
    vec![
        row(
            (401, 1, "INVALID_BASIC_AUTHORIZATION"),
            "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.",
            (Method::GET, CLIENTS),
            Error("{ viewer { kind } }", "UNAUTHENTICATED"),
        )
        .to(Server::SignedIn),
        row(
            (401, 2, "INVALID_CREDENTIALS"),
            "These credentials are wrong, or not valid any more.",
            (Method::GET, CLIENTS),
            Error("{ viewer { kind } }", "UNAUTHENTICATED"),
        )
        .to(Server::SignedIn)
        .raw(&[("authorization", "Basic")], b""),
        row(
            (404, 3, "INVALID_API_OPERATION"),
            "There is no route GET /api/loans: this server stores clients only.",
            (Method::GET, "/api/loans"),
            Error("{ loans { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ),
        row(
            (400, 4, "INVALID_PARAMETERS"),
            "client.firstName: firstName is required and must not be blank.",
            POST,
            Problem(
                "upsertClient",
                json!({ "client": { "firstName": "", "lastName": "Cruz" } }),
                "BLANK",
                &["client", "firstName"],
            ),
        )
        .json(&json!({ "client": { "firstName": "", "lastName": "Cruz" } })),
        row(
            (405, 5, "METHOD_NOT_IMPLEMENTED"),
            "This route takes GET, POST, PATCH, DELETE.",
            (Method::PUT, "/api/clients/C-1"),
            Without("GraphQL has no methods: a PUT of its endpoint is 405"),
        ),
        row(
            (400, 11, "INVALID_PAGINATION_OFFSET_VALUE"),
            "offset must be an integer of 0 or more.",
            list("/api/clients?offset=x"),
            Error("{ clients(after: \"x\") { totalCount } }", "BAD_USER_INPUT"),
        ),
        row(
            (400, 12, "OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE"),
            "offset must be an integer of 0 or more.",
            list("/api/clients?offset=-1"),
            Without("GraphQL pages by cursors"),
        ),
        row(
            (400, 13, "INVALID_PAGINATION_LIMIT_VALUE"),
            "limit must be an integer from 1 to 1000.",
            list("/api/clients?limit=x"),
            Error("{ clients(first: \"x\") { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
        ),
        row(
            (400, 14, "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE"),
            "limit must be an integer from 1 to 1000.",
            list("/api/clients?limit=1001"),
            Error("{ clients(first: 501) { nodes { id } } }", "BAD_USER_INPUT"),
        ),
        row(
            (403, 15, "INVALID_PERMISSIONS"),
            "This needs the permission CREATE_CLIENT.",
            POST,
            Error(
                "mutation { upsertClient(input: { client: { firstName: \"Ana\" } }) { created } }",
                "FORBIDDEN",
            ),
        )
        .to(Server::Viewer),
        row(
            (400, 22, "UNSUPPORTED_CHARACTER_ENCODING"),
            "Send UTF-8.",
            POST,
            Without("a document that isn't UTF-8 is refused as one that isn't JSON"),
        )
        .raw(&[("content-type", "application/json")], b"{\"client\":\"\xff\"}"),
        row(
            (400, 26, "INVALID_JSON_SYNTAX"),
            "The body isn't JSON: see line 1, column 1.",
            POST,
            Error("{ clients", "GRAPHQL_PARSE_FAILED"),
        )
        .raw(&[("content-type", "application/json")], b"{"),
        row(
            (400, 27, "PARAMETER_NOT_ALLOWED"),
            "name isn't a filter of this list.",
            list("/api/clients?name=A"),
            Error("{ clients(name: \"A\") { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
        ),
        row(
            (400, 30, "MISSING_ENTITY_JSON"),
            "Send the body as application/json.",
            POST,
            Without("GraphQL answers another media type with 415"),
        )
        .raw(&[("content-type", "text/plain")], b"{}"),
        row(
            (413, 4, "INVALID_PARAMETERS"),
            "The body must have at most 1048576 bytes.",
            POST,
            Without("GraphQL answers a body over its own limit with 413, too"),
        )
        .json(&json!({ "client": { "notes": "x".repeat(1024 * 1024) } })),
        row(
            (415, 30, "MISSING_ENTITY_JSON"),
            "Send the body without compression: drop the Content-Encoding header.",
            POST,
            Without("GraphQL answers a compressed body with 415, too"),
        )
        .raw(
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
            b"{}",
        ),
        row(
            (422, 4, "INVALID_PARAMETERS"),
            "This idempotency key has been used for another request: give each request a key of its own.",
            POST,
            Problem(
                "upsertClient",
                json!({ "idempotencyKey": "k", "client": ana(json!({})) }),
                "IDEMPOTENCY_KEY_REUSED",
                &["idempotencyKey"],
            ),
        )
        .raw(
            &[("content-type", "application/json"), ("idempotency-key", "k")],
            br#"{"client":{"firstName":"Ana","lastName":"Cruz"}}"#,
        ),
    ]
}

/// The codes of a client's own members.
fn clients() -> Vec<Row> {
    let client = |code: Code, source: &'static str, member: &str, value: Value, graphql| {
        let client = ana(json!({ member: value }));
        row(code, source, POST, graphql).json(&json!({ "client": client }))
    };
    let problem = |own: Value, code, path| Problem("upsertClient", json!({ "client": ana(own) }), code, path);
    let of_first = |own: Value| with(json!({ "matchOn": "CLIENT_ID" }), own);
    vec![
        row(
            (400, 25, "INCONSISTENT_IDENTIFIER_WITH_JSON"),
            "client.encodedKey: The path and the encodedKey name two different clients: correct encodedKey, or leave \
             it out.",
            CHANGE,
            Problem(
                "upsertClient",
                json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "C-1", "encodedKey": "x" } }),
                "INVALID",
                &["client", "encodedKey"],
            ),
        )
        .json(&json!({ "client": { "encodedKey": "<key of C-3>" } })),
        row(
            (404, 301, "INVALID_CLIENT_ID"),
            "There is no client with this id or key.",
            (Method::PATCH, "/api/clients/NOPE"),
            Problem(
                "changeClientState",
                json!({ "by": { "clientId": "NOPE" }, "state": "EXITED" }),
                "NOT_FOUND",
                &["by"],
            ),
        )
        .json(&json!({ "client": { "state": "EXITED" } })),
        row(
            (404, 302, "INVALID_CLIENT_KEY"),
            "client.encodedKey: There is no client with this key: leave encodedKey out to create one.",
            POST,
            problem(
                json!({ "encodedKey": "absent" }),
                "NOT_FOUND",
                &["client", "encodedKey"],
            ),
        )
        .json(&json!({ "client": ana(json!({ "encodedKey": "absent" })) })),
        row(
            (400, 305, "INVALID_CLIENT_STATE"),
            "client.state: state can't be set here: leave it out, or send INACTIVE.",
            CHANGE,
            Without("the input of upsertClient has no state"),
        )
        .json(&json!({ "client": { "state": "ACTIVE" } })),
        client(
            (400, 306, "INVALID_CLIENT_ROLE_KEY"),
            "client.clientRole.encodedKey: There is no client role of this name.",
            "clientRole",
            json!({ "encodedKey": "absent" }),
            problem(
                json!({ "clientRole": { "encodedKey": "absent" } }),
                "NOT_FOUND",
                &["client", "clientRole", "encodedKey"],
            ),
        ),
        client(
            (400, 309, "INVALID_BIRTH_DATE"),
            "client.birthDate: birthDate must not be in the future.",
            "birthDate",
            json!("9999-01-01"),
            problem(
                json!({ "birthDate": "9999-01-01" }),
                "INVALID",
                &["client", "birthDate"],
            ),
        ),
        row(
            (400, 312, "INVALID_CLIENT_STATE_TRANSITION"),
            "client.state: A client that is INACTIVE can't become REJECTED, only PENDING_APPROVAL or ACTIVE or EXITED \
             or BLACKLISTED.",
            (Method::PATCH, "/api/clients/C-1"),
            Problem(
                "changeClientState",
                json!({ "by": { "clientId": "C-1" }, "state": "REJECTED" }),
                "INVALID_TRANSITION",
                &["state"],
            ),
        )
        .json(&json!({ "client": { "state": "REJECTED" } })),
        client(
            (400, 316, "CLIENT_ID_ALREADY_IN_USE"),
            "client.id: Another client has this id: choose another, or leave it out to have one generated.",
            "id",
            json!("C-1"),
            problem(json!({ "clientId": "C-1" }), "TAKEN", &["client", "clientId"]),
        ),
        client(
            (400, 711, "EMAIL_ADDRESS_FORMAT_IS_INVALID"),
            "client.emailAddress: emailAddress must be an address of the form name@example.com.",
            "emailAddress",
            json!("ana"),
            problem(
                json!({ "emailAddress": "ana" }),
                "NOT_AN_EMAIL_ADDRESS",
                &["client", "emailAddress"],
            ),
        ),
        row(
            (400, 927, "LINKED_BY_CUSTOM_FIELD"),
            "C-3",
            (Method::DELETE, "/api/clients/C-1"),
            Problem(
                "deleteClient",
                json!({ "by": { "clientId": "C-1" } }),
                "STILL_LINKED",
                &["by"],
            ),
        ),
        row(
            (400, 1906, "FIELD_IS_NOT_EDITABLE"),
            "client.id: id can't be changed once the client exists.",
            CHANGE,
            Problem(
                "upsertClient",
                json!({ "client": { "encodedKey": "<key of C-3>", "clientId": "other" } }),
                "NOT_EDITABLE",
                &["client", "clientId"],
            ),
        )
        .json(&json!({ "client": { "id": "other" } })),
        client(
            (400, 2427, "INVALID_LANGUAGE"),
            "client.preferredLanguage: preferredLanguage must be ENGLISH, PORTUGESE, SPANISH, RUSSIAN, FRENCH, \
             GEORGIAN, CHINESE, INDONESIAN, ROMANIAN, BURMESE or GERMAN.",
            "preferredLanguage",
            json!("KLINGON"),
            Error(
                "mutation { upsertClient(input: { client: { preferredLanguage: KLINGON } }) { created } }",
                "GRAPHQL_VALIDATION_FAILED",
            ),
        ),
        row(
            (400, 3741, "BLACKLISTED_CLIENT_NOT_EDITABLE"),
            "client: This client is blacklisted and can't be edited: change its state first.",
            (Method::POST, "/api/clients/C-2"),
            Problem(
                "upsertClient",
                of_first(json!({ "client": { "clientId": "C-2", "notes": "n" } })),
                "BLACKLISTED",
                &["client"],
            ),
        )
        .json(&json!({ "client": { "notes": "n" } })),
        client(
            (400, 3742, "INVALID_STRING_VALUE"),
            "client.middleName: middleName must not contain the character U+0007.",
            "middleName",
            json!("a\u{7}"),
            problem(
                json!({ "middleName": "a\u{7}" }),
                "INVALID_CHARACTER",
                &["client", "middleName"],
            ),
        ),
    ]
}

/// A legacy code and its name, the error's source, the custom field value, and the GraphQL code with its path.
type ValueRow = (
    u16,
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static [&'static str],
);

/// The codes of custom field values, each of one value in the list.
fn custom_values() -> Vec<Row> {
    let rows: [ValueRow; 14] = [
        (
            901,
            "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "customInformation[0].value: The field note has no value: send value.",
            json!({ "fieldId": "note", "value": "" }),
            "BLANK",
            &["customInformation", "0", "value"],
        ),
        (
            903,
            "INVALID_CUSTOM_FIELD_ID",
            "customInformation[0].customFieldID: There is no custom field with this id.",
            json!({ "fieldId": "absent", "value": "x" }),
            "NOT_FOUND",
            &["customInformation", "0", "fieldId"],
        ),
        (
            904,
            "MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED",
            "customInformation[0].value: The field note takes at most 255 characters.",
            json!({ "fieldId": "note", "value": "x".repeat(256) }),
            "TOO_LONG",
            &["customInformation", "0", "value"],
        ),
        (
            908,
            "CUSTOM_FIELD_DEACTIVATED",
            "customInformation[0].value: The field old is deactivated: it takes no new values.",
            json!({ "fieldId": "old", "value": "x" }),
            "DEACTIVATED",
            &["customInformation", "0", "value"],
        ),
        (
            910,
            "CUSTOM_FIELD_NOT_AVAILABLE_FOR_ENTITY",
            "customInformation[0].value: The field firm isn't available to clients of this role: leave it out.",
            json!({ "fieldId": "firm", "value": "x" }),
            "NOT_AVAILABLE",
            &["customInformation", "0", "value"],
        ),
        (
            911,
            "INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY",
            "customInformation[0].linkedEntityKeyValue: The field boss links to a client, and there is none with this \
             key.",
            json!({ "fieldId": "boss", "linkedKey": "absent" }),
            "NOT_FOUND",
            &["customInformation", "0", "linkedKey"],
        ),
        (
            912,
            "DEPENDENT_CUSTOM_FIELD_VALUE_REQUIRED",
            "customInformation[0].value: The field city depends on the field land: send a value of it, too.",
            json!({ "fieldId": "city", "value": "X" }),
            "PARENT_REQUIRED",
            &["customInformation", "0", "value"],
        ),
        (
            913,
            "INCONSISTENT_VALUE_WITH_SET_TYPE",
            "customInformation[0].customFieldSetGroupIndex: The set of note isn't grouped: leave \
             customFieldSetGroupIndex out.",
            json!({ "fieldId": "note", "value": "x", "groupIndex": 0 }),
            "GROUP_INDEX",
            &["customInformation", "0", "groupIndex"],
        ),
        (
            914,
            "GROUPED_INDEXES_NOT_CONSECUTIVE",
            "customInformation[0].customFieldSetGroupIndex: The groups of the set cards must have the indexes \
             0, 1, 2…: 0 is missing.",
            json!({ "fieldId": "card", "value": "x", "groupIndex": 1 }),
            "GROUP_GAP",
            &["customInformation", "0", "groupIndex"],
        ),
        (
            917,
            "INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN",
            "customInformation[0].value: The field mask takes text of the form ##, where # is a digit, @ a letter and \
             $ either.",
            json!({ "fieldId": "mask", "value": "x" }),
            "PATTERN_MISMATCH",
            &["customInformation", "0", "value"],
        ),
        (
            926,
            "DUPLICATE_UNIQUE_VALUE",
            "customInformation[0].value: Another client has this value of the field crm, which must be unique.",
            json!({ "fieldId": "crm", "value": "A-1" }),
            "TAKEN",
            &["customInformation", "0", "value"],
        ),
        (
            3600,
            "EMPTY_CUSTOM_FIELD_ID",
            "customInformation[0].customFieldID: Name the custom field by its id.",
            json!({ "fieldId": "", "value": "x" }),
            "BLANK",
            &["customInformation", "0", "fieldId"],
        ),
        (
            902,
            "REQUIRED_CUSTOM_FIELD_MISSING",
            "needed",
            Value::Null,
            "REQUIRED",
            &["customInformation"],
        ),
        (
            918,
            "DUPLICATE_CUSTOM_FIELD_VALUES",
            "customInformation[1].customFieldID: The field note is named twice.",
            json!({ "fieldId": "note", "value": "x" }),
            "DUPLICATE",
            &["customInformation", "1", "fieldId"],
        ),
    ];
    let row = |(number, name, source, value, problem, path): (u16, &'static str, _, Value, _, _)| {
        let (client, values) = match number {
            902 => (ana(json!({ "clientRole": { "encodedKey": "strictKey" } })), json!([])),
            918 => (ana(json!({})), json!([value, value])),
            _ => (ana(json!({})), json!([value])),
        };
        let input = json!({ "client": client, "customInformation": values });
        let graphql = Problem("upsertClient", input.clone(), problem, path);
        row((400, number, name), source, POST, graphql).json(&legacy(input))
    };
    rows.into_iter().map(row).collect()
}

/// The codes of documents and addresses.
fn lists() -> Vec<Row> {
    let row = |(number, name): (u16, &'static str), source, input: Value, problem, path| {
        let graphql = Problem("upsertClient", input.clone(), problem, path);
        row((400, number, name), source, POST, graphql).json(&legacy(input))
    };
    let document = |own: Value| with(json!({ "documentType": "Passport", "documentId": "1" }), own);
    let firm = || ana(json!({ "clientRole": { "encodedKey": "firmKey" } }));
    vec![
        row(
            (950, "INVALID_ID_DOCUMENT"),
            "idDocuments[0].documentId: documentId is required and must not be blank.",
            json!({ "client": ana(json!({})), "idDocuments": [document(json!({ "documentId": "" }))] }),
            "BLANK",
            &["idDocuments", "0", "documentId"],
        ),
        row(
            (951, "REQUIRED_ID_DOCUMENT_MISSING"),
            "idDocuments: Clients of this role need an identification document.",
            json!({ "client": firm() }),
            "REQUIRED",
            &["idDocuments"],
        ),
        row(
            (310, "DUPLICATE_CLIENT"),
            "client.emailAddress: Another client has this e-mail address: C-1.",
            json!({ "client": ana(json!({ "emailAddress": "c-1@example.test" })) }),
            "DUPLICATE_CLIENT",
            &["client", "emailAddress"],
        )
        .to(Server::Strict),
        row(
            (952, "ADDING_OTHER_ID_DOCUMENTS_IS_DISABLED"),
            "idDocuments[0].identificationDocumentTemplateKey: A document must name one of the templates by \
             identificationDocumentTemplateKey.",
            json!({ "client": ana(json!({})), "idDocuments": [document(json!({}))] }),
            "BLANK",
            &["idDocuments", "0", "templateKey"],
        )
        .to(Server::Strict),
        row(
            (953, "INVALID_ID_DOCUMENT_TEMPLATE_KEY"),
            "idDocuments[0].identificationDocumentTemplateKey: There is no identification document template with this \
             key: leave identificationDocumentTemplateKey out.",
            json!({ "client": ana(json!({})), "idDocuments": [document(json!({ "templateKey": "absent" }))] }),
            "NOT_FOUND",
            &["idDocuments", "0", "templateKey"],
        ),
        row(
            (1150, "INVALID_ADDRESS"),
            "addresses[0].latitude: latitude must be from -90 to 90 degrees.",
            json!({ "client": ana(json!({})), "addresses": [{ "latitude": 91.0 }] }),
            "INVALID",
            &["addresses", "0", "latitude"],
        ),
        row(
            (1151, "CLIENT_ROLE_DOES_NOT_ALLOW_ADDRESS"),
            "addresses: Clients of this role have no address: leave it out.",
            json!({ "client": firm(), "idDocuments": [document(json!({}))], "addresses": [{ "city": "Exampleton" }] }),
            "NOT_AVAILABLE",
            &["addresses"],
        ),
    ]
}

/// An input of the GraphQL API in the names of the legacy API.
fn legacy(input: Value) -> Value {
    let text = [
        ("\"fieldId\"", "\"customFieldID\""),
        ("\"groupIndex\"", "\"customFieldSetGroupIndex\""),
        ("\"linkedKey\"", "\"linkedEntityKeyValue\""),
        ("\"templateKey\"", "\"identificationDocumentTemplateKey\""),
    ]
    .into_iter()
    .fold(input.to_string(), |text, (name, legacy)| text.replace(name, legacy));
    serde_json::from_str(&text).expect("JSON")
}
