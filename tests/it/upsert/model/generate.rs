//! Generates random steps.

mod resolve;
mod values;

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::{Index, select},
};
use serde_json::{Value, json};

use super::{access::Access, definitions::Change};

/// The form of a request, which decides its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `POST /api/clients` and `POST /api/clients/{id}`.
    Post,
    /// `PATCH /api/clients/{id}`.
    Patch,
    /// `PATCH /api/clients/{id}/custominformation/{field}`.
    PatchValue,
    /// `PATCH /api/clients/{id}/custominformation`.
    PatchValues,
    /// `DELETE /api/clients/{id}/custominformation/{field}`.
    DeleteValue,
    /// `upsertClient` and `upsertClients`.
    Upsert,
    /// `changeClientState`.
    State,
}

impl Way {
    pub fn is_rest(self) -> bool {
        !matches!(self, Self::Upsert | Self::State)
    }

    /// True if the id and the state can be changed.
    pub fn is_patch(self) -> bool {
        matches!(self, Self::Patch | Self::State)
    }

    /// True if only the named values change.
    pub fn is_partial(self) -> bool {
        matches!(self, Self::PatchValue | Self::PatchValues | Self::DeleteValue)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Sent<T> {
    Absent,
    Null,
    Value(T),
}

/// The member that names the client to change, when neither a path nor a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Key,
    Id,
    Field(&'static str, &'static str),
}

pub type Members = BTreeMap<&'static str, Sent<Value>>;

/// A request on a client, independent of the APIs.
#[derive(Clone, Debug)]
pub struct Submission {
    pub way: Way,
    pub access: Access,
    pub path: Option<String>,
    pub key: Option<String>,
    pub id: Option<String>,
    pub matched: Match,
    pub expected_version: Option<i64>,
    pub validate_only: bool,
    /// The scalars, with `state`, and `role` with the id of a role.
    pub client: Members,
    pub documents: Sent<Vec<Member>>,
    pub addresses: Sent<Vec<Member>>,
    pub values: Sent<Vec<Entry>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub key: Option<String>,
    pub members: Members,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub field: &'static str,
    pub group: Option<i32>,
    pub value: Sent<String>,
}

#[derive(Clone, Debug)]
pub enum Step {
    One(Request),
    /// `upsertClients`: each request with its own `validateOnly`, and one for all.
    Many(Vec<Request>, Access, bool),
    Define(Change),
    Remove(Target, Removal, Access),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Rest,
    Graphql,
    Erasure,
}

/// A random request. Its clients are chosen when it is resolved.
#[derive(Clone, Debug)]
pub struct Request {
    way: Way,
    access: Access,
    target: Target,
    client: Members,
    role: Sent<&'static str>,
    state: Option<&'static str>,
    new_id: Option<u8>,
    documents: Sent<Vec<Listed>>,
    addresses: Sent<Vec<Listed>>,
    values: Sent<Wanted>,
    expected_version: Option<i64>,
    validate_only: bool,
    /// Adds what the definitions demand, so that most submissions are sound.
    is_completed: bool,
}

#[derive(Clone, Debug)]
pub enum Target {
    Create,
    CreateWithId(u8),
    Key(Index),
    Path(Index),
    PathAndKey(Index, Index),
    MatchOnId(u8),
    MatchOnField(&'static str, &'static str),
    Unknown,
}

/// A member of a list: the owner of its key, and its contents.
type Listed = (Named, Members);

/// The owner of a member's key.
#[derive(Clone, Debug)]
enum Named {
    New,
    Own(Index),
    Foreign(Index),
}

/// A list of values before the client is known.
#[derive(Clone, Debug)]
struct Wanted {
    /// The list begins with the stored values: 0 not, 1 without their values, 2 with them.
    stored: u8,
    /// Fields with values, and what is special about each.
    singles: Vec<(Index, Index, u8)>,
    groups: Vec<(Index, u8)>,
}

const SCALARS: [(&str, &[&str]); 9] = [
    ("firstName", &["Ada", "Bo", "", " "]),
    ("lastName", &["Linden", "Okafor", "Ōe"]),
    ("middleName", &["Good", "", "TOO LONG", " "]),
    ("notes", &["n", "", "line\nline"]),
    ("emailAddress", &["a@example.test", "b@example.test", "", "absent"]),
    ("gender", &["MALE", "FEMALE"]),
    ("preferredLanguage", &["GERMAN", "ENGLISH"]),
    ("birthDate", &["1990-04-17", "2024-02-29"]),
    ("assignedBranchKey", &["b1", "b2", "", "no key"]),
];
const DOCUMENT: [(&str, &[&str]); 5] = [
    ("documentType", &["Passport", "Visa", ""]),
    ("documentId", &["A1", "B2", "22"]),
    ("issuingAuthority", &["Office", "", "TOO LONG"]),
    ("validUntil", &["2034-01-31"]),
    ("templateKey", &["passportKey", "", "oldKey", "absent"]),
];
const ADDRESS: [(&str, &[&str]); 3] = [
    ("line1", &["1 Lane", "", "TOO LONG"]),
    ("city", &["A", "B"]),
    ("latitude", &["12.5", "-90", "0.1", "91"]),
];
pub const STATES: [&str; 6] = [
    "PENDING_APPROVAL",
    "INACTIVE",
    "ACTIVE",
    "EXITED",
    "BLACKLISTED",
    "REJECTED",
];

fn sent<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>, absent: u32) -> impl Strategy<Value = Sent<T>> {
    prop_oneof![absent * 4 => Just(Sent::Absent), 1 => Just(Sent::Null), 24 => value.prop_map(Sent::Value)]
}

fn members(pool: &'static [(&'static str, &'static [&'static str])], absent: u32) -> impl Strategy<Value = Members> {
    // The first value of a pool comes often, so that most submissions are sound.
    let pick = prop_oneof![6 => Just(None), 1 => any::<Index>().prop_map(Some)];
    vec(sent(pick, absent), pool.len()).prop_map(move |picks| {
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

fn target() -> impl Strategy<Value = Target> {
    let index = any::<Index>;
    let fields = [
        ("crm", "A-1"),
        ("crm", "A-2"),
        ("tax", "1"),
        ("tax", "01"),
        ("tax", "x"),
        ("crm", ""),
    ];
    let field = || select(fields.to_vec());
    prop_oneof![
        4 => Just(Target::Create), 1 => (0..5u8).prop_map(Target::CreateWithId), 6 => index().prop_map(Target::Key),
        6 => index().prop_map(Target::Path), 2 => (index(), index()).prop_map(|(a, b)| Target::PathAndKey(a, b)),
        2 => (0..4u8).prop_map(Target::MatchOnId), 1 => Just(Target::Unknown),
        2 => field().prop_map(|(field, value)| Target::MatchOnField(field, value)),
    ]
}

fn request(way: impl Strategy<Value = Way>) -> impl Strategy<Value = Request> {
    let index = any::<Index>;
    let named = || {
        let (own, foreign) = (index().prop_map(Named::Own), index().prop_map(Named::Foreign));
        prop_oneof![12 => Just(Named::New), 24 => own, 1 => foreign]
    };
    let documents = sent(vec((named(), members(&DOCUMENT, 6)), 0..4), 4);
    let addresses = sent(vec((named(), members(&ADDRESS, 6)), 0..3), 4);
    let singles = vec((index(), index(), 0..20u8), 0..4);
    let wanted = (0..3u8, singles, vec((index(), 0..30u8), 0..3));
    let values = wanted.prop_map(|(stored, singles, groups)| Wanted {
        stored,
        singles,
        groups,
    });
    let role = sent(select(&["firm", "minor", "client", "firm", "minor", "absent"][..]), 12);
    let client = (
        members(&SCALARS, 6),
        role,
        option::weighted(0.4, select(&STATES[..])),
        option::weighted(0.2, 0..6u8),
    );
    let lists = (documents, addresses, sent(values, 4));
    let rest = (
        option::weighted(0.05, 0..4i64),
        option::weighted(0.1, Just(())),
        0..12u8,
    );
    (way, Access::any(), target(), client, lists, rest).prop_map(
        |(way, access, target, (client, role, state, new_id), (documents, addresses, values), rest)| Request {
            way,
            access,
            target,
            client,
            role,
            state,
            new_id,
            documents,
            addresses,
            values,
            expected_version: rest.0,
            validate_only: rest.1.is_some(),
            is_completed: rest.2 > 0,
        },
    )
}

impl Step {
    pub fn any() -> impl Strategy<Value = Self> {
        let way = prop_oneof![
            8 => Just(Way::Post), 8 => Just(Way::Upsert), 5 => Just(Way::Patch), 4 => Just(Way::State),
            3 => Just(Way::PatchValue), 4 => Just(Way::PatchValues), 3 => Just(Way::DeleteValue),
        ];
        let many = vec(request(Just(Way::Upsert)), 0..5);
        let removal = prop_oneof![2 => Just(Removal::Rest), 2 => Just(Removal::Graphql), 1 => Just(Removal::Erasure)];
        prop_oneof![
            35 => request(way).prop_map(Self::One),
            4 => (many, Access::any(), 0..6u8).prop_map(|(many, access, only)| Self::Many(many, access, only == 0)),
            3 => Change::any().prop_map(Self::Define),
            2 => (target(), removal, Access::any()).prop_map(|(target, how, access)| Self::Remove(target, how, access)),
        ]
    }
}
