//! The fields of users and API tokens.

use serde_json::{Value, json};

use super::{Row, Rows, Then, becomes, stays};

pub fn user() -> Vec<Row> {
    let sets = |rows: Rows, field, place| {
        let set = becomes(place, json!(["other"]));
        rows.row(field, json!(["other"]), becomes(place, Value::Null), set)
    };
    let rows = Rows::of(json!({ "name": "<user>" }), "")
        .row(
            "UpsertUserInput.password",
            json!("another good one"),
            Then::Refused("BLANK"),
            stays(),
        )
        .row(
            "UpsertUserInput.active",
            json!(false),
            stays(),
            becomes("/active", json!(false)),
        )
        .demanded(
            "UpsertUserInput.permissions",
            "/permissions",
            "NULL_LIST",
            json!(["AUDIT"]),
        )
        .plain("UpsertUserInput.role", "/role", json!("other"))
        .plain("UpsertUserInput.clientMutationId", "/clientMutationId", json!("m"));
    let rows = sets(rows, "UpsertUserInput.viewSets", "/viewSets");
    sets(rows, "UpsertUserInput.editSets", "/editSets").rows
}

/// The object is new: null and absent have the same effect.
pub fn token() -> Vec<Row> {
    Rows::of(json!({ "name": "A job", "permissions": ["VIEW_CLIENT"] }), "")
        .plain("CreateTokenInput.viewSets", "/viewSets", json!(["facts"]))
        .plain("CreateTokenInput.editSets", "/editSets", json!(["facts"]))
        .plain("CreateTokenInput.role", "/role", json!("batch"))
        .plain("CreateTokenInput.expiresAt", "/expiresAt", json!("<next year>"))
        .plain("CreateTokenInput.clientMutationId", "/clientMutationId", json!("m"))
        .rows
}
