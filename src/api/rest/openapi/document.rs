//! The document: routes, objects and return codes in the form of OpenAPI 3.1.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::{
    Described,
    json::{Json, object},
    meanings::{MEANINGS, Meaning},
    objects::{ERROR, selection_schema},
    operation::{Body, Operation, Parameter},
    schema::{Object, Side},
};
use crate::api::rest::errors::codes::Code;

const JSON: &str = "application/json";
/// The status of a refusal without a body.
const HEAD_TOO_LARGE: &str = "431";

/// The description of the API in the document and on the page.
pub const ABOUT: &str = "Stores and reads the clients of a bank. Accepts and returns the JSON of the legacy service's \
    API v1. `{id}` in a path is a client's id or its `encodedKey`. Each path also works with a slash at its end, \
    except `/api/openapi.json` and `/api/docs`. All answers are JSON. An error is a flat object with the first \
    problem. Unknown members of a JSON body are ignored, except in a receipt, where they are refused. Unknown \
    parameters are refused. Every route accepts `appkey`, `fullDetails`, `offset` and `limit`, also where they have \
    no effect. `x-graphql` names the counterpart in the GraphQL schema.";

pub fn document(routes: &[Described]) -> Json {
    object([
        ("openapi", "3.1.0".into()),
        (
            "info",
            object([
                ("title", "clientele: legacy REST API".into()),
                ("version", env!("CARGO_PKG_VERSION").into()),
                ("description", ABOUT.into()),
                (
                    "license",
                    object([
                        ("name", "MIT or Apache-2.0".into()),
                        ("identifier", "MIT OR Apache-2.0".into()),
                    ]),
                ),
            ]),
        ),
        ("servers", [object([("url", "/".into())])].into_iter().collect()),
        (
            "security",
            ["basic", "bearer", "apiKey"]
                .map(|scheme| object([(scheme, Json::List(Vec::new()))]))
                .into_iter()
                .collect(),
        ),
        ("paths", paths(routes)),
        (
            "components",
            object([
                ("securitySchemes", security_schemes()),
                ("schemas", schemas(routes)),
                ("responses", responses(routes)),
                ("examples", examples()),
            ]),
        ),
    ])
}

fn security_schemes() -> Json {
    let http = |scheme: &str, description: &str| {
        object([
            ("type", "http".into()),
            ("scheme", scheme.into()),
            ("description", description.into()),
        ])
    };
    object([
        ("basic", http("basic", "The name and the password of a user.")),
        (
            "bearer",
            http(
                "bearer",
                "An API token, an access token of a session, or a JWT of the configured issuer.",
            ),
        ),
        (
            "apiKey",
            object([
                ("type", "apiKey".into()),
                ("in", "header".into()),
                ("name", "apiKey".into()),
                ("description", "An API token.".into()),
            ]),
        ),
    ])
}

fn paths(routes: &[Described]) -> Json {
    let mut paths: Vec<(&str, Vec<(String, Json)>)> = Vec::new();
    for route in routes {
        let item = (route.method.as_str().to_ascii_lowercase(), operation(route.operation));
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, items)) => items.push(item),
            None => paths.push((route.path, vec![item])),
        }
    }
    paths
        .into_iter()
        .map(|(path, items)| (path, Json::Object(items)))
        .collect()
}

fn operation(operation: &Operation) -> Json {
    let description = format!("{} {}", operation.description, operation.permission_sentence());
    let described = object([
        ("operationId", operation.id.into()),
        ("summary", operation.summary.into()),
        ("description", description.trim_start().into()),
    ]);
    let described = described.with_text("x-graphql", operation.graphql).with(
        "parameters",
        (operation.parameters)().iter().map(parameter).collect::<Json>(),
    );
    let described = match &operation.body {
        Some(sent) => described.with("requestBody", body(sent)),
        None => described,
    };
    described.with("responses", answers(operation))
}

fn parameter(
    Parameter {
        place,
        member,
        is_deprecated,
    }: &Parameter,
) -> Json {
    let mut described = object([
        ("name", member.name.into()),
        ("in", place.as_str().into()),
        ("description", member.description.into()),
    ]);
    described = described.with_text("x-graphql", member.graphql);
    if member.is_required {
        described = described.with("required", true);
    }
    if *is_deprecated {
        described = described.with("deprecated", true);
    }
    described = described.with("schema", member.kind.schema(Side::Parameter, member.most));
    match member.value() {
        Some(example) => described.with("example", example),
        None => described,
    }
}

fn body(body: &Body) -> Json {
    let sent = object([
        ("schema", body.kind.schema(Side::Request, 0)),
        ("example", body.example()),
    ]);
    let others = body.others.iter().map(|(media_type, kind)| {
        let schema = kind.schema(Side::Parameter, 0);
        (*media_type, object([("schema", schema)]))
    });
    let content = [(JSON, sent)].into_iter().chain(others).collect();
    object([("required", body.is_required.into()), ("content", content)])
}

/// The responses of an operation, by status.
fn answers(operation: &Operation) -> Json {
    let forms = operation
        .answers
        .iter()
        .map(|answer| answer.kind.schema(Side::Answer, 0));
    let forms: Vec<Json> = forms.collect();
    let schema = match <[Json; 1]>::try_from(forms) {
        Ok([only]) => only,
        Err(several) => object([("anyOf", Json::List(several))]),
    };
    let examples = operation.answers.iter().map(|answer| {
        let example = object([("summary", answer.summary.into()), ("value", answer.kind.example())]);
        (answer.name, example)
    });
    let summaries: Vec<&str> = operation.answers.iter().map(|answer| answer.summary).collect();
    let content = object([("schema", schema), ("examples", examples.collect())]);
    let success = object([
        ("description", summaries.join(" ").into()),
        ("content", object([(JSON, content)])),
    ]);
    let refusals = by_status(operation).into_iter().map(|(status, codes)| {
        // Those of one status are many and differ between routes.
        let response = match status {
            StatusCode::BAD_REQUEST => refusal(&codes),
            _ => object([(
                "$ref",
                format!("#/components/responses/{}", response_name(&codes)).into(),
            )]),
        };
        (status.as_str().to_owned(), response)
    });
    let too_large = object([("$ref", format!("#/components/responses/{HEAD_TOO_LARGE}").into())]);
    let all = [("200".to_owned(), success)].into_iter().chain(refusals);
    let mut all: Vec<(String, Json)> = all.chain([(HEAD_TOO_LARGE.to_owned(), too_large)]).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json::Object(all)
}

fn by_status(operation: &Operation) -> BTreeMap<StatusCode, Vec<Code>> {
    let mut codes: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in operation.codes() {
        codes.entry(code.status).or_default().push(code);
    }
    codes
}

/// The response of a refusal with one of these codes, which have one status.
fn refusal(codes: &[Code]) -> Json {
    let meanings = codes.iter().filter_map(|code| Meaning::of(*code));
    let sentences = meanings.map(|Meaning(code, text, _)| format!("{} {}: {text}", code.number, code.name));
    let numbers = codes.iter().map(|code| Json::from(code.number)).collect();
    let schema = ERROR
        .reference()
        .with("properties", object([("returnCode", object([("enum", numbers)]))]));
    let examples = codes.iter().map(|code| {
        let reference = format!("#/components/examples/{}", Meaning::name(*code));
        (code.number.to_string(), object([("$ref", reference.into())]))
    });
    let content = object([("schema", schema), ("examples", examples.collect())]);
    object([
        ("description", sentences.collect::<Vec<_>>().join("; ").into()),
        ("content", object([(JSON, content)])),
    ])
}

/// The name of a response in the components: its status and its codes.
fn response_name(codes: &[Code]) -> String {
    let status = codes.first().map_or("", |code| code.status.as_str());
    let numbers = codes.iter().map(|code| format!("-{}", code.number));
    format!("{status}{}", numbers.collect::<String>())
}

fn responses(routes: &[Described]) -> Json {
    let mut responses = BTreeMap::new();
    for codes in routes.iter().flat_map(|route| by_status(route.operation).into_values()) {
        if codes.iter().all(|code| code.status != StatusCode::BAD_REQUEST) {
            responses
                .entry(response_name(&codes))
                .or_insert_with(|| refusal(&codes));
        }
    }
    // The HTTP server refuses such a request before it knows what it is for.
    let too_large = "The head of the request is too large. The answer has no body.";
    responses.insert(HEAD_TOO_LARGE.to_owned(), object([("description", too_large.into())]));
    responses.into_iter().collect()
}

fn examples() -> Json {
    let example = |meaning: &Meaning| {
        let summary = format!("{} {}", meaning.0.number, meaning.0.name);
        let example = object([
            ("summary", summary.into()),
            ("description", meaning.1.into()),
            ("value", meaning.body()),
        ]);
        (Meaning::name(meaning.0), example)
    };
    MEANINGS.iter().map(example).collect()
}

/// All objects of requests and answers, in the order of their first use.
pub fn objects(routes: &[Described]) -> Vec<&'static Object> {
    let mut found = Vec::new();
    for Operation { body, answers, .. } in routes.iter().map(|route| route.operation) {
        let kinds = body.iter().flat_map(Body::kinds);
        for kind in kinds.chain(answers.iter().map(|answer| answer.kind)) {
            kind.collect(&mut found);
        }
    }
    ERROR.collect(&mut found);
    found
}

fn schemas(routes: &[Described]) -> Json {
    let objects = objects(routes).into_iter().map(|object| (object.name, object.schema()));
    objects.chain([("FilterSelection", selection_schema())]).collect()
}
