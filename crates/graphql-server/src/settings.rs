//! Settings: limits, introspection and persisted documents.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Limits and options of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphqlSettings {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// JSON values of a request's body: objects, lists, texts, numbers, booleans and nulls.
    pub body_values: usize,
    /// Tokens of a document: names, values and punctuation, without commas and comments.
    pub tokens: usize,
    /// Directives in a document.
    pub directives: usize,
    /// Levels of fields; fields of the root are level 1.
    pub depth: usize,
    /// Fields with an alias.
    pub aliases: usize,
    /// Fields of the root.
    pub root_fields: usize,
    /// The cost of an operation: each field counts 1, and fields of a page as often as the page has entries.
    pub complexity: usize,
    /// Requests in one body; 1 disables batches.
    pub batch: usize,
    /// True if requests over a limit are reported instead of refused, up to ten times the limit.
    pub observe_only: bool,
    /// Fields of an answer, counted while it is written, because lists multiply them.
    pub answer_fields: usize,
    /// Bytes of memory for parsed documents.
    pub document_cache_bytes: u64,
    /// Callers who may query the schema.
    pub introspection: Introspection,
    /// Bytes of memory for documents registered by callers (Apollo's automatic persisted queries); 0 disables them.
    pub persisted_query_bytes: u64,
    /// The rule for naming documents of the manifest: requests can, must or cannot name them instead of sending them.
    pub trusted_documents: TrustedDocuments,
    /// The manifest: a JSON object of hashes to documents, as graphql-codegen and relay-compiler write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_documents_file: Option<PathBuf>,
    /// Open subscriptions, on all connections. One more displaces the latest one of the caller with the most.
    pub subscriptions: usize,
    /// Limits of single roles, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RoleLimits>,
}

/// Callers who may query the schema, and who get suggestions for misspelt names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Introspection {
    SignedIn,
    Everyone,
    #[serde(rename = "nobody")]
    Off,
}

impl Introspection {
    pub(crate) fn allows(self, signed_in: bool) -> bool {
        match self {
            Self::SignedIn => signed_in,
            Self::Everyone => true,
            Self::Off => false,
        }
    }
}

/// The use of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustedDocuments {
    Off,
    /// Requests can name its documents, or send any other.
    Allow,
    /// Only its documents run.
    Only,
}

/// The limits of one role. A missing limit is the general one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directives: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_fields: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
}

impl Default for GraphqlSettings {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            body_values: 20_000,
            tokens: 20_000,
            directives: 50,
            depth: 20,
            aliases: 50,
            root_fields: 20,
            complexity: 50_000,
            batch: 1,
            observe_only: false,
            answer_fields: 1_000_000,
            document_cache_bytes: 32 * 1024 * 1024,
            introspection: Introspection::SignedIn,
            persisted_query_bytes: 0,
            trusted_documents: TrustedDocuments::Off,
            trusted_documents_file: None,
            subscriptions: 10_000,
            roles: BTreeMap::new(),
        }
    }
}
