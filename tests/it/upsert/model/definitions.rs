//! The definitions of a sequence: client roles, custom fields and templates of documents, and how they change.

use proptest::{
    prelude::{Strategy, any},
    sample::select,
};
use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define_document_template, define_role},
};

/// The sets of the custom fields. The fields of `cards` are grouped.
pub const SETS: [&str; 6] = ["facts", "others", "ids", "places", "cards", "firm"];
/// The key of the role that exists from the beginning.
const CLIENT_ROLE: &str = "d9df8bc78a0234ccc934a845c";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Checkbox,
    Selection,
    Date,
    ClientLink,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub id: &'static str,
    pub set: &'static str,
    pub kind: Kind,
    pub is_active: bool,
    /// Of all clients that it is available to; in a grouped set, of each group.
    pub is_required: bool,
    pub is_unique: bool,
    /// The only role that it is available to.
    pub role: Option<&'static str>,
    pub parent: Option<&'static str>,
    pub longest: usize,
    pub pattern: Option<&'static str>,
    pub options: Vec<Choice>,
}

#[derive(Clone, Debug)]
pub struct Choice {
    pub value: &'static str,
    pub is_active: bool,
    /// The values of the parent that it is available for; empty for all.
    pub of_parents: &'static [&'static str],
}

#[derive(Clone, Debug)]
pub struct Role {
    pub id: &'static str,
    pub key: &'static str,
    pub id_prefix: &'static str,
    pub allows_addresses: bool,
    pub needs_document: bool,
}

/// A template of documents of the type `Passport`.
#[derive(Clone, Debug)]
pub struct Template {
    pub id: &'static str,
    pub authority: Option<&'static str>,
    pub is_active: bool,
    pub is_mandatory: bool,
}

#[derive(Clone, Debug)]
pub struct Definitions {
    pub first_state: &'static str,
    /// Documents need no template.
    pub other_documents: bool,
    pub fields: Vec<Field>,
    pub roles: Vec<Role>,
    pub templates: Vec<Template>,
}

/// A change of definitions. Each of them can be undone by the same change.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    State(&'static str),
    Option(&'static str, &'static str),
    Required(&'static str),
    Unique(&'static str),
    Length(&'static str),
    Template(&'static str),
    Addresses(&'static str),
    Documents(&'static str),
}

const CHANGES: [Change; 15] = [
    Change::State("number"),
    Change::State("text"),
    Change::State("serial"),
    Change::State("crm"),
    Change::Option("band", "LOW"),
    Change::Option("town", "Delft"),
    Change::Option("country", "DE"),
    Change::Required("text"),
    Change::Required("holder"),
    Change::Unique("nick"),
    Change::Unique("serial"),
    Change::Length("text"),
    Change::Template("passport"),
    Change::Addresses("firm"),
    Change::Documents("minor"),
];

impl Change {
    pub fn any() -> impl Strategy<Value = Self> {
        select(&CHANGES[..])
    }
}

/// The set of a field. An unknown field counts as one of the first set.
pub fn set_of(field: &str) -> usize {
    match field {
        "band" | "day" | "friend" => 1,
        "crm" | "tax" | "nick" => 2,
        "country" | "town" => 3,
        "card" | "holder" | "serial" => 4,
        "vat" => 5,
        _ => 0,
    }
}

fn field(id: &'static str, kind: Kind) -> Field {
    Field {
        id,
        set: SETS[set_of(id)],
        kind,
        is_active: true,
        is_required: false,
        is_unique: false,
        role: None,
        parent: None,
        longest: 255,
        pattern: None,
        options: Vec::new(),
    }
}

fn options(options: &[(&'static str, &'static [&'static str])]) -> Vec<Choice> {
    let option = |(value, of_parents): &(&'static str, &'static [&'static str])| Choice {
        value,
        is_active: true,
        of_parents,
    };
    options.iter().map(option).collect()
}

fn fields() -> Vec<Field> {
    let unique = |field: Field| Field {
        is_unique: true,
        ..field
    };
    let required = |field: Field| Field {
        is_required: true,
        ..field
    };
    let selection = |id, choices| Field {
        options: options(choices),
        ..field(id, Kind::Selection)
    };
    vec![
        Field {
            longest: 5,
            ..field("text", Kind::Text)
        },
        field("number", Kind::Number),
        field("flag", Kind::Checkbox),
        selection("band", &[("LOW", &[]), ("HIGH", &[])]),
        field("day", Kind::Date),
        field("friend", Kind::ClientLink),
        unique(field("crm", Kind::Text)),
        unique(field("tax", Kind::Number)),
        field("nick", Kind::Text),
        selection("country", &[("NL", &[]), ("DE", &[])]),
        Field {
            parent: Some("country"),
            ..selection("town", &[("Other", &[]), ("Delft", &["NL"]), ("Bonn", &["DE"])])
        },
        field("card", Kind::Text),
        required(field("holder", Kind::Text)),
        unique(field("serial", Kind::Text)),
        Field {
            role: Some("firm"),
            pattern: Some("##@"),
            ..required(field("vat", Kind::Text))
        },
    ]
}

impl Definitions {
    pub fn any() -> impl Strategy<Value = Self> {
        let states = select(&["INACTIVE", "PENDING_APPROVAL", "ACTIVE"][..]);
        (states, any::<[u8; 2]>()).prop_map(|(first_state, [others, mandatory])| Self {
            first_state,
            other_documents: others % 4 > 0,
            fields: fields(),
            roles: vec![
                role("client", CLIENT_ROLE),
                Role {
                    allows_addresses: false,
                    ..role("firm", "firmKey")
                },
                Role {
                    id_prefix: "M-",
                    needs_document: true,
                    ..role("minor", "minorKey")
                },
            ],
            templates: vec![
                Template {
                    id: "passport",
                    authority: Some("Office"),
                    is_active: true,
                    is_mandatory: mandatory % 8 == 0,
                },
                Template {
                    id: "old",
                    authority: None,
                    is_active: false,
                    is_mandatory: false,
                },
            ],
        })
    }

    pub fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    pub fn role(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    pub fn of_set(&self, set: &str) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.set == set)
    }

    /// Makes a change in the model.
    pub fn change(&mut self, change: Change) {
        let field = |fields: &mut Vec<Field>, id: &str, edit: &dyn Fn(&mut Field)| {
            fields.iter_mut().filter(|field| field.id == id).for_each(edit);
        };
        let fields = &mut self.fields;
        match change {
            Change::State(id) => field(fields, id, &|field| field.is_active ^= true),
            Change::Option(id, value) => field(fields, id, &|field| {
                let options = field.options.iter_mut().filter(|option| option.value == value);
                options.for_each(|option| option.is_active ^= true);
            }),
            Change::Required(id) => field(fields, id, &|field| field.is_required ^= true),
            Change::Unique(id) => field(fields, id, &|field| field.is_unique ^= true),
            Change::Length(id) => field(fields, id, &|field| field.longest = 8 - field.longest),
            Change::Template(id) => {
                let templates = self.templates.iter_mut().filter(|template| template.id == id);
                templates.for_each(|template| template.is_active ^= true);
            }
            Change::Addresses(id) => {
                let roles = self.roles.iter_mut().filter(|role| role.id == id);
                roles.for_each(|role| role.allows_addresses ^= true);
            }
            Change::Documents(id) => {
                let roles = self.roles.iter_mut().filter(|role| role.id == id);
                roles.for_each(|role| role.needs_document ^= true);
            }
        }
    }

    /// Defines everything on a server.
    pub async fn define(&self, server: &TestServer) {
        for role in &self.roles {
            define_role(server, role.input()).await;
        }
        for template in &self.templates {
            define_document_template(server, template.input()).await;
        }
        for set in SETS {
            let answer = self.define_set(server, set).await;
            assert_eq!(answer["userErrors"], json!([]));
        }
    }

    /// Defines a set with its fields. Returns the payload.
    pub async fn define_set(&self, server: &TestServer, set: &str) -> Value {
        let usage = if set == "cards" { "GROUPED" } else { "SINGLE" };
        let fields: Vec<Value> = self.of_set(set).map(Field::input).collect();
        let set = json!({ "setId": set, "name": set, "usage": usage });
        let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) {
            warnings { code path clientCount clientIds } userErrors { code path clientCount clientIds } } }";
        let mut answer = data(server, query, json!({ "input": { "set": set, "fields": fields } })).await;
        answer["upsertCustomFieldSet"].take()
    }
}

fn role(id: &'static str, key: &'static str) -> Role {
    Role {
        id,
        key,
        id_prefix: "",
        allows_addresses: true,
        needs_document: false,
    }
}

impl Role {
    pub fn input(&self) -> Value {
        let pattern = (!self.id_prefix.is_empty()).then(|| format!("{}######", self.id_prefix));
        json!({ "roleId": self.id, "encodedKey": self.key, "name": self.id, "idPattern": pattern,
            "allowsAddresses": self.allows_addresses, "requiresIdDocument": self.needs_document })
    }
}

impl Template {
    pub fn input(&self) -> Value {
        json!({ "templateId": self.id, "encodedKey": format!("{}Key", self.id), "documentType": "Passport",
            "issuingAuthority": self.authority, "pattern": "@#", "mandatory": self.is_mandatory,
            "active": self.is_active })
    }
}

impl Field {
    pub fn is_grouped(&self) -> bool {
        self.set == "cards"
    }

    /// True if a client of this role needs a value.
    pub fn is_demanded(&self, role: &str) -> bool {
        self.is_required && self.is_active && self.is_available(role)
    }

    pub fn is_available(&self, role: &str) -> bool {
        self.role.is_none_or(|only| only == role)
    }

    fn input(&self) -> Value {
        let (kind, is_text) = match self.kind {
            Kind::Text => ("TEXT", true),
            Kind::Number => ("NUMBER", false),
            Kind::Checkbox => ("CHECKBOX", false),
            Kind::Selection => ("SELECTION", false),
            Kind::Date => ("DATE", false),
            Kind::ClientLink => ("CLIENT_LINK", false),
        };
        let state = |is_active| if is_active { "ACTIVE" } else { "DEACTIVATED" };
        let option = |option: &Choice| {
            let state = state(option.is_active);
            json!({ "value": option.value, "state": state, "forValues": option.of_parents })
        };
        let roles = self.role.iter();
        let roles = roles.map(|role| json!({ "clientRole": { "roleId": role }, "required": self.is_required }));
        let mut input = json!({ "fieldId": self.id, "encodedKey": format!("{}Key", self.id), "name": self.id,
            "type": kind, "state": state(self.is_active), "unique": self.is_unique,
            "required": self.is_required && self.role.is_none(), "clientRoles": roles.collect::<Vec<_>>(),
            "parentFieldId": self.parent, "options": self.options.iter().map(option).collect::<Vec<_>>() });
        if is_text {
            input["maxLength"] = json!(self.longest);
            input["pattern"] = json!(self.pattern);
        }
        input
    }

    /// The form of a value in which equal values are equal texts.
    pub fn comparable(&self, value: &str) -> String {
        match self.kind {
            // All numbers of the test are small.
            Kind::Number => value
                .parse::<f64>()
                .map_or_else(|_| value.to_owned(), |number| (number + 0.0).to_string()),
            _ => value.to_owned(),
        }
    }

    /// The canonical form of a value, or its return code and error code.
    pub fn accept(&self, value: &str) -> Result<String, (u16, &'static str)> {
        let is_digit = |letter: char| letter.is_ascii_digit();
        match self.kind {
            Kind::Text if value.chars().count() > self.longest => Err((904, "TOO_LONG")),
            Kind::Text if self.pattern.is_some() => {
                let letters: Vec<char> = value.chars().collect();
                match letters[..] {
                    [a, b, c] if is_digit(a) && is_digit(b) && c.is_alphabetic() => Ok(value.to_owned()),
                    _ => Err((917, "PATTERN_MISMATCH")),
                }
            }
            Kind::Number if value.parse::<f64>().is_err() || value.contains('e') => Err((901, "NOT_A_NUMBER")),
            Kind::Number if value.contains('.') => Ok(value.trim_end_matches('0').trim_end_matches('.').to_owned()),
            Kind::Checkbox => match value.to_uppercase().as_str() {
                "TRUE" => Ok("TRUE".to_owned()),
                "FALSE" => Ok("FALSE".to_owned()),
                _ => Err((901, "NOT_A_CHECKBOX")),
            },
            Kind::Selection
                if !self
                    .options
                    .iter()
                    .any(|option| option.is_active && option.value == value) =>
            {
                Err((901, "NOT_AN_OPTION"))
            }
            Kind::Date if value == "2023-02-29" => Err((901, "NOT_A_DATE")),
            _ => Ok(value.to_owned()),
        }
    }
}
