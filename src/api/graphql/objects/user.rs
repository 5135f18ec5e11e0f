//! Users, API tokens, and the caller itself.

use std::borrow::Cow;

use super::connection::{Listed, Words};
use crate::api::graphql::{global_id::GlobalId, loaded::LoadedData};
use clientele_domain::{
    access::{self, Listing},
    caller::{Caller, CallerKind, Permission, Rights, Sets},
};
use graphql_server::object::{Field, Object};

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

/// The fields of rights, for a row with the method `rights`.
macro_rules! with_rights {
    ($rights:expr; $($field:expr),+ $(,)?) => {
        &[
            $($field,)+
            Field::many_of::<Permission>("permissions", "What may be done.", |row| permissions($rights(*row))),
            Field::maybe_texts("viewSets", "The ids of the custom field sets whose values may be seen beside those that may be changed; \
                    null for all.", |row| ids(&$rights(*row).view_sets)),
            Field::maybe_texts("editSets", "The ids of the custom field sets whose values may be changed; null for all.", |row| ids(&$rights(*row).edit_sets)),
        ]
    };
}

fn of_user(row: &access::User) -> &Rights {
    &row.rights
}

fn of_token(row: &access::Token) -> &Rights {
    &row.rights
}

fn of_viewer(row: ViewerRow<'_>) -> &Rights {
    &row.caller.rights
}

pub struct User;

impl Object for User {
    const NAME: &'static str = "User";
    const DESCRIPTION: &'static str = "Somebody who signs in with a name and a password.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a access::User;
    const FIELDS: &'static [Field<Self>] = with_rights![of_user;
        Field::id("id", "The global id.", |row| GlobalId::User(row.row.encoded_key.clone()).encode()),
        Field::text("encodedKey", "The key of the user.", |row| Cow::Borrowed(&row.row.encoded_key)),
        Field::text("name", "The name the user signs in with.", |row| Cow::Borrowed(&row.row.name)),
        Field::boolean("active", "Whether the user may sign in.", |row| row.row.active),
        Field::boolean("passwordIsInitial", "Whether somebody else has made the password, so that it is to be changed.", |row| row.row.initial),
        Field::maybe_text("role", "The role whose limits the configuration sets; null for the general ones.", |row| row.row.role.as_deref()),
        Field::int("version", "Counts the changes, from 1.", |row| row.row.version),
        Field::instant("createdAt", "When the user was created.", |row| row.row.created_at),
        Field::instant("updatedAt", "When the user was changed last.", |row| row.row.updated_at),
    ];
}

impl Listed for User {
    type Page = Listing<access::User>;
    const WORDS: Words = Words {
        connection: "UserConnection",
        page: "A page of users, by name.",
        edges: "The users of the page, each with its cursor.",
        nodes: "The users of the page.",
        total: "The number of users, exact up to 10,000: see `totalCountPrecision`. Counted only if selected.",
        edge: "UserEdge",
        entry: "A user in a page.",
        cursor: "Where the user stands in the list: for `after` and `before`.",
        node: "The user.",
    };

    fn more(listing: &Self::Page) -> (bool, bool) {
        (listing.page.has_next, listing.page.has_previous)
    }

    fn count(listing: &Self::Page) -> usize {
        listing.page.rows.len()
    }

    fn cursor(listing: &Self::Page, at: usize) -> String {
        listing.page.rows[at].cursor()
    }

    fn row<'a>(listing: &'a Self::Page, at: usize, _: &'a LoadedData) -> &'a access::User {
        &listing.page.rows[at]
    }
}

pub struct Token;

impl Object for Token {
    const NAME: &'static str = "Token";
    const DESCRIPTION: &'static str =
        "An API token, for programs. The token itself is shown once, when it is created, and kept nowhere.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a access::Token;
    const FIELDS: &'static [Field<Self>] = with_rights![of_token;
        Field::id("id", "The global id.", |row| GlobalId::Token(row.row.encoded_key.clone()).encode()),
        Field::text("encodedKey", "The key of the token, which is no secret.", |row| Cow::Borrowed(&row.row.encoded_key)),
        Field::text("name", "What the token is for.", |row| Cow::Borrowed(&row.row.name)),
        Field::maybe_text("role", "The role whose limits the configuration sets; null for the general ones.", |row| row.row.role.as_deref()),
        Field::text("createdBy", "What whoever created it was called then. Another one may have this name by now: `createdById` tells.", |row| Cow::Borrowed(&row.row.created_by)),
        Field::one_of::<Option<CallerKind>>("createdByKind", "What kind of caller created it; null if that isn't known.", |row| row.row.created_by_kind.as_deref()),
        Field::maybe_text("createdById", "What tells callers of that kind apart and never changes: the key of a user or token, the subject of an \
                issued token. Null if it isn't known.", |row| row.row.created_by_id.as_deref()),
        Field::instant("createdAt", "When it was created.", |row| row.row.created_at),
        Field::maybe_instant("expiresAt", "When it ends; null: never.", |row| row.row.expires_at),
        Field::maybe_instant("revokedAt", "When it was revoked; null while it wasn't.", |row| row.row.revoked_at),
    ];
}

impl Listed for Token {
    type Page = Listing<access::Token>;
    const WORDS: Words = Words {
        connection: "TokenConnection",
        page: "A page of tokens, in the order of their creation.",
        edges: "The tokens of the page, each with its cursor.",
        nodes: "The tokens of the page.",
        total: "The number of tokens, exact up to 10,000: see `totalCountPrecision`. Counted only if selected.",
        edge: "TokenEdge",
        entry: "A token in a page.",
        cursor: "Where the token stands in the list: for `after` and `before`.",
        node: "The token.",
    };

    fn more(listing: &Self::Page) -> (bool, bool) {
        (listing.page.has_next, listing.page.has_previous)
    }

    fn count(listing: &Self::Page) -> usize {
        listing.page.rows.len()
    }

    fn cursor(listing: &Self::Page, at: usize) -> String {
        listing.page.rows[at].cursor()
    }

    fn row<'a>(listing: &'a Self::Page, at: usize, _: &'a LoadedData) -> &'a access::Token {
        &listing.page.rows[at]
    }
}

/// The caller, with the data that is stored of a user.
#[derive(Clone, Copy)]
pub struct ViewerRow<'a> {
    pub caller: &'a Caller,
    pub password_is_initial: bool,
}

pub struct Viewer;

impl Object for Viewer {
    const NAME: &'static str = "Viewer";
    const DESCRIPTION: &'static str = "Who is asking, and what it may do.";
    type Row<'a> = ViewerRow<'a>;
    const FIELDS: &'static [Field<Self>] = with_rights![of_viewer;
        Field::one_of::<CallerKind>("kind", "What kind of caller it is.", |row| Some(row.caller.kind.as_str())),
        Field::text("name", "What people call it.", |row| Cow::Borrowed(&row.caller.name)),
        Field::maybe_text("role", "The role whose limits the configuration sets; null for the general ones.", |row| row.caller.role.as_deref()),
        Field::boolean("passwordIsInitial", "Whether somebody else has made the password: change it with `changePassword`.", |row| row.password_is_initial),
    ];
}
