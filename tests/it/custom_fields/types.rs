//! A table of values for each type of custom field: its canonical form, or the code of its refusal in both APIs.

use clientele::{
    custom_field::{CustomFieldInput, CustomFieldOptionInput},
    definitions::{FieldState, Kind},
};
use serde_json::{Value, json};

use crate::{
    harness::{TestServer, field, options},
    upsert::create_trevor,
};

on_both!(
    texts_are_checked,
    long_texts_are_checked,
    masked_texts_are_checked,
    selections_are_checked,
    numbers_are_checked,
    checkboxes_are_checked,
    dates_are_checked,
    client_links_are_checked,
    user_and_group_links_are_checked,
);

/// The compiler requests a line for each type, and each line names its table.
const fn table_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "texts_are_checked",
        Kind::LongText => "long_texts_are_checked",
        Kind::Selection => "selections_are_checked",
        Kind::Number => "numbers_are_checked",
        Kind::Checkbox => "checkboxes_are_checked",
        Kind::Date => "dates_are_checked",
        Kind::ClientLink => "client_links_are_checked",
        Kind::UserLink | Kind::GroupLink => "user_and_group_links_are_checked",
    }
}

#[test]
fn every_type_has_a_table() {
    let names = "TEXT LONG_TEXT SELECTION NUMBER CHECKBOX DATE CLIENT_LINK USER_LINK GROUP_LINK";
    for name in names.split(' ') {
        let kind = Kind::parse(name).expect("a type");
        let (_, table) = include_str!("types.rs")
            .split_once(&format!("\nasync fn {}(", table_of(kind)))
            .expect("a test of this name");
        let (table, _) = table.split_once("\n}\n").expect("its end");
        assert!(table.contains(&format!("Kind::{kind:?}")), "{name}");
    }
}

/// The return code of the REST API, and the code of the GraphQL API.
type Codes = (u16, &'static str);

const EMPTY: Codes = (901, "BLANK");
const TOO_LONG: Codes = (904, "TOO_LONG");
const CHARACTER: Codes = (3742, "INVALID_CHARACTER");
const PATTERN: Codes = (917, "PATTERN_MISMATCH");
const OPTION: Codes = (901, "NOT_AN_OPTION");
const NUMBER: Codes = (901, "NOT_A_NUMBER");
const CHECKBOX: Codes = (901, "NOT_A_CHECKBOX");
const DATE: Codes = (901, "NOT_A_DATE");
const LINK: Codes = (901, "INVALID");
const NO_CLIENT: Codes = (911, "NOT_FOUND");
/// Only the REST API gets values that aren't texts.
const BOOLEAN: Codes = (901, "");
const MALFORMED: Codes = (4, "");

/// A value as sent, and its stored form.
type Row = (Value, Result<String, Codes>);

fn same(texts: &[&str]) -> Vec<Row> {
    texts.iter().map(|text| (json!(text), Ok((*text).to_owned()))).collect()
}

fn becomes(pairs: &[(Value, &str)]) -> Vec<Row> {
    let row = |(sent, stored): &(Value, &str)| (sent.clone(), Ok((*stored).to_owned()));
    pairs.iter().map(row).collect()
}

fn refused(codes: Codes, texts: &[&str]) -> Vec<Row> {
    texts.iter().map(|text| (json!(text), Err(codes))).collect()
}

fn not_texts() -> Vec<Row> {
    let malformed = [json!({}), json!([]), json!(["a"]), json!({ "a": 1 })];
    let malformed = malformed.into_iter().map(|sent| (sent, Err(MALFORMED)));
    [(json!(null), Err(EMPTY))].into_iter().chain(malformed).collect()
}

/// Sends each value through both APIs, to a client without values, and expects the stored form or the refusal.
async fn check(server: &TestServer, definition: CustomFieldInput, rows: &[Vec<Row>]) {
    let rows = rows.concat();
    assert!(rows.len() >= 30, "{} values", rows.len());
    let is_link = definition.kind.is_some_and(Kind::is_link);
    let (id, rest, graphql) = match is_link {
        true => (definition.field_id.clone(), "linkedEntityKeyValue", "linkedKey"),
        false => (definition.field_id.clone(), "value", "value"),
    };
    server.define(vec![definition]).await;
    let empty = json!({ "client": { "encodedKey": "<key 1>" }, "customInformation": [] });
    for (sent, expected) in rows {
        let through_rest = json!({ "customInformation": [{ "customFieldID": id, rest: sent }] });
        let answer = server.post("/api/clients/<key 1>", through_rest).await;
        let found = match answer.status {
            200 => Ok(json!(answer.body["customInformation"][0][rest])),
            _ => Err(answer.body["returnCode"].clone()),
        };
        let wanted = expected.clone().map(Value::from).map_err(|(code, _)| json!(code));
        assert_eq!(found, wanted, "{id} {sent} {}", answer.text);
        if found.is_ok() {
            upsert(server, &empty).await;
        }
        assert_eq!(
            server.snapshot().await.rows("custom_field_value").len(),
            0,
            "{id} {sent}"
        );
        if !sent.is_string() && !sent.is_null() {
            continue;
        }
        let mut through_graphql = empty.clone();
        through_graphql["customInformation"] = json!([{ "fieldId": id, graphql: sent }]);
        let payload = upsert(server, &through_graphql).await;
        let problem = &payload["userErrors"][0];
        let found = match problem.is_null() {
            true => Ok(payload["client"]["customInformation"][0][graphql].clone()),
            false => Err((problem["code"].clone(), problem["path"].clone())),
        };
        let path = json!(["input", "customInformation", "0", graphql]);
        let wanted = expected.map(Value::from).map_err(|(_, code)| (json!(code), path));
        assert_eq!(found, wanted, "{id} {sent}");
        if found.is_ok() {
            upsert(server, &empty).await;
        }
        assert_eq!(
            server.snapshot().await.rows("custom_field_value").len(),
            0,
            "{id} {sent}"
        );
    }
}

async fn upsert(server: &TestServer, input: &Value) -> Value {
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } \
        client { customInformation { value linkedKey } } } }";
    let mut answer = server.graphql(query, json!({ "input": input })).await;
    answer.body["data"]["upsertClient"].take()
}

async fn texts_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let (long, wide) = ("x".repeat(255), "\u{1f600}".repeat(255));
    let (too_long, too_wide) = ("x".repeat(256), "\u{1f600}".repeat(256));
    let texts = [
        "a",
        " ",
        " x ",
        "0",
        "null",
        "TRUE",
        "<b>",
        "a'b",
        "a\"b",
        "a\\b",
        "{}",
        "%",
        "'; DROP TABLE client; --",
        "١",
        "e\u{301}",
        "\u{e9}",
        "\u{200b}x",
        "#@$",
        "a\u{2028}b",
        &long,
        &wide,
    ];
    let numbers = [(json!(7), "7"), (json!(-0.5), "-0.5")];
    let controls = ["a\0b", "a\nb", "a\tb", "\r", "\u{1b}", "\u{7f}", "\u{85}"];
    let rows = [
        same(&texts),
        becomes(&numbers),
        refused(EMPTY, &[""]),
        refused(TOO_LONG, &[&too_long, &too_wide]),
        refused(CHARACTER, &controls),
        vec![(json!(true), Err(BOOLEAN)), (json!(false), Err(BOOLEAN))],
        not_texts(),
    ];
    check(server, field("text", Kind::Text), &rows).await;
}

async fn long_texts_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let (long, wide) = ("x".repeat(2_048), "\u{1f600}".repeat(2_048));
    let (too_long, too_wide) = ("x".repeat(2_049), "\u{e9}".repeat(2_049));
    let texts = [
        "a",
        " ",
        "\n",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\u{2029}",
        "<p>a</p>",
        "a\\nb",
        "e\u{301}",
        "\u{202e}a",
        "日本語",
        "a'b",
        "\"",
        "{\"a\": 1}",
        &long,
        &wide,
    ];
    let controls = [
        "a\0b",
        "\0",
        "\u{1b}[0m",
        "\u{7f}",
        "\u{80}",
        "\u{85}",
        "\u{9b}",
        "\u{8}",
    ];
    let rows = [
        same(&texts),
        becomes(&[(json!(1.50), "1.5")]),
        refused(EMPTY, &[""]),
        refused(TOO_LONG, &[&too_long, &too_wide]),
        refused(CHARACTER, &controls),
        vec![(json!(true), Err(BOOLEAN))],
        not_texts(),
    ];
    check(server, field("long", Kind::LongText), &rows).await;
}

async fn masked_texts_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let right = ["A1-Z (é)", "a0-9 (é)", "é1-é (é)", "日1-本 (é)", "Z9-0 (é)", "ß0-ß (é)"];
    let wrong = [
        " ",
        "A",
        "A1-Z",
        "A1-Z (e)",
        "A1-Z (É)",
        "A1-Z (é) ",
        " A1-Z (é)",
        "A1-Z (é)x",
        "11-Z (é)",
        "AA-Z (é)",
        "A1_Z (é)",
        "A1-- (é)",
        "A1-  (é)",
        "A١-Z (é)",
        "A1-١ (é)",
        "A1-Z [é]",
        "_1-Z (é)",
        "@#-$ (é)",
        "A1-ZZ (é)",
        "A1Z (é)",
        "A1-Z(é)",
        "A1-Z (e\u{301})",
    ];
    for (id, kind, of_a_line_break) in [("code", Kind::Text, CHARACTER), ("story", Kind::LongText, PATTERN)] {
        let rows = [
            same(&right),
            refused(PATTERN, &wrong),
            refused(CHARACTER, &["A1-\0 (é)"]),
            refused(of_a_line_break, &["A1-Z\n(é)"]),
            refused(EMPTY, &[""]),
            not_texts(),
        ];
        let masked = CustomFieldInput {
            pattern: async_graphql::MaybeUndefined::Value("@#-$ (é)".to_owned()),
            ..field(id, kind)
        };
        check(server, masked, &rows).await;
    }
}

async fn selections_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let long = "x".repeat(255);
    let values = [
        "LOW",
        "Low",
        "a b",
        " padded ",
        "TRUE",
        "7",
        "1.50",
        "日本",
        "a'b",
        "é",
        "a\u{2028}b",
        &long,
    ];
    let mut all = match options(&values) {
        async_graphql::MaybeUndefined::Value(all) => all,
        _ => Vec::new(),
    };
    all.push(CustomFieldOptionInput {
        value: "OLD".to_owned(),
        state: Some(FieldState::Deactivated),
        ..CustomFieldOptionInput::default()
    });
    let band = CustomFieldInput {
        options: async_graphql::MaybeUndefined::Value(all),
        ..field("band", Kind::Selection)
    };
    let wrong = [
        "low", "LOW ", " LOW", "padded", "OLD", "true", "7.0", "1.5", "a  b", "e\u{301}", "LOW,Low", "*", "%", " ",
        "a\nb",
    ];
    let rows = [
        same(&values),
        becomes(&[(json!(7), "7")]),
        refused(OPTION, &wrong),
        refused(CHARACTER, &["LOW\0"]),
        refused(EMPTY, &[""]),
        vec![(json!(1.5), Err(OPTION)), (json!(true), Err(BOOLEAN))],
        not_texts(),
    ];
    check(server, band, &rows).await;
}

async fn numbers_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let digits = "123456789012345678901234567890";
    let numbers = [
        "0",
        "7",
        "-7",
        "007",
        "-0",
        "0.5",
        ".5",
        "-.5",
        "100",
        "123456789012345.012345678901234",
        "9007199254740993",
        digits,
    ];
    let trimmed = [
        (json!("12.500"), "12.5"),
        (json!("12."), "12"),
        (json!("1.0"), "1"),
        (json!(".0"), "0"),
        (json!("-.0"), "-0"),
        (json!(12.50), "12.5"),
        (json!(-3), "-3"),
    ];
    let wrong = [
        " ",
        "x",
        ".",
        "-",
        "-.",
        "+1",
        "1e5",
        "1E5",
        "1,5",
        "1 000",
        " 1",
        "1 ",
        "--1",
        "1.2.3",
        "0x1F",
        "NaN",
        "Infinity",
        "١",
        "１",
        "½",
        "1_000",
        "1234567890123456789012345678901",
        "1/2",
    ];
    let rows = [
        same(&numbers),
        becomes(&trimmed),
        refused(NUMBER, &wrong),
        refused(CHARACTER, &["1\0"]),
        refused(EMPTY, &[""]),
        vec![(json!(1e300), Err(NUMBER)), (json!(true), Err(BOOLEAN))],
        not_texts(),
    ];
    check(server, field("number", Kind::Number), &rows).await;
}

async fn checkboxes_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let right = [
        (json!("TRUE"), "TRUE"),
        (json!("FALSE"), "FALSE"),
        (json!("true"), "TRUE"),
        (json!("false"), "FALSE"),
        (json!("True"), "TRUE"),
        (json!("fAlSe"), "FALSE"),
        (json!(true), "TRUE"),
        (json!(false), "FALSE"),
    ];
    let wrong = [
        " ",
        "1",
        "0",
        "yes",
        "no",
        "on",
        "off",
        "t",
        "f",
        "T",
        "TRUE ",
        " TRUE",
        "TRUEE",
        "tru",
        "null",
        "ＴＲＵＥ",
        "wahr",
        "\n",
        "-1",
    ];
    let rows = [
        becomes(&right),
        refused(CHECKBOX, &wrong),
        refused(CHARACTER, &["TRUE\0"]),
        refused(EMPTY, &[""]),
        vec![(json!(1), Err(CHECKBOX)), (json!(0), Err(CHECKBOX))],
        not_texts(),
    ];
    check(server, field("flag", Kind::Checkbox), &rows).await;
}

async fn dates_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let right = [
        "2024-02-29",
        "2000-02-29",
        "0001-01-01",
        "9999-12-31",
        "1970-01-01",
        "1899-12-31",
        "2033-06-30",
    ];
    let wrong = [
        " ",
        "2023-02-29",
        "1900-02-29",
        "2023-04-31",
        "2023-13-01",
        "2023-00-01",
        "2023-01-00",
        "2023-01-32",
        "0000-01-01",
        "10000-01-01",
        "-2023-01-01",
        "+2023-01-01",
        "2023-1-1",
        "2023-01-1",
        "23-01-01",
        "17.04.1990",
        "04/17/1990",
        "20230101",
        "2023-01-01T00:00:00+0000",
        "2023-01-01 00:00",
        "2023-01-01Z",
        " 2023-01-01",
        "2023-01-01 ",
        "2023–01–01",
        "２０２３-01-01",
        "2023-W01-1",
        "today",
    ];
    let rows = [
        same(&right),
        refused(DATE, &wrong),
        refused(CHARACTER, &["2023-01-01\0"]),
        refused(EMPTY, &[""]),
        vec![(json!(20230101), Err(DATE)), (json!(true), Err(BOOLEAN))],
        not_texts(),
    ];
    check(server, field("day", Kind::Date), &rows).await;
}

async fn client_links_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let absent = [
        "absent",
        "<id 1>",
        "no key",
        "0",
        "-1",
        "null",
        "*",
        "%",
        "'; --",
        "日",
        "\n",
        "a/b",
        "<key 1> ",
        " <key 1>",
        "<key 1>0",
        "A",
        "abcdefghijklmnopqrstuvwxyzABCDEF",
        "abcdefghijklmnopqrstuvwxyzABCDEFG",
        "../",
        "{}",
        "[]",
        "TRUE",
    ];
    let rows = [
        same(&["<key 1>"]),
        refused(NO_CLIENT, &absent),
        refused(CHARACTER, &["a\0"]),
        refused(EMPTY, &[""]),
        vec![(json!(7), Err(MALFORMED)), (json!(true), Err(MALFORMED))],
        not_texts(),
    ];
    check(server, field("client", Kind::ClientLink), &rows).await;
}

async fn user_and_group_links_are_checked(server: &TestServer) {
    create_trevor(server).await;
    let right = ["a", "0", "u1", "A", "zZ9", "abcdefghijklmnopqrstuvwxyzABCDEF"];
    let wrong = [
        " ",
        "no key",
        "a-b",
        "a_b",
        "a.b",
        "é",
        "日",
        "١",
        "a ",
        " a",
        "*",
        "%",
        "'",
        "/",
        "a/b",
        "\n",
        "a\tb",
        "{}",
        "abcdefghijklmnopqrstuvwxyzABCDEFG",
        "<b>",
    ];
    for (id, kind) in [("user", Kind::UserLink), ("group", Kind::GroupLink)] {
        let rows = [
            same(&right),
            refused(LINK, &wrong),
            refused(CHARACTER, &["a\0"]),
            refused(EMPTY, &[""]),
            vec![(json!(7), Err(MALFORMED))],
            not_texts(),
        ];
        check(server, field(id, kind), &rows).await;
    }
}
