//! Documents that requests name instead of sending them: registered by callers (Apollo's automatic persisted queries),
//! or from the operator's manifest (trusted documents).

mod manifest;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use moka::sync::Cache;

use crate::{
    error::{Code, GraphqlError},
    settings::TrustedDocuments,
};
pub use manifest::Manifest;

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

/// The text of a document: sent with the request, or stored.
#[derive(Debug, PartialEq, Eq)]
pub enum DocumentText {
    Own(String),
    Kept(Arc<str>),
}

impl AsRef<str> for DocumentText {
    fn as_ref(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Kept(text) => text,
        }
    }
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

    /// The text of a document.
    ///
    /// # Errors
    /// An unknown name, a text with another hash than the one sent, or a text where only the manifest's documents run.
    pub fn text(&self, document: DocumentRef) -> Result<DocumentText, GraphqlError> {
        match document {
            DocumentRef::Text(_) if self.only_trusted => Err(GraphqlError::new(
                Code::Forbidden,
                "This server runs only the documents it knows: name one by \"documentId\".",
            )),
            DocumentRef::Text(text) => Ok(DocumentText::Own(text)),
            DocumentRef::Id(id) => match &self.trusted {
                Some(trusted) => trusted.get(&id).cloned().map(DocumentText::Kept).ok_or_else(not_found),
                None => Err(not_supported()),
            },
            DocumentRef::Hash { hash, text } => self.by_hash(hash.to_ascii_lowercase(), text),
        }
    }

    fn by_hash(&self, hash: String, text: Option<String>) -> Result<DocumentText, GraphqlError> {
        if let Some(known) = self.trusted.as_ref().and_then(|trusted| trusted.get(&hash)) {
            return Ok(DocumentText::Kept(known.clone()));
        }
        match (&self.registered, text) {
            _ if self.only_trusted => Err(not_found()),
            (None, Some(text)) if self.trusted.is_some() => Ok(DocumentText::Own(text)),
            (None, _) => Err(if self.trusted.is_some() {
                not_found()
            } else {
                not_supported()
            }),
            (Some(registered), None) => registered
                .get(hash.as_str())
                .map(DocumentText::Kept)
                .ok_or_else(not_found),
            (Some(registered), Some(text)) => {
                if manifest::sha256(&text) != hash {
                    let message = "\"sha256Hash\" is not the SHA-256 of \"query\".";
                    return Err(GraphqlError::new(Code::BadRequest, message));
                }
                registered.insert(hash.into(), text.as_str().into());
                Ok(DocumentText::Own(text))
            }
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
