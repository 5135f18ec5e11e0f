//! Validates the settings of the GraphQL API, and the allowed origins of both APIs.

use axum::http::HeaderValue;
use graphql_server::settings::{GraphqlSettings, TrustedDocuments};

use super::{ConfigError, require};
use crate::api::cors::{self, CorsSettings};

pub(super) fn check(graphql: &GraphqlSettings, cors: &CorsSettings) -> Result<(), ConfigError> {
    let trusting = graphql.trusted_documents != TrustedDocuments::Off;
    require(trusting == graphql.trusted_documents_file.is_some(), || {
        "graphql.trusted_documents and graphql.trusted_documents_file need each other".to_owned()
    })?;
    let only = graphql.trusted_documents == TrustedDocuments::Only;
    require(!only || graphql.persisted_query_bytes == 0, || {
        "graphql.persisted_query_bytes must be 0 where graphql.trusted_documents is only".to_owned()
    })?;
    require(graphql.batch >= 1, || "graphql.batch must be at least 1".to_owned())?;
    for origin in &cors.allowed_origins {
        require(HeaderValue::from_str(origin).is_ok() && cors::is_origin(origin), || {
            "cors.allowed_origins must be origins, as in https://app.bank.test or http://localhost:5173".to_owned()
        })?;
    }
    for name in &cors.allowed_headers {
        require(cors::header_name(name).is_some(), || {
            "cors.allowed_headers must be names of headers, as in x-request-id: list each one, as * is not supported"
                .to_owned()
        })?;
    }
    require(cors.max_age_seconds <= 86_400, || {
        "cors.max_age_seconds must be between 0 and 86400".to_owned()
    })
}
