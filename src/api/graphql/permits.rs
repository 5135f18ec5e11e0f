//! The permissions that mutations require before anything runs.
//!
//! A mutation must not run when a later one of its document is forbidden: the request is refused as a whole. Queries
//! are refused field by field, by the domain, which checks every permission of a mutation again, too.

use async_graphql::parser::types::OperationType;
use clientele_domain::caller::{
    Caller,
    Permission::{
        self, ChangeState, CreateClient, DeleteClient, EditClient, EraseClient, ManageCustomFields, ManageSuppressions,
        ManageTemplates, ManageUsers, MergeClients, ResendMessages,
    },
};
use graphql_server::{Code, GraphqlError, Prepared, RequestError};

/// The mutations, each with the permissions of which it requires one. To add a mutation: a line here, and one in the
/// test that walks the schema.
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
/// Every mutation of the operation that the caller lacks the permission for.
pub fn admit(operation: &Prepared, caller: &Caller) -> Result<(), RequestError> {
    if operation.operation_type() != OperationType::Mutation || caller.can_everything() {
        return Ok(());
    }
    let error = |(name, pos): (&str, _)| {
        let (_, permissions) = MUTATIONS.iter().find(|(field, _)| *field == name)?;
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
