//! Permissions: every operation is closed to callers without its permission, and hidden data appears nowhere.

mod branch_grants;
mod branch_walk;
mod branches;
mod fields;
mod guarded;
mod loaded_by_key;
mod order;
mod recipients;
mod sets;
mod values;
mod walk;

use std::collections::BTreeSet;

use clientele::caller::{Limit, Permission, Rights, Sets};
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

/// All permissions but these.
fn without(lacking: &[Permission]) -> Rights {
    let given = Permission::ALL.into_iter();
    Rights::of(given.filter(|permission| !lacking.contains(permission)))
}

/// All permissions, and the right to see and to change these sets only.
fn with_sets(view: &[&str], edit: &[&str]) -> Rights {
    let sets = |ids: &[&str]| Sets::These(ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>());
    Rights {
        view_sets: sets(view),
        edit_sets: sets(edit),
        ..Rights::all()
    }
}

/// All permissions, limited to the clients of these branches.
pub fn in_branches(keys: &[&str]) -> Rights {
    Rights {
        branches: Limit::To(keys.iter().map(|key| (*key).to_owned()).collect()),
        ..Rights::all()
    }
}

/// The codes and paths of an answer's errors.
fn errors(answer: &Answer) -> Value {
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let code_and_path = |error: Value| json!([error["extensions"]["code"], error["path"]]);
    errors.into_iter().map(code_and_path).collect()
}

/// Code and path of every problem that a mutation tells.
fn problems(answer: &Answer, mutation: &str) -> Value {
    let problems = answer.body["data"][mutation]["userErrors"].as_array();
    let problems = problems.unwrap_or_else(|| panic!("no payload: {}", answer.text));
    problems
        .iter()
        .map(|problem| json!([problem["code"], problem["path"]]))
        .collect()
}

const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    created client { clientId customInformation { value linkedKey field { fieldId } } } \
    userErrors { code path message } } }";

async fn upsert(server: &TestServer, input: Value) -> Answer {
    server.graphql(UPSERT, json!({ "input": input })).await
}
