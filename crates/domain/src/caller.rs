//! The caller of a request: its kind, its rights, and the proof of its password. Every entry point of the domain takes
//! a [`Caller`], so that no API can omit the permission check.

mod limit;
mod limits;
mod proof;
mod rights;
pub mod throttle;

use std::sync::Arc;

pub(crate) use self::limits::Share;
pub use self::{
    limit::Limit,
    proof::{CredentialHasher, CredentialKey, PasswordProof},
    rights::{Permission, Permissions, Rights, Sets},
};
use clientele_core::{
    error::{Error, Result},
    flow::Flow,
    secret::Secret,
    text_enum,
};

text_enum! {
    /// The kind of a caller.
    CallerKind {
        /// A person or program that signs in with a name and a password.
        User = "USER",
        /// The bearer of an API token.
        Token = "TOKEN",
        /// The bearer of a token from the configured issuer.
        Issuer = "ISSUER",
        /// The operator of the server, at the command line.
        Operator = "OPERATOR",
        /// Any caller of a server without authentication.
        Anyone = "ANYONE",
    }
}

text_enum! {
    /// The API or the command line through which a change was made.
    #[graphql(name = "Door")]
    Api {
        /// The GraphQL API at `/graphql`.
        Graphql = "GRAPHQL",
        /// The legacy REST API below `/api`.
        Rest = "REST",
        /// A command of the server program.
        CommandLine = "COMMAND_LINE",
    }
}

/// The caller of a request, and the API it came through. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Caller {
    pub kind: CallerKind,
    /// Unique among callers of one kind, and never changes: the key of a user or token, the subject of an issued token.
    pub id: Arc<str>,
    /// The display name.
    pub name: Arc<str>,
    /// The role that sets its limits in the configuration; none for the general limits.
    pub role: Option<Arc<str>>,
    pub rights: Arc<Rights>,
    /// The stored hash of the password that was verified; empty for other credentials.
    pub password_hash: Secret,
    /// The key of the session whose access token was sent; none for other credentials.
    pub session: Option<Arc<str>>,
    /// None for callers without a password.
    pub proof: Option<PasswordProof>,
    pub api: Api,
    /// The request's id in responses and logs; empty on the command line.
    pub request_id: Arc<str>,
}

impl Caller {
    /// The operator of the server, with every right.
    pub fn operator() -> Self {
        Self {
            kind: CallerKind::Operator,
            id: "operator".into(),
            name: "operator".into(),
            role: None,
            rights: Arc::new(Rights::all()),
            password_hash: Secret::default(),
            session: None,
            proof: None,
            api: Api::CommandLine,
            request_id: "".into(),
        }
    }

    /// Any caller of a server without authentication, with every right.
    pub fn anyone(api: Api, request_id: Arc<str>) -> Self {
        Self {
            kind: CallerKind::Anyone,
            id: "anyone".into(),
            name: "anyone".into(),
            api,
            request_id,
            ..Self::operator()
        }
    }

    /// The key for the log. None for a caller of an issuer, whose key can be a name, and for indistinguishable ones.
    pub fn key_for_log(&self) -> Option<&Arc<str>> {
        matches!(self.kind, CallerKind::User | CallerKind::Token).then_some(&self.id)
    }

    /// Returns the flow that this caller's work is charged to. None for indistinguishable callers.
    pub fn flow(&self) -> Option<Flow> {
        match self.kind {
            CallerKind::Anyone | CallerKind::Operator => None,
            CallerKind::User | CallerKind::Token | CallerKind::Issuer => {
                Some(Flow::Caller(self.kind.as_str(), self.id.clone()))
            }
        }
    }

    pub fn can(&self, permission: Permission) -> bool {
        self.rights.permissions.contains(permission)
    }

    /// Returns true if the caller has every permission.
    pub fn can_everything(&self) -> bool {
        self.rights.permissions == Permissions::all()
    }

    /// # Errors
    /// [`Error::Forbidden`] without the permission.
    pub fn require(&self, permission: Permission) -> Result<()> {
        match self.can(permission) {
            true => Ok(()),
            false => Err(Error::Forbidden(permission.as_str())),
        }
    }
}

/// Data that can be loaded before its reader is known: one statement can load for several requests.
pub trait Restricted {
    /// The permission to see any of it.
    const PERMISSION: Permission;
    /// The data that a reader sees.
    type View;

    /// Returns what a reader with the permission and these rights sees.
    fn view(&self, rights: &Rights) -> Result<Self::View>;
}

/// Data that only a caller with the permission can access.
#[derive(Clone, Debug)]
pub struct Unchecked<T>(T);

impl<T: Restricted> Unchecked<T> {
    pub(crate) const fn new(stored: T) -> Self {
        Self(stored)
    }

    /// # Errors
    /// [`Error::Forbidden`] without the permission.
    pub fn authorize(&self, caller: &Caller) -> Result<T::View> {
        caller.require(T::PERMISSION)?;
        self.0.view(&caller.rights)
    }
}
