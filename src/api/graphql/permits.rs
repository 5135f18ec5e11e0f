//! The permissions that fields of the root require before anything runs.
//!
//! A mutation must not run when a later one of its document is forbidden, and lists are refused before anything is
//! read: the request is refused as a whole. Other fields are refused one by one, by the domain, which checks every
//! permission again in any case.

use async_graphql::parser::types::OperationType;
use clientele_domain::caller::{
    Caller,
    Permission::{
        self, Audit, ChangeState, CreateClient, DeleteClient, EditClient, EraseClient, ManageCustomFields,
        ManageSuppressions, ManageTemplates, ManageUsers, MergeClients, ResendMessages, ViewClient, ViewMessages,
    },
};
use graphql_server::{Code, GraphqlError, Prepared, RequestError};

/// The fields, each with the permissions of which it requires one. To add a field: a line here, and one in the test
/// that walks the schema.
const QUERIES: &[(&str, &[Permission])] = &[
    ("clients", &[ViewClient]),
    ("messages", &[ViewMessages]),
    ("suppressions", &[ViewMessages]),
    ("auditLog", &[Audit]),
    ("users", &[ManageUsers]),
    ("tokens", &[ManageUsers]),
];
const MUTATIONS: &[(&str, &[Permission])] = &[
    ("upsertClient", &[CreateClient, EditClient]),
    ("upsertClients", &[CreateClient, EditClient]),
    ("changeClientState", &[ChangeState]),
    ("mergeClients", &[MergeClients]),
    ("deleteClient", &[DeleteClient]),
    ("eraseClient", &[EraseClient]),
    ("upsertCustomFieldSet", &[ManageCustomFields]),
    ("upsertClientRole", &[ManageCustomFields]),
    ("upsertIdDocumentTemplate", &[ManageCustomFields]),
    ("upsertMessageTemplate", &[ManageTemplates]),
    ("deleteMessageTemplate", &[ManageTemplates]),
    ("resendMessages", &[ResendMessages]),
    ("addSuppression", &[ManageSuppressions]),
    ("removeSuppression", &[ManageSuppressions]),
    ("upsertUser", &[ManageUsers]),
    ("deleteUser", &[ManageUsers]),
    ("createToken", &[ManageUsers]),
    ("revokeToken", &[ManageUsers]),
];

/// The mutations that a caller without credentials may send. An operation with one of them has no other field in its
/// root but `__typename`, so that one request can't try many passwords.
pub const ALONE: &[&str] = &["signIn", "refreshSession"];

/// # Errors
/// One of the fields that must be sent alone is sent with others.
pub fn admit_alone(operation: &Prepared) -> Result<(), RequestError> {
    let fields = || operation.root_fields().filter(|(name, _)| *name != "__typename");
    match fields().find(|(name, _)| ALONE.contains(name)) {
        Some((name, pos)) if fields().count() > 1 => {
            let message = format!("{name} must be the only field of its operation.");
            Err(GraphqlError::new(Code::BadRequest, message).at(pos).into())
        }
        _ => Ok(()),
    }
}

/// # Errors
/// Every field of the operation's root that the caller lacks the permission for.
pub fn admit(operation: &Prepared, caller: &Caller) -> Result<(), RequestError> {
    if caller.can_everything() {
        return Ok(());
    }
    let table = match operation.operation_type() {
        OperationType::Query => QUERIES,
        OperationType::Mutation => MUTATIONS,
        OperationType::Subscription => return Ok(()),
    };
    let error = |(name, pos): (&str, _)| {
        let (_, permissions) = table.iter().find(|(field, _)| *field == name)?;
        if permissions.iter().any(|permission| caller.can(*permission)) {
            return None;
        }
        let names: Vec<&str> = permissions.iter().map(|permission| permission.as_str()).collect();
        let message = format!("This needs the permission {}.", names.join(" or "));
        Some(GraphqlError::new(Code::Forbidden, message).at(pos))
    };
    let errors: Vec<GraphqlError> = operation.root_fields().filter_map(error).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(RequestError::new(errors)),
    }
}
