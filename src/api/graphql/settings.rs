//! What an operator decides about the GraphQL door, and which limits hold for whom.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// Each default leaves room for the largest upsert the legacy route allows.
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
    /// Levels of fields below each other; fields of the root are level 1.
    pub depth: usize,
    /// Fields under another name than their own.
    pub aliases: usize,
    /// Fields of the root.
    pub root_fields: usize,
    /// What a document costs: each field counts 1, and those of a connection's page as often as the page has entries.
    pub complexity: usize,
    /// Requests in one body; with 1 a body is one request and nothing else.
    pub batch: usize,
    /// Whether what is over a limit is logged and counted instead of refused, up to ten times the limit.
    pub observe_only: bool,
    /// Fields of the answer, counted while it is written: lists multiply what a document doesn't show.
    pub answer_fields: usize,
    /// Bytes that parsed documents may keep in memory.
    pub document_cache_bytes: u64,
    /// Who may look at the schema.
    pub introspection: Introspection,
    /// Bytes that documents registered by callers (Apollo's automatic persisted queries) may keep in memory; 0: none are.
    pub persisted_query_bytes: u64,
    /// Whether documents of the manifest may, or must, be named instead of sent.
    pub trusted_documents: TrustedDocuments,
    /// The manifest: JSON, hashes to documents, as graphql-codegen and relay-compiler write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_documents_file: Option<PathBuf>,
    /// Other limits for the callers of a role, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RoleLimits>,
}

/// Who may ask the schema about itself, and is told what a misspelt name may have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Introspection {
    SignedIn,
    Everyone,
    Nobody,
}

impl Introspection {
    pub(super) fn allows(self, signed_in: bool) -> bool {
        match self {
            Self::SignedIn => signed_in,
            Self::Everyone => true,
            Self::Nobody => false,
        }
    }
}

/// What the manifest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustedDocuments {
    Off,
    /// Its documents may be named; any other may be sent.
    Allow,
    /// Nothing else is run.
    Only,
}

/// The limits of one role; those that aren't given are the general ones.
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
            roles: BTreeMap::new(),
        }
    }
}

impl GraphqlSettings {
    /// The limits of whoever has no role, or one without limits of its own.
    pub(super) fn general(&self) -> Limits {
        Limits {
            tokens: self.tokens,
            directives: self.directives,
            depth: self.depth,
            aliases: self.aliases,
            root_fields: self.root_fields,
            complexity: self.complexity,
            batch: self.batch,
            body_bytes: self.body_bytes,
        }
    }

    pub(super) fn of_role(&self, role: &RoleLimits) -> Limits {
        let general = self.general();
        Limits {
            tokens: role.tokens.unwrap_or(general.tokens),
            directives: role.directives.unwrap_or(general.directives),
            depth: role.depth.unwrap_or(general.depth),
            aliases: role.aliases.unwrap_or(general.aliases),
            root_fields: role.root_fields.unwrap_or(general.root_fields),
            complexity: role.complexity.unwrap_or(general.complexity),
            batch: role.batch.unwrap_or(general.batch),
            ..general
        }
    }
}
