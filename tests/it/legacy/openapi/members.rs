//! The members of the document are those that the code reads and writes, according to its source: the calls that read
//! or write a member name it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{document, resolve};

const ANSWER: &str = include_str!("../../../../src/api/rest/answer.rs");
const CONSTRAINTS: &str = include_str!("../../../../src/api/rest/read/constraints.rs");
const DEFINITIONS: &str = include_str!("../../../../src/api/rest/definitions.rs");
const ERRORS: &str = include_str!("../../../../src/api/rest/errors.rs");
const PARAMETERS: &str = include_str!("../../../../src/api/rest/parameters.rs");
const RECEIPTS: &str = include_str!("../../../../src/api/rest/receipts/read.rs");
const READ: &str = include_str!("../../../../src/api/rest/read.rs");

type Names = BTreeSet<String>;

/// The item of a source that begins with `start`, without white space.
fn item(source: &str, start: &str) -> String {
    let (_, rest) = source
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} isn't there"));
    let end = rest.find("\n}\n").unwrap_or_else(|| panic!("{start} has no end"));
    rest[..end].split_whitespace().collect()
}

/// The texts that are the first argument of these calls.
fn arguments(item: &str, calls: &[&str]) -> Names {
    let mut names = Names::new();
    for call in calls {
        for rest in item.split(&format!("{call}(\"")).skip(1) {
            names.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    names
}

/// The members that a function reads from the object in the variable `of`, by their legacy names.
fn read(source: &str, start: &str, of: &str) -> Names {
    let calls = ["text", "value", "clearable", "object", "list", "values"].map(|call| format!("{of}.{call}"));
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let found = arguments(&item(source, start), &calls);
    found.iter().map(|name| legacy(name)).collect()
}

/// The legacy name of a member, by the table in the source.
fn legacy(name: &str) -> String {
    let table = item(ERRORS, "const NAMES: [(&str, &str); 5] = [");
    let (_, known) = table.split_once(&format!("(\"{name}\",\"")).unwrap_or(("", name));
    known.split('"').next().unwrap_or_default().to_owned()
}

/// The members that are written always, and those that are written if they have a value.
fn written(source: &str, start: &str) -> (Names, Names) {
    let item = item(source, start);
    let of = |call: &str| {
        let calls = [format!("members.{call}"), format!("self.{call}")];
        arguments(&item, &[&calls[0], &calls[1]])
    };
    (of("put"), of("put_some"))
}

fn names(names: &[&str]) -> Names {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn joined(one: Names, other: Names) -> Names {
    one.union(&other).cloned().collect()
}

/// The members of a schema, and those that it requires.
fn described(schema: &Value) -> (Names, Names) {
    let all = schema["properties"].as_object().into_iter().flatten();
    let required = schema["required"].as_array().into_iter().flatten();
    (
        all.map(|(name, _)| name.clone()).collect(),
        required.map(|name| name.as_str().expect("a name").to_owned()).collect(),
    )
}

#[test]
fn document_has_exactly_the_members_of_receipts() {
    let (_, rest) = RECEIPTS.split_once("const MEMBERS: [&str; 6] = [").expect("a list");
    let (list, _) = rest.split_once(']').expect("an end");
    let known = list.split(", ").map(|name| name.trim_matches('"').to_owned());
    let schema = &document()["components"]["schemas"]["Receipt"];
    assert_eq!(described(schema), (known.collect(), names(&["status"])));
}

#[test]
fn document_has_exactly_the_fields_of_callbacks() {
    let function = item(RECEIPTS, "\npub fn of_form(");
    let (_, pairs) = function.split_once("one_of([").expect("the fields with two names");
    let pairs = pairs.split("one_of([").filter_map(|rest| rest.split(']').next());
    let pairs = pairs.flat_map(|pair| pair.split('"').skip(1).step_by(2));
    let known = joined(
        pairs.map(str::to_owned).collect(),
        arguments(&function, &["form.first"]),
    );
    assert_eq!(known.len(), 5, "{known:?}");
    let schema = &document()["components"]["schemas"]["GatewayCallback"];
    assert_eq!(described(schema), (known, names(&[])));
}

#[test]
fn document_has_exactly_the_members_that_requests_are_read_by() {
    let client = joined(
        read(READ, "\nfn client(", "members"),
        joined(
            read(READ, "\nfn client_id(", "client"),
            read(READ, "\nfn client_role(", "client"),
        ),
    );
    let role = read(READ, "\nfn client_role(", "role");
    let value = read(READ, "\nfn custom_value(", "members");
    let without = |names: &Names, removed: &[&str]| -> Names {
        names
            .iter()
            .filter(|name| !removed.contains(&name.as_str()))
            .cloned()
            .collect()
    };
    let constraint = read(CONSTRAINTS, "\nfn constraint(", "members");
    let required = item(CONSTRAINTS, "\nfn constraint(");
    let required: Names = required
        .split("required(&mutmembers,\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(str::to_owned))
        .collect();
    let patched = joined(
        without(&client, &["encodedKey"]),
        read(READ, "\nfn patched(", "members"),
    );
    let expected = [
        ("Submission", read(READ, "\npub fn submission(", "root"), names(&[])),
        ("ClientInput", client, names(&[])),
        ("ClientRoleInput", role.clone(), names(&[])),
        ("ClientRolePatch", role, names(&[])),
        ("Patch", read(READ, "\npub fn patch(", "root"), names(&["client"])),
        ("ClientPatch", patched, names(&[])),
        (
            "IdDocumentInput",
            read(READ, "\nfn id_document(", "members"),
            names(&[]),
        ),
        ("AddressInput", read(READ, "\nfn address(", "members"), names(&[])),
        ("CustomValueInput", value.clone(), names(&[])),
        // The path names the field and its group.
        (
            "SingleValue",
            without(&value, &["customFieldID", "customFieldSetGroupIndex"]),
            names(&[]),
        ),
        // A client there is refused unless it is empty.
        (
            "CustomValueList",
            without(&read(READ, "\npub fn custom_field_values(", "root"), &["client"]),
            names(&["customInformation"]),
        ),
        ("Search", names(&["filterConstraints"]), names(&["filterConstraints"])),
        ("FilterConstraint", joined(constraint, required.clone()), required),
    ];
    let document = document();
    for (name, all, required) in expected {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(described(schema), (all, required), "{name}");
    }
}

#[test]
fn document_has_exactly_the_members_that_answers_have() {
    let of = |source: &str, name: &str| {
        let (always, sometimes) = written(source, &format!("\nimpl Serialize for {name}<'_> {{"));
        (joined(always.clone(), sometimes), always)
    };
    let both = |list: &[&str]| (names(list), names(list));
    let definition = written(ANSWER, "\n    pub fn definition(");
    let definition = (joined(definition.0.clone(), definition.1), definition.0);
    let (all, always) = of(DEFINITIONS, "FullDefinition");
    let full = (joined(all, definition.0.clone()), joined(always, definition.1.clone()));
    let expanded = ["client", "customInformation", "idDocuments", "addresses"];
    let expected = [
        ("Client", of(ANSWER, "Bare")),
        ("DetailedClient", of(ANSWER, "Expanded")),
        ("ExpandedClient", both(&expanded)),
        ("IdDocument", of(ANSWER, "Document")),
        ("Address", of(ANSWER, "Address")),
        ("CustomValue", of(ANSWER, "CustomValue")),
        ("CustomField", definition),
        ("CustomFieldDefinition", full),
        ("CustomFieldSet", of(DEFINITIONS, "Set")),
        ("CustomFieldSetSummary", of(DEFINITIONS, "OwnSet")),
        ("CustomFieldOption", of(DEFINITIONS, "Choice")),
        ("CustomFieldRole", of(DEFINITIONS, "RoleSettings")),
        ("IdDocumentTemplate", of(DEFINITIONS, "Template")),
        ("ClientRole", of(DEFINITIONS, "Role")),
        ("ClientRoleKey", both(&["encodedKey"])),
        ("OptionConstraint", both(&["customFieldKey", "values"])),
        ("Success", both(&["returnCode", "returnStatus"])),
        (
            "Error",
            (
                names(&["returnCode", "returnStatus", "errorSource"]),
                names(&["returnCode", "returnStatus"]),
            ),
        ),
    ];
    let document = document();
    let mut known = names(&["FilterSelection"]);
    for (name, members) in expected {
        known.insert(name.to_owned());
        let schema = &document["components"]["schemas"][name];
        assert_eq!(described(schema), members, "{name}");
        assert!(!members.0.is_empty(), "{name}");
    }
    let (schemas, _) = described(&serde_json::json!({ "properties": document["components"]["schemas"] }));
    let others: Vec<&String> = schemas.difference(&known).collect();
    // The test above knows the others.
    assert!(
        others.iter().all(|name| {
            name.ends_with("Input")
                || name.ends_with("Patch")
                || [
                    "Receipt",
                    "ClientForm",
                    "CustomValueList",
                    "FilterConstraint",
                    "GatewayCallback",
                    "Search",
                    "SingleValue",
                    "Submission",
                ]
                .contains(&name.as_str())
        }),
        "{others:?}"
    );
}

#[test]
fn document_has_exactly_the_parameters_of_lists_and_creation() {
    let document = document();
    let parameters = |path: &str, method: &str| -> Names {
        let parameters = document["paths"][path][method]["parameters"]
            .as_array()
            .expect("parameters");
        let queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
        queries
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let (_, list) = PARAMETERS.split_once("\npub fn list(").expect("a function");
    let (_, list) = list.split_once("match name.as_str() {").expect("its parameters");
    let (list, _) = list.split_once("\n            _ =>").expect("the end");
    let arms = list.lines().filter_map(|line| line.split_once("=>"));
    let mut read: Names = arms
        .flat_map(|(names, _)| names.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    // Without effect, and accepted everywhere.
    assert!(read.remove("appkey"));
    assert_eq!(parameters("/api/clients", "get"), read);
    let of = |start: &str| -> Names {
        let table = item_of_list(start);
        table.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let scalars = joined(
        of("pub const SCALARS: [&str; 16] = ["),
        of("pub const OLD_SPELLINGS: [(&str, &str); 4] = ["),
    );
    assert_eq!(parameters("/api/clients", "post"), scalars);
    let form =
        &document["paths"]["/api/clients"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
    assert_eq!(described(resolve(&document, &form["schema"])).0, scalars);
}

fn item_of_list(start: &str) -> String {
    let (_, rest) = PARAMETERS
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} isn't there"));
    rest.split("];").next().unwrap_or_default().to_owned()
}
