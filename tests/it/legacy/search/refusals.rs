//! Searches that are refused: by a bad constraint, a bad request, a limit, or a missing right.

use clientele::{
    caller::{Permission::ViewClient, Rights, Sets},
    definitions::Kind,
};
use serde_json::json;

use super::{
    super::{merged, refusal},
    SEARCH, constraint, custom, four,
};
use crate::harness::{TestServer, field};

const SELECTIONS: &str = "\
    ENCODED_KEY, ID, FIRST_NAME, MIDDLE_NAME, LAST_NAME, FULL_NAME, CLIENT_STATE, BIRTHDATE, GENDER, \
    EMAIL_ADDRESS, HOME_PHONE_NUMBER, MOBILE_PHONE_NUMBER, MOBILE_PHONE_NUMBER_2, PREFERRED_LANGUAGE, \
    NOTES, CLIENT_ADDRESS, CLIENT_ROLE_KEY, BRANCH_KEY, CENTRE_KEY, CREDIT_OFFICER_KEY, CREATION_DATE, \
    LAST_MODIFIED_DATE, APPROVED_DATE, ACTIVATION_DATE, CLOSED_DATE, LOAN_CYCLE or GROUP_LOAN_CYCLE";
const ELEMENTS: &str = "\
    EQUALS, EQUALS_CASE_SENSITIVE, DIFFERENT_THAN, STARTS_WITH, IN, MORE_THAN, LESS_THAN, BETWEEN, ON, \
    BEFORE, AFTER, TODAY, THIS_WEEK, THIS_MONTH, THIS_YEAR, LAST_DAYS, EMPTY or NOT_EMPTY";

on_both!(
    bad_constraint_is_refused_by_name,
    bad_search_request_is_refused,
    number_of_constraints_and_values_has_a_limit,
    length_of_values_has_a_limit,
    hidden_custom_field_cannot_be_searched,
);

async fn bad_constraint_is_refused_by_name(server: &TestServer) {
    four(server).await;
    let refused = |at: usize, text: &str| {
        let source = format!("filterConstraints[{at}].{text}");
        refusal(4, "INVALID_PARAMETERS", &source)
    };
    let good = constraint("FIRST_NAME", "EQUALS", &["ana"]);
    for (bad, source) in [
        (json!({}), "filterSelection: filterSelection is required."),
        (
            json!({ "filterSelection": "ID" }),
            "filterElement: filterElement is required.",
        ),
        (
            json!({ "filterSelection": 5, "filterElement": "EQUALS" }),
            "filterSelection: filterSelection must be a text.",
        ),
        (
            constraint("LOANS_COUNT", "EQUALS", &["1"]),
            &format!("filterSelection: There is no selection LOANS_COUNT in this server: send {SELECTIONS}."),
        ),
        (
            constraint("Ines Okafor", "EQUALS", &["1"]),
            &format!("filterSelection: There is no selection of this name in this server: send {SELECTIONS}."),
        ),
        (
            constraint("first_name", "EQUALS", &["1"]),
            &format!("filterSelection: There is no selection of this name in this server: send {SELECTIONS}."),
        ),
        (
            constraint("ID", "LIKE", &["a"]),
            &format!("filterElement: There is no element LIKE: send {ELEMENTS}."),
        ),
        (
            constraint("ID", "MORE_THAN", &["a"]),
            "filterElement: MORE_THAN doesn't fit the values of this selection.",
        ),
        (
            constraint("GENDER", "STARTS_WITH", &["M"]),
            "filterElement: STARTS_WITH doesn't fit the values of this selection.",
        ),
        (
            constraint("BRANCH_KEY", "STARTS_WITH", &["b"]),
            "filterElement: STARTS_WITH doesn't fit the values of this selection.",
        ),
        (
            constraint("BIRTHDATE", "STARTS_WITH", &["1990"]),
            "filterElement: STARTS_WITH doesn't fit the values of this selection.",
        ),
        (
            constraint("BIRTHDATE", "IN", &["1990-04-17"]),
            "filterElement: IN doesn't fit the values of this selection.",
        ),
        (
            constraint("LOAN_CYCLE", "TODAY", &[]),
            "filterElement: TODAY doesn't fit the values of this selection.",
        ),
        (constraint("ID", "EQUALS", &[]), "value: value is required for EQUALS."),
        (
            constraint("BIRTHDATE", "BETWEEN", &["1990-04-17"]),
            "secondValue: secondValue is required for BETWEEN.",
        ),
        (constraint("ID", "IN", &[]), "values: values must not be empty for IN."),
        (
            constraint("BIRTHDATE", "ON", &["17.04.1990"]),
            "value: value must be a date that exists, as yyyy-MM-dd.",
        ),
        (
            constraint("CREATION_DATE", "ON", &["1990-02-30"]),
            "value: value must be a date that exists, as yyyy-MM-dd.",
        ),
        (
            constraint("BIRTHDATE", "BETWEEN", &["1990-04-17", ""]),
            "secondValue: secondValue must be a date that exists, as yyyy-MM-dd.",
        ),
        (
            constraint("BIRTHDATE", "LAST_DAYS", &["0"]),
            "value: value must be a whole number from 1 to 36600.",
        ),
        (
            constraint("BIRTHDATE", "LAST_DAYS", &["36601"]),
            "value: value must be a whole number from 1 to 36600.",
        ),
        (
            constraint("CLIENT_STATE", "EQUALS", &["ASLEEP"]),
            "value: value must be one of the member's values.",
        ),
        (
            constraint("GENDER", "IN", &["MALE", "x"]),
            "values: values must be one of the member's values.",
        ),
        (
            constraint("LOAN_CYCLE", "EQUALS", &["many"]),
            "value: value must be a decimal number of up to 30 digits.",
        ),
        (
            constraint("FIRST_NAME", "EQUALS", &["a\u{0}"]),
            "value: value must not contain the character U+0000.",
        ),
        (
            json!({ "filterSelection": "ID", "filterElement": "EQUALS", "value": {} }),
            "value: value must be a text, a number or a boolean.",
        ),
        (
            json!({ "filterSelection": "ID", "filterElement": "IN", "values": "a" }),
            "values: values must be a list.",
        ),
        (
            merged(good.clone(), json!({ "dataFieldType": "OTHER" })),
            "dataFieldType: dataFieldType must be NATIVE or CUSTOM.",
        ),
        (
            merged(good.clone(), json!({ "dataItemType": "LOANS" })),
            "dataItemType: dataItemType must be CLIENT.",
        ),
        (
            custom("nothing", "EQUALS", &["x"]),
            "filterSelection: filterSelection must be the id of a custom field.",
        ),
        (
            custom("FIRST_NAME", "EQUALS", &["x"]),
            "filterSelection: filterSelection must be the id of a custom field.",
        ),
        (
            custom("age", "STARTS_WITH", &["1"]),
            "filterElement: STARTS_WITH doesn't fit the values of this selection.",
        ),
        (
            custom("flag", "EQUALS", &["yes"]),
            "value: value must be one of the member's values.",
        ),
        (
            custom("since", "ON", &["2020-02-29T00:00:00+0000"]),
            "value: value must be a date that exists, as yyyy-MM-dd.",
        ),
    ] {
        let body = json!({ "filterConstraints": [good, bad] });
        let answer = server.post(SEARCH, body).await;
        answer.is(400, refused(1, source));
    }
}

async fn bad_search_request_is_refused(server: &TestServer) {
    let list = "filterConstraints";
    for (query, body, code, status, source) in [
        (
            "",
            json!({}),
            4,
            "INVALID_PARAMETERS",
            format!("{list} is required: send [] to find all clients."),
        ),
        (
            "",
            json!({ "filterConstraints": null }),
            4,
            "INVALID_PARAMETERS",
            format!("{list} is required: send [] to find all clients."),
        ),
        (
            "",
            json!({ "filterConstraints": {} }),
            4,
            "INVALID_PARAMETERS",
            format!("{list} must be a list."),
        ),
        (
            "",
            json!({ "filterConstraints": ["x"] }),
            4,
            "INVALID_PARAMETERS",
            "filterConstraints[0]: each member of the list must be an object.".to_owned(),
        ),
        (
            "",
            json!([]),
            26,
            "INVALID_JSON_SYNTAX",
            "The body must be a JSON object.".to_owned(),
        ),
        (
            "?limit=1001",
            json!({ "filterConstraints": [] }),
            14,
            "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE",
            "limit must be an integer from 1 to 1000.".to_owned(),
        ),
        (
            "?offset=-1",
            json!({ "filterConstraints": [] }),
            12,
            "OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE",
            "offset must be an integer of 0 or more.".to_owned(),
        ),
        (
            "?firstName=A",
            json!({ "filterConstraints": [] }),
            27,
            "PARAMETER_NOT_ALLOWED",
            "firstName isn't allowed with a JSON body.".to_owned(),
        ),
    ] {
        let answer = server.post(&format!("{SEARCH}{query}"), body).await;
        answer.is(400, refusal(code, status, &source));
    }
    // Of two faults, the syntax comes first, the constraints last.
    let wrong = json!({ "filterConstraints": [{ "filterSelection": "LOANS" }] }).to_string();
    for (query, body, code) in [
        ("?firstName=A", "{", 26),
        ("?firstName=A", &wrong, 27),
        ("?limit=0", &wrong, 14),
    ] {
        let request = server.request(reqwest::Method::POST, &format!("{SEARCH}{query}"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{query} {body}"
        );
    }
    let request = server.request(reqwest::Method::POST, SEARCH);
    server
        .send(request)
        .await
        .is(400, refusal(30, "MISSING_ENTITY_JSON", "There is no body: send JSON."));
    let request = server
        .request(reqwest::Method::POST, SEARCH)
        .form(&[("firstName", "A")]);
    let answer = server.send(request).await;
    answer.is(
        400,
        refusal(30, "MISSING_ENTITY_JSON", "Send the body as application/json."),
    );
    let source = "There is no client with this id or key. A search is POST /api/clients/search.";
    let unknown = refusal(301, "INVALID_CLIENT_ID", source);
    server.get(SEARCH).await.is(404, unknown);
}

async fn number_of_constraints_and_values_has_a_limit(server: &TestServer) {
    four(server).await;
    let constraints = |length: usize| {
        let all = vec![constraint("FIRST_NAME", "STARTS_WITH", &["ana"]); length];
        json!({ "filterConstraints": all })
    };
    let answer = server.post(SEARCH, constraints(25)).await;
    assert_eq!(answer.body.as_array().map(Vec::len), Some(3), "{}", answer.text);
    let source = "filterConstraints: Send at most 25 filterConstraints.";
    let answer = server.post(SEARCH, constraints(26)).await;
    answer.is(400, refusal(4, "INVALID_PARAMETERS", source));
    let values = |length: usize| {
        let values = vec!["ana"; length];
        json!({ "filterConstraints": [{ "filterSelection": "FIRST_NAME", "filterElement": "IN", "values": values }] })
    };
    let answer = server.post(SEARCH, values(1_000)).await;
    assert_eq!(answer.body.as_array().map(Vec::len), Some(2), "{}", answer.text);
    let source = "filterConstraints[0].values: Send at most 1000 values.";
    server
        .post(SEARCH, values(1_001))
        .await
        .is(400, refusal(4, "INVALID_PARAMETERS", source));
}

async fn length_of_values_has_a_limit(server: &TestServer) {
    four(server).await;
    server.define(vec![field("story", Kind::LongText)]).await;
    type Build = fn(&str, &str, &[&str]) -> serde_json::Value;
    let native: Build = constraint;
    for (of, selection, element, most) in [
        (native, "FIRST_NAME", "EQUALS", 255),
        (native, "LAST_NAME", "STARTS_WITH", 255),
        (native, "ID", "EQUALS_CASE_SENSITIVE", 255),
        (native, "CLIENT_ADDRESS", "STARTS_WITH", 255),
        (native, "CLIENT_ADDRESS", "DIFFERENT_THAN", 255),
        (native, "HOME_PHONE_NUMBER", "IN", 255),
        (native, "FULL_NAME", "EQUALS", 767),
        (native, "FULL_NAME", "STARTS_WITH", 255),
        (native, "NOTES", "EQUALS", 65_535),
        (native, "NOTES", "IN", 65_535),
        (native, "NOTES", "STARTS_WITH", 255),
        (native, "BRANCH_KEY", "EQUALS", 255),
        (custom, "nick", "EQUALS", 255),
        (custom, "story", "EQUALS", 2_048),
        (custom, "story", "STARTS_WITH", 255),
        (custom, "band", "STARTS_WITH", 255),
        (custom, "boss", "IN", 255),
    ] {
        for character in ["a", "é", "7"] {
            let search = |length: usize| {
                let constraint = of(selection, element, &[&character.repeat(length)]);
                server.post(SEARCH, json!({ "filterConstraints": [constraint] }))
            };
            let answer = search(most).await;
            assert_eq!(answer.status, 200, "{selection} {element}: {}", answer.text);
            let member = if element == "IN" { "values" } else { "value" };
            let kind = if ["BRANCH_KEY", "boss"].contains(&selection) {
                "key"
            } else {
                "text"
            };
            let source =
                format!("filterConstraints[0].{member}: {member} must be a {kind} of at most {most} characters.");
            search(most + 1)
                .await
                .is(400, refusal(4, "INVALID_PARAMETERS", &source));
        }
    }
}

async fn hidden_custom_field_cannot_be_searched(server: &TestServer) {
    four(server).await;
    let caller = server.as_caller(&Rights {
        view_sets: Sets::These(Default::default()),
        edit_sets: Sets::These(Default::default()),
        ..Rights::of([ViewClient])
    });
    let source = "filterConstraints[0].filterSelection: You may not see the values of this custom field, nor look \
                  clients up by them.";
    for element in ["EQUALS", "EMPTY", "LIKE_NOTHING"] {
        let body = json!({ "filterConstraints": [custom("nick", element, &["al"])] });
        let answer = caller.post(SEARCH, body).await;
        match element {
            "LIKE_NOTHING" => assert_eq!(answer.status, 400),
            _ => {
                answer.is(403, refusal(15, "INVALID_PERMISSIONS", source));
            }
        }
    }
}
