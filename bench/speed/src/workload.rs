//! The requests of the workloads, and what their answers must contain.

use std::sync::atomic::{AtomicU32, Ordering};

use hyper::StatusCode;
use memchr::memmem;
use serde_json::{Value, json};

use crate::http::Call;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    R1,
    R2,
    R3,
    W1,
    W2,
    C1,
    L1,
    L2,
    S1,
    /// The first clients by name.
    P1,
    /// Those in the middle of the list by name.
    P2,
}

/// Those of `load`. Those that change what others read come last.
pub const ALL: [Workload; 9] = {
    use Workload::*;
    [R3, R1, R2, L2, S1, W2, W1, C1, L1]
};
/// Those of `growth`: their cost should not depend on the number of clients.
pub const GROWTH: [Workload; 6] = {
    use Workload::*;
    [R3, R1, P1, P2, S1, W1]
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    Clientele,
    Ceiling,
}

const EVERYTHING: &str = "id encodedKey clientId state firstName middleName lastName fullName birthDate gender \
    emailAddress homePhone mobilePhone1 mobilePhone2 preferredLanguage notes assignedBranchKey assignedCentreKey \
    assignedUserKey createdAt approvedAt activatedAt closedAt mergedIntoKey updatedAt version clientRole{name} \
    addresses{encodedKey line1 line2 city region postcode country latitude longitude} \
    idDocuments{encodedKey documentType documentId issuingAuthority validUntil} \
    customInformation{value field{fieldId name}}";
const NAMES: [&str; 12] = [
    "Ada", "Bela", "Chidi", "Dana", "Elif", "Femi", "Goran", "Hana", "Ines", "Jonas", "Kaya", "Luis",
];
const LAST_NAMES: [&str; 12] = [
    "Adeyemi", "Bakker", "Costa", "Dvorak", "Eriksen", "Fofana", "Garcia", "Haddad", "Ivanova", "Jansen", "Kim",
    "Lindt",
];

/// The texts that an answer must contain, with their numbers.
pub struct Expected(Vec<(String, usize)>);

impl Expected {
    /// Returns an error that shows the answer if it isn't as expected.
    pub fn check(&self, status: StatusCode, body: &[u8]) -> Result<(), String> {
        let count = |text: &str| memmem::find_iter(body, text).count();
        let is_right = status == StatusCode::OK
            && count("\"errors\"") == 0
            && self.0.iter().all(|(text, number)| count(text) == *number);
        is_right.then_some(()).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&body[..body.len().min(500)]);
            format!("wrong answer: {status} {shown}; expected {:?}", self.0)
        })
    }
}

pub fn client_id(number: u32) -> String {
    format!("SEED{number:08}")
}

fn graphql(query: &str, variables: &Value) -> Call {
    Call::post(
        "/graphql",
        json!({ "query": query, "variables": variables }).to_string(),
    )
}

/// Reads a client with everything.
pub fn one(target: Target, id: &str) -> Call {
    match target {
        Target::Clientele => graphql(
            &format!("query($id:String!){{client(by:{{clientId:$id}}){{{EVERYTHING}}}}}"),
            &json!({ "id": id }),
        ),
        Target::Ceiling => Call::get(format!("/R1/{id}")),
    }
}

pub fn search(text: &str) -> Call {
    let query = "query($text:String!){clients(first:20,search:$text){nodes{clientId fullName emailAddress}}}";
    graphql(query, &json!({ "text": text }))
}

const BY_NAME: &str = "orderBy:{field:NAME}";

/// A client in the middle of the list by name: the first with the seventh of the last names, see `clientele seed`.
pub fn middle(clients: u32) -> u32 {
    clients / 2 / 144 * 144 + 6 * 12
}

/// The cursor of an invented client in the list by name.
pub fn cursor(number: u32) -> Call {
    let query = format!(
        "query($address:String!){{clients(first:1,{BY_NAME},filter:{{emailAddress:$address}}){{edges{{cursor}}}}}}"
    );
    graphql(&query, &json!({ "address": format!("client{number}@example.test") }))
}

/// Fifty clients by name.
fn page(after: Option<&str>) -> (Call, Vec<(String, usize)>) {
    let query = format!(
        "query($after:String){{clients(first:50,{BY_NAME},after:$after){{nodes{{clientId fullName emailAddress}} pageInfo{{endCursor}}}}}}"
    );
    (
        graphql(&query, &json!({ "after": after })),
        vec![("\"clientId\":".to_owned(), 50)],
    )
}

fn upsert(selected: &str, input: &Value) -> Call {
    let query = format!("mutation($input:UpsertClientInput!){{upsertClient(input:$input){{{selected}}}}}");
    graphql(&query, &json!({ "input": input }))
}

/// The data that requests are made of.
pub struct Data {
    /// The number of invented clients.
    pub clients: u32,
    /// Inputs that repeat stored clients, with their versions.
    pub unchanged: Vec<(Value, i64)>,
    /// The cursor of a client in the middle of the list by name.
    pub middle: String,
    /// Makes every change different.
    serial: AtomicU32,
}

impl Data {
    pub fn new(clients: u32) -> Self {
        Self {
            clients,
            unchanged: Vec::new(),
            middle: String::new(),
            serial: AtomicU32::new(0),
        }
    }

    /// Adds the input that repeats this stored client, as read by [`one`].
    pub fn repeat(&mut self, answer: &Value) {
        let mut stored = answer["data"]["client"].clone();
        let version = stored["version"].as_i64().unwrap_or_default();
        let mut take = |name: &str| stored[name].take();
        let values = take("customInformation");
        let values = values.as_array().into_iter().flatten();
        let values: Vec<Value> = values
            .map(|value| json!({ "fieldId": value["field"]["fieldId"], "value": value["value"] }))
            .collect();
        let [addresses, documents] = ["addresses", "idDocuments"].map(&mut take);
        let mut client = serde_json::Map::new();
        for name in [
            "clientId",
            "firstName",
            "middleName",
            "lastName",
            "birthDate",
            "gender",
            "emailAddress",
            "homePhone",
            "mobilePhone1",
            "mobilePhone2",
            "preferredLanguage",
            "notes",
            "assignedBranchKey",
        ] {
            client.insert(name.to_owned(), take(name));
        }
        let input = json!({ "matchOn": "CLIENT_ID", "client": client, "addresses": addresses,
            "idDocuments": documents, "customInformation": values });
        self.unchanged.push((input, version));
    }

    /// A request. `random` chooses the client.
    pub fn exchange(&self, workload: Workload, target: Target, random: u64) -> (Call, Expected) {
        let mut number = (random % u64::from(self.clients)) as u32;
        if matches!(workload, Workload::R3 | Workload::S1) {
            number = self.unchanged_client(random);
        }
        let id = client_id(number);
        let (call, expected): (Call, Vec<(String, usize)>) = match workload {
            Workload::R1 => (
                one(target, &id),
                vec![(format!("\"clientId\":\"{id}\""), 1), ("\"fieldId\":".to_owned(), 5)],
            ),
            Workload::R2 => {
                let call = match target {
                    Target::Clientele => {
                        graphql(&format!("{{clients(first:50){{nodes{{{EVERYTHING}}}}}}}"), &json!({}))
                    }
                    Target::Ceiling => Call::get("/R2"),
                };
                (
                    call,
                    vec![("\"clientId\":".to_owned(), 50), ("\"fieldId\":".to_owned(), 250)],
                )
            }
            Workload::R3 => {
                let query = "query($id:String!){client(by:{clientId:$id}){firstName lastName emailAddress}}";
                let call = match target {
                    Target::Clientele => graphql(query, &json!({ "id": id })),
                    Target::Ceiling => Call::get(format!("/R3/{id}")),
                };
                (
                    call,
                    vec![(format!("\"emailAddress\":\"client{number}@example.test\""), 1)],
                )
            }
            Workload::W1 => self.change(target, number),
            Workload::W2 => {
                let (input, version) = &self.unchanged[random as usize % self.unchanged.len()];
                let expected = [format!("\"version\":{version}}}"), "\"userErrors\":[]".to_owned()];
                (
                    upsert("client{clientId version} userErrors{code}", input),
                    expected.map(|text| (text, 1)).to_vec(),
                )
            }
            Workload::C1 => self.create(),
            Workload::L1 => self.create_by_rest(),
            Workload::L2 => {
                let expected = vec![(format!("\"id\":\"{id}\""), 1), ("\"customFieldID\":".to_owned(), 5)];
                (Call::get(format!("/api/clients/{id}?fullDetails=true")), expected)
            }
            Workload::P1 => page(None),
            Workload::P2 => page(Some(&self.middle)),
            Workload::S1 => {
                // First and last name of the client, see `clientele seed`.
                let name = |from: [&'static str; 12], at: u32| from[at as usize % 12];
                let last = format!("{}{}", name(LAST_NAMES, number / 12), number / 144);
                let text = format!("{} {last}", name(NAMES, number).to_lowercase());
                (search(&text), vec![(format!("\"clientId\":\"{id}\""), 1)])
            }
        };
        (call, Expected(expected))
    }

    /// A client that [`Self::change`] never changes on a server of clientele.
    pub fn unchanged_client(&self, random: u64) -> u32 {
        (random % u64::from(self.clients / 2)) as u32 * 2 + 1
    }

    fn next(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes all collections. Each server changes clients of its own, so that both change as many.
    fn change(&self, target: Target, number: u32) -> (Call, Vec<(String, usize)>) {
        let number = (number & !1 | u32::from(target == Target::Ceiling)).min(self.clients - 1);
        let serial = self.next();
        let (id, [first, last]) = (
            client_id(number),
            ["First", "Last"].map(|name| format!("{name}{serial}")),
        );
        let client = json!({ "clientId": id, "firstName": first, "lastName": last });
        let mut input = json!({ "matchOn": "CLIENT_ID", "client": client });
        for (name, list) in lists(serial, "fieldId") {
            input[name] = list;
        }
        let call = match target {
            Target::Clientele => upsert(&format!("client{{{EVERYTHING}}} userErrors{{code}}"), &input),
            Target::Ceiling => Call::post("/W1", input.to_string()),
        };
        let mut expected = vec![(format!("\"clientId\":\"{id}\""), 1)];
        expected.extend(written(serial));
        expected.push(("\"userErrors\":[]".to_owned(), 1));
        (call, expected)
    }

    fn create(&self) -> (Call, Vec<(String, usize)>) {
        let serial = self.next();
        let mut input = json!({ "client": own(serial) });
        for (name, list) in lists(serial, "fieldId") {
            input[name] = list;
        }
        let mut expected = written(serial);
        expected.push(("\"created\":true".to_owned(), 1));
        (
            upsert(&format!("created client{{{EVERYTHING}}} userErrors{{code}}"), &input),
            expected,
        )
    }

    fn create_by_rest(&self) -> (Call, Vec<(String, usize)>) {
        let serial = self.next();
        let mut input = json!({ "client": own(serial) });
        for (name, list) in lists(serial, "customFieldID") {
            input[name] = list;
        }
        (Call::post("/api/clients", input.to_string()), written(serial))
    }
}

/// A new client's own members.
fn own(serial: u32) -> Value {
    json!({ "firstName": "New", "lastName": format!("Client{serial}"), "birthDate": "1990-04-17", "gender": "FEMALE",
        "emailAddress": format!("new{serial}@example.test"), "mobilePhone1": format!("+1557{serial:07}") })
}

/// The collections of a client: an address, two documents, five custom field values.
fn lists(serial: u32, field: &str) -> [(&'static str, Value); 3] {
    let value = |id: &str, value: String| json!({ field: id, "value": value });
    let option = |options: &[&str]| options[serial as usize % options.len()].to_owned();
    [
        (
            "addresses",
            json!([{ "line1": format!("{serial} Test Lane"), "city": "Exampleton" }]),
        ),
        (
            "idDocuments",
            json!([{ "documentType": "Passport", "documentId": format!("PASS{serial}") },
                { "documentType": "Licence", "documentId": format!("LIC{serial}") }]),
        ),
        (
            "customInformation",
            json!([
                value("seed_risk", option(&["LOW", "MEDIUM", "HIGH"])),
                value("seed_income", serial.to_string()),
                value("seed_checked", option(&["TRUE", "FALSE"])),
                value(
                    "seed_since",
                    format!("20{:02}-0{}-1{}", serial % 24, serial % 9 + 1, serial % 10)
                ),
                value("seed_remark", format!("Changed {serial}")),
            ]),
        ),
    ]
}

/// Texts in the answer to a request with these lists.
fn written(serial: u32) -> Vec<(String, usize)> {
    let texts = [
        format!("\"line1\":\"{serial} Test Lane\""),
        format!("\"documentId\":\"PASS{serial}\""),
        format!("\"documentId\":\"LIC{serial}\""),
        format!("\"value\":\"{serial}\""),
        format!("\"value\":\"Changed {serial}\""),
    ];
    texts.map(|text| (text, 1)).to_vec()
}
