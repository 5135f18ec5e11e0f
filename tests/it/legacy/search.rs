//! `POST /api/clients/search`: every selection and element.

mod refusals;
mod scans;

use chrono::{Datelike, Days, Utc};
use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use serde_json::{Value, json};

use super::{client, create_trevor, expanded, merged};
use crate::harness::{TestServer, field, options};

const SEARCH: &str = "/api/clients/search";

on_both!(
    texts_are_compared_without_regard_to_case,
    keys_and_choices_are_compared_exactly,
    days_and_times_are_compared_by_day,
    relative_days_follow_the_clock,
    loan_cycles_are_always_zero,
    custom_fields_are_compared_by_their_type,
    numbers_are_compared_by_all_their_digits,
    all_constraints_must_hold,
    page_and_format_are_those_of_lists,
);

/// Clients with the ids a, b, c and d.
async fn four(server: &TestServer) {
    server
        .define(vec![
            field("nick", Kind::Text),
            CustomFieldInput {
                options: options(&["LOW", "HIGH"]),
                ..field("band", Kind::Selection)
            },
            field("age", Kind::Number),
            field("flag", Kind::Checkbox),
            field("since", Kind::Date),
            field("boss", Kind::UserLink),
        ])
        .await;
    let text = |id: &str, value: &str| json!({ "customFieldID": id, "value": value });
    for (client, addresses, values) in [
        (
            json!({ "id": "a", "firstName": "Ana", "middleName": "Maria", "lastName": "Öz", "birthDate": "1990-04-17",
                "gender": "FEMALE", "emailAddress": "Ana.Oz@example.test", "homePhone": "+49 1", "notes": "First\nLine",
                "assignedBranchKey": "b1", "preferredLanguage": "GERMAN" }),
            json!([{ "line1": "1 Test Lane", "city": "Exampleton" }]),
            json!([
                text("nick", "Al"),
                text("band", "LOW"),
                text("age", "7.50"),
                text("flag", "true"),
                text("since", "2020-02-29")
            ]),
        ),
        (
            json!({ "id": "b", "firstName": "ANA", "lastName": "öz", "birthDate": "1990-04-18", "gender": "MALE",
                "mobilePhone1": "+49 1", "assignedCentreKey": "c1", "assignedUserKey": "u1" }),
            json!([{ "country": "exampleton" }]),
            json!([text("nick", "al"), text("age", "-3"),
                { "customFieldID": "boss", "linkedEntityKeyValue": "u1" }]),
        ),
        (
            json!({ "id": "c", "firstName": "Ana%", "lastName": "McDonald", "birthDate": "2001-12-31",
                "mobilePhone2": "+49 2", "assignedBranchKey": "B1" }),
            json!([]),
            json!([
                text("nick", "Élodie"),
                text("band", "HIGH"),
                text("age", "00123"),
                text("flag", "false")
            ]),
        ),
        (
            json!({ "id": "d", "firstName": "Ben", "lastName": "Mc_Donald" }),
            json!([]),
            json!([text("since", "2021-01-01")]),
        ),
    ] {
        let body = json!({ "client": client, "addresses": addresses, "customInformation": values });
        let answer = server.post("/api/clients", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let state = "UPDATE client SET state = 'ACTIVE', activated_at = created_at, closed_at = created_at \
         WHERE client_id IN ('b', 'c')";
    server.write(state).await.expect("a sound statement");
}

/// The constraint `selection element value`, or with two values.
fn constraint(selection: &str, element: &str, values: &[&str]) -> Value {
    let mut constraint = json!({ "filterSelection": selection, "filterElement": element });
    match values {
        _ if element == "IN" => constraint["values"] = json!(values),
        [] => {}
        [value] => constraint["value"] = json!(value),
        [value, second, ..] => {
            constraint["value"] = json!(value);
            constraint["secondValue"] = json!(second);
        }
    }
    constraint
}

fn custom(field: &str, element: &str, values: &[&str]) -> Value {
    merged(
        constraint(field, element, values),
        json!({ "dataFieldType": "CUSTOM", "dataItemType": "CLIENT" }),
    )
}

/// The ids of the clients for which all constraints hold.
async fn found(server: &TestServer, constraints: &[Value]) -> String {
    let answer = server.post(SEARCH, json!({ "filterConstraints": constraints })).await;
    let clients = answer.body.as_array();
    let clients = clients
        .unwrap_or_else(|| panic!("{constraints:?}: {}", answer.text))
        .iter();
    clients.map(|client| client["id"].as_str().expect("an id")).collect()
}

async fn check(server: &TestServer, cases: &[(&str, &str, &[&str], &str)]) {
    for (selection, element, values, expected) in cases {
        let constraint = constraint(selection, element, values);
        assert_eq!(
            found(server, &[constraint]).await,
            *expected,
            "{selection} {element} {values:?}"
        );
    }
}

async fn texts_are_compared_without_regard_to_case(server: &TestServer) {
    four(server).await;
    check(
        server,
        &[
            ("FIRST_NAME", "EQUALS", &["ana"], "ab"),
            ("FIRST_NAME", "EQUALS", &["ANA"], "ab"),
            ("FIRST_NAME", "EQUALS", &["ana%"], "c"),
            ("FIRST_NAME", "EQUALS", &[""], ""),
            ("FIRST_NAME", "EQUALS_CASE_SENSITIVE", &["ANA"], "b"),
            ("FIRST_NAME", "EQUALS_CASE_SENSITIVE", &["ana"], ""),
            ("FIRST_NAME", "DIFFERENT_THAN", &["ana"], "cd"),
            ("FIRST_NAME", "STARTS_WITH", &["aNa"], "abc"),
            ("FIRST_NAME", "STARTS_WITH", &["_"], ""),
            ("FIRST_NAME", "IN", &["ben", "Ana", "unknown"], "abd"),
            ("FIRST_NAME", "EMPTY", &[], ""),
            ("LAST_NAME", "EQUALS", &["ÖZ"], "ab"),
            ("LAST_NAME", "EQUALS", &["öz"], "ab"),
            ("LAST_NAME", "EQUALS", &["mcdonald"], "c"),
            ("LAST_NAME", "STARTS_WITH", &["MC"], "cd"),
            ("LAST_NAME", "STARTS_WITH", &["ö"], "ab"),
            ("MIDDLE_NAME", "EQUALS", &["maria"], "a"),
            ("MIDDLE_NAME", "DIFFERENT_THAN", &["maria"], "bcd"),
            ("MIDDLE_NAME", "EMPTY", &[], "bcd"),
            ("MIDDLE_NAME", "NOT_EMPTY", &[], "a"),
            ("FULL_NAME", "EQUALS", &["ana maria öz"], "a"),
            ("FULL_NAME", "EQUALS", &["ANA ÖZ"], "b"),
            ("FULL_NAME", "STARTS_WITH", &["ben mc"], "d"),
            ("FULL_NAME", "NOT_EMPTY", &[], "abcd"),
            ("ID", "EQUALS", &["A"], "a"),
            ("ID", "EQUALS_CASE_SENSITIVE", &["A"], ""),
            ("ID", "EQUALS_CASE_SENSITIVE", &["a"], "a"),
            ("ID", "IN", &["a", "C", "x"], "ac"),
            ("ID", "DIFFERENT_THAN", &["a"], "bcd"),
            ("EMAIL_ADDRESS", "EQUALS", &["ANA.OZ@EXAMPLE.TEST"], "a"),
            ("EMAIL_ADDRESS", "STARTS_WITH", &["ana."], "a"),
            ("EMAIL_ADDRESS", "EMPTY", &[], "bcd"),
            ("HOME_PHONE_NUMBER", "EQUALS", &["+49 1"], "a"),
            ("HOME_PHONE_NUMBER", "STARTS_WITH", &["+49"], "a"),
            ("MOBILE_PHONE_NUMBER", "IN", &["+49 1", "+49 2"], "b"),
            ("MOBILE_PHONE_NUMBER_2", "EQUALS", &["+49 2"], "c"),
            ("MOBILE_PHONE_NUMBER_2", "DIFFERENT_THAN", &["+49 2"], "abd"),
            ("NOTES", "EQUALS", &["first\nline"], "a"),
            ("NOTES", "STARTS_WITH", &["FIRST"], "a"),
            ("NOTES", "EMPTY", &[], "bcd"),
            ("CLIENT_ADDRESS", "EQUALS", &["EXAMPLETON"], "ab"),
            ("CLIENT_ADDRESS", "EQUALS_CASE_SENSITIVE", &["Exampleton"], "a"),
            ("CLIENT_ADDRESS", "STARTS_WITH", &["1 test"], "a"),
            ("CLIENT_ADDRESS", "IN", &["1 Test Lane", "nowhere"], "a"),
            ("CLIENT_ADDRESS", "DIFFERENT_THAN", &["exampleton"], "cd"),
            ("CLIENT_ADDRESS", "EMPTY", &[], "cd"),
            ("CLIENT_ADDRESS", "NOT_EMPTY", &[], "ab"),
            ("FIRST_NAME", "EQUALS", &["' OR 1=1 --"], ""),
            ("FIRST_NAME", "STARTS_WITH", &["\u{10ffff}"], ""),
            ("LAST_NAME", "STARTS_WITH", &[""], "abcd"),
        ],
    )
    .await;
}

async fn keys_and_choices_are_compared_exactly(server: &TestServer) {
    four(server).await;
    let answer = server.get("/api/clients/a").await;
    let (_, rest) = answer.text.split_once("\"encodedKey\":\"").expect("a key");
    let key = &rest[..32];
    check(
        server,
        &[
            ("ENCODED_KEY", "EQUALS", &[key], "a"),
            ("ENCODED_KEY", "EQUALS", &["nothing"], ""),
            ("ENCODED_KEY", "IN", &["nothing", key], "a"),
            ("ENCODED_KEY", "DIFFERENT_THAN", &[key], "bcd"),
            ("BRANCH_KEY", "EQUALS", &["b1"], "a"),
            ("BRANCH_KEY", "EQUALS_CASE_SENSITIVE", &["B1"], "c"),
            ("BRANCH_KEY", "IN", &["b1", "B1"], "ac"),
            ("BRANCH_KEY", "EMPTY", &[], "bd"),
            ("BRANCH_KEY", "DIFFERENT_THAN", &["b1"], "bcd"),
            ("CENTRE_KEY", "EQUALS", &["c1"], "b"),
            ("CREDIT_OFFICER_KEY", "NOT_EMPTY", &[], "b"),
            ("CLIENT_ROLE_KEY", "EQUALS", &[super::DEFAULT_ROLE], "abcd"),
            ("CLIENT_ROLE_KEY", "DIFFERENT_THAN", &[super::DEFAULT_ROLE], ""),
            ("CLIENT_STATE", "EQUALS", &["ACTIVE"], "bc"),
            ("CLIENT_STATE", "EQUALS", &["active"], "bc"),
            ("CLIENT_STATE", "DIFFERENT_THAN", &["ACTIVE"], "ad"),
            ("CLIENT_STATE", "IN", &["ACTIVE", "INACTIVE"], "abcd"),
            ("GENDER", "EQUALS", &["female"], "a"),
            ("GENDER", "EMPTY", &[], "cd"),
            ("GENDER", "DIFFERENT_THAN", &["FEMALE"], "bcd"),
            ("PREFERRED_LANGUAGE", "EQUALS", &["GERMAN"], "a"),
            ("PREFERRED_LANGUAGE", "IN", &["GERMAN", "PORTUGESE"], "a"),
        ],
    )
    .await;
}

async fn days_and_times_are_compared_by_day(server: &TestServer) {
    four(server).await;
    let times = "UPDATE client SET created_at = '2031-05-02T00:00:00.000000Z', \
         approved_at = '2031-05-02T23:59:59.999999Z' WHERE client_id = 'a'";
    server.write(times).await.expect("a sound statement");
    check(
        server,
        &[
            ("BIRTHDATE", "EQUALS", &["1990-04-17"], "a"),
            ("BIRTHDATE", "ON", &["1990-04-17T23:00:00+0800"], "a"),
            ("BIRTHDATE", "DIFFERENT_THAN", &["1990-04-17"], "bcd"),
            ("BIRTHDATE", "BEFORE", &["1990-04-18"], "a"),
            ("BIRTHDATE", "LESS_THAN", &["1990-04-17"], ""),
            ("BIRTHDATE", "AFTER", &["1990-04-17"], "bc"),
            ("BIRTHDATE", "MORE_THAN", &["2001-12-31"], ""),
            ("BIRTHDATE", "BETWEEN", &["1990-04-18", "2001-12-31"], "bc"),
            ("BIRTHDATE", "BETWEEN", &["2001-12-31", "1990-04-18"], ""),
            ("BIRTHDATE", "BETWEEN", &["0001-01-01", "9999-12-31"], "bca"),
            ("BIRTHDATE", "AFTER", &["9999-12-31"], ""),
            ("BIRTHDATE", "EMPTY", &[], "d"),
            ("BIRTHDATE", "NOT_EMPTY", &[], "bca"),
            ("CREATION_DATE", "ON", &["2031-05-02"], "a"),
            ("CREATION_DATE", "ON", &["2031-05-02T23:59:59+0000"], "a"),
            ("CREATION_DATE", "AFTER", &["2031-05-01"], "a"),
            ("CREATION_DATE", "AFTER", &["2031-05-02"], ""),
            ("CREATION_DATE", "BEFORE", &["2031-05-02"], "bcd"),
            ("APPROVED_DATE", "ON", &["2031-05-02"], "a"),
            ("APPROVED_DATE", "BETWEEN", &["2031-05-01", "2031-05-02"], "a"),
            ("APPROVED_DATE", "AFTER", &["2031-05-02"], ""),
            ("LAST_MODIFIED_DATE", "BEFORE", &["2020-01-01"], ""),
            ("LAST_MODIFIED_DATE", "AFTER", &["2020-01-01"], "bcda"),
            ("ACTIVATION_DATE", "NOT_EMPTY", &[], "bc"),
            ("ACTIVATION_DATE", "EMPTY", &[], "da"),
            ("CLOSED_DATE", "DIFFERENT_THAN", &["2020-01-01"], "bcda"),
            ("CLOSED_DATE", "MORE_THAN", &["2020-01-01"], "bc"),
        ],
    )
    .await;
}

async fn relative_days_follow_the_clock(server: &TestServer) {
    let today: chrono::NaiveDate = chrono::DateTime::<Utc>::from(std::time::SystemTime::now()).date_naive();
    let monday = today - Days::new(today.weekday().num_days_from_monday().into());
    let month = today.with_day(1).expect("a day");
    let year = month.with_month(1).expect("a month");
    let yesterday = |day: chrono::NaiveDate| day.pred_opt().expect("a day");
    let days = [
        today,
        yesterday(today),
        monday,
        yesterday(monday),
        month,
        yesterday(month),
        year,
        yesterday(year),
        today - Days::new(30),
        today - Days::new(31),
    ];
    for (index, day) in days.iter().enumerate() {
        let body =
            json!({ "client": { "firstName": "A", "lastName": "B", "id": index.to_string(), "birthDate": day } });
        assert_eq!(server.post("/api/clients", body).await.status, 200);
    }
    let expected = |is_in: &dyn Fn(chrono::NaiveDate) -> bool| -> String {
        let found = days.iter().enumerate().filter(|(_, day)| is_in(**day));
        found.map(|(index, _)| index.to_string()).collect()
    };
    for (element, values, expected) in [
        ("TODAY", vec![], expected(&|day| day == today)),
        ("THIS_WEEK", vec![], expected(&|day| day >= monday)),
        ("THIS_MONTH", vec![], expected(&|day| day >= month)),
        ("THIS_YEAR", vec![], expected(&|day| day >= year)),
        ("LAST_DAYS", vec!["30"], expected(&|day| day >= today - Days::new(30))),
        ("LAST_DAYS", vec!["1"], expected(&|day| day >= yesterday(today))),
    ] {
        let ids = found(server, &[constraint("BIRTHDATE", element, &values)]).await;
        assert_eq!(ids, expected, "{element} {values:?} on {today}");
    }
    for element in ["TODAY", "THIS_WEEK", "THIS_MONTH", "THIS_YEAR"] {
        let ids = found(server, &[constraint("CREATION_DATE", element, &[])]).await;
        assert_eq!(ids, "0123456789", "{element}");
    }
}

async fn loan_cycles_are_always_zero(server: &TestServer) {
    four(server).await;
    for selection in ["LOAN_CYCLE", "GROUP_LOAN_CYCLE"] {
        check(
            server,
            &[
                (selection, "EQUALS", &["0"], "abcd"),
                (selection, "EQUALS", &["1"], ""),
                (selection, "DIFFERENT_THAN", &["1"], "abcd"),
                (selection, "DIFFERENT_THAN", &["-0.0"], ""),
                (selection, "IN", &["1", "0"], "abcd"),
                (selection, "MORE_THAN", &["0"], ""),
                (selection, "MORE_THAN", &["-1"], "abcd"),
                (selection, "LESS_THAN", &["0.5"], "abcd"),
                (selection, "BETWEEN", &["0", "2"], "abcd"),
                (selection, "BETWEEN", &["1", "2"], ""),
                (selection, "EMPTY", &[], ""),
                (selection, "NOT_EMPTY", &[], "abcd"),
            ],
        )
        .await;
    }
}

async fn custom_fields_are_compared_by_their_type(server: &TestServer) {
    four(server).await;
    for (id, element, values, expected) in [
        ("nick", "EQUALS", vec!["AL"], "ab"),
        ("nick", "EQUALS_CASE_SENSITIVE", vec!["al"], "b"),
        ("nick", "EQUALS", vec!["éLODIE"], "c"),
        ("nick", "STARTS_WITH", vec!["él"], "c"),
        ("nick", "IN", vec!["al", "x"], "ab"),
        ("nick", "DIFFERENT_THAN", vec!["al"], "cd"),
        ("nick", "EMPTY", vec![], "d"),
        ("nick", "NOT_EMPTY", vec![], "abc"),
        ("band", "EQUALS", vec!["low"], "a"),
        ("band", "IN", vec!["LOW", "HIGH"], "ac"),
        ("flag", "EQUALS", vec!["true"], "a"),
        ("flag", "DIFFERENT_THAN", vec!["TRUE"], "bcd"),
        ("flag", "EMPTY", vec![], "bd"),
        ("since", "ON", vec!["2020-02-29"], "a"),
        ("since", "AFTER", vec!["2020-02-29"], "d"),
        ("since", "BETWEEN", vec!["2020-02-29", "2021-01-01"], "ad"),
        ("since", "BEFORE", vec!["2021-01-01"], "a"),
        ("since", "DIFFERENT_THAN", vec!["2021-01-01"], "abc"),
        ("boss", "EQUALS", vec!["u1"], "b"),
        ("boss", "EQUALS", vec!["U1"], ""),
        ("boss", "IN", vec!["u1", "u2"], "b"),
        ("age", "EQUALS", vec!["7.5"], "a"),
        ("age", "EQUALS", vec!["123"], "c"),
        ("age", "IN", vec!["7.500", "-3.0"], "ab"),
        ("age", "DIFFERENT_THAN", vec!["-3"], "acd"),
        ("age", "MORE_THAN", vec!["-4"], "abc"),
        ("age", "MORE_THAN", vec!["7.5"], "c"),
        ("age", "LESS_THAN", vec!["100"], "ab"),
        ("age", "LESS_THAN", vec!["-2.9"], "b"),
        ("age", "BETWEEN", vec!["-3", "7.50"], "ab"),
        ("age", "EMPTY", vec![], "d"),
    ] {
        let ids = found(server, &[custom(id, element, &values)]).await;
        assert_eq!(ids, expected, "{id} {element} {values:?}");
    }
}

async fn numbers_are_compared_by_all_their_digits(server: &TestServer) {
    server.define(vec![field("n", Kind::Number)]).await;
    // In ascending order; neighbours of equal value are one entry.
    let numbers = [
        vec!["-123456789012345678901234567890"],
        vec!["-10.01"],
        vec!["-10", "-10.0", "-010"],
        vec!["-9.99"],
        vec!["-.5", "-0.50"],
        vec!["0", "-0", "00", ".0"],
        vec!["0.000000000000000000000000001"],
        vec![".5", "0.5", "000.5"],
        vec!["9"],
        vec!["10", "010"],
        vec!["10.1"],
        vec!["123456789012345678901234567889"],
        vec!["123456789012345678901234567890"],
    ];
    let numbers: Vec<(usize, &str)> = numbers
        .iter()
        .enumerate()
        .flat_map(|(rank, equal)| equal.iter().map(move |number| (rank, *number)))
        .collect();
    let id = |index: usize| char::from(b'A' + index as u8).to_string();
    for (index, (_, number)) in numbers.iter().enumerate() {
        let body = json!({ "client": { "firstName": "A", "lastName": "B", "id": id(index) },
            "customInformation": [{ "customFieldID": "n", "value": number }] });
        let answer = server.post("/api/clients", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    for (rank, number) in &numbers {
        let expected = |is_in: &dyn Fn(usize) -> bool| -> String {
            let found = numbers.iter().enumerate().filter(|(_, (other, _))| is_in(*other));
            found.map(|(index, _)| id(index)).collect()
        };
        for (element, expected) in [
            ("EQUALS", expected(&|other| other == *rank)),
            ("MORE_THAN", expected(&|other| other > *rank)),
            ("LESS_THAN", expected(&|other| other < *rank)),
        ] {
            assert_eq!(
                found(server, &[custom("n", element, &[number])]).await,
                expected,
                "{element} {number}"
            );
        }
    }
}

async fn all_constraints_must_hold(server: &TestServer) {
    four(server).await;
    for (constraints, expected) in [
        (vec![], "abcd"),
        (
            vec![
                constraint("FIRST_NAME", "EQUALS", &["ana"]),
                constraint("GENDER", "EQUALS", &["MALE"]),
            ],
            "b",
        ),
        (
            vec![
                constraint("FIRST_NAME", "STARTS_WITH", &["ana"]),
                custom("age", "MORE_THAN", &["0"]),
                custom("nick", "EQUALS_CASE_SENSITIVE", &["Al"]),
                constraint("CREATION_DATE", "TODAY", &[]),
            ],
            "a",
        ),
        (
            vec![constraint("ID", "EQUALS", &["a"]), constraint("ID", "EQUALS", &["b"])],
            "",
        ),
        // Values that aren't texts are read as their texts.
        (
            vec![
                json!({ "filterSelection": "age", "filterElement": "EQUALS", "value": 7.50, "dataFieldType": "CUSTOM",
                "secondValue": null, "unknown": {} }),
            ],
            "a",
        ),
        (
            vec![
                json!({ "filterSelection": "LOAN_CYCLE", "filterElement": "IN", "values": [1, 0],
                "dataFieldType": "NATIVE" }),
            ],
            "abcd",
        ),
    ] {
        assert_eq!(found(server, &constraints).await, expected, "{constraints:?}");
    }
}

async fn page_and_format_are_those_of_lists(server: &TestServer) {
    create_trevor(server).await;
    let all = json!({ "filterConstraints": [] });
    let bare = client(json!({}));
    server.post(SEARCH, all.clone()).await.is(200, json!([bare]));
    server
        .post("/api/clients/search/?appkey=K", all.clone())
        .await
        .is(200, json!([bare]));
    let whole = merged(expanded(bare, json!({})), json!({ "groupKeys": [] }));
    server
        .post("/api/clients/search?fullDetails=true", all.clone())
        .await
        .is(200, json!([whole]));
    server.seed(60).await;
    for (query, length) in [
        ("", 50),
        ("?limit=1000", 61),
        ("?limit=5&offset=59", 2),
        ("?offset=61", 0),
    ] {
        let answer = server.post(&format!("{SEARCH}{query}"), all.clone()).await;
        assert_eq!(answer.body.as_array().map(Vec::len), Some(length), "{query}");
    }
    let answer = server.post("/api/clients/search?limit=2&offset=1", all).await;
    let ids: Vec<&Value> = answer
        .body
        .as_array()
        .expect("a list")
        .iter()
        .map(|client| &client["id"])
        .collect();
    assert_eq!(ids, ["SEED00000001", "SEED00000002"]);
}
