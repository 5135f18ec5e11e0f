//! The caller of a request: its kind, its rights, and the proof of its password. Every entry point of the domain takes
//! a [`Caller`], so that no API can forget to check permissions.

mod permission;
mod proof;
mod rights;
pub mod throttle;
mod unread;

use std::sync::Arc;

pub use self::{
    permission::{Permission, Permissions},
    proof::{CredentialHasher, CredentialKey, PasswordProof},
    rights::{Rights, Sets},
    unread::{Readable, Unread},
};
use clientele_core::{
    error::{Error, Result},
    flow::Flow,
    secret::Secret,
    text_enum,
};

text_enum! {
    /// What kind of caller it is.
    CallerKind {
        /// A person, or a program with a user of its own.
        User = "USER",
        /// The bearer of an API token.
        Token = "TOKEN",
        /// The bearer of a token that the configured issuer gave out.
        Issuer = "ISSUER",
        /// Whoever runs the server, at its command line.
        Operator = "OPERATOR",
        /// Anybody: this server asks nobody who they are.
        Anyone = "ANYONE",
    }
}

text_enum! {
    /// The way a request came in.
    Door {
        /// `/graphql`.
        Graphql = "GRAPHQL",
        /// The legacy routes below `/api`.
        Rest = "REST",
        /// A command of the program itself.
        CommandLine = "COMMAND_LINE",
    }
}

/// Who is calling, and through which door. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Caller {
    pub kind: CallerKind,
    /// Tells callers of one kind apart, and never changes: the key of a user or token, the subject of an issued token.
    pub id: Arc<str>,
    /// What people call it.
    pub name: Arc<str>,
    /// Which limits of the configuration it has; the general ones without it.
    pub role: Option<Arc<str>>,
    pub rights: Arc<Rights>,
    /// The stored hash of the password that it has shown; empty when it has shown something else.
    pub password_hash: Secret,
    /// None for callers without a password.
    pub proof: Option<PasswordProof>,
    pub door: Door,
    /// The request's id in answers and logs; empty on the command line.
    pub request_id: Arc<str>,
}

impl Caller {
    /// Whoever runs the server: may do everything.
    pub fn operator() -> Self {
        Self {
            kind: CallerKind::Operator,
            id: "operator".into(),
            name: "operator".into(),
            role: None,
            rights: Arc::new(Rights::all()),
            password_hash: Secret::default(),
            proof: None,
            door: Door::CommandLine,
            request_id: "".into(),
        }
    }

    /// Anybody, on a server that asks nobody who they are: may do everything.
    pub fn anyone(door: Door, request_id: Arc<str>) -> Self {
        Self {
            kind: CallerKind::Anyone,
            id: "anyone".into(),
            name: "anyone".into(),
            door,
            request_id,
            ..Self::operator()
        }
    }

    /// The flow that this caller's work is charged to. None for callers that can't be told apart.
    pub fn flow(&self) -> Option<Flow> {
        match self.kind {
            CallerKind::Anyone | CallerKind::Operator => None,
            CallerKind::User | CallerKind::Token | CallerKind::Issuer => {
                Some(Flow::Caller(self.kind.as_str(), self.id.clone()))
            }
        }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.rights.permissions.contains(permission)
    }

    /// Whether it has every permission there is.
    pub fn may_everything(&self) -> bool {
        self.rights.permissions == Permissions::all()
    }

    /// # Errors
    /// [`Error::Forbidden`] without the permission.
    pub fn needs(&self, permission: Permission) -> Result<()> {
        match self.may(permission) {
            true => Ok(()),
            false => Err(Error::Forbidden(permission.as_str())),
        }
    }
}
