//! Documents that requests name instead of sending them: registered by callers (Apollo's automatic persisted queries),
//! or from the operator's manifest (trusted documents).

#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path, sync::Arc};

use moka::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::{Code, GraphqlError},
    settings::TrustedDocuments,
};
use clientele_core::json_check::{self, JsonFault, Limits, ShownPath};

/// The reference to a document in a request.
#[derive(Debug, PartialEq, Eq)]
pub enum DocumentRef {
    Text(String),
    /// By `documentId` or `doc_id`.
    Id(String),
    /// By `extensions.persistedQuery.sha256Hash`; with the text, the document is registered.
    Hash {
        hash: String,
        text: Option<String>,
    },
}

/// The documents that requests can name, and whether other documents are accepted.
#[derive(Debug, Clone, Default)]
pub struct Persisted {
    /// By hash in lower case.
    registered: Option<Cache<Arc<str>, Arc<str>>>,
    trusted: Option<Arc<Manifest>>,
    only_trusted: bool,
}

impl Persisted {
    /// `bytes` is the memory for registered documents; 0 disables registration.
    pub fn automatic(bytes: u64) -> Self {
        let weigh = |hash: &Arc<str>, text: &Arc<str>| u32::try_from(hash.len() + text.len() + 128).unwrap_or(u32::MAX);
        let registered = (bytes > 0).then(|| Cache::builder().max_capacity(bytes).weigher(weigh).build());
        Self {
            registered,
            ..Self::default()
        }
    }

    /// Adds the documents of a manifest.
    #[must_use]
    pub fn trusting(self, manifest: Manifest, mode: TrustedDocuments) -> Self {
        Self {
            trusted: (mode != TrustedDocuments::Off).then(|| Arc::new(manifest)),
            only_trusted: mode == TrustedDocuments::Only,
            ..self
        }
    }

    /// The text of a document. Registers it only if `registers` is true.
    ///
    /// # Errors
    /// An unknown name, a text with another hash than the one sent, or a text where only the manifest's documents run.
    pub fn text(&self, document: DocumentRef, registers: bool) -> Result<Arc<str>, GraphqlError> {
        match document {
            DocumentRef::Text(_) if self.only_trusted => Err(GraphqlError::new(
                Code::Forbidden,
                "This server runs only the documents it knows: name one by \"documentId\".",
            )),
            DocumentRef::Text(text) => Ok(text.into()),
            DocumentRef::Id(id) => match &self.trusted {
                Some(trusted) => trusted.get(&id).cloned().ok_or_else(not_found),
                None => Err(not_supported()),
            },
            DocumentRef::Hash { hash, text } => self.by_hash(hash.to_ascii_lowercase(), text, registers),
        }
    }

    fn by_hash(&self, hash: String, text: Option<String>, registers: bool) -> Result<Arc<str>, GraphqlError> {
        if let Some(known) = self.trusted.as_ref().and_then(|trusted| trusted.get(&hash)) {
            return Ok(known.clone());
        }
        match (&self.registered, text) {
            _ if self.only_trusted => Err(self.unknown_hash()),
            (None, Some(text)) if self.trusted.is_some() => Ok(text.into()),
            (None, _) => Err(self.unknown_hash()),
            (Some(registered), None) => registered.get(hash.as_str()).ok_or_else(|| self.unknown_hash()),
            (Some(registered), Some(text)) => {
                if sha256(&text) != hash {
                    let message = "\"sha256Hash\" is not the SHA-256 of \"query\".";
                    return Err(GraphqlError::new(Code::BadRequest, message));
                }
                let text: Arc<str> = text.into();
                if registers {
                    registered.insert(hash.into(), text.clone());
                }
                Ok(text)
            }
        }
    }

    /// The error for a hash that no document has.
    pub fn unknown_hash(&self) -> GraphqlError {
        match (&self.registered, &self.trusted) {
            (None, None) => not_supported(),
            (_, _) => not_found(),
        }
    }

    /// The memory of registered documents, in bytes.
    #[cfg(test)]
    fn registered_bytes(&self) -> u64 {
        self.registered.as_ref().map_or(0, |registered| {
            registered.run_pending_tasks();
            registered.weighted_size()
        })
    }
}

/// Clients of Apollo's protocol compare exactly these messages, and then send the document itself.
fn not_found() -> GraphqlError {
    GraphqlError::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound")
}

fn not_supported() -> GraphqlError {
    GraphqlError::new(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported")
}

/// The name of a document without `sha256:`, which tools may write before a hash.
pub fn without_prefix(name: &str) -> &str {
    name.strip_prefix("sha256:").unwrap_or(name)
}

/// The operator's manifest of documents by name, as build tools of client applications write it. The
/// SHA-256 of its text in hexadecimal is a name of each, too.
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
            documents.insert(without_prefix(id).into(), body);
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
        self.documents.get(without_prefix(id))
    }

    /// Every name without its prefix.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(AsRef::as_ref)
    }
}

/// In hexadecimal, lower case.
fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
