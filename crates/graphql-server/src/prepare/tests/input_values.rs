//! Absent, null and value, and what belongs to a type.

use serde_json::{Value, json};

use crate::tests::{ask, data, error};

async fn seen(query: &str, variables: Value) -> String {
    let body: Value = serde_json::from_str(&ask(query, variables).await).unwrap();
    body["data"]["seen"]
        .as_str()
        .unwrap_or_else(|| panic!("{body}"))
        .to_string()
}

#[tokio::test]
async fn absent_null_and_value_are_told_apart_however_they_are_sent() {
    let field = "query($e: String) { seen(input: {email: $e}) }";
    let whole = "query($i: Input) { seen(input: $i) }";
    for (variables_field, variables_whole, literal, expected) in [
        (
            json!({}),
            json!({"i": {}}),
            "{ seen(input: {}) }",
            "absent,absent,absent,absent,7,absent",
        ),
        (
            json!({"e": null}),
            json!({"i": {"email": null}}),
            "{ seen(input: {email: null}) }",
            "null,absent,absent,absent,7,absent",
        ),
        (
            json!({"e": "x"}),
            json!({"i": {"email": "x"}}),
            "{ seen(input: {email: \"x\"}) }",
            "x,absent,absent,absent,7,absent",
        ),
    ] {
        assert_eq!(seen(field, variables_field).await, expected);
        assert_eq!(seen(whole, variables_whole).await, expected);
        assert_eq!(seen(literal, json!({})).await, expected);
    }
}

#[tokio::test]
async fn every_nullable_field_of_an_input_keeps_absent_and_null_apart_at_any_depth() {
    for (name, ty, value, shown) in [
        ("email", "String", json!("x"), "x"),
        ("gender", "Gender", json!("MALE"), "MALE"),
        ("age", "Int", json!(3), "3"),
        ("tags", "[String!]", json!(["a", "b"]), "a+b"),
    ] {
        let query = format!("query($v: {ty}) {{ seen(input: {{inner: {{{name}: $v}}}}) }}");
        let of = async |variables| seen(&query, variables).await;
        assert!(!of(json!({})).await.contains("null"));
        assert_eq!(of(json!({"v": null})).await.matches("null").count(), 1);
        assert!(of(json!({"v": value})).await.contains(shown));
    }
}

#[tokio::test]
async fn an_omitted_variable_drops_the_argument_and_becomes_null_in_a_list() {
    assert_eq!(
        ask("query($t: String) { argument(text: $t) }", json!({})).await,
        r#"{"data":{"argument":"Undefined"}}"#
    );
    assert_eq!(
        ask("query($t: String) { argument(text: $t) }", json!({"t": null})).await,
        r#"{"data":{"argument":"Null"}}"#
    );
    assert_eq!(
        ask("query($n: Int) { numbers(list: [1, $n]) }", json!({})).await,
        r#"{"data":{"numbers":"Some([Some(1), None])"}}"#
    );
}

#[tokio::test]
async fn defaults_of_variables_are_filled_in_and_a_sent_null_is_not_a_default() {
    let query = "query($t: String = \"d\") { argument(text: $t) }";
    assert_eq!(ask(query, json!({})).await, r#"{"data":{"argument":"Value(\"d\")"}}"#);
    assert_eq!(ask(query, json!({"t": null})).await, r#"{"data":{"argument":"Null"}}"#);
    assert!(
        ask("query($g: Gender = MALE) { seen(input: {gender: $g}) }", json!({}))
            .await
            .contains("MALE")
    );
}

#[tokio::test]
async fn an_omitted_variable_leaves_the_default_of_the_argument_and_null_is_refused_there() {
    let query = "query($n: Int) { required(number: $n) }";
    assert_eq!(ask(query, json!({})).await, r#"{"data":{"required":5}}"#);
    assert_eq!(
        error(query, json!({"n": null})).await,
        (
            "BAD_USER_INPUT".into(),
            "Variable \"$n\": null is not accepted where this variable is used. Leave it out to get the default."
                .into()
        )
    );
}

#[tokio::test]
async fn a_variable_that_does_not_fit_is_refused_with_its_name_the_place_and_no_data() {
    let cases = [
        (
            "Input!",
            json!({}),
            "Variable \"$v\": a value is required, Input! is expected.",
        ),
        (
            "Input!",
            json!({"v": null}),
            "Variable \"$v\": null is not accepted, Input is expected.",
        ),
        (
            "Input!",
            json!({"v": 1}),
            "Variable \"$v\": Input is expected, not a number.",
        ),
        (
            "Input!",
            json!({"v": {"inner": {"gender": "X"}}}),
            "Variable \"$v\" at \"inner.gender\": not a value of Gender: send FEMALE or MALE.",
        ),
        (
            "Input!",
            json!({"v": {"tags": ["a", 1]}}),
            "Variable \"$v\" at \"tags.1\": String is expected, not a number.",
        ),
        (
            "Input!",
            json!({"v": {"tags": [null]}}),
            "Variable \"$v\" at \"tags.0\": null is not accepted, String is expected.",
        ),
        (
            "Input!",
            json!({"v": {"age": 3_000_000_000_u64}}),
            "Variable \"$v\" at \"age\": a number that does not fit into an Int of 32 bits.",
        ),
        (
            "Input!",
            json!({"v": {"age": 1.5}}),
            "Variable \"$v\" at \"age\": Int is expected, not a number.",
        ),
        (
            "Input!",
            json!({"v": {"rank": null}}),
            "Variable \"$v\" at \"rank\": null is not accepted, Int is expected.",
        ),
        (
            "Input!",
            json!({"v": {"colour": 1}}),
            "Variable \"$v\" at \"colour\": Input has no field \"colour\".",
        ),
    ];
    for (ty, variables, message) in cases {
        let query = format!("query($v: {ty}) {{ seen(input: $v) }}");
        let body = ask(&query, variables.clone()).await;
        assert!(!body.contains("\"data\""), "{body}");
        assert_eq!(
            error(&query, variables).await,
            ("BAD_USER_INPUT".into(), message.into())
        );
    }
}

#[tokio::test]
async fn one_of_wants_exactly_one_value() {
    let query = "query($by: By!) { find(by: $by) }";
    let refusal = "Variable \"$by\": exactly one of id, name must be given, and not as null.";
    for by in [
        json!({}),
        json!({"id": null}),
        json!({"id": "1", "name": "a"}),
        json!({"id": "1", "name": null}),
    ] {
        assert_eq!(
            error(query, json!({"by": by})).await,
            ("BAD_USER_INPUT".into(), refusal.into())
        );
    }
    assert_eq!(ask(query, json!({"by": {"id": 7}})).await, r#"{"data":{"find":"7"}}"#);
    let (code, message) = error("query($id: ID) { find(by: {id: $id}) }", json!({"id": "1"})).await;
    assert_eq!(code, "GRAPHQL_VALIDATION_FAILED");
    assert!(message.contains("non-null"), "{message}");
}

#[tokio::test]
async fn values_become_what_their_type_says() {
    assert_eq!(
        ask("query($l: [ID!]!) { ids(list: $l) }", json!({"l": 5})).await,
        r#"{"data":{"ids":["5"]}}"#
    );
    assert_eq!(data("{ ids(list: \"a\") }").await, r#"{"data":{"ids":["a"]}}"#);
    assert_eq!(data("{ float(value: 3) }").await, r#"{"data":{"float":3.0}}"#);
    assert_eq!(
        ask("query($f: Float!) { float(value: $f) }", json!({"f": 3})).await,
        r#"{"data":{"float":3.0}}"#
    );
    assert_eq!(
        ask("query($n: Int) { required(number: $n) }", json!({"n": 3.0})).await,
        r#"{"data":{"required":3}}"#
    );
}

#[tokio::test]
async fn literals_follow_the_same_rules_also_next_to_variables() {
    for query in [
        "query($e: String) { seen(input: {email: $e, colour: 1}) }",
        "query($e: String) { seen(input: {email: $e, gender: X}) }",
        "{ seen(input: {gender: \"MALE\"}) }",
        "{ seen(input: {age: 3000000000}) }",
        "{ seen(input: {rank: null}) }",
        "query($g: Gender = \"MALE\") { seen(input: {gender: $g}) }",
        "query($n: Int = 3000000000) { required(number: $n) }",
    ] {
        let (code, _) = error(query, json!({})).await;
        assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{query}");
    }
}

#[tokio::test]
async fn a_variable_used_in_several_places_is_there_in_each() {
    let query = "query($t: String, $yes: Boolean!) { a: argument(text: $t) b: argument(text: $t) @include(if: $yes) \
                 seen(input: {email: $t}) }";
    assert_eq!(
        ask(query, json!({"t": "x", "yes": true})).await,
        r#"{"data":{"a":"Value(\"x\")","b":"Value(\"x\")","seen":"x,absent,absent,absent,7,absent"}}"#
    );
    let merged =
        "query($t: String) { argument(text: $t) argument(text: $t) node(id: 1) { ... on Person { name } id } }";
    assert_eq!(
        ask(merged, json!({"t": "x"})).await,
        r#"{"data":{"argument":"Value(\"x\")","node":{"id":"1"}}}"#
    );
}

/// The path in the input that the only error carries.
async fn input_path(query: &str, variables: Value) -> Value {
    let body: Value = serde_json::from_str(&ask(query, variables).await).unwrap();
    body["errors"][0]["extensions"]["path"].clone()
}

#[tokio::test]
async fn error_about_variable_carries_path_in_variables() {
    let query = "query($v: Input!) { seen(input: $v) }";
    for (variables, path) in [
        (json!({}), json!(["v"])),
        (json!({"v": null}), json!(["v"])),
        (json!({"v": 1}), json!(["v"])),
        (
            json!({"v": {"inner": {"gender": "X"}}}),
            json!(["v", "inner", "gender"]),
        ),
        (json!({"v": {"tags": ["a", 1]}}), json!(["v", "tags", 1])),
        (json!({"v": {"tags": "a", "age": "3"}}), json!(["v", "age"])),
        (json!({"v": {"inner": {"colour": 1}}}), json!(["v", "inner", "colour"])),
    ] {
        assert_eq!(input_path(query, variables.clone()).await, path, "{variables}");
    }
    let query = "query($by: By!) { find(by: $by) }";
    assert_eq!(input_path(query, json!({"by": {}})).await, json!(["by"]));
    assert_eq!(input_path(query, json!({"by": {"id": 1.5}})).await, json!(["by", "id"]));
    // A variable inside the input has a path of its own: that is where the caller sent the value.
    let query = "query($tags: [String!]) { seen(input: {tags: $tags}) }";
    assert_eq!(input_path(query, json!({"tags": ["a", 1]})).await, json!(["tags", 1]));
}

#[tokio::test]
async fn error_about_literal_carries_path_in_arguments() {
    for (query, path) in [
        ("{ seen(input: 1) }", json!(["input"])),
        (
            "{ seen(input: {inner: {gender: X}}) }",
            json!(["input", "inner", "gender"]),
        ),
        (
            "{ seen(input: {inner: {gender: \"MALE\"}}) }",
            json!(["input", "inner", "gender"]),
        ),
        ("{ seen(input: {tags: [\"a\", 1]}) }", json!(["input", "tags", 1])),
        (
            "{ seen(input: {inner: {colour: 1}}) }",
            json!(["input", "inner", "colour"]),
        ),
        ("{ seen(input: {age: 3000000000}) }", json!(["input", "age"])),
        ("{ find }", json!(["by"])),
        ("{ find(by: {}) }", json!(["by"])),
        ("{ find(by: {id: 1.5}) }", json!(["by", "id"])),
        ("query($n: Int = \"a\") { required(number: $n) }", json!(["n"])),
        (
            "query($e: String) { seen(input: {email: $e, tags: [1]}) }",
            json!(["input", "tags", 0]),
        ),
    ] {
        assert_eq!(input_path(query, json!({})).await, path, "{query}");
    }
    // An error that isn't about a value has no such path.
    assert_eq!(input_path("{ nothing }", json!({})).await, Value::Null);
}

#[tokio::test]
async fn minus_zero_is_integer() {
    assert_eq!(data("{ required(number: -0) }").await, r#"{"data":{"required":0}}"#);
    assert_eq!(
        data("{ numbers(list: [-0, 1]) }").await,
        r#"{"data":{"numbers":"Some([Some(0), Some(1)])"}}"#
    );
    assert_eq!(data("{ ids(list: -0) }").await, r#"{"data":{"ids":["0"]}}"#);
    assert_eq!(
        data("{ person { friends(first: -0) { id } } }").await,
        r#"{"data":{"person":{"friends":[]}}}"#
    );
    assert_eq!(
        data("query($n: Int = -0) { required(number: $n) }").await,
        r#"{"data":{"required":0}}"#
    );
    let sent: Value = serde_json::from_str(r#"{"n": -0}"#).unwrap();
    assert_eq!(
        ask("query($n: Int) { required(number: $n) }", sent).await,
        r#"{"data":{"required":0}}"#
    );
    let sent: Value = serde_json::from_str(r#"{"l": [-0]}"#).unwrap();
    assert_eq!(
        ask("query($l: [ID!]!) { ids(list: $l) }", sent).await,
        r#"{"data":{"ids":["0"]}}"#
    );
    for query in [
        "{ required(number: -0.0) }",
        "{ required(number: -0e0) }",
        "{ required(number: -00) }",
    ] {
        assert_ne!(error(query, json!({})).await.0, "", "{query}");
    }
}
