//! Users, API tokens, and the caller itself.

use super::connection::listed;
use crate::api::graphql::global_id;
use clientele_domain::{
    access::{self, Listing},
    caller::{Caller, CallerKind, Limit, Permission, Rights, Sets},
};

/// Names of permissions, in the order of their list.
fn permissions(rights: &Rights) -> Vec<&'static str> {
    rights.permissions.iter().map(Permission::as_str).collect()
}

/// The ids; none for all sets.
fn ids(sets: &Sets) -> Option<Vec<String>> {
    match sets {
        Sets::All => None,
        Sets::These(ids) => Some(ids.iter().cloned().collect()),
    }
}

/// The keys; none without a limit.
fn keys(limit: &Limit) -> Option<Vec<String>> {
    match limit {
        Limit::None => None,
        Limit::To(keys) => Some(keys.iter().cloned().collect()),
    }
}

object! {
    node User = &'a access::User, "A user, who signs in with a name and a password.";

    id id "The global ID." => |user| global_id::encode(Self::NAME, &[&user.row.encoded_key]);
    text encodedKey "The key of the user." => |user| &user.row.encoded_key;
    text name "The name that the user signs in with." => |user| &user.row.name;
    boolean active "True if the user can sign in." => |user| user.row.active;
    boolean passwordIsInitial "True if another user, the command line or the first start of the server set the \
        password, so that the user should change it."
        => |user| user.row.initial;
    maybe_text role "The role in the server configuration that sets the limits; null for the general limits."
        => |user| user.row.role.as_deref();
    int version "The version, which starts at 1 and grows by one with every change." => |user| user.row.version;
    instant createdAt "The time at which the user was created." => |user| user.row.created_at;
    instant updatedAt "The time of the last change." => |user| user.row.updated_at;
    enums<Permission> permissions "The permissions of the user." => |user| permissions(&user.rights);
    maybe_texts viewSets "The IDs of the custom field sets whose values the user can view, in addition to those in \
        `editSets`; null for all sets." => |user| ids(&user.rights.view_sets);
    maybe_texts editSets "The IDs of the custom field sets whose values the user can view and change; null for all \
        sets." => |user| ids(&user.rights.edit_sets);
    maybe_texts branches "The keys of the branches to which the user is limited; null for no limit."
        => |user| keys(&user.rights.branches);
    maybe_texts centres "The keys of the centres to which the user is limited; null for no limit."
        => |user| keys(&user.rights.centres);
}

listed! {
    User, "A page of users, ordered by name.", Listing<access::User> => page: access::User;
    cursor |_, user| user.cursor();
    row |user, _| user
}

object! {
    node Token = &'a access::Token, "An API token for a program. Its secret is returned once, on creation, and stored \
        only as a hash.";

    id id "The global ID." => |token| global_id::encode(Self::NAME, &[&token.row.encoded_key]);
    text encodedKey "The key of the token. It isn't secret." => |token| &token.row.encoded_key;
    text name "The purpose of the token." => |token| &token.row.name;
    maybe_text role "The role in the server configuration that sets the limits; null for the general limits."
        => |token| token.row.role.as_deref();
    text createdBy "The display name of the creator at that time. Another caller may have this name now: `createdById` \
        is permanent." => |token| &token.row.created_by;
    maybe_enum<CallerKind> createdByKind "The kind of caller that created the token; null if unknown."
        => |token| token.row.created_by_kind.as_deref();
    maybe_text createdById "The permanent ID of the creator among callers of its kind: the key of a user or token, or \
        the subject of an issued token. Null if unknown." => |token| token.row.created_by_id.as_deref();
    instant createdAt "The time at which the token was created." => |token| token.row.created_at;
    maybe_instant expiresAt "The time at which the token expires; null if it never does."
        => |token| token.row.expires_at;
    maybe_instant revokedAt "The time at which the token was revoked; null if it wasn't."
        => |token| token.row.revoked_at;
    enums<Permission> permissions "The permissions of the token." => |token| permissions(&token.rights);
    maybe_texts viewSets "The IDs of the custom field sets whose values the token can view, in addition to those in \
        `editSets`; null for all sets." => |token| ids(&token.rights.view_sets);
    maybe_texts editSets "The IDs of the custom field sets whose values the token can view and change; null for all \
        sets." => |token| ids(&token.rights.edit_sets);
    maybe_texts branches "The keys of the branches to which the token is limited; null for no limit."
        => |token| keys(&token.rights.branches);
    maybe_texts centres "The keys of the centres to which the token is limited; null for no limit."
        => |token| keys(&token.rights.centres);
}

listed! {
    Token, "A page of API tokens, ordered by creation.", Listing<access::Token> => page: access::Token;
    cursor |_, token| token.cursor();
    row |token, _| token
}

/// The caller, and true if its password is initial.
pub type ViewerRow<'a> = (&'a Caller, bool);

object! {
    type Viewer = ViewerRow<'a>, "The caller of this request, with its permissions.";

    enum<CallerKind> kind "The kind of caller." => |(caller, _)| caller.kind.as_str();
    text name "The display name." => |(caller, _)| &*caller.name;
    maybe_text role "The role in the server configuration that sets the limits; null for the general limits."
        => |(caller, _)| caller.role.as_deref();
    boolean passwordIsInitial "True if another user, the command line or the first start of the server set your \
        password. Change it with `changePassword`."
        => |(_, password_is_initial)| password_is_initial;
    enums<Permission> permissions "Your permissions." => |(caller, _)| permissions(&caller.rights);
    maybe_texts viewSets "The IDs of the custom field sets whose values you can view, in addition to those in \
        `editSets`; null for all sets." => |(caller, _)| ids(&caller.rights.view_sets);
    maybe_texts editSets "The IDs of the custom field sets whose values you can view and change; null for all sets."
        => |(caller, _)| ids(&caller.rights.edit_sets);
    maybe_texts branches "The keys of the branches to which you are limited: other clients don't exist for you. Null \
        for no limit." => |(caller, _)| keys(&caller.rights.branches);
    maybe_texts centres "The keys of the centres to which you are limited: other clients don't exist for you. Null \
        for no limit." => |(caller, _)| keys(&caller.rights.centres);
}
