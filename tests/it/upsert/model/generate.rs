//! Generates random steps.

mod resolve;

use std::collections::BTreeMap;

use async_graphql::MaybeUndefined;
use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::Index,
};
use serde_json::{Value, json};

use super::{
    access::{Access, SETS},
    rules::Model,
};
use crate::harness::{field, options};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Rest,
    Graphql,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Sent<T> {
    Absent,
    Null,
    Value(T),
}

/// A submission independent of the APIs.
#[derive(Clone, Debug)]
pub struct Submission {
    pub path: Option<String>,
    pub key: Option<String>,
    pub id: Option<String>,
    pub match_on_id: bool,
    pub expected_version: Option<i64>,
    pub client: BTreeMap<&'static str, Sent<Value>>,
    pub documents: Sent<Vec<Member>>,
    pub addresses: Sent<Vec<Member>>,
    pub values: Sent<Vec<Entry>>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub key: Option<String>,
    pub members: BTreeMap<&'static str, Sent<Value>>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub field: &'static str,
    pub value: Sent<String>,
}

/// A random step. Its clients are chosen when it is resolved.
#[derive(Clone, Debug)]
pub struct Step {
    door: Door,
    access: Access,
    target: Target,
    client: BTreeMap<&'static str, Sent<Value>>,
    documents: Sent<Vec<Listed>>,
    addresses: Sent<Vec<Listed>>,
    values: Sent<Vec<(Index, Index, u8)>>,
    expected_version: Option<i64>,
}

#[derive(Clone, Debug)]
enum Target {
    Create,
    CreateWithId(u8),
    Key(Index),
    Path(Index),
    PathAndKey(Index, Index),
    MatchOnId(u8),
    Unknown,
}

/// A member of a list: the owner of its key, and its contents.
type Listed = (Named, BTreeMap<&'static str, Sent<Value>>);

/// The owner of a member's key.
#[derive(Clone, Debug)]
enum Named {
    New,
    Own(Index),
    Foreign(Index),
}

const SCALARS: [(&str, &[&str]); 8] = [
    ("firstName", &["Ada", "Bo", "", " "]),
    ("lastName", &["Linden", "Okafor", "Ōe"]),
    ("middleName", &["Good", "", "TOO LONG"]),
    ("notes", &["n", "", "line\nline"]),
    ("emailAddress", &["a@example.test", "b@example.test", "", "absent"]),
    ("gender", &["MALE", "FEMALE"]),
    ("preferredLanguage", &["GERMAN", "ENGLISH"]),
    ("birthDate", &["1990-04-17", "2024-02-29"]),
];
const DOCUMENT: [(&str, &[&str]); 4] = [
    ("documentType", &["Passport", "Visa", "Permit", ""]),
    ("documentId", &["1", "2"]),
    ("issuingAuthority", &["Office", "", "TOO LONG"]),
    ("validUntil", &["2034-01-31"]),
];
const ADDRESS: [(&str, &[&str]); 3] = [
    ("line1", &["1 Lane", "", "TOO LONG"]),
    ("city", &["A", "B"]),
    ("latitude", &["12.5", "-90", "0.1", "91"]),
];
/// Fields with values to try: most fit, some don't.
const VALUES: [(&str, &[&str]); 8] = [
    ("text", &["a", " b ", "", "longer than five"]),
    ("number", &["12.50", "12.5", "-7", "1e5"]),
    ("flag", &["TRUE", "true", "FALSE", "yes"]),
    ("band", &["LOW", "HIGH", "MEDIUM"]),
    ("day", &["2024-02-29", "2023-02-29"]),
    ("friend", &["", "absent"]),
    ("nonsense", &["x"]),
    ("", &["x"]),
];

/// The definitions that every sequence starts with: each set with its fields.
pub fn sets() -> impl Iterator<Item = (&'static str, Vec<CustomFieldInput>)> {
    let of = |names: [&str; 3]| {
        let mine = |field: &CustomFieldInput| names.contains(&field.field_id.as_str());
        fields().into_iter().filter(mine).collect()
    };
    SETS.iter().map(move |(set, names)| (*set, of(*names)))
}

fn fields() -> Vec<CustomFieldInput> {
    vec![
        CustomFieldInput {
            max_length: MaybeUndefined::Value(5),
            ..field("text", Kind::Text)
        },
        field("number", Kind::Number),
        field("flag", Kind::Checkbox),
        CustomFieldInput {
            options: options(&["LOW", "HIGH"]),
            ..field("band", Kind::Selection)
        },
        field("day", Kind::Date),
        field("friend", Kind::ClientLink),
    ]
}

/// The canonical form of a value, or its error codes on the two APIs.
pub fn accept_value(field: &str, value: &str, model: &Model) -> Result<String, (u16, &'static str)> {
    match (field, value) {
        ("text", "longer than five") => Err((904, "TOO_LONG")),
        ("number", "1e5") => Err((901, "NOT_A_NUMBER")),
        ("number", "12.50") => Ok("12.5".to_owned()),
        ("flag", "yes") => Err((901, "NOT_A_CHECKBOX")),
        ("flag", "true") => Ok("TRUE".to_owned()),
        ("band", "MEDIUM") => Err((901, "NOT_AN_OPTION")),
        ("day", "2023-02-29") => Err((901, "NOT_A_DATE")),
        ("friend", key) if model.clients.iter().all(|client| client.key != key) => Err((911, "NOT_FOUND")),
        (_, value) => Ok(value.to_owned()),
    }
}

fn sent<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>, absent: u32) -> impl Strategy<Value = Sent<T>> {
    prop_oneof![absent * 4 => Just(Sent::Absent), 1 => Just(Sent::Null), 24 => value.prop_map(Sent::Value)]
}

fn members(
    pool: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = BTreeMap<&'static str, Sent<Value>>> {
    // The first value of a pool comes often, so that most submissions are sound.
    let pick = prop_oneof![6 => Just(None), 1 => any::<Index>().prop_map(Some)];
    vec(sent(pick, 6), pool.len()).prop_map(move |picks| {
        let member = |((name, texts), pick): (&(&'static str, &'static [&'static str]), Sent<Option<Index>>)| {
            let value = |pick: Option<Index>| match pick.map_or(texts[0], |pick| *pick.get(texts)) {
                "TOO LONG" => json!("é".repeat(256)),
                text if *name == "latitude" => json!(text.parse::<f64>().expect("a number")),
                text => json!(text),
            };
            let sent = match pick {
                Sent::Value(pick) => Sent::Value(value(pick)),
                Sent::Null => Sent::Null,
                Sent::Absent => Sent::Absent,
            };
            (*name, sent)
        };
        pool.iter().zip(picks).map(member).collect()
    })
}

impl Step {
    pub fn any() -> impl Strategy<Value = Self> {
        let index = any::<Index>;
        let target = prop_oneof![
            4 => Just(Target::Create), 1 => (0..3u8).prop_map(Target::CreateWithId), 6 => index().prop_map(Target::Key),
            6 => index().prop_map(Target::Path), 2 => (index(), index()).prop_map(|(a, b)| Target::PathAndKey(a, b)),
            2 => (0..3u8).prop_map(Target::MatchOnId), 1 => Just(Target::Unknown),
        ];
        let named = || {
            prop_oneof![
                12 => Just(Named::New), 24 => index().prop_map(Named::Own), 1 => index().prop_map(Named::Foreign),
            ]
        };
        let door = prop_oneof![Just(Door::Rest), Just(Door::Graphql)];
        let documents = sent(vec((named(), members(&DOCUMENT)), 0..4), 4);
        let addresses = sent(vec((named(), members(&ADDRESS)), 0..3), 4);
        let values = sent(vec((index(), index(), 0..20u8), 0..4), 4);
        let version = option::weighted(0.05, 0..4i64);
        let rest = (members(&SCALARS), documents, addresses, values, version);
        (door, Access::any(), target, rest).prop_map(
            |(door, access, target, (client, documents, addresses, values, expected_version))| Self {
                door,
                access,
                target,
                client,
                documents,
                addresses,
                values,
                expected_version,
            },
        )
    }
}
