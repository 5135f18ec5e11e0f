//! `PATCH /api/clients/{id}`: changes the members that are present.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENTS, DEFAULT_ROLE, FIRST, client, create_trevor, refusal, stored};
use crate::harness::{Answer, TestServer, graphql::define_role};

async fn patch(server: &TestServer, path: &str, body: Value) -> Answer {
    server.send(server.request(Method::PATCH, path).json(&body)).await
}

/// Asserts the answer to a patch of the first client that writes nothing.
async fn refuses(server: &TestServer, client: Value, status: u16, answer: Value) {
    let before = server.snapshot().await;
    patch(server, FIRST, json!({ "client": client }))
        .await
        .is(status, answer);
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

fn success() -> Value {
    json!({ "returnCode": 0, "returnStatus": "SUCCESS" })
}

/// Every text and choice that can be cleared, with a value.
fn full() -> Value {
    json!({ "middleName": "Good", "homePhone": "1", "mobilePhone1": "2", "mobilePhone2": "3",
        "birthDate": "1990-04-17", "emailAddress": "trevor@example.test", "gender": "male", "notes": "tall\nand thin",
        "preferredLanguage": "GERMAN", "assignedBranchKey": "b1", "assignedCentreKey": "c1", "assignedUserKey": "u1" })
}

/// The same as answered.
fn full_answer() -> Value {
    let mut full = full();
    full["birthDate"] = json!("1990-04-17T00:00:00+0000");
    full["gender"] = json!("MALE");
    full
}

on_both!(
    present_members_change_and_others_stay,
    null_stays_and_a_blank_text_clears,
    path_names_the_client,
    id_can_be_changed,
    id_must_be_free_and_well_formed,
    role_is_named_by_key_or_id,
    state_and_members_change_together_or_not_at_all,
    wrong_members_are_refused_as_a_whole,
    body_must_be_json_with_a_client,
    repeated_patch_is_carried_out_once,
);

async fn present_members_change_and_others_stay(server: &TestServer) {
    create_trevor(server).await;
    patch(server, FIRST, json!({ "client": full() }))
        .await
        .is(200, success());
    stored(server, client(full_answer()), json!({})).await;
    let members = full();
    for (name, value) in members.as_object().expect("an object") {
        // Members that the route doesn't change are ignored.
        let other = json!({ "client": { name: value, "encodedKey": "other", "creationDate": "x", "loanCycle": 7 },
            "addresses": "x", "idDocuments": [{}], "customInformation": [{ "value": "x" }], "unknown": 1 });
        let before = server.snapshot().await;
        patch(server, FIRST, other).await.is(200, success());
        assert_eq!(
            server.snapshot().await,
            before,
            "{name}: what is stored already isn't written"
        );
    }
    let body = json!({ "client": { "lastName": "Okafor", "birthDate": "2000-02-29T10:00:00+0100" } });
    patch(server, FIRST, body).await.is(200, success());
    let mut expected = full_answer();
    expected["lastName"] = json!("Okafor");
    expected["birthDate"] = json!("2000-02-29T00:00:00+0000");
    stored(server, client(expected), json!({})).await;
}

async fn null_stays_and_a_blank_text_clears(server: &TestServer) {
    create_trevor(server).await;
    patch(server, FIRST, json!({ "client": full() }))
        .await
        .is(200, success());
    let before = server.snapshot().await;
    let members = full();
    let names = members.as_object().expect("an object").keys();
    let with = |value: &Value| {
        names
            .clone()
            .map(|name| (name.clone(), value.clone()))
            .collect::<Value>()
    };
    let mut nulls = with(&Value::Null);
    for name in [
        "id",
        "state",
        "firstName",
        "lastName",
        "clientRole",
        "clientRoleId",
        "encodedKey",
    ] {
        nulls[name] = Value::Null;
    }
    patch(server, FIRST, json!({ "client": nulls }))
        .await
        .is(200, success());
    patch(server, FIRST, json!({ "client": {} })).await.is(200, success());
    // An empty id counts as absent, and the key is ignored whatever it is.
    patch(server, FIRST, json!({ "client": { "id": "", "encodedKey": 5 } }))
        .await
        .is(200, success());
    assert_eq!(server.snapshot().await, before);
    let answer = patch(server, FIRST, json!({ "client": { "id": "  " } })).await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(4)),
        "{}",
        answer.text
    );
    assert_eq!(server.snapshot().await, before);
    for blank in ["", " \u{a0}\u{200b}"] {
        for name in names.clone() {
            patch(server, FIRST, json!({ "client": { name: blank } }))
                .await
                .is(200, success());
        }
        stored(server, client(json!({})), json!({})).await;
        patch(server, FIRST, json!({ "client": full() }))
            .await
            .is(200, success());
        for name in ["firstName", "lastName"] {
            let source = format!("client.{name}: {name} is required and must not be blank.");
            refuses(
                server,
                json!({ name: blank }),
                400,
                refusal(4, "INVALID_PARAMETERS", &source),
            )
            .await;
        }
    }
}

async fn path_names_the_client(server: &TestServer) {
    create_trevor(server).await;
    for path in [
        "/api/clients/<id 1>",
        "/api/clients/<id 1>/",
        "/api/clients/<key 1>/",
        "/api/clients/<key 1>?appkey=k",
    ] {
        patch(server, path, json!({ "client": { "notes": path } }))
            .await
            .is(200, success());
        stored(server, client(json!({ "notes": path })), json!({})).await;
    }
    let before = server.snapshot().await;
    let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
    for path in [
        "/api/clients/absent",
        "/api/clients/%00",
        "/api/clients/%ff",
        "/api/clients/%20",
    ] {
        let body = json!({ "client": { "firstName": "" } });
        patch(server, path, body).await.is(404, unknown.clone());
    }
    let source = "notes isn't allowed with a JSON body.";
    patch(server, "/api/clients/<key 1>?notes=x", json!({ "client": {} }))
        .await
        .is(400, refusal(27, "PARAMETER_NOT_ALLOWED", source));
    for method in [Method::PUT, Method::OPTIONS] {
        let answer = server.send(server.request(method, FIRST)).await;
        assert_eq!((answer.status, &answer.body["returnCode"]), (405, &json!(5)));
    }
    assert_eq!(server.snapshot().await, before);
}

async fn id_can_be_changed(server: &TestServer) {
    create_trevor(server).await;
    patch(server, FIRST, json!({ "client": { "id": "C-1", "notes": "n" } }))
        .await
        .is(200, success());
    let expected = client(json!({ "id": "C-1", "notes": "n" }));
    server.get("/api/clients/C-1").await.is(200, expected.clone());
    let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
    server.get("/api/clients/<id 1>").await.is(404, unknown);
    // The same id changes nothing.
    let before = server.snapshot().await;
    patch(server, "/api/clients/C-1", json!({ "client": { "id": "C-1" } }))
        .await
        .is(200, success());
    assert_eq!(server.snapshot().await, before);
    // The former id is free, and can be chosen by another client.
    let other = json!({ "client": { "id": "<id 1>", "firstName": "Ana", "lastName": "Cruz" } });
    assert_eq!(server.post(CLIENTS, other).await.status, 200);
    patch(server, "/api/clients/C-1", json!({ "client": { "id": "C-2" } }))
        .await
        .is(200, success());
    patch(server, "/api/clients/C-2", json!({ "client": { "id": "C-1" } }))
        .await
        .is(200, success());
    server.get(FIRST).await.is(200, expected);
    crate::audit::assert_replayed(server).await;
}

async fn id_must_be_free_and_well_formed(server: &TestServer) {
    create_trevor(server).await;
    let other = json!({ "client": { "id": "taken", "firstName": "Ana", "lastName": "Cruz" } });
    let other = server.post(CLIENTS, other).await;
    let other: Value = serde_json::from_str(&other.text).expect("JSON");
    let key = other["client"]["encodedKey"].as_str().expect("a key");
    let taken = "client.id: Another client has this id: choose another, or leave it out to keep the present one.";
    let reserved = |id: &str| {
        format!("client.id: The id {id} is reserved: choose another, or leave id out to keep the present one.")
    };
    let ends = "client.id: id must not begin or end with white space or an invisible character.";
    let long = "x".repeat(33);
    for (id, code, status, source) in [
        ("taken", 316, "CLIENT_ID_ALREADY_IN_USE", taken),
        (key, 316, "CLIENT_ID_ALREADY_IN_USE", taken),
        ("search", 316, "CLIENT_ID_ALREADY_IN_USE", &reserved("search")),
        ("..", 316, "CLIENT_ID_ALREADY_IN_USE", &reserved("..")),
        (" x", 3742, "INVALID_STRING_VALUE", ends),
        (
            &long,
            3742,
            "INVALID_STRING_VALUE",
            "client.id: id must have at most 32 characters.",
        ),
        (
            "a\u{7}",
            3742,
            "INVALID_STRING_VALUE",
            "client.id: id must not contain the character U+0007.",
        ),
        (
            "a\0",
            3742,
            "INVALID_STRING_VALUE",
            "client.id: id must not contain the character U+0000.",
        ),
    ] {
        let member = json!({ "id": id, "notes": "n" });
        refuses(server, member, 400, refusal(code, status, source)).await;
    }
    let longest = &long[..32];
    patch(server, FIRST, json!({ "client": { "id": longest } }))
        .await
        .is(200, success());
}

async fn role_is_named_by_key_or_id(server: &TestServer) {
    create_trevor(server).await;
    for id in ["first", "second"] {
        define_role(
            server,
            json!({ "roleId": id, "encodedKey": format!("{id}Key"), "name": id }),
        )
        .await;
    }
    for (role, key) in [
        (
            json!({ "clientRole": { "encodedKey": "firstKey", "id": "x" } }),
            "firstKey",
        ),
        (json!({ "clientRoleId": "second" }), "secondKey"),
        (json!({ "clientRoleId": null, "clientRole": null }), "secondKey"),
        (json!({ "clientRole": { "encodedKey": null } }), "secondKey"),
        (json!({ "clientRole": {} }), "secondKey"),
        (
            json!({ "clientRole": { "encodedKey": null, "id": "client" } }),
            "secondKey",
        ),
        (
            json!({ "clientRoleId": "second", "clientRole": { "encodedKey": null } }),
            "secondKey",
        ),
        (
            json!({ "clientRoleId": "second", "clientRole": { "encodedKey": "firstKey" } }),
            "firstKey",
        ),
        (json!({ "clientRoleId": "client" }), DEFAULT_ROLE),
    ] {
        patch(server, FIRST, json!({ "client": role })).await.is(200, success());
        stored(
            server,
            client(json!({ "clientRole": { "encodedKey": key } })),
            json!({}),
        )
        .await;
    }
    for (role, source) in [
        (
            json!({ "clientRole": { "encodedKey": "absent" } }),
            "client.clientRole.encodedKey: There is no client role of this name.",
        ),
        (
            json!({ "clientRole": { "encodedKey": "" } }),
            "client.clientRole.encodedKey: There is no client role of this name.",
        ),
        (
            json!({ "clientRoleId": "absent" }),
            "client.clientRoleId: There is no client role of this name.",
        ),
        (
            json!({ "clientRoleId": " " }),
            "client.clientRoleId: There is no client role of this name.",
        ),
    ] {
        refuses(server, role, 400, refusal(306, "INVALID_CLIENT_ROLE_KEY", source)).await;
    }
}

async fn state_and_members_change_together_or_not_at_all(server: &TestServer) {
    create_trevor(server).await;
    let source = "client.state: A client that is INACTIVE can't become REJECTED, only PENDING_APPROVAL or ACTIVE or \
                  EXITED or BLACKLISTED.";
    let impossible = refusal(312, "INVALID_CLIENT_STATE_TRANSITION", source);
    refuses(
        server,
        json!({ "state": "REJECTED", "firstName": "Ana" }),
        400,
        impossible,
    )
    .await;
    let source = "client.firstName: firstName is required and must not be blank.";
    let blank = refusal(4, "INVALID_PARAMETERS", source);
    refuses(server, json!({ "state": "EXITED", "firstName": "" }), 400, blank).await;
    let body = json!({ "client": { "state": "EXITED", "firstName": "Ana", "id": "C-1" } });
    patch(server, FIRST, body).await.is(200, success());
    let expected = json!({ "state": "EXITED", "firstName": "Ana", "id": "C-1", "closedDate": "<time>" });
    stored(server, client(expected), json!({})).await;
    let snapshot = server.snapshot().await;
    let row: Value = serde_json::from_str(snapshot.rows("client")[0]).expect("a row is JSON");
    assert!(
        row.as_array().expect("an array").contains(&json!(2)),
        "one version: {row}"
    );
}

async fn wrong_members_are_refused_as_a_whole(server: &TestServer) {
    create_trevor(server).await;
    let address = "client.emailAddress: emailAddress must be an address of the form name@example.com.";
    let language = "client.preferredLanguage: preferredLanguage must be ENGLISH, PORTUGESE, SPANISH, RUSSIAN, FRENCH, \
             GEORGIAN, CHINESE, INDONESIAN, ROMANIAN, BURMESE or GERMAN.";
    let key = "client.assignedUserKey: assignedUserKey must be a key of 1 to 32 letters and digits.";
    let date = "client.birthDate: birthDate must be a date that exists, as yyyy-MM-dd.";
    let long = "x".repeat(256);
    for (client, code, status, source) in [
        (
            json!({ "emailAddress": "x" }),
            711,
            "EMAIL_ADDRESS_FORMAT_IS_INVALID",
            address,
        ),
        (
            json!({ "preferredLanguage": "KLINGON" }),
            2427,
            "INVALID_LANGUAGE",
            language,
        ),
        (
            json!({ "gender": "other" }),
            4,
            "INVALID_PARAMETERS",
            "client.gender: gender must be MALE or FEMALE.",
        ),
        (json!({ "assignedUserKey": "a b" }), 4, "INVALID_PARAMETERS", key),
        (json!({ "birthDate": "2023-02-29" }), 309, "INVALID_BIRTH_DATE", date),
        (
            json!({ "birthDate": "2999-01-01" }),
            309,
            "INVALID_BIRTH_DATE",
            "client.birthDate: birthDate must not be in the future.",
        ),
        (
            json!({ "middleName": long }),
            3742,
            "INVALID_STRING_VALUE",
            "client.middleName: middleName must have at most 255 characters.",
        ),
        (
            json!({ "homePhone": "a\nb" }),
            3742,
            "INVALID_STRING_VALUE",
            "client.homePhone: homePhone must not contain the character U+000A.",
        ),
        (
            json!({ "notes": 1 }),
            4,
            "INVALID_PARAMETERS",
            "client.notes: notes must be a text.",
        ),
        (
            json!({ "clientRoleId": 1 }),
            4,
            "INVALID_PARAMETERS",
            "client.clientRoleId: clientRoleId must be a text.",
        ),
        (
            json!({ "clientRole": "x" }),
            4,
            "INVALID_PARAMETERS",
            "client.clientRole: clientRole must be an object.",
        ),
    ] {
        let mut client = client;
        client["lastName"] = json!("Changed");
        refuses(server, client, 400, refusal(code, status, source)).await;
    }
}

async fn body_must_be_json_with_a_client(server: &TestServer) {
    create_trevor(server).await;
    let before = server.snapshot().await;
    let none = "client must have the members to change.";
    for body in [json!({}), json!({ "client": null }), json!({ "firstName": "Ana" })] {
        patch(server, FIRST, body)
            .await
            .is(400, refusal(4, "INVALID_PARAMETERS", none));
    }
    for path in ["", "/custominformation", "/custominformation/nick"] {
        let broken = server.request(Method::PATCH, &format!("{FIRST}{path}?notes=y"));
        let broken = broken.header("content-type", "application/json").body("{");
        let answer = server.send(broken).await;
        assert_eq!((answer.status, &answer.body["returnCode"]), (400, &json!(26)), "{path}");
    }
    let source = "client must be an object.";
    for body in [json!({ "client": "x" }), json!({ "client": [] })] {
        patch(server, FIRST, body)
            .await
            .is(400, refusal(4, "INVALID_PARAMETERS", source));
    }
    let request = || server.request(Method::PATCH, FIRST);
    let json_type = "application/json";
    for (media, body, status, code, name) in [
        (None, "", 400, 30, "MISSING_ENTITY_JSON"),
        (Some(json_type), "", 400, 30, "MISSING_ENTITY_JSON"),
        (
            Some("application/x-www-form-urlencoded"),
            "firstName=Ana",
            400,
            30,
            "MISSING_ENTITY_JSON",
        ),
        (
            Some("application/json; charset=latin1"),
            "{}",
            400,
            22,
            "UNSUPPORTED_CHARACTER_ENCODING",
        ),
        (Some(json_type), "[]", 400, 26, "INVALID_JSON_SYNTAX"),
        (Some(json_type), "{\"client\":{}", 400, 26, "INVALID_JSON_SYNTAX"),
        (
            Some(json_type),
            r#"{"client":{"notes":"a","notes":"b"}}"#,
            400,
            26,
            "INVALID_JSON_SYNTAX",
        ),
    ] {
        let request = media.map_or_else(request, |media| request().header("content-type", media));
        let answer = server.send(request.body(body)).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"], &answer.body["returnStatus"]),
            (status, &json!(code), &json!(name)),
            "{body}"
        );
    }
    assert_eq!(server.snapshot().await, before);
}

async fn repeated_patch_is_carried_out_once(server: &TestServer) {
    create_trevor(server).await;
    let send = async |key: &str, notes: &str| {
        let request = server.request(Method::PATCH, FIRST).header("Idempotency-Key", key);
        server
            .send(request.json(&json!({ "client": { "notes": notes } })))
            .await
    };
    send("k", "first").await.is(200, success());
    send("l", "second").await.is(200, success());
    let before = server.snapshot().await;
    send("k", "first").await.is(200, success());
    let reused = "This idempotency key has been used for another request: give each request a key of its own.";
    send("k", "third")
        .await
        .is(422, refusal(4, "INVALID_PARAMETERS", reused));
    assert_eq!(server.snapshot().await, before, "nothing is done a second time");
}
