//! The operator's manifest of documents, as build tools of client applications write it.

use std::{collections::HashMap, path::Path, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use clientele_core::json_check::{self, JsonFault, Limits, ShownPath};

const PREFIX: &str = "sha256:";

/// Documents by name. The SHA-256 of its text in hexadecimal is a name of each, too.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    documents: HashMap<Box<str>, Arc<str>>,
}

/// An entry in the format of Apollo's tool.
#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

impl Manifest {
    /// # Errors
    /// A sentence, if the file can't be read or isn't a manifest.
    pub fn load(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("can't read graphql.trusted_documents_file {name}: {error}"))?;
        Self::parse(&text).map_err(|reason| format!("graphql.trusted_documents_file {name} {reason}"))
    }

    /// Reads an object of hashes to documents, or a list of Apollo's operations.
    ///
    /// # Errors
    /// The end of a sentence about the text, without any part of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        const NO_MANIFEST: &str = "must be a JSON object of hashes to GraphQL documents";
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match json_check::check(text, Limits::of_values(usize::MAX)) {
            Err(JsonFault::DuplicateMember(path)) => return Err(format!("has {} twice", ShownPath(&path))),
            Err(_) => return Err(NO_MANIFEST.to_owned()),
            Ok(()) => {}
        }
        let members: HashMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|error| match error.is_data() {
                true => NO_MANIFEST.to_owned(),
                false => format!("is not JSON at line {}, column {}", error.line(), error.column()),
            })?;
        let mut documents = HashMap::new();
        let mut add = |id: &str, body: &str| {
            let body: Arc<str> = body.into();
            documents.insert(sha256(&body).into(), body.clone());
            documents.insert(id.strip_prefix(PREFIX).unwrap_or(id).into(), body);
        };
        if let Some(operations) = members.get("operations").filter(|value| value.get().starts_with('[')) {
            let operations: Vec<Operation> =
                serde_json::from_str(operations.get()).map_err(|_| "has an operation without id or body".to_owned())?;
            operations
                .iter()
                .for_each(|operation| add(&operation.id, &operation.body));
        } else {
            for (id, body) in &members {
                add(
                    id,
                    &serde_json::from_str::<String>(body.get()).map_err(|_| NO_MANIFEST)?,
                );
            }
        }
        match documents.is_empty() {
            true => Err("has no documents".to_owned()),
            false => Ok(Self { documents }),
        }
    }

    /// The document of this name, with or without the prefix `sha256:`.
    pub fn get(&self, id: &str) -> Option<&Arc<str>> {
        self.documents.get(id.strip_prefix(PREFIX).unwrap_or(id))
    }

    /// Every name without its prefix.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(AsRef::as_ref)
    }
}

/// In hexadecimal, lower case.
pub(super) fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
