//! Servers that require credentials, and callers with credentials.

use chrono::{DateTime, Utc};
use clientele::{
    access::CreateToken,
    api::{
        self,
        authentication::{Authentication, AuthenticationSettings, Guard},
    },
    caller::{Caller, Limit, Rights, Sets},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, Settings, TestServer};

impl Settings {
    /// Requires credentials; changes on other servers apply at once.
    pub fn signed_in() -> Self {
        Self::authenticated(AuthenticationSettings {
            freshness_seconds: 0,
            ..AuthenticationSettings::default()
        })
    }

    pub fn authenticated(settings: AuthenticationSettings) -> Self {
        let guard = Guard::new(settings).expect("the settings can be meant");
        Self {
            doors: api::Settings {
                authentication: Authentication::Required(guard),
                ..api::Settings::default()
            },
            ..Self::default()
        }
    }
}

/// A token without an end.
pub fn token_input(name: &str, rights: &Rights, role: Option<&str>) -> CreateToken {
    let sets = |sets: &Sets| match sets {
        Sets::All => None,
        Sets::These(ids) => Some(ids.iter().cloned().collect()),
    };
    let keys = |limit: &Limit| match limit {
        Limit::None => None,
        Limit::To(keys) => Some(keys.iter().cloned().collect()),
    };
    CreateToken {
        name: name.to_owned(),
        permissions: rights.permissions.iter().collect(),
        view_sets: sets(&rights.view_sets),
        edit_sets: sets(&rights.edit_sets),
        branches: keys(&rights.branches),
        centres: keys(&rights.centres),
        role: role.map(str::to_owned),
        expires_at: None,
        client_mutation_id: None,
    }
}

/// A server as the bearer of a token sees it.
#[derive(Clone, Debug)]
pub struct Bearer<'a> {
    pub server: &'a TestServer,
    token: String,
}

impl TestServer {
    /// A new API token with these rights. It counts on servers that were started with [`Settings::signed_in`].
    pub async fn token(&self, rights: &Rights) -> String {
        self.token_with(rights, None).await
    }

    /// As [`token`](Self::token), with a role.
    pub async fn token_with(&self, rights: &Rights, role: Option<&str>) -> String {
        let (input, now) = (
            token_input("a test", rights, role),
            DateTime::<Utc>::from(std::time::SystemTime::now()),
        );
        let created = self
            .services
            .accounts
            .create_token(&Caller::operator(), &input, now)
            .await;
        let (_, text) = created.expect("the database answers").expect("the token is sound");
        text.reveal().to_owned()
    }

    /// This server for the bearer of a token.
    pub fn as_bearer(&self, token: impl Into<String>) -> Bearer<'_> {
        Bearer {
            server: self,
            token: token.into(),
        }
    }
}

impl Bearer<'_> {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.request(method, path).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.server.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.server.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn graphql(&self, query: &str, variables: Value) -> Answer {
        self.post("/graphql", json!({ "query": query, "variables": variables }))
            .await
    }
}
