//! Every nullable input field distinguishes absent, null and a value, however the input is sent.
//!
//! Fields and values come from introspection; [`table`] has the rules of the domain.

mod subject;
mod table;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::{
    subject::{Root, Subject},
    table::{Row, Table, Then},
};
use crate::harness::{
    TestServer,
    schema::{self, Schema},
};

/// The form in which the input is sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    Literal,
    VariableOfTheField,
    VariableOfTheInput,
}

/// The value that is sent for the field.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Absent,
    Null,
    Value,
}

on_both!(
    client_fields_distinguish_absent_from_null,
    client_state_fields_distinguish_absent_from_null,
    custom_field_set_fields_distinguish_absent_from_null,
    role_fields_distinguish_absent_from_null,
    id_document_template_fields_distinguish_absent_from_null,
    message_template_fields_distinguish_absent_from_null,
    user_fields_distinguish_absent_from_null,
    token_fields_distinguish_absent_from_null,
    every_mutation_with_nullable_input_is_tested,
);

async fn client_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::Client, table::client).await;
    crate::audit::assert_replayed(server).await;
}

async fn client_state_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::ClientState, table::client_state).await;
}

async fn custom_field_set_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::CustomFieldSet, table::custom_field_set).await;
}

async fn role_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::ClientRole, table::client_role).await;
}

async fn id_document_template_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::IdDocumentTemplate, table::id_document_template).await;
}

async fn message_template_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::MessageTemplate, table::message_template).await;
}

async fn user_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::User, table::user).await;
}

async fn token_fields_distinguish_absent_from_null(server: &TestServer) {
    walk(server, Root::Token, table::token).await;
}

async fn every_mutation_with_nullable_input_is_tested(server: &TestServer) {
    let schema = Schema::load(server).await;
    let open = schema.inputs_of_mutations().into_iter().filter(|input| {
        let fields = schema.nullable_fields(input);
        fields.iter().any(|field| !field.ends_with(".clientMutationId"))
    });
    // The input of resendMessages filters a list and is not stored; upsertClients has a list of UpsertClientInput. The
    // others remove the object, or end it in a merge: see `lifecycle`. An entry of the suppression list is never
    // changed: see `suppressions`.
    let others = [
        "ResendMessagesInput",
        "UpsertClientsInput",
        "DeleteClientInput",
        "EraseClientInput",
        "MergeClientsInput",
        "AddSuppressionInput",
    ];
    let walked = Root::ALL.map(Root::input).into_iter().chain(others);
    assert_eq!(open.collect::<BTreeSet<_>>(), walked.map(str::to_owned).collect());
}

async fn walk(server: &TestServer, root: Root, table: fn(&Schema) -> Table) {
    let schema = Schema::load(server).await;
    let rows = table(&schema).0;
    let found: BTreeSet<String> = schema.nullable_fields(root.input()).into_iter().collect();
    let known: BTreeSet<String> = rows.iter().map(|row| row.field.clone()).collect();
    assert_eq!(known, found, "the table must have the input types with nullable fields");
    root.prepare(server).await;
    let mut wrong = Vec::new();
    for row in &rows {
        for way in [Way::Literal, Way::VariableOfTheField, Way::VariableOfTheInput] {
            for (sent, then) in [
                (Sent::Absent, &row.absent),
                (Sent::Null, &row.null),
                (Sent::Value, &row.set),
            ] {
                let subject = root.fresh(server, &schema).await;
                row.assert_can_fail(root, &subject);
                let request = request(&schema, root, row, way, sent, &subject);
                if let Err(difference) = attempt(server, &subject, row, then, &request).await {
                    wrong.push(format!(
                        "{} {way:?} {sent:?}\n{}\n{difference}",
                        row.field, request["query"]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

fn request(schema: &Schema, root: Root, row: &Row, way: Way, sent: Sent, subject: &Subject<'_>) -> Value {
    let (_, name) = row.field.split_once('.').expect("a row names a type and a field");
    let value = match sent {
        Sent::Absent => None,
        Sent::Null => Some(Value::Null),
        Sent::Value => Some(subject.reveal(&row.value)),
    };
    let mut input = subject.reveal(&row.base);
    let mut put = |value: Value| {
        let place = input.pointer_mut(row.at).expect("the base has the place");
        place[name] = value;
    };
    let (declared, mut variables) = match way {
        Way::Literal | Way::VariableOfTheInput => {
            value.into_iter().for_each(&mut put);
            (String::new(), json!({}))
        }
        Way::VariableOfTheField => {
            put(json!(schema::VARIABLE));
            let variables = value.map_or_else(|| json!({}), |value| json!({ "v": value }));
            (format!("($v: {})", schema.variable_type(&row.field)), variables)
        }
    };
    let (mutation, ty) = (root.mutation(), root.input());
    let (declared, argument) = match way {
        Way::VariableOfTheInput => {
            variables = json!({ "input": input });
            (format!("($input: {ty}!)"), "$input".to_owned())
        }
        Way::Literal | Way::VariableOfTheField => (declared, schema.literal(&input, ty)),
    };
    let query = format!(
        "mutation{declared} {{ {mutation}(input: {argument}) {{ clientMutationId userErrors {{ code path }} }} }}"
    );
    json!({ "query": query, "variables": variables })
}

async fn attempt(
    server: &TestServer,
    subject: &Subject<'_>,
    row: &Row,
    then: &Then,
    request: &Value,
) -> Result<(), String> {
    // A snapshot is slow, and only a refusal needs one.
    let before = match then {
        Then::Becomes(_) => None,
        Then::Refused(_) | Then::Invalid => Some(server.snapshot().await),
    };
    let answer = server.post("/graphql", request.clone()).await;
    let payload = answer.body["data"]
        .as_object()
        .and_then(|data| data.values().next())
        .cloned();
    let payload = payload.unwrap_or_default();
    let problem = &payload["userErrors"][0];
    let fits = match then {
        Then::Invalid => ["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(
            &answer.body["errors"][0]["extensions"]["code"]
                .as_str()
                .unwrap_or_default(),
        ),
        Then::Refused(code) => {
            let place = problem["path"]
                .as_array()
                .and_then(|path| path.last())
                .and_then(Value::as_str);
            problem["code"] == **code && row.field.split('.').next_back() == place
        }
        Then::Becomes(_) => payload["userErrors"] == json!([]),
    };
    if !fits {
        return Err(answer.text);
    }
    let Then::Becomes(places) = then else {
        return if Some(server.snapshot().await) == before {
            Ok(())
        } else {
            Err("something was written".to_owned())
        };
    };
    let mut expected = subject.stored.clone();
    expected["clientMutationId"] = Value::Null;
    for (place, value) in places {
        match expected.pointer_mut(place) {
            Some(stored) => *stored = value.clone(),
            None => return Err(format!("{place} isn't in {expected:#}")),
        }
    }
    let mut found = subject.read(server).await;
    found["clientMutationId"] = payload["clientMutationId"].clone();
    if found == expected {
        Ok(())
    } else {
        Err(format!("expected {expected:#}\n\nbut got {found:#}"))
    }
}
