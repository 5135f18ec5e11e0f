//! The parameters of a GraphQL request, from a JSON body or a query string.

use std::collections::{HashMap, HashSet};

use async_graphql::{PathSegment, Value as ConstValue, Variables};
use axum::{extract::Query, http::Uri};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::{Code, GraphqlError},
    persisted::{DocumentRef, without_prefix},
};
use clientele_core::json_check::{self, DEEPEST, JsonFault, Limits, PathStep, ShownPath};

/// The content of an HTTP request.
pub(crate) enum Requests {
    Single(Params),
    /// A batch, in which each request can be unreadable for itself.
    Batch(Vec<Result<Params, GraphqlError>>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Params {
    pub document: DocumentRef,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    query: Option<String>,
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
    /// As raw text: a `serde_json::Value` would also parse JSON inside of strings, to any depth.
    extensions: Option<Box<RawValue>>,
    document_id: Option<String>,
    /// Relay's name for it.
    #[serde(rename = "doc_id")]
    doc_id: Option<String>,
}

/// The known members of the extensions. Others are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions<'a> {
    #[serde(default, borrow)]
    persisted_query: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery<'a> {
    #[serde(default, borrow)]
    version: Option<&'a RawValue>,
    #[serde(default, borrow)]
    sha256_hash: Option<&'a RawValue>,
}

fn bad(message: &'static str) -> GraphqlError {
    GraphqlError::new(Code::BadRequest, message)
}

/// The longest list that is parsed: twice what any argument or input field accepts, so that a list that is a little too
/// long gets the answer of its field.
const LONGEST_LIST: usize = 2_000;

/// Checks the size of JSON, and that no object has the same member twice.
fn check(json: &str, values: usize) -> Result<(), JsonFault> {
    let list_length = LONGEST_LIST;
    json_check::check(json, Limits { values, list_length })
}

/// Reads the requests of a body of at most `values` values.
pub(crate) fn from_body(body: &[u8], values: usize, allows_batches: bool) -> Result<Requests, GraphqlError> {
    let body = json_check::without_byte_order_mark(body);
    let text = std::str::from_utf8(body).map_err(|_| bad("The body is not UTF-8."))?;
    check(text, values).map_err(|error| refused(error, Vec::new()))?;
    if !(allows_batches && is_batch(text)) {
        return Ok(Requests::Single(single(text)?));
    }
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
    Ok(Requests::Batch(all.into_iter().map(|one| single(one.get())).collect()))
}

/// The error of JSON at this path of the request.
fn refused(error: JsonFault, mut path: Vec<PathStep>) -> GraphqlError {
    match error {
        JsonFault::DuplicateMember(below) => {
            path.extend(below);
            let message = format!(
                "\"{}\" is given twice. Send each member of an object once.",
                ShownPath(&path)
            );
            GraphqlError::new(Code::BadRequest, message).of_input(input_path(path))
        }
        JsonFault::TooManyValues { most } => {
            let message = format!("The request has more than {most} values (graphql.body_values). Send fewer at once.");
            GraphqlError::new(Code::QueryTooComplex, message)
        }
        JsonFault::TooLong { path: below, most } => {
            path.extend(below);
            let message = match path.is_empty() {
                true => format!("The request is a list of more than {most} elements. Send fewer at once."),
                false => format!(
                    "\"{}\" has more than {most} elements. Send fewer at once.",
                    ShownPath(&path)
                ),
            };
            GraphqlError::new(Code::QueryTooComplex, message).of_input(input_path(path))
        }
        JsonFault::TooDeep => {
            let message = format!("The JSON of the request is nested more than {DEEPEST} levels deep.");
            GraphqlError::new(Code::BadRequest, message)
        }
    }
}

/// The path of a wrong value for the error. Inside `variables` it begins with the name of the variable, as for a value
/// of the wrong type.
fn input_path(path: Vec<PathStep>) -> Vec<PathSegment> {
    let is_variables = |step: &PathStep| matches!(step, PathStep::Member(name) if name == "variables");
    let of_request = match path.as_slice() {
        [first, _, ..] if is_variables(first) => 1,
        [PathStep::Element(_), second, _, ..] if is_variables(second) => 2,
        _ => 0,
    };
    let segment = |step| match step {
        PathStep::Member(name) => PathSegment::Field(name),
        PathStep::Element(index) => PathSegment::Index(index),
    };
    path.into_iter().skip(of_request).map(segment).collect()
}

fn is_batch(body: &str) -> bool {
    body.trim_ascii_start().starts_with('[')
}

fn single(body: &str) -> Result<Params, GraphqlError> {
    match serde_json::from_str::<Raw>(body) {
        // serde also reads an array as an object's members in their order.
        Ok(_) if is_batch(body) => Err(bad(SEVERAL)),
        Ok(raw) => complete(raw),
        Err(error) => Err(explain(body, &error)),
    }
}

/// The parameters of a request in a query string.
const PARAMETERS: [&str; 6] = [
    "query",
    "operationName",
    "variables",
    "extensions",
    "documentId",
    "doc_id",
];

const SEVERAL: &str = "Several requests in one body are not supported. Send one JSON object.";

/// The error of a body that serde rejects. serde's own message would quote the body.
fn explain(body: &str, error: &serde_json::Error) -> GraphqlError {
    if !error.is_data() {
        return not_json(error);
    }
    // The member of the wrong type can come before the syntax error.
    if let Err(error) = serde_json::from_str::<&RawValue>(body) {
        return not_json(&error);
    }
    let Ok(members) = serde_json::from_str::<HashMap<String, &RawValue>>(body) else {
        let sentence = if is_batch(body) {
            SEVERAL
        } else {
            "The body must be a JSON object."
        };
        return bad(sentence);
    };
    let types = [
        ("query", '"', "\"query\" must be a string."),
        ("operationName", '"', "\"operationName\" must be a string."),
        ("variables", '{', "\"variables\" must be an object."),
        ("documentId", '"', "\"documentId\" must be a string."),
        ("doc_id", '"', "\"documentId\" must be a string."),
    ];
    let wrong = types.into_iter().find(|(name, first, _)| {
        let value = members.get(*name).map(|value| value.get());
        value.is_some_and(|value| value != "null" && !value.starts_with(*first))
    });
    let message = wrong.map(|(_, _, message)| message);
    bad(message.unwrap_or("A member of the body has a value of another type than it must have."))
}

fn not_json(error: &serde_json::Error) -> GraphqlError {
    // serde_json has no other way to recognize it.
    if error.to_string().starts_with("number out of range") {
        return bad("A number in the body is too large.");
    }
    let (line, column) = (error.line(), error.column());
    let message = format!("The body is not JSON, or nested too deeply: see line {line}, column {column}.");
    GraphqlError::new(Code::BadRequest, message)
}

pub(super) fn from_query(uri: &Uri, values: usize) -> Result<Params, GraphqlError> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(bad("The query string can't be read."));
    };
    let mut raw = Raw::default();
    let mut names = HashSet::new();
    for (name, value) in pairs {
        if PARAMETERS.contains(&name.as_str()) && !names.insert(name.clone()) {
            return Err(refused(
                JsonFault::DuplicateMember(vec![PathStep::Member(name)]),
                Vec::new(),
            ));
        }
        if matches!(name.as_str(), "variables" | "extensions") {
            let refused = |error| refused(error, vec![PathStep::Member(name.clone())]);
            check(&value, values).map_err(refused)?;
        }
        match name.as_str() {
            "query" => raw.query = Some(value),
            "operationName" => raw.operation_name = Some(value).filter(|name| !name.is_empty()),
            "variables" if !value.is_empty() => {
                raw.variables = match serde_json::from_str(&value) {
                    Ok(ConstValue::Null) => Variables::default(),
                    Ok(object @ ConstValue::Object(_)) => Variables::from_value(object),
                    _ => return Err(bad("\"variables\" must be a JSON object.")),
                };
            }
            "extensions" if !value.is_empty() => {
                raw.extensions =
                    serde_json::from_str(&value).map_err(|_| bad("\"extensions\" must be a JSON object."))?;
            }
            "documentId" => raw.document_id = Some(value),
            "doc_id" => raw.doc_id = Some(value),
            _ => {}
        }
    }
    complete(raw)
}

fn complete(raw: Raw) -> Result<Params, GraphqlError> {
    let query = raw.query.filter(|query| !query.is_empty());
    let hash = raw.extensions.as_deref().map(persisted).transpose()?.flatten();
    let document = match (query, raw.document_id.or(raw.doc_id), hash) {
        (Some(text), None, None) => DocumentRef::Text(text),
        (None, Some(id), None) => DocumentRef::Id(id),
        (text, None, Some(hash)) => DocumentRef::Hash { hash, text },
        (None, None, None) => return Err(bad("\"query\" is missing: it must hold a GraphQL document.")),
        _ => {
            return Err(bad(
                "\"documentId\" names the whole document. Send neither \"query\" nor \"persistedQuery\" with it.",
            ));
        }
    };
    Ok(Params {
        document,
        operation_name: raw.operation_name,
        variables: raw.variables,
    })
}

/// The hash that extensions name a document by.
fn persisted(extensions: &RawValue) -> Result<Option<String>, GraphqlError> {
    let extensions: Extensions<'_> = object(extensions).ok_or_else(|| bad("\"extensions\" must be an object."))?;
    let Some(persisted) = extensions.persisted_query else {
        return Ok(None);
    };
    let persisted: Option<PersistedQuery<'_>> = object(persisted);
    let version = persisted.as_ref().and_then(|persisted| persisted.version);
    if version.map(RawValue::get) != Some("1") {
        return Err(bad("\"persistedQuery\" must be of version 1."));
    }
    let hash = persisted.and_then(|persisted| serde_json::from_str::<String>(persisted.sha256_hash?.get()).ok());
    let hash = hash.map(|hash| without_prefix(&hash).to_owned());
    let hash = hash.filter(|hash| hash.len() <= 64);
    hash.map(Some)
        .ok_or_else(|| bad("\"sha256Hash\" must be 64 hexadecimal digits."))
}

/// Reads an object only; serde would also read a list as its members in their order.
fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    let is_object = raw.get().starts_with('{');
    is_object.then(|| serde_json::from_str(raw.get()).ok())?
}
