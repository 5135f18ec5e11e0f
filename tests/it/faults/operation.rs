//! The kinds of changes that a caller can have acknowledged, through both APIs.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A row that must be in the database.
#[derive(Debug)]
pub struct Stored {
    pub table: &'static str,
    pub column: &'static str,
    pub value: String,
}

/// An answer that said that something is stored.
#[derive(Debug)]
pub struct Acknowledged {
    pub stored: Stored,
    /// The key under which the request can be repeated, and the answer that it must get.
    pub replay: Option<(String, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    GraphqlClient,
    RestClient,
    Role,
    FieldSet,
    User,
    Token,
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::GraphqlClient,
        Self::RestClient,
        Self::Role,
        Self::FieldSet,
        Self::User,
        Self::Token,
    ];

    /// Carries the operation out for something called `name`, which only this call uses. None unless it was acknowledged.
    pub async fn run(self, caller: &Caller, name: &str) -> Option<Acknowledged> {
        match self {
            Self::GraphqlClient => {
                let input = json!({ "client": { "firstName": name, "lastName": "Tester", "emailAddress": "a@example.test" },
                    "addresses": [{ "line1": "1 Test Lane" }], "idDocuments": [{ "documentType": "Passport", "documentId": name }] });
                let payload = caller
                    .mutation("upsertClient", "UpsertClientInput", "client { encodedKey }", input)
                    .await?;
                stored("client", "encoded_key", payload["client"]["encodedKey"].as_str()?)
            }
            Self::RestClient => {
                let body = client_body(name);
                let answer = caller.post_client(name, &body).await?;
                let key = answer["client"]["encodedKey"].as_str()?.to_owned();
                let acknowledged = stored("client", "encoded_key", &key)?;
                Some(Acknowledged {
                    replay: Some((name.to_owned(), answer)),
                    ..acknowledged
                })
            }
            Self::Role => {
                let input = json!({ "roleId": name, "name": "A role" });
                caller
                    .mutation(
                        "upsertClientRole",
                        "UpsertClientRoleInput",
                        "clientRole { roleId }",
                        input,
                    )
                    .await?;
                stored("client_role", "role_id", name)
            }
            Self::FieldSet => {
                let input = json!({ "set": { "setId": format!("_{name}"), "name": "A set" },
                    "fields": [{ "fieldId": format!("{name}_field"), "name": "A field", "type": "TEXT" }] });
                let (field, kind) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
                caller.mutation(field, kind, "customFieldSet { setId }", input).await?;
                stored("custom_field", "field_id", &format!("{name}_field"))
            }
            Self::User => {
                let input =
                    json!({ "name": name, "password": "a password for the tests", "permissions": ["VIEW_CLIENT"] });
                caller
                    .mutation("upsertUser", "UpsertUserInput", "user { name }", input)
                    .await?;
                stored("api_user", "name", name)
            }
            Self::Token => {
                let input = json!({ "name": name, "permissions": ["VIEW_CLIENT"] });
                caller
                    .mutation("createToken", "CreateTokenInput", "token { name }", input)
                    .await?;
                stored("api_token", "name", name)
            }
        }
    }
}

pub fn stored(table: &'static str, column: &'static str, value: &str) -> Option<Acknowledged> {
    Some(Acknowledged {
        stored: Stored {
            table,
            column,
            value: value.to_owned(),
        },
        replay: None,
    })
}

fn client_body(name: &str) -> Value {
    json!({ "client": { "firstName": name, "lastName": "Tester", "emailAddress": "a@example.test" } })
}

/// A caller of one server, by HTTP.
pub struct Caller {
    http: Client,
    address: String,
}

impl Caller {
    pub fn of(address: &str) -> Self {
        Self {
            http: Client::builder().no_proxy().build().expect("it has no options"),
            address: address.to_owned(),
        }
    }

    /// The status and the text of an answer; none when the connection ended without one.
    pub async fn send(request: RequestBuilder) -> Option<(u16, Value)> {
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.unwrap_or_default()))
    }

    pub async fn get(&self, path: &str) -> Option<u16> {
        let response = self.http.get(format!("{}{path}", self.address)).send().await.ok()?;
        Some(response.status().as_u16())
    }

    /// The payload of a mutation that succeeded.
    async fn mutation(&self, field: &str, input_type: &str, selection: &str, input: Value) -> Option<Value> {
        let query = format!(
            "mutation($input: {input_type}!) {{ {field}(input: $input) {{ {selection} userErrors {{ message }} }} }}"
        );
        let body = json!({ "query": query, "variables": { "input": input } });
        let (status, answer) = Self::send(self.http.post(format!("{}/graphql", self.address)).json(&body)).await?;
        let payload = &answer["data"][field];
        if status == 200 && payload.is_object() {
            assert_eq!(payload["userErrors"], json!([]), "the input is valid");
            return Some(payload.clone());
        }
        let code = answer["errors"][0]["extensions"]["code"].as_str();
        assert!(
            matches!(code, Some("UNAVAILABLE" | "INTERNAL" | "CONFLICT" | "TIMEOUT")),
            "{status} {answer}"
        );
        None
    }

    /// Creates a client over REST under an idempotency key.
    pub async fn post_client(&self, key: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{}/api/clients", self.address));
        let (status, answer) = Self::send(request.header("Idempotency-Key", key).json(body)).await?;
        if status != 200 {
            assert!(answer["returnCode"].is_i64(), "{status} {answer}");
        }
        (status == 200).then_some(answer)
    }

    /// Repeats a request of [`Operation::RestClient`].
    pub async fn replay(&self, name: &str) -> Option<Value> {
        self.post_client(name, &client_body(name)).await
    }

    /// Makes a template, so that creating a client queues a message.
    pub async fn welcome(&self) {
        let variant = json!({ "language": "ENGLISH", "subject": "Welcome", "text": "Dear {CLIENT_NAME}" });
        let input = json!({ "templateId": "welcome", "name": "Welcome", "event": "CLIENT_CREATED", "channel": "EMAIL",
            "variants": [variant] });
        let (field, kind) = ("upsertMessageTemplate", "UpsertMessageTemplateInput");
        let payload = self
            .mutation(field, kind, "messageTemplate { templateId }", input)
            .await;
        payload.expect("the template is stored");
    }
}
