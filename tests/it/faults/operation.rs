//! The kinds of changes that a caller can have acknowledged, through both APIs.

use std::sync::Mutex;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A query whose answer must be 1, because its row was acknowledged.
#[derive(Debug)]
pub struct Stored(pub String);

impl Stored {
    /// A row of `table` whose `column` is `value`.
    pub fn row(table: &str, column: &str, value: &str) -> Self {
        Self::rows(table, &format!("{column} = '{value}'"))
    }

    /// One row of `table` that meets `condition`.
    pub fn rows(table: &str, condition: &str) -> Self {
        Self(format!("SELECT count(*) FROM {table} WHERE {condition}"))
    }

    /// No row of `table` whose `column` is `value`.
    pub fn no_row(table: &str, column: &str, value: &str) -> Self {
        Self(format!("SELECT 1 - count(*) FROM {table} WHERE {column} = '{value}'"))
    }
}

/// An answer that said that something is stored.
#[derive(Debug)]
pub struct Acknowledged {
    pub stored: Stored,
    pub replay: Option<Replay>,
}

impl From<Stored> for Acknowledged {
    fn from(stored: Stored) -> Self {
        Self { stored, replay: None }
    }
}

/// A request that can be repeated under its idempotency key, and the answer that it must get.
#[derive(Debug)]
pub struct Replay {
    pub key: String,
    path: String,
    body: Value,
    pub answer: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    GraphqlClient,
    RestClient,
    GraphqlChange,
    RestChange,
    Role,
    FieldSet,
    TemplateChange,
    User,
    Password,
    UserRemoval,
    Token,
    TokenRevocation,
}

/// An operation on its own object, which exists already if the operation changes it.
pub struct Prepared {
    operation: Operation,
    name: String,
    /// The key of the token to revoke.
    token_key: Option<String>,
}

impl Operation {
    pub const ALL: [Self; 12] = [
        Self::GraphqlClient,
        Self::RestClient,
        Self::GraphqlChange,
        Self::RestChange,
        Self::Role,
        Self::FieldSet,
        Self::TemplateChange,
        Self::User,
        Self::Password,
        Self::UserRemoval,
        Self::Token,
        Self::TokenRevocation,
    ];

    /// Creates the object that the operation changes. `name` is unique to this operation.
    pub async fn prepare(self, caller: &Caller, name: &str) -> Prepared {
        let mut token_key = None;
        match self {
            Self::GraphqlChange | Self::RestChange => {
                let input = json!({ "client": { "clientId": name, "firstName": "Before", "lastName": "Tester",
                    "emailAddress": address(name) } });
                caller.upsert_client(input).await.expect("a client is created");
            }
            Self::TemplateChange => {
                let input = template(name, "before");
                caller.upsert_template(input).await.expect("a template is created");
            }
            Self::Password | Self::UserRemoval => {
                caller.upsert_user(user(name)).await.expect("a user is created");
            }
            Self::TokenRevocation => {
                let payload = caller.create_token(name).await.expect("a token is created");
                token_key = payload["token"]["encodedKey"].as_str().map(str::to_owned);
            }
            Self::GraphqlClient | Self::RestClient | Self::Role | Self::FieldSet | Self::User | Self::Token => {}
        }
        Prepared {
            operation: self,
            name: name.to_owned(),
            token_key,
        }
    }
}

/// Each client has an address of its own, so that no message is over the limit of its recipient.
fn address(name: &str) -> String {
    format!("{name}@example.test")
}

impl Prepared {
    /// Executes the operation. None unless it was acknowledged.
    pub async fn run(&self, caller: &Caller) -> Option<Acknowledged> {
        let name = self.name.as_str();
        let stored = match self.operation {
            Operation::GraphqlClient => {
                let input = json!({ "client": { "firstName": name, "lastName": "Tester",
                    "emailAddress": address(name) },
                    "addresses": [{ "line1": "1 Test \
                        Lane" }], "idDocuments": [{ "documentType": "Passport", "documentId": name }] });
                let payload = caller.upsert_client(input).await?;
                Stored::row("client", "encoded_key", payload["client"]["encodedKey"].as_str()?)
            }
            Operation::RestClient => {
                let client = json!({ "firstName": name, "lastName": "Tester", "emailAddress": address(name) });
                let replay = caller
                    .post_client("/api/clients", name, json!({ "client": client }))
                    .await?;
                let key = replay.answer["client"]["encodedKey"].as_str()?;
                return Some(Acknowledged {
                    stored: Stored::row("client", "encoded_key", key),
                    replay: Some(replay),
                });
            }
            Operation::GraphqlChange => {
                let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": name, "firstName": name } });
                caller.upsert_client(input).await?;
                Stored::row("client", "first_name", name)
            }
            Operation::RestChange => {
                let body = json!({ "client": { "firstName": name } });
                let replay = caller.post_client(&format!("/api/clients/{name}"), name, body).await?;
                return Some(Acknowledged {
                    stored: Stored::row("client", "first_name", name),
                    replay: Some(replay),
                });
            }
            Operation::Role => {
                let input = json!({ "roleId": name, "name": "A role" });
                let (field, kind) = ("upsertClientRole", "UpsertClientRoleInput");
                caller.mutation(field, kind, "clientRole { roleId }", input).await?;
                Stored::row("client_role", "role_id", name)
            }
            Operation::FieldSet => {
                let input = json!({ "set": { "setId": format!("_{name}"), "name": "A set" },
                    "fields": [{ "fieldId": format!("{name}_field"), "name": "A field", "type": "TEXT" }] });
                let (field, kind) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
                caller.mutation(field, kind, "customFieldSet { setId }", input).await?;
                Stored::row("custom_field", "field_id", &format!("{name}_field"))
            }
            Operation::TemplateChange => {
                caller.upsert_template(template(name, name)).await?;
                Stored::row("message_variant", "text", name)
            }
            Operation::User => {
                caller.upsert_user(user(name)).await?;
                Stored::row("api_user", "name", name)
            }
            Operation::Password => {
                let input = json!({ "name": name, "password": "another password for the tests" });
                caller.upsert_user(input).await?;
                Stored::rows("api_user", &format!("name = '{name}' AND updated_at > created_at"))
            }
            Operation::UserRemoval => {
                let (field, kind) = ("deleteUser", "DeleteUserInput");
                let input = json!({ "name": name });
                caller.mutation(field, kind, "clientMutationId", input).await?;
                Stored::no_row("api_user", "name", name)
            }
            Operation::Token => {
                caller.create_token(name).await?;
                Stored::row("api_token", "name", name)
            }
            Operation::TokenRevocation => {
                let input = json!({ "encodedKey": self.token_key });
                let (field, kind) = ("revokeToken", "RevokeTokenInput");
                caller.mutation(field, kind, "clientMutationId", input).await?;
                Stored::rows("api_token", &format!("name = '{name}' AND revoked_at IS NOT NULL"))
            }
        };
        Some(stored.into())
    }
}

/// A template from which no message is written.
fn template(id: &str, text: &str) -> Value {
    let variant = json!({ "language": "ENGLISH", "subject": "Welcome", "text": text });
    json!({ "templateId": id, "name": "A template", "event": "CLIENT_CREATED", "channel": "EMAIL", "active": false,
        "variants": [variant] })
}

fn user(name: &str) -> Value {
    json!({ "name": name, "password": "a password for the tests", "permissions": ["VIEW_CLIENT"] })
}

/// A caller of one server, by HTTP.
pub struct Caller {
    http: Client,
    address: String,
    /// The code of each refused operation: of GraphQL its text, of REST the status.
    refusals: Mutex<Vec<String>>,
}

impl Caller {
    pub fn of(address: &str) -> Self {
        Self {
            http: Client::builder().no_proxy().build().expect("it has no options"),
            address: address.to_owned(),
            refusals: Mutex::default(),
        }
    }

    /// The status and the text of an answer; none when the connection ended without one.
    pub async fn send(request: RequestBuilder) -> Option<(u16, Value)> {
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.unwrap_or_default()))
    }

    pub async fn text(&self, path: &str) -> String {
        let response = self.http.get(format!("{}{path}", self.address)).send().await;
        response.expect("an answer").text().await.expect("UTF-8")
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
        self.refused(code.unwrap_or_default());
        None
    }

    fn refused(&self, code: &str) {
        self.refusals.lock().expect("nothing panics here").push(code.to_owned());
    }

    /// Takes the codes of all refused operations.
    pub fn refusals(&self) -> Vec<String> {
        std::mem::take(&mut *self.refusals.lock().expect("nothing panics here"))
    }

    /// Reads clients through GraphQL. Returns the code of the error.
    pub async fn read_clients(&self) -> Option<String> {
        let body = json!({ "query": "{ clients(first: 1) { nodes { encodedKey } } }" });
        let (_, answer) = Self::send(self.http.post(format!("{}/graphql", self.address)).json(&body)).await?;
        answer["errors"][0]["extensions"]["code"].as_str().map(str::to_owned)
    }

    async fn upsert_client(&self, input: Value) -> Option<Value> {
        let (field, kind) = ("upsertClient", "UpsertClientInput");
        self.mutation(field, kind, "client { encodedKey }", input).await
    }

    /// Creates or changes many clients. Returns the whole answer.
    pub async fn upsert_clients(&self, input: Value) -> Option<(u16, Value)> {
        let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created \
            client { encodedKey } userErrors { code } } } }";
        let body = json!({ "query": query, "variables": { "input": input } });
        Self::send(self.http.post(format!("{}/graphql", self.address)).json(&body)).await
    }

    async fn upsert_template(&self, input: Value) -> Option<Value> {
        let (field, kind) = ("upsertMessageTemplate", "UpsertMessageTemplateInput");
        self.mutation(field, kind, "messageTemplate { templateId }", input)
            .await
    }

    async fn upsert_user(&self, input: Value) -> Option<Value> {
        self.mutation("upsertUser", "UpsertUserInput", "user { name }", input)
            .await
    }

    async fn create_token(&self, name: &str) -> Option<Value> {
        let input = json!({ "name": name, "permissions": ["VIEW_CLIENT"] });
        let (field, kind) = ("createToken", "CreateTokenInput");
        self.mutation(field, kind, "token { encodedKey }", input).await
    }

    /// Creates or changes a client over REST under an idempotency key.
    async fn post_client(&self, path: &str, key: &str, body: Value) -> Option<Replay> {
        let request = self.http.post(format!("{}{path}", self.address));
        let (status, answer) = Self::send(request.header("Idempotency-Key", key).json(&body)).await?;
        if status != 200 {
            assert!(answer["returnCode"].is_i64(), "{status} {answer}");
            self.refused(&status.to_string());
        }
        (status == 200).then(|| Replay {
            key: key.to_owned(),
            path: path.to_owned(),
            body,
            answer,
        })
    }

    /// Repeats a request. Returns its answer.
    pub async fn repeat(&self, Replay { key, path, body, .. }: &Replay) -> Option<Value> {
        let repeated = self.post_client(path, key, body.clone()).await?;
        Some(repeated.answer)
    }

    /// Makes a template, so that creating a client queues a message.
    pub async fn welcome(&self) {
        let mut input = template("welcome", "Dear {CLIENT_NAME}");
        input["active"] = true.into();
        self.upsert_template(input).await.expect("the template is stored");
    }
}
