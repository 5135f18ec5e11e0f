//! Tests of changes: the identified client, and its changed members.

use serde_json::{Value, json};

use super::{RestSettings, Server, refusal};

#[tokio::test]
async fn r2_the_path_and_the_key_name_one_client() {
    let server = Server::start().await;
    let ines = server.ines().await;
    let (_, other) = server
        .post("/api/clients", json!({"client": {"firstName": "A", "lastName": "B"}}))
        .await;
    let other: Value = serde_json::from_str(&other).expect("JSON");
    let (key, other) = (&ines["client"]["encodedKey"], &other["client"]["encodedKey"]);
    for (path, client, expected) in [
        ("/api/clients/INES", json!({"encodedKey": key}), None),
        ("/api/clients/INES/", json!({}), None),
        ("/api/clients/INES", json!({"encodedKey": null}), None),
        ("/api/clients", json!({"encodedKey": key}), None),
        (
            "/api/clients/nobody",
            json!({"encodedKey": "unknown", "firstName": 5}),
            Some((404, 301)),
        ),
        ("/api/clients/INES", json!({"encodedKey": "unknown"}), Some((404, 302))),
        ("/api/clients/INES", json!({"encodedKey": ""}), Some((404, 302))),
        ("/api/clients", json!({"encodedKey": ""}), Some((404, 302))),
        ("/api/clients/INES", json!({"encodedKey": other}), Some((400, 25))),
    ] {
        let answer = server.post(path, json!({"client": client})).await;
        match expected {
            Some(expected) => {
                let (status, number, _) = refusal(&answer);
                assert_eq!((status, number), expected, "{path} {client}");
            }
            None => assert_eq!(
                serde_json::from_str::<Value>(&answer.1).ok().as_ref(),
                Some(&ines),
                "{path} {client}"
            ),
        }
    }
}

#[tokio::test]
async fn r3_r4_lists_replace_and_members_keep_their_keys() {
    let server = Server::start().await;
    let before = server.ines().await;
    let body = json!({
        "client": {"middleName": "Ada"},
        "idDocuments": [
            {"documentType": "Visa", "documentId": "X3"},
            {"encodedKey": before["idDocuments"][1]["encodedKey"]},
        ],
        "addresses": null,
        "customInformation": [],
    });

    let (status, text) = server.post("/api/clients/INES", body).await;

    let after: Value = serde_json::from_str(&text).expect("JSON");
    let mut licence = before["idDocuments"][1].clone();
    assert_eq!(
        (status, &after["client"]["middleName"], &after["client"]["notes"]),
        (200, &json!("Ada"), &json!("n"))
    );
    assert_eq!(after["idDocuments"].as_array().map(Vec::len), Some(2));
    assert_eq!(after["idDocuments"][0]["documentId"], json!("X3"));
    assert_eq!(after["idDocuments"][1], licence.take());
    assert_eq!(
        (&after["addresses"], &after["customInformation"]),
        (&before["addresses"], &json!([]))
    );
}

#[tokio::test]
async fn r5_only_the_first_address_is_read() {
    let server = Server::start().await;
    let body = json!({
        "client": {"firstName": "A", "lastName": "B"},
        "addresses": [{"line1": "kept"}, {"line1": 5, "latitude": "x"}, null, "nonsense"],
    });

    let (_, text) = server.post("/api/clients", body).await;

    let after: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(after["addresses"].as_array().map(Vec::len), Some(1), "{text}");
    assert_eq!(after["addresses"][0]["line1"], json!("kept"));
}

#[tokio::test]
async fn r6_null_clears_and_absent_stays() {
    let server = Server::start().await;
    let before = server.ines().await;
    let document = json!({"encodedKey": before["idDocuments"][0]["encodedKey"], "validUntil": null});
    let body = json!({
        "client": {
            "notes": null, "birthDate": null, "id": null, "state": null, "clientRole": null, "preferredLanguage": null,
        },
        "idDocuments": [document],
        "customInformation": [{"customFieldID": "income"}],
    });

    let (status, text) = server.post("/api/clients/INES", body).await;

    let after: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, &after["client"]["id"]), (200, &json!("INES")));
    assert_eq!(
        (after["client"].get("notes"), after["client"].get("birthDate")),
        (None, None)
    );
    assert_eq!(
        (
            after["idDocuments"][0].get("validUntil"),
            &after["idDocuments"][0]["documentId"]
        ),
        (None, &json!("X1"))
    );
    assert_eq!(after["customInformation"][0]["value"], json!("1250.5"));
}

#[tokio::test]
async fn r6a_an_answer_can_be_sent_back() {
    let server = Server::start().await;
    server.ines().await;
    let mut before = server.full().await;
    before["appkey"] = json!("anything");

    let (status, text) = server
        .post("/api/clients/INES?fullDetails=true&limit=5", before.clone())
        .await;

    assert_eq!(status, 200, "{text}");
    before.as_object_mut().expect("an object").remove("appkey");
    assert_eq!(server.full().await, before);
}

#[tokio::test]
async fn r9_collections_are_changed_alone_unless_the_key_is_demanded() {
    let server = Server::start().await;
    let before = server.ines().await;
    let strict = super::open(
        &server.services,
        RestSettings {
            require_encoded_key: true,
            ..RestSettings::default()
        },
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/api/clients/INES", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, strict).await });
    for (body, expected) in [
        (json!({"addresses": []}), 302),
        (json!({"client": {"firstName": "A"}}), 302),
    ] {
        assert_eq!(
            refusal(&super::send(server.http.post(&url).json(&body)).await).1,
            expected,
            "{body}"
        );
    }
    let body = json!({"client": {"encodedKey": before["client"]["encodedKey"]}});
    assert_eq!(super::send(server.http.post(&url).json(&body)).await.0, 200);

    let (status, _) = server
        .post("/api/clients/INES", json!({"client": null, "addresses": []}))
        .await;

    assert_eq!((status, &server.full().await["addresses"]), (200, &json!([])));
}
