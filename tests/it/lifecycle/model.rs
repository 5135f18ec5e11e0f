//! Random lives of a few clients through both APIs, compared with a small model: creation, PATCH of members, ids and
//! states, changes of state, links, deletion and erasure. At last the clients are copied by an export.

use std::collections::BTreeMap;

use clientele::{client::Transition, definitions::Kind};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{STATES, change, patch};
use crate::{
    audit::{KeptVersions, assert_replayed, findings},
    cli::assert_copied,
    harness::{Answer, Backend, Settings, TestServer, field},
};

const CASES: u32 = 12;
const LONGEST: usize = 30;
const IDS: [&str; 4] = ["a", "b", "c", "d"];
const NAMES: [&str; 3] = ["Ana", "Bo", ""];

/// One request. Clients are named by their ids.
#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    /// POST of a name.
    Edit(&'static str, &'static str),
    Patch {
        id: &'static str,
        name: Option<&'static str>,
        state: Option<&'static str>,
        new_id: Option<&'static str>,
    },
    ChangeState(&'static str, &'static str),
    /// A link from one client to another.
    Link(&'static str, &'static str),
    /// By REST, or by GraphQL.
    Delete(&'static str, bool),
    Erase(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || select(&IDS[..]);
    let state = || select(STATES.map(|state| state.as_str()).to_vec());
    let patched = (
        id(),
        option::of(select(&NAMES[..])),
        option::of(state()),
        option::weighted(0.3, id()),
    );
    prop_oneof![
        5 => id().prop_map(Step::Create),
        2 => (id(), select(&NAMES[..])).prop_map(|(id, name)| Step::Edit(id, name)),
        5 => patched.prop_map(|(id, name, state, new_id)| Step::Patch { id, name, state, new_id }),
        5 => (id(), state()).prop_map(|(id, state)| Step::ChangeState(id, state)),
        2 => (id(), id()).prop_map(|(from, to)| Step::Link(from, to)),
        2 => (id(), any::<bool>()).prop_map(|(id, rest)| Step::Delete(id, rest)),
        1 => id().prop_map(Step::Erase),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Client {
    key: String,
    name: &'static str,
    state: &'static str,
    version: i64,
    link: Option<String>,
}

type Model = BTreeMap<&'static str, Client>;

/// The return code of the REST API, or the code of the first user error; 0 and none are success.
#[derive(Debug, PartialEq)]
enum Code {
    Rest(i64),
    Graphql(Option<&'static str>),
}

/// Changes the model. Returns the expected code of the answer.
fn judge(model: &mut Model, step: &Step) -> Code {
    match *step {
        Step::Create(id) => match model.contains_key(id) {
            true => Code::Rest(316),
            false => {
                let client = Client {
                    key: String::new(),
                    name: "Ana",
                    state: "INACTIVE",
                    version: 1,
                    link: None,
                };
                model.insert(id, client);
                Code::Rest(0)
            }
        },
        Step::Edit(id, name) => Code::Rest(patched(model, id, Some(name), None, None)),
        Step::Patch {
            id,
            name,
            state,
            new_id,
        } => Code::Rest(patched(model, id, name, state, new_id)),
        Step::ChangeState(id, state) => Code::Graphql(match patched(model, id, None, Some(state), None) {
            0 => None,
            312 => Some("INVALID_TRANSITION"),
            _ => Some("NOT_FOUND"),
        }),
        Step::Link(from, to) => {
            let target = model.get(to).map(|client| client.key.clone());
            let Some(client) = model.get_mut(from) else {
                return Code::Rest(301);
            };
            let is_same = target.is_some() && client.link == target;
            match (target, client.state) {
                (_, "BLACKLISTED") if !is_same => Code::Rest(3741),
                (None, _) => Code::Rest(911),
                (target, _) => {
                    client.version += i64::from(!is_same);
                    client.link = target;
                    Code::Rest(0)
                }
            }
        }
        Step::Delete(id, rest) => {
            let answer = |code, name| if rest { Code::Rest(code) } else { Code::Graphql(name) };
            let Some(client) = model.get(id) else {
                return answer(301, Some("NOT_FOUND"));
            };
            let mut others = model.iter().filter(|(other, _)| **other != id);
            if others.any(|(_, other)| other.link.as_ref() == Some(&client.key)) {
                return answer(927, Some("STILL_LINKED"));
            }
            model.remove(id);
            answer(0, None)
        }
        Step::Erase(id) => Code::Graphql(model.remove(id).is_none().then_some("NOT_FOUND")),
    }
}

/// Changes members of a client, all or none.
fn patched(
    model: &mut Model,
    id: &'static str,
    name: Option<&'static str>,
    state: Option<&'static str>,
    new_id: Option<&'static str>,
) -> i64 {
    let Some(client) = model.get(id) else {
        return 301;
    };
    let new_id = new_id.filter(|new_id| *new_id != id);
    let new_name = name.filter(|name| *name != client.name);
    let new_state = state.filter(|state| *state != client.state);
    if client.state == "BLACKLISTED" && (new_name.is_some() || new_id.is_some()) {
        return 3741;
    }
    // The order of the members of one section is that of the domain.
    if new_state.is_some_and(|state| Transition::between(client.state, state).is_none()) {
        return 312;
    }
    if new_name == Some("") {
        return 4;
    }
    if new_id.is_some_and(|new_id| model.contains_key(new_id)) {
        return 316;
    }
    let is_changed = new_id.is_some() || new_name.is_some() || new_state.is_some();
    let Some(mut client) = model.remove(id) else {
        return 301;
    };
    client.version += i64::from(is_changed);
    client.name = new_name.unwrap_or(client.name);
    client.state = new_state.unwrap_or(client.state);
    model.insert(new_id.unwrap_or(id), client);
    0
}

async fn send(server: &TestServer, model: &Model, step: &Step) -> Answer {
    let mutation = async |name: &str, id: &str| {
        let input = format!("{{ by: {{ clientId: \"{id}\" }} }}");
        let query = format!("mutation {{ {name}(input: {input}) {{ clientMutationId userErrors {{ code }} }} }}");
        server.graphql(&query, json!({})).await
    };
    match *step {
        Step::Create(id) => {
            let client = json!({ "id": id, "firstName": "Ana", "lastName": "Cruz" });
            server.post("/api/clients", json!({ "client": client })).await
        }
        Step::Edit(id, name) => {
            let body = json!({ "client": { "firstName": name } });
            server.post(&format!("/api/clients/{id}"), body).await
        }
        Step::Patch {
            id,
            name,
            state,
            new_id,
        } => patch(server, id, json!({ "firstName": name, "state": state, "id": new_id })).await,
        Step::ChangeState(id, state) => change(server, json!({ "by": { "clientId": id }, "state": state })).await,
        Step::Link(from, to) => {
            let key = model.get(to).map_or("absent", |client| &client.key);
            let value = json!({ "customFieldID": "boss", "linkedEntityKeyValue": key });
            let body = json!({ "customInformation": [value] });
            server.post(&format!("/api/clients/{from}"), body).await
        }
        Step::Delete(id, true) => {
            let request = server.request(Method::DELETE, &format!("/api/clients/{id}"));
            server.send(request).await
        }
        Step::Delete(id, false) => mutation("deleteClient", id).await,
        Step::Erase(id) => mutation("eraseClient", id).await,
    }
}

fn assert_code(answer: &Answer, expected: &Code, step: &Step) {
    match expected {
        Code::Rest(code) => {
            let found = answer.body["returnCode"].as_i64().unwrap_or_default();
            assert_eq!(found, *code, "{step:?}: {}", answer.text);
        }
        Code::Graphql(code) => {
            let payload = answer.body["data"].as_object().and_then(|data| data.values().next());
            let errors = payload.and_then(|payload| payload["userErrors"].as_array());
            let errors = errors.unwrap_or_else(|| panic!("{step:?}: {}", answer.text));
            let found = errors.first().and_then(|error| error["code"].as_str());
            assert_eq!(found, *code, "{step:?}: {}", answer.text);
        }
    }
}

const READ: &str = "{ clients { nodes { clientId encodedKey firstName state version closedAt approvedAt
    customInformation { linkedKey } } } }";

/// Compares all stored clients with the model, and learns the keys of new ones.
async fn assert_stored(server: &TestServer, model: &mut Model) {
    let answer = server.graphql(READ, json!({})).await;
    let answer: Value = serde_json::from_str(&answer.text).expect("JSON");
    let nodes = answer["data"]["clients"]["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), model.len(), "{answer:#}");
    for node in nodes {
        let id = node["clientId"].as_str().expect("an id");
        let client = model.get_mut(id).unwrap_or_else(|| panic!("{id}: {answer:#}"));
        let key = node["encodedKey"].as_str().expect("a key");
        if client.key.is_empty() {
            key.clone_into(&mut client.key);
        }
        let found = (
            key,
            node["firstName"].as_str().expect("a name"),
            node["state"].as_str().expect("a state"),
            node["version"].as_i64().expect("a number"),
            node["customInformation"][0]["linkedKey"].as_str(),
        );
        let Client {
            key,
            name,
            state,
            version,
            link,
        } = &*client;
        assert_eq!(found, (key.as_str(), *name, *state, *version, link.as_deref()));
        assert_eq!(
            node["closedAt"].is_string(),
            ["EXITED", "BLACKLISTED"].contains(state),
            "{node}"
        );
        if ["INACTIVE", "ACTIVE"].contains(state) {
            assert!(node["approvedAt"].is_string(), "{node}");
        }
    }
}

async fn run(backend: Backend, steps: &[Step]) {
    let Some(server) = TestServer::start(backend, Settings::default()).await else {
        return;
    };
    server.define(vec![field("boss", Kind::ClientLink)]).await;
    let (mut model, mut versions) = (Model::new(), KeptVersions::default());
    for step in steps {
        let (before, stored) = (model.clone(), server.snapshot().await);
        let answer = send(&server, &model, step).await;
        let expected = judge(&mut model, step);
        assert_code(&answer, &expected, step);
        if model == before {
            assert_eq!(
                server.snapshot().await,
                stored,
                "{step:?}: what changes nothing writes nothing"
            );
        }
        assert_stored(&server, &mut model).await;
        versions.keep(&server).await;
    }
    assert_replayed(&server).await;
    assert_eq!(findings(&server).await, [""; 0]);
    assert_copied(&server).await;
    // Alters records, to be read in either direction.
    versions.assert_found(&server).await;
    server.stop().await;
}

fn property(backend: Backend) {
    let cases = std::env::var("TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        rng_seed: if cases.is_some() {
            RngSeed::Random
        } else {
            RngSeed::Fixed(2)
        },
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let outcome = TestRunner::new(config).run(&vec(step(), 1..=LONGEST), |steps| {
        // On its own task, so that a failed assertion becomes a failed case, which proptest shrinks.
        let task = runtime.spawn(async move { run(backend, &steps).await });
        runtime.block_on(task).map_err(|failure| {
            let message = failure.into_panic().downcast::<String>();
            TestCaseError::fail(message.map_or_else(|_| "the case panicked".to_owned(), |message| *message))
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

mod random_lives_follow_the_model {
    use super::{Backend, property};

    #[test]
    fn sqlite() {
        property(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        property(Backend::Postgres);
    }
}
