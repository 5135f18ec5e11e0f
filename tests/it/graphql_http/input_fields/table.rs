//! The expected effect of absent, null and a value for each nullable input field.
//!
//! [`Table::derive`] has the rule of an ordinary field. The tables below have the fields with rules of their own.

use serde_json::{Value, json};

use super::subject::{Root, Subject};
use crate::harness::{
    schema::{Schema, innermost, is_list},
    with,
};

/// The effect on the stored object.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// The members at these JSON pointers have these values now, and all others are unchanged.
    Becomes(Vec<(String, Value)>),
    /// A user error of this code names the field; nothing is written.
    Refused(&'static str),
    /// The request itself is refused.
    Invalid,
}

fn stays() -> Then {
    Then::Becomes(Vec::new())
}

fn becomes(place: &str, value: Value) -> Then {
    Then::Becomes(vec![(place.to_owned(), value)])
}

/// A field of an input type. `base` is the input that it is put into, at the JSON pointer `at`.
pub struct Row {
    /// `Type.field`
    pub field: String,
    pub base: Value,
    pub at: &'static str,
    /// The JSON pointer of the member in the stored object.
    place: String,
    pub value: Value,
    pub absent: Then,
    pub null: Then,
    pub set: Then,
}

impl Row {
    fn base(&mut self, base: &Value, at: &'static str) -> &mut Self {
        (self.base, self.at) = (base.clone(), at);
        self
    }

    /// Sends this value, which is stored.
    fn value(&mut self, value: Value) -> &mut Self {
        self.value = value.clone();
        self.set = becomes(&self.place, value);
        self
    }

    fn on_absent(&mut self, then: Then) -> &mut Self {
        self.absent = then;
        self
    }

    fn on_null(&mut self, then: Then) -> &mut Self {
        self.null = then;
        self
    }

    fn on_value(&mut self, then: Then) -> &mut Self {
        self.set = then;
        self
    }

    /// Asserts that the stored object has another value than null and the one that is sent: else a server that ignored
    /// the field would pass. Tokens are created, never changed.
    pub fn assert_can_fail(&self, root: Root, subject: &Subject<'_>) {
        assert!(!self.value.is_null(), "{}: the table must give a value", self.field);
        let is_plain = self.null == becomes(&self.place, Value::Null) && self.place != "/clientMutationId";
        if is_plain && root != Root::Token {
            let stored = subject.stored.pointer(&self.place).unwrap_or(&Value::Null);
            let is_other = !stored.is_null() && *stored != self.value;
            assert!(is_other, "{}: the subject needs another value", self.field);
        }
    }
}

/// An input type: its name, the JSON pointers of an object of it in the input and in the stored object, and an input
/// that has such an object.
type Place = (&'static str, &'static str, &'static str, Value);

/// The rows of all nullable fields of one mutation.
pub struct Table(pub Vec<Row>);

impl Table {
    /// By default, an absent field stays as it is, and a value is stored. Null clears a member that can be null. In
    /// one that can't, it is refused for texts and lists, and counts as absent for flags and enums.
    fn derive(schema: &Schema, root: Root, places: impl IntoIterator<Item = Place>) -> Self {
        let mut rows = Vec::new();
        for (ty, at, stored, base) in places {
            for name in schema.nullable_names(ty) {
                let place = format!("{stored}/{name}");
                let shown = schema.type_at(root.output(), &place);
                let null = match innermost(shown) {
                    _ if shown["kind"] != "NON_NULL" => becomes(&place, Value::Null),
                    _ if is_list(shown) => Then::Refused("NULL_LIST"),
                    "String" => Then::Refused("BLANK"),
                    _ => stays(),
                };
                let value = schema.sample(ty, name, true);
                rows.push(Row {
                    field: format!("{ty}.{name}"),
                    base: base.clone(),
                    at,
                    set: becomes(&place, value.clone()),
                    place,
                    value,
                    absent: stays(),
                    null,
                });
            }
        }
        Self(rows)
    }

    fn field(&mut self, name: &str) -> &mut Row {
        let row = self.0.iter_mut().find(|row| row.field == name);
        row.unwrap_or_else(|| panic!("{name} isn't a nullable input field"))
    }

    /// The key of a definition can be chosen only on creation. Null counts as absent.
    fn fixed_key(&mut self, ty: &str) {
        let row = self.field(&format!("{ty}.encodedKey"));
        row.on_null(stays()).on_value(Then::Refused("INVALID"));
    }

    /// Exactly one member of a `@oneOf` type must have a value. `place` is where the role is stored.
    fn role_by(&mut self, place: &str, base: &Value, at: &'static str) {
        for name in ["encodedKey", "roleId"] {
            let row = self.field(&format!("ClientRoleBy.{name}")).base(base, at);
            row.on_absent(Then::Invalid)
                .on_null(Then::Invalid)
                .value(json!("second"));
            row.on_value(becomes(place, role("second")));
        }
    }
}

/// A role as it is read.
fn role(id: &str) -> Value {
    json!({ "encodedKey": id, "roleId": id })
}

pub fn client(schema: &Schema) -> Table {
    let own = json!({ "client": { "encodedKey": "<client>" } });
    let member = |list: &str, member| with(own.clone(), json!({ list: [member] }));
    let values = json!({ "customInformation": [{ "fieldId": "nick" }, { "fieldId": "boss" }] });
    let values = with(own.clone(), values);
    let places = [
        ("UpsertClientInput", "", "", own.clone()),
        ("ClientInput", "/client", "", own.clone()),
        ("ClientRoleBy", "/client/clientRole", "/clientRole", own.clone()),
        (
            "IdDocumentInput",
            "/idDocuments/0",
            "/idDocuments/0",
            member("idDocuments", json!({ "encodedKey": "<document>" })),
        ),
        (
            "AddressInput",
            "/addresses/0",
            "/addresses/0",
            member("addresses", json!({ "encodedKey": "<address>" })),
        ),
        (
            "CustomFieldValueInput",
            "/customInformation/0",
            "/customInformation/0",
            values.clone(),
        ),
    ];
    let mut table = Table::derive(schema, Root::Client, places);
    let expected_version = table.field("UpsertClientInput.expectedVersion");
    expected_version
        .on_null(stays())
        .on_value(Then::Refused("VERSION_CONFLICT"));
    let idempotency_key = table.field("UpsertClientInput.idempotencyKey");
    idempotency_key
        .value(json!("<client>"))
        .on_null(stays())
        .on_value(stays());

    let matched = table.field("UpsertClientInput.matchCustomField");
    matched
        .value(json!({ "fieldId": "nick", "value": "Al" }))
        .on_null(stays())
        .on_value(Then::Refused("INVALID"));

    // A key names the stored object: without one, or with null, the input describes another.
    let names = json!({ "firstName": "New", "lastName": "New" });
    let renamed = ["/firstName", "/lastName"].map(|place| (place.to_owned(), json!("New")));
    let key = table
        .field("ClientInput.encodedKey")
        .base(&json!({ "client": names }), "/client");
    key.value(json!("<client>"))
        .on_null(stays())
        .on_value(Then::Becomes(renamed.into()));
    for (ty, list, key, given) in [
        (
            "IdDocumentInput",
            "idDocuments",
            "<document>",
            json!({ "documentType": "T", "documentId": "I" }),
        ),
        ("AddressInput", "addresses", "<address>", json!({ "line1": "L" })),
    ] {
        let place = |name: &str| format!("/{list}/0{name}");
        let new = with(given.clone(), json!({ "encodedKey": "<new>" }));
        let new = becomes(&place(""), schema.complete(ty, new, |_| Value::Null));
        let changed = given.as_object().expect("an object").iter();
        let changed = changed
            .map(|(name, value)| (place(&format!("/{name}")), value.clone()))
            .collect();
        let row = table.field(&format!("{ty}.encodedKey"));
        row.base = member(list, given);
        row.value(json!(key))
            .on_absent(new.clone())
            .on_null(new)
            .on_value(Then::Becomes(changed));
    }

    // The template needs the document type of the stored document.
    let template = table.field("IdDocumentInput.templateKey").value(json!("anyKey"));
    template.on_null(stays());

    let client_id = table.field("ClientInput.clientId");
    client_id.on_null(stays()).on_value(Then::Refused("NOT_EDITABLE"));
    table.field("ClientInput.emailAddress").value(json!("z@example.test"));
    let language = table.field("ClientInput.preferredLanguage");
    language
        .value(json!("GERMAN"))
        .on_null(becomes("/preferredLanguage", json!("ENGLISH")));
    let client_role = table
        .field("ClientInput.clientRole")
        .value(json!({ "roleId": "second" }));
    client_role.on_null(becomes("/clientRole", role("standard")));
    client_role.on_value(becomes("/clientRole", role("second")));
    let with_role = json!({ "client": { "encodedKey": "<client>", "clientRole": {} } });
    table.role_by("/clientRole", &with_role, "/client/clientRole");

    let group_index = table.field("CustomFieldValueInput.groupIndex");
    group_index.on_null(stays()).on_value(Then::Refused("GROUP_INDEX"));
    table
        .field("CustomFieldValueInput.value")
        .on_null(Then::Refused("BLANK"));
    let linked_key = table
        .field("CustomFieldValueInput.linkedKey")
        .base(&values, "/customInformation/1");
    linked_key.place = "/customInformation/1/linkedKey".to_owned();
    linked_key.value(json!("k2")).on_null(Then::Refused("BLANK"));
    table
}

/// The state that the client has already, so that nothing changes.
pub fn client_state(schema: &Schema) -> Table {
    let own = json!({ "by": { "encodedKey": "<client>" }, "state": "INACTIVE" });
    let places = [
        ("ChangeClientStateInput", "", "", own.clone()),
        ("ClientBy", "/by", "", own.clone()),
    ];
    let mut table = Table::derive(schema, Root::ClientState, places);
    for (name, value, set) in [
        ("reason", json!("a reason"), stays()),
        ("expectedVersion", json!(7), Then::Refused("VERSION_CONFLICT")),
        ("idempotencyKey", json!("<client>"), stays()),
    ] {
        let row = table.field(&format!("ChangeClientStateInput.{name}")).value(value);
        row.on_null(stays()).on_value(set);
    }
    let unnamed = json!({ "by": {}, "state": "INACTIVE" });
    for (name, value) in [("id", "<global>"), ("encodedKey", "<client>"), ("clientId", "<id>")] {
        let row = table
            .field(&format!("ClientBy.{name}"))
            .base(&unnamed, "/by")
            .value(json!(value));
        row.on_absent(Then::Invalid).on_null(Then::Invalid).on_value(stays());
    }
    table
}

pub fn custom_field_set(schema: &Schema) -> Table {
    let own = json!({ "set": { "setId": "<set>" } });
    let fields = json!({ "fields": [{ "fieldId": "<text>" }, { "fieldId": "<choice>" }, { "fieldId": "<parent>" },
        { "fieldId": "<other>" }] });
    let fields = with(own.clone(), fields);
    let with_role = |role: Value| {
        let mut fields = fields.clone();
        fields["fields"][0]["clientRoles"] = json!([role]);
        fields
    };
    let first = with_role(json!({ "clientRole": { "roleId": "first" } }));
    let mut with_options = fields.clone();
    with_options["fields"][1]["options"] = json!([{ "value": "a" }, { "value": "b" }]);
    let places = [
        ("UpsertCustomFieldSetInput", "", "", own.clone()),
        ("CustomFieldSetInput", "/set", "", own),
        ("CustomFieldInput", "/fields/0", "/fields/0", fields.clone()),
        (
            "CustomFieldRoleInput",
            "/fields/0/clientRoles/0",
            "/fields/0/clientRoles/0",
            first,
        ),
        (
            "ClientRoleBy",
            "/fields/0/clientRoles/0/clientRole",
            "/fields/0/clientRoles/0/clientRole",
            fields.clone(),
        ),
        (
            "CustomFieldOptionInput",
            "/fields/1/options/0",
            "/fields/1/options/0",
            with_options,
        ),
    ];
    let mut table = Table::derive(schema, Root::CustomFieldSet, places);
    table.fixed_key("CustomFieldSetInput");
    table.fixed_key("CustomFieldInput");
    table
        .field("CustomFieldSetInput.usage")
        .on_value(Then::Refused("NOT_EDITABLE"));
    table.field("CustomFieldSetInput.position").value(json!(0));
    table.field("CustomFieldInput.unique").value(json!(true));
    let roles = table.field("CustomFieldInput.clientRoles");
    roles.value(json!([{ "clientRole": { "roleId": "second" } }]));
    let second = json!([{ "clientRole": role("second"), "required": false }]);
    roles.on_value(becomes("/fields/0/clientRoles", second));
    let required = table.field("CustomFieldRoleInput.required").value(json!(true));
    let not_required = becomes("/fields/0/clientRoles/0/required", json!(false));
    required.on_absent(not_required.clone()).on_null(not_required);
    let place = "/fields/0/clientRoles/0/clientRole";
    table.role_by(place, &with_role(json!({ "clientRole": {}, "required": true })), place);
    table.field("CustomFieldInput.pattern").value(json!("##"));
    let max_length = table.field("CustomFieldInput.maxLength");
    max_length.on_null(becomes("/fields/0/maxLength", json!(255)));
    let options = table.field("CustomFieldInput.options").base(&fields, "/fields/1");
    options.value(json!([{ "value": "z" }]));
    options.on_value(becomes(
        "/fields/1/options",
        json!([{ "encodedKey": "<new>", "value": "z", "state": "ACTIVE", "score": null,
            "forValues": [] }]),
    ));
    table.field("CustomFieldOptionInput.forValues").value(json!(["p"]));
    let parent = table.field("CustomFieldInput.parentFieldId").base(&fields, "/fields/1");
    parent.place = "/fields/1/parentFieldId".to_owned();
    parent.value(json!("<other>"));
    parent.on_null(becomes("/fields/1/parentFieldId", Value::Null));
    table.field("CustomFieldOptionInput.score").value(json!("7.25"));
    table
}

pub fn client_role(schema: &Schema) -> Table {
    let place = ("UpsertClientRoleInput", "", "", json!({ "roleId": "<role>" }));
    let mut table = Table::derive(schema, Root::ClientRole, [place]);
    table.fixed_key("UpsertClientRoleInput");
    table.field("UpsertClientRoleInput.isDefault").value(json!(true));
    table.field("UpsertClientRoleInput.idPattern").value(json!("##"));
    table
}

pub fn id_document_template(schema: &Schema) -> Table {
    let own = json!({ "templateId": "<document template>" });
    let place = ("UpsertIdDocumentTemplateInput", "", "", own);
    let mut table = Table::derive(schema, Root::IdDocumentTemplate, [place]);
    table.fixed_key("UpsertIdDocumentTemplateInput");
    table
}

pub fn message_template(schema: &Schema) -> Table {
    let own = json!({ "templateId": "<template>" });
    let variants =
        json!({ "variants": [{ "language": "ENGLISH", "text": "T" }, { "language": "FRENCH", "text": "t" }] });
    let with_conditions = |members: Value| with(own.clone(), json!({ "conditions": members }));
    let places = [
        ("UpsertMessageTemplateInput", "", "", own.clone()),
        (
            "MessageTemplateVariantInput",
            "/variants/0",
            "/variants/0",
            with(own.clone(), variants),
        ),
        (
            "MessageConditionsInput",
            "/conditions",
            "/conditions",
            with_conditions(json!({})),
        ),
        (
            "ClientRoleBy",
            "/conditions/clientRoles/0",
            "/conditions/clientRoles/0",
            own.clone(),
        ),
    ];
    let mut table = Table::derive(schema, Root::MessageTemplate, places);
    table.fixed_key("UpsertMessageTemplateInput");
    // The stored variants are e-mails.
    table
        .field("UpsertMessageTemplateInput.channel")
        .on_value(Then::Refused("INVALID"));
    // The default language must be one of the variants.
    table
        .field("UpsertMessageTemplateInput.defaultLanguage")
        .value(json!("FRENCH"));
    let variant = json!({ "language": "ENGLISH", "subject": "Z", "text": "z" });
    let variants = table
        .field("UpsertMessageTemplateInput.variants")
        .value(json!([variant]));
    variants.on_value(becomes("/variants", json!([with(variant, json!({ "html": "H" }))])));
    table
        .field("MessageTemplateVariantInput.subject")
        .on_null(Then::Refused("BLANK"));

    // Conditions are replaced as a whole: an absent list becomes empty.
    let conditions = |members| {
        let none = json!({ "clientRoles": [], "states": [], "customFields": [] });
        becomes("/conditions", with(none, members))
    };
    let row = table
        .field("UpsertMessageTemplateInput.conditions")
        .value(json!({ "states": ["EXITED"] }));
    row.on_null(conditions(json!({})))
        .on_value(conditions(json!({ "states": ["EXITED"] })));
    for (name, sent, read) in [
        ("clientRoles", json!([{ "roleId": "second" }]), json!([role("second")])),
        ("states", json!(["EXITED"]), json!(["EXITED"])),
        (
            "customFields",
            json!([{ "fieldId": "nick", "value": "Z" }]),
            json!([{ "field": { "fieldId": "nick" }, "value": "Z" }]),
        ),
    ] {
        let row = table.field(&format!("MessageConditionsInput.{name}")).value(sent);
        row.on_absent(conditions(json!({}))).on_null(conditions(json!({})));
        row.on_value(conditions(json!({ name: read })));
    }
    let with_role = with_conditions(json!({ "clientRoles": [{}], "states": ["ACTIVE"],
        "customFields": [{ "fieldId": "nick", "value": "Al" }] }));
    table.role_by("/conditions/clientRoles/0", &with_role, "/conditions/clientRoles/0");
    table
}

pub fn user(schema: &Schema) -> Table {
    let place = ("UpsertUserInput", "", "", json!({ "name": "<user>" }));
    let mut table = Table::derive(schema, Root::User, [place]);
    let password = table.field("UpsertUserInput.password").value(json!("another good one"));
    password.on_null(Then::Refused("BLANK")).on_value(stays());
    table
}

/// The object is new: null and absent have the same effect.
pub fn token(schema: &Schema) -> Table {
    let base = json!({ "name": "A job", "permissions": ["VIEW_CLIENT"] });
    let mut table = Table::derive(schema, Root::Token, [("CreateTokenInput", "", "", base)]);
    table.field("CreateTokenInput.expiresAt").value(json!("<next year>"));
    // Sets to view are the sets to edit, too, if no others are sent.
    let sets = table.field("CreateTokenInput.viewSets");
    let both = ["/viewSets", "/editSets"].map(|place| (place.to_owned(), sets.value.clone()));
    sets.on_value(Then::Becomes(both.into()));
    table
}
