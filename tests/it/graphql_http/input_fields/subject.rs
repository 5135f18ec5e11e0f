//! The stored objects that the tests change. Every member has a value, and each attempt gets a new object.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_document_template, define_role, define_template, store},
    schema::Schema,
};

/// The mutation under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Client,
    ClientState,
    CustomFieldSet,
    ClientRole,
    IdDocumentTemplate,
    MessageTemplate,
    User,
    Token,
}

/// A stored object, with placeholders for its own keys and ids.
pub struct Subject<'a> {
    root: Root,
    schema: &'a Schema,
    names: Vec<(&'static str, String)>,
    pub stored: Value,
}

impl Root {
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::ClientState,
        Self::CustomFieldSet,
        Self::ClientRole,
        Self::IdDocumentTemplate,
        Self::MessageTemplate,
        Self::User,
        Self::Token,
    ];

    pub fn mutation(self) -> &'static str {
        self.names().0
    }

    pub fn input(self) -> &'static str {
        self.names().1
    }

    pub fn output(self) -> &'static str {
        self.names().2
    }

    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Client => ("upsertClient", "UpsertClientInput", "Client"),
            Self::ClientState => ("changeClientState", "ChangeClientStateInput", "Client"),
            Self::CustomFieldSet => ("upsertCustomFieldSet", "UpsertCustomFieldSetInput", "CustomFieldSet"),
            Self::ClientRole => ("upsertClientRole", "UpsertClientRoleInput", "ClientRole"),
            Self::IdDocumentTemplate => (
                "upsertIdDocumentTemplate",
                "UpsertIdDocumentTemplateInput",
                "IdDocumentTemplate",
            ),
            Self::MessageTemplate => ("upsertMessageTemplate", "UpsertMessageTemplateInput", "MessageTemplate"),
            Self::User => ("upsertUser", "UpsertUserInput", "User"),
            Self::Token => ("createToken", "CreateTokenInput", "Token"),
        }
    }

    /// Defines what the subjects of this kind refer to.
    pub async fn prepare(self, server: &TestServer) {
        if let Self::Client | Self::MessageTemplate | Self::CustomFieldSet = self {
            for role in ["standard", "first", "second"] {
                let is_default = role == "standard";
                let role = json!({ "roleId": role, "encodedKey": role, "name": role, "isDefault": is_default });
                define_role(server, role).await;
            }
        }
        if let Self::CustomFieldSet = self {
            // Another set can stand before the subject.
            define(server, "first", json!([])).await;
        }
        if let Self::Client = self {
            let template = json!({ "templateId": "any", "encodedKey": "anyKey", "documentType": "documentType" });
            define_document_template(server, template).await;
        }
        if let Self::Client | Self::MessageTemplate = self {
            let fields = json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" },
                { "fieldId": "boss", "name": "Boss", "type": "USER_LINK" }]);
            define(server, "facts", fields).await;
        }
    }

    pub async fn fresh<'a>(self, server: &TestServer, schema: &'a Schema) -> Subject<'a> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut names = Vec::new();
        match self {
            Self::Client => {
                let selection = schema.selection(self.input(), self.output());
                let stored = store(server, full_client(schema), &selection).await;
                for (name, place) in [
                    ("<client>", "/encodedKey"),
                    ("<id>", "/clientId"),
                    ("<document>", "/idDocuments/0/encodedKey"),
                    ("<address>", "/addresses/0/encodedKey"),
                    ("<nick>", "/customInformation/0/encodedKey"),
                    ("<boss>", "/customInformation/1/encodedKey"),
                ] {
                    let key = stored.pointer(place).and_then(Value::as_str).expect("it is stored");
                    names.push((name, key.to_owned()));
                }
            }
            Self::ClientState => {
                let client = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } });
                let stored = store(server, client, "encodedKey clientId id").await;
                for (name, place) in [("<client>", "encodedKey"), ("<id>", "clientId"), ("<global>", "id")] {
                    names.push((name, stored[place].as_str().expect("it is stored").to_owned()));
                }
            }
            Self::CustomFieldSet => {
                // Every change reads all definitions: only the first set stays.
                for sql in [
                    "DELETE FROM custom_field_role",
                    "DELETE FROM custom_field_option",
                    "DELETE FROM custom_field",
                    "DELETE FROM custom_field_set WHERE set_id <> 'first'",
                ] {
                    server.write(sql).await.expect("a sound statement");
                }
                let [text, choice, parent, other] =
                    ["text", "choice", "parent", "other"].map(|name| format!("{name}{number}"));
                let fields = json!([
                    { "fieldId": text, "encodedKey": format!("textKey{number}"), "name": "A text",
                        "description": "Of it",
                      "type": "TEXT", "state": "ACTIVE", "required": true, "pattern": "@@", "maxLength": 2,
                      "clientRoles": [{ "clientRole": { "roleId": "first" }, "required": true }] },
                    { "fieldId": choice, "encodedKey": format!("choiceKey{number}"), "name": "A choice",
                      "type": "SELECTION", "options": [{ "value": "a", "score": "1.5" }, { "value": "b" }],
                      "parentFieldId": parent },
                    { "fieldId": parent, "name": "A parent", "type": "SELECTION", "options": [{ "value": "p" }] },
                    { "fieldId": other, "name": "Another", "type": "SELECTION", "options": [{ "value": "p" }] }]);
                define(server, &format!("set{number}"), fields).await;
                names.push(("<text>", text));
                names.push(("<choice>", choice));
                names.push(("<parent>", parent));
                names.push(("<other>", other));
                names.push(("<set>", format!("set{number}")));
            }
            Self::ClientRole => {
                let id = format!("role{number}");
                define_role(
                    server,
                    json!({ "roleId": id, "name": "A role", "description": "Of it", "idPattern": "@@",
                        "requiresIdDocument": true }),
                )
                .await;
                names.push(("<role>", id));
            }
            Self::IdDocumentTemplate => {
                let id = format!("passport{number}");
                let template = json!({ "templateId": id, "documentType": "Passport", "issuingAuthority": "Office",
                    "pattern": "@#", "mandatory": true });
                define_document_template(server, template).await;
                names.push(("<document template>", id));
            }
            Self::MessageTemplate => {
                let id = format!("template{number}");
                // The number of active templates of one event and channel is limited.
                server
                    .write("UPDATE message_template SET active = FALSE")
                    .await
                    .expect("an update");
                define_template(server, full_template(&id)).await;
                names.push(("<template>", id));
            }
            Self::User => {
                let id = format!("user{number}");
                let query = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { userErrors { code } } }";
                let input = json!({ "name": id, "password": "correct horse battery", "permissions": ["VIEW_CLIENT"],
                    "viewSets": ["facts"], "editSets": ["facts"], "branches": ["b1"], "centres": ["c1"],
                    "role": "batch" });
                data(server, query, json!({ "input": input })).await;
                names.push(("<user>", id));
            }
            Self::Token => {
                // The previous version, without optional members: the result of an attempt is compared with it.
                let input = "{ name: \"A job\", permissions: [VIEW_CLIENT] }";
                let query = format!("mutation {{ createToken(input: {input}) {{ userErrors {{ code }} }} }}");
                data(server, &query, json!({})).await;
                let next_year = DateTime::<Utc>::from(std::time::SystemTime::now()) + TimeDelta::days(365);
                names.push(("<next year>", next_year.format("%Y-%m-%dT00:00:00Z").to_string()));
                names.push(("<token>", "A job".to_owned()));
            }
        }
        let mut subject = Subject {
            root: self,
            schema,
            names,
            stored: Value::Null,
        };
        subject.stored = subject.read(server).await;
        subject
    }
}

/// A new client with a value for each nullable field of its inputs.
fn full_client(schema: &Schema) -> Value {
    let complete = |ty: &str, given| schema.complete(ty, given, |field| schema.sample(ty, field, false));
    json!({
        "client": complete("ClientInput", json!({ "encodedKey": null, "clientId": null,
            "emailAddress": "ana@example.test", "preferredLanguage": "FRENCH", "clientRole": { "roleId": "first" } })),
        "addresses": [complete("AddressInput", json!({ "encodedKey": null }))],
        "idDocuments": [complete("IdDocumentInput", json!({ "encodedKey": null, "templateKey": null }))],
        "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "boss", "linkedKey": "k1" }],
    })
}

fn full_template(id: &str) -> Value {
    json!({ "templateId": id, "name": "A template", "event": "CLIENT_CREATED", "channel": "EMAIL", "active": true,
        "defaultLanguage": "ENGLISH",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T", "html": "H" },
            { "language": "FRENCH", "subject": "s", "text": "t" }],
        "conditions": { "clientRoles": [{ "roleId": "first" }], "states": ["ACTIVE"],
            "customFields": [{ "fieldId": "nick", "value": "Al" }] } })
}

impl Subject<'_> {
    /// Replaces the placeholders of a request by what they stand for.
    pub fn reveal(&self, value: &Value) -> Value {
        let mut text = value.to_string();
        for (name, real) in &self.names {
            text = text.replace(name, real);
        }
        serde_json::from_str(&text).expect("keys and ids need no escapes")
    }

    /// The stored object. A key that did not exist before is `<new>`.
    pub async fn read(&self, server: &TestServer) -> Value {
        let (_, name) = self.names.last().expect("a subject has a name");
        let selection = self.schema.selection(self.root.input(), self.root.output());
        let (query, list, id) = match self.root {
            Root::Client | Root::ClientState => {
                let query = format!("query($key: String!) {{ client(by: {{ encodedKey: $key }}) {{ {selection} }} }}");
                let client = data(server, &query, json!({ "key": self.names[0].1 })).await["client"].take();
                return self.hide(client);
            }
            Root::CustomFieldSet => (
                format!("{{ customFieldSets {{ {selection} }} }}"),
                "/customFieldSets",
                "setId",
            ),
            Root::ClientRole => (format!("{{ clientRoles {{ {selection} }} }}"), "/clientRoles", "roleId"),
            Root::IdDocumentTemplate => (
                format!("{{ idDocumentTemplates {{ {selection} }} }}"),
                "/idDocumentTemplates",
                "templateId",
            ),
            Root::MessageTemplate => (
                format!("{{ messageTemplates {{ {selection} }} }}"),
                "/messageTemplates",
                "templateId",
            ),
            Root::User => (
                format!("{{ users(last: 500) {{ nodes {{ {selection} }} }} }}"),
                "/users/nodes",
                "name",
            ),
            Root::Token => (
                format!("{{ tokens(last: 1) {{ nodes {{ {selection} }} }} }}"),
                "/tokens/nodes",
                "name",
            ),
        };
        let data = data(server, &query, json!({})).await;
        let list = data.pointer(list).and_then(Value::as_array).expect("a list");
        let stored = list.iter().find(|item| item[id] == **name).expect("it is listed");
        self.hide(stored.clone())
    }

    fn hide(&self, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let known = self.names.iter().find(|(_, real)| *real == text);
                let generated = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                match known {
                    Some((name, _)) => json!(name),
                    // The server generates keys of options too; those of the first read are known.
                    None if generated && !self.stored.to_string().contains(&text) && !self.stored.is_null() => {
                        json!("<new>")
                    }
                    None => json!(text),
                }
            }
            Value::Array(items) => items.into_iter().map(|item| self.hide(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name, self.hide(value)))
                .collect(),
            plain => plain,
        }
    }
}
