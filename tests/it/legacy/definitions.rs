//! The routes that read definitions: custom field sets, one custom field, client roles.

use async_graphql::MaybeUndefined::Value as Given;
use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use serde_json::{Value, json};

use super::{DEFAULT_ROLE, merged, refusal, text_field};
use crate::harness::{
    TestServer, field,
    graphql::{define as define_fields, define_document_template, define_role},
    options,
};

on_both!(
    sets_list_their_fields_in_order,
    field_is_found_by_id_and_by_key,
    roles_are_listed_in_order,
    bad_parameters_of_definitions_are_refused,
    large_definitions_take_one_statement,
    fields_show_their_roles_options_and_parents,
    roles_and_document_templates_show_their_rules,
);

/// The full definition of a field of the set `facts`, as answered.
fn full(definition: Value, index: usize, options: Value) -> Value {
    let set = json!({
        "encodedKey": "factsKey", "id": "facts", "name": "The facts", "type": "CLIENT_INFO", "usage": "SINGLE",
        "indexInList": 0,
    });
    let rest = json!({
        "isDefault": true, "customFieldSet": set, "indexInList": index, "customFieldSelectionOptions": options,
        "customFieldProductSettings": [],
    });
    merged(definition, rest)
}

async fn define(server: &TestServer) {
    let band = CustomFieldInput {
        options: options(&["LOW", "HIGH"]),
        description: Given("How much".to_owned()),
        required: Some(true),
        ..field("band", Kind::Selection)
    };
    let code = CustomFieldInput {
        pattern: Given("##-@@".to_owned()),
        ..field("code", Kind::Text)
    };
    server.define(vec![band, code]).await;
    let story = field("story", Kind::LongText);
    server.define_set("more", vec![story]).await.expect("sound definitions");
}

fn band() -> Value {
    let definition = json!({
        "encodedKey": "bandKey", "id": "band", "name": "The band", "type": "CLIENT_INFO", "dataType": "SELECTION",
        "isRequired": true, "state": "NORMAL", "unique": false, "description": "How much",
    });
    let option = |key: &str, value: &str| json!({ "encodedKey": key, "value": value });
    full(
        definition,
        0,
        json!([option("<key 1>", "LOW"), option("<key 2>", "HIGH")]),
    )
}

fn code() -> Value {
    let definition = merged(text_field("code"), json!({ "validationPattern": "##-@@" }));
    full(definition, 1, json!([]))
}

async fn sets_list_their_fields_in_order(server: &TestServer) {
    server.get("/api/customfieldsets").await.is(200, json!([]));
    define(server).await;
    let more = json!({
        "encodedKey": "moreKey", "id": "more", "name": "The more", "type": "CLIENT_INFO", "usage": "SINGLE",
        "indexInList": 1,
    });
    let story = merged(
        full(text_field("story"), 0, json!([])),
        json!({ "valueLength": "LONG", "customFieldSet": more }),
    );
    let expected = json!([
        {
            "encodedKey": "factsKey", "id": "facts", "name": "The facts", "type": "CLIENT_INFO", "usage": "SINGLE",
            "indexInList": 0, "customFields": [band(), code()],
        },
        merged(more, json!({ "customFields": [story] })),
    ]);
    for path in [
        "/api/customfieldsets",
        "/api/customfieldsets?type=CLIENT_INFO",
        "/api/customfieldsets/?type=CLIENT_INFO&appkey=K&limit=5&offset=0",
    ] {
        server.get(path).await.is(200, expected.clone());
    }
    for other in ["GROUP_INFO", "LOAN_ACCOUNT_INFO", "USER_INFO"] {
        let path = format!("/api/customfieldsets?type={other}");
        server.get(&path).await.is(200, json!([]));
    }
}

async fn field_is_found_by_id_and_by_key(server: &TestServer) {
    define(server).await;
    for path in [
        "/api/customfields/band",
        "/api/customfields/bandKey",
        "/api/customfields/band/",
    ] {
        server.get(path).await.is(200, band());
    }
    server.get("/api/customfields/code?appkey=K").await.is(200, code());
    for unknown in ["nothing", "BAND", "%00", "%FF", "facts"] {
        let source = "There is no custom field with this id or key.";
        let path = format!("/api/customfields/{unknown}");
        server
            .get(&path)
            .await
            .is(400, refusal(903, "INVALID_CUSTOM_FIELD_ID", source));
    }
}

async fn roles_are_listed_in_order(server: &TestServer) {
    let role = |key: &str, id: &str, name: &str| {
        json!({
            "encodedKey": key, "id": id, "name": name, "clientType": "CLIENT", "canOpenAccounts": true,
            "canGuarantee": true, "requireID": false, "useDefaultAddress": true,
        })
    };
    let first = role(DEFAULT_ROLE, "client", "Client");
    server.get("/api/clienttypes").await.is(200, json!([first]));
    let mutation = "mutation { upsertClientRole(input: { roleId: \"guest\", encodedKey: \"guestKey\", name: \"Guest\", \
         description: \"Looks around\" }) { userErrors { message } } }";
    let answer = server.graphql(mutation, json!({})).await;
    answer.data(json!({ "upsertClientRole": { "userErrors": [] } }));
    let guest = merged(
        role("guestKey", "guest", "Guest"),
        json!({ "description": "Looks around", "creationDate": "<time>" }),
    );
    for path in ["/api/clienttypes?for=CLIENTS", "/api/clienttypes/?appkey=K"] {
        server.get(path).await.is(200, json!([first, guest]));
    }
    server.get("/api/clienttypes?for=GROUPS").await.is(200, json!([]));
}

async fn bad_parameters_of_definitions_are_refused(server: &TestServer) {
    define(server).await;
    let type_source = "type must be one of CLIENT_INFO, GROUP_INFO, LOAN_ACCOUNT_INFO, GUARANTOR_INFO, ASSET_INFO, \
        DEPOSIT_ACCOUNT_INFO, DEPOSIT_PRODUCT_INFO, TRANSACTION_CHANNEL_INFO, LINE_OF_CREDIT_INFO, BRANCH_INFO, \
        CENTRE_INFO, USER_INFO.";
    let for_source = "for must be CLIENTS or GROUPS.";
    for (path, code, status, source) in [
        ("customfieldsets?type=client_info", 4, "INVALID_PARAMETERS", type_source),
        ("customfieldsets?type=", 4, "INVALID_PARAMETERS", type_source),
        ("customfieldsets?type=%00", 4, "INVALID_PARAMETERS", type_source),
        (
            "customfieldsets?type=CLIENT_INFO&type=CLIENT_INFO",
            27,
            "PARAMETER_NOT_ALLOWED",
            "type is given twice.",
        ),
        (
            "customfieldsets?kind=x",
            27,
            "PARAMETER_NOT_ALLOWED",
            "kind isn't accepted by this route: it takes type.",
        ),
        (
            "customfields/band?type=x",
            27,
            "PARAMETER_NOT_ALLOWED",
            "type isn't allowed with a custom field's id.",
        ),
        ("clienttypes?for=clients", 4, "INVALID_PARAMETERS", for_source),
        (
            "clienttypes?type=x",
            27,
            "PARAMETER_NOT_ALLOWED",
            "type isn't accepted by this route: it takes for.",
        ),
        (
            "clienttypes?for=%FF",
            22,
            "UNSUPPORTED_CHARACTER_ENCODING",
            "Send UTF-8.",
        ),
    ] {
        server
            .get(&format!("/api/{path}"))
            .await
            .is(400, refusal(code, status, source));
    }
    let wrong = server.post("/api/clienttypes", json!({})).await;
    wrong.is(405, refusal(5, "METHOD_NOT_IMPLEMENTED", "This route takes GET."));
}

async fn large_definitions_take_one_statement(server: &TestServer) {
    let fields = (0..100).map(|number| field(&format!("f{number}"), Kind::Text));
    server.define(fields.collect()).await;
    for path in ["/api/customfieldsets", "/api/customfields/f99", "/api/clienttypes"] {
        server.get(path).await;
        server.statements();
        assert_eq!(server.get(path).await.status, 200);
        assert_eq!(server.statements().len(), 1, "{path}");
    }
}

async fn fields_show_their_roles_options_and_parents(server: &TestServer) {
    let firm = json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm" });
    define_role(server, firm).await;
    let land = json!({ "fieldId": "land", "encodedKey": "landKey", "name": "Land", "type": "SELECTION", "options": [
        { "value": "A", "score": "1.50" }, { "value": "B" }, { "value": "C", "state": "DEACTIVATED" }] });
    let city = json!({ "fieldId": "city", "encodedKey": "cityKey", "name": "City", "type": "SELECTION",
        "parentFieldId": "land", "clientRoles": [{ "clientRole": { "roleId": "firm" }, "required": true }],
        "options": [{ "value": "X", "forValues": ["A"] }, { "value": "Y", "forValues": ["A", "B"] }] });
    define_fields(server, "places", json!([land, city])).await;
    let set = server.get("/api/customfieldsets").await.body[0].clone();
    assert_eq!(set["customFields"].as_array().map(Vec::len), Some(2), "{set}");
    let options = |field: usize| -> Value {
        let options = set["customFields"][field]["customFieldSelectionOptions"].as_array();
        let options = options.expect("a list").iter();
        options
            .map(|option| json!([option["value"], option.get("score"), option.get("constraint")]))
            .collect()
    };
    assert_eq!(options(0), json!([["A", "1.5", null], ["B", null, null]]));
    let of = |values: Value| json!({ "customFieldKey": "landKey", "values": values });
    assert_eq!(
        options(1),
        json!([["X", null, of(json!(["A"]))], ["Y", null, of(json!(["A", "B"]))]])
    );
    let settings = json!([{ "linkType": "CLIENT_ROLE", "productKey": "firmKey", "isDefault": true,
        "isRequired": true }]);
    assert_eq!(set["customFields"][1]["customFieldProductSettings"], settings);
}

async fn roles_and_document_templates_show_their_rules(server: &TestServer) {
    let firm = json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "allowsAddresses": false,
        "requiresIdDocument": true });
    define_role(server, firm).await;
    let firm = json!({
        "encodedKey": "firmKey", "id": "firm", "name": "Firm", "clientType": "CLIENT", "canOpenAccounts": true,
        "canGuarantee": true, "requireID": true, "useDefaultAddress": false, "creationDate": "<time>",
    });
    let roles = server.get("/api/clienttypes").await.body;
    assert_eq!(roles[1], firm);

    let templates = "/api/settings/iddocumenttemplates";
    server.get(templates).await.is(200, json!([]));
    for (id, own) in [
        (
            "passport",
            json!({ "issuingAuthority": "Office", "pattern": "@##", "mandatory": true }),
        ),
        ("card", json!({})),
        ("old", json!({ "active": false })),
    ] {
        let template = json!({ "templateId": id, "encodedKey": format!("{id}Key"), "documentType": id });
        define_document_template(server, merged(template, own)).await;
    }
    let passport = json!({
        "encodedKey": "passportKey", "documentType": "passport", "issuingAuthority": "Office",
        "documentIdTemplate": "@##", "mandatoryForClients": true, "allowAttachments": false,
    });
    let card = json!({
        "encodedKey": "cardKey", "documentType": "card", "mandatoryForClients": false, "allowAttachments": false,
    });
    server
        .get(&format!("{templates}/?appkey=K"))
        .await
        .is(200, json!([passport, card]));
    let source = "type isn't allowed with the templates of documents.";
    let refused = refusal(27, "PARAMETER_NOT_ALLOWED", source);
    server.get(&format!("{templates}?type=x")).await.is(400, refused);
}
