//! The stored objects that the tests change. Every member has a value, and each attempt gets a new object.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, define_template, store},
};

/// The mutation under test.
#[derive(Clone, Copy)]
pub enum Root {
    Client,
    CustomFieldSet,
    ClientRole,
    MessageTemplate,
    User,
    Token,
}

/// Something stored, with placeholders for its own keys and ids.
pub struct Subject {
    root: Root,
    names: Vec<(&'static str, String)>,
    pub stored: Value,
}

const CLIENT: &str =
    "encodedKey clientId firstName middleName lastName birthDate gender emailAddress homePhone mobilePhone1
    mobilePhone2 preferredLanguage notes clientRole { roleId } assignedBranchKey assignedCentreKey assignedUserKey
    addresses { encodedKey line1 line2 city region postcode country latitude longitude }
    idDocuments { encodedKey documentType documentId issuingAuthority validUntil }
    customInformation { encodedKey field { fieldId } value linkedKey }";
const SET: &str = "encodedKey setId name usage fields { encodedKey fieldId name description type state required pattern
    maxLength options { encodedKey value } }";
const TEMPLATE: &str = "templateId name event channel active defaultLanguage variants { language subject text html }
    conditions { clientRoles { roleId } states customFields { field { fieldId } value } }";

impl Root {
    pub const ALL: [Self; 6] = [
        Self::Client,
        Self::CustomFieldSet,
        Self::ClientRole,
        Self::MessageTemplate,
        Self::User,
        Self::Token,
    ];

    pub fn input(self) -> &'static str {
        match self {
            Self::Client => "UpsertClientInput",
            Self::CustomFieldSet => "UpsertCustomFieldSetInput",
            Self::ClientRole => "UpsertClientRoleInput",
            Self::MessageTemplate => "UpsertMessageTemplateInput",
            Self::User => "UpsertUserInput",
            Self::Token => "CreateTokenInput",
        }
    }

    pub fn mutation(self) -> &'static str {
        match self {
            Self::Client => "upsertClient",
            Self::CustomFieldSet => "upsertCustomFieldSet",
            Self::ClientRole => "upsertClientRole",
            Self::MessageTemplate => "upsertMessageTemplate",
            Self::User => "upsertUser",
            Self::Token => "createToken",
        }
    }

    /// What all subjects of this kind refer to.
    pub async fn prepare(self, server: &TestServer) {
        if let Self::Client | Self::MessageTemplate = self {
            define_role(
                server,
                json!({ "roleId": "standard", "name": "Standard", "isDefault": true }),
            )
            .await;
            for role in ["first", "second"] {
                define_role(server, json!({ "roleId": role, "encodedKey": role, "name": role })).await;
            }
            let fields = json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" },
                { "fieldId": "boss", "name": "Boss", "type": "USER_LINK" }]);
            define(server, "facts", fields).await;
        }
    }

    pub async fn fresh(self, server: &TestServer) -> Subject {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut names = Vec::new();
        match self {
            Self::Client => {
                let stored = store(server, full_client(), CLIENT).await;
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
            Self::CustomFieldSet => {
                let (text, choice) = (format!("text{number}"), format!("choice{number}"));
                let fields = json!([
                    { "fieldId": text, "encodedKey": format!("textKey{number}"), "name": "A text",
                        "description": "Of it",
                      "type": "TEXT", "state": "ACTIVE", "required": true, "pattern": "@@", "maxLength": 2 },
                    { "fieldId": choice, "encodedKey": format!("choiceKey{number}"), "name": "A choice",
                      "type": "SELECTION", "options": [{ "value": "a" }, { "value": "b" }] }]);
                define(server, &format!("set{number}"), fields).await;
                names.push(("<text>", text));
                names.push(("<choice>", choice));
                names.push(("<set>", format!("set{number}")));
            }
            Self::ClientRole => {
                let id = format!("role{number}");
                define_role(
                    server,
                    json!({ "roleId": id, "name": "A role", "description": "Of it" }),
                )
                .await;
                names.push(("<role>", id));
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
                    "viewSets": ["facts"], "editSets": ["facts"], "role": "batch" });
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
            names,
            stored: Value::Null,
        };
        subject.stored = subject.read(server).await;
        subject
    }
}

fn full_client() -> Value {
    json!({
        "client": { "firstName": "Ana", "middleName": "B", "lastName": "Cruz", "birthDate": "1990-04-17",
            "gender": "FEMALE",
            "emailAddress": "ana@example.test", "homePhone": "1", "mobilePhone1": "2", "mobilePhone2": "3",
            "preferredLanguage": "FRENCH", "notes": "n", "clientRole": { "roleId": "first" },
            "assignedBranchKey": "b1", "assignedCentreKey": "c1", "assignedUserKey": "u1" },
        "addresses": [{ "line1": "1", "line2": "2", "city": "c", "region": "r", "postcode": "p", "country": "x",
            "latitude": 1.5, "longitude": -2.25 }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "X1", "issuingAuthority": "y",
            "validUntil": "2034-01-31" }],
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

impl Subject {
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
        let stored = match self.root {
            Root::Client => {
                let query = format!("query($key: String!) {{ client(by: {{ encodedKey: $key }}) {{ {CLIENT} }} }}");
                data(server, &query, json!({ "key": self.names[0].1 })).await["client"].take()
            }
            Root::CustomFieldSet => {
                let sets = data(server, &format!("{{ customFieldSets {{ {SET} }} }}"), json!({})).await;
                one(&sets["customFieldSets"], "setId", name)
            }
            Root::ClientRole => {
                let query = "{ clientRoles { roleId name description isDefault } }";
                one(&data(server, query, json!({})).await["clientRoles"], "roleId", name)
            }
            Root::MessageTemplate => {
                let templates = data(server, &format!("{{ messageTemplates {{ {TEMPLATE} }} }}"), json!({})).await;
                one(&templates["messageTemplates"], "templateId", name)
            }
            Root::User => {
                let query = "{ users(last: 500) { nodes { name active permissions viewSets editSets role } } }";
                one(&data(server, query, json!({})).await["users"]["nodes"], "name", name)
            }
            Root::Token => {
                let query = "{ tokens(last: 1) { nodes { name permissions viewSets editSets role expiresAt } } }";
                data(server, query, json!({})).await["tokens"]["nodes"][0].take()
            }
        };
        self.hide(stored)
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

fn one(list: &Value, id: &str, value: &str) -> Value {
    let found = list
        .as_array()
        .and_then(|list| list.iter().find(|item| item[id] == value));
    found.cloned().expect("it is listed")
}
