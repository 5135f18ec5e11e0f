//! The object types of the schema. Each is a table of fields over a row; only what is in a table is public.
//!
//! To add a field: an entry in its type's table. To add a type: an [`object!`], and a line in [`NODES`] if it has a
//! global ID.

/// Declares an object type: `type` or `node` (with a global ID), its name, its row, its description and its fields.
///
/// A field is `kind name "description" => |row| value;`. The kinds are the constructors of
/// [`Field`](graphql_server::object::Field) and those listed in [`field!`].
macro_rules! object {
    ($kind:ident $name:ident = $row:ty, $description:expr; $($fields:tt)*) => {
        pub struct $name;

        impl graphql_server::object::Object for $name {
            const NAME: &'static str = stringify!($name);
            const DESCRIPTION: &'static str = $description;
            const IS_NODE: bool = is_node!($kind);
            type Row<'a> = $row;
            const FIELDS: &'static [graphql_server::object::Field<Self>] = fields!($($fields)*);
        }
    };
}

/// Declares two object types that share fields. Of each type, the first braces have the beginning, with the fields
/// before the shared ones, and the second braces the fields after them.
macro_rules! objects_sharing {
    ({ $($first:tt)* } { $($rest:tt)* } { $($other_first:tt)* } { $($other_rest:tt)* } $($shared:tt)*) => {
        object! { $($first)* $($shared)* $($rest)* }
        object! { $($other_first)* $($shared)* $($other_rest)* }
    };
}

macro_rules! is_node {
    (type) => {
        false
    };
    (node) => {
        true
    };
}

/// The fields of an [`object!`]. Fields of objects can have `[arguments]`, which a second parameter reads, and a
/// permission that the caller `needs`.
macro_rules! fields {
    ($(
        $kind:ident $(<$of:ty>)? $name:ident $description:tt $([$arguments:expr])? $(needs $permission:ident)?
            => |$row:pat_param $(, $selected:ident)?| $value:expr;
    )*) => {
        &[$(field!(
            $kind $(<$of>)?, stringify!($name), $description, [$($arguments)?], [$($permission)?],
            |$row $(, $selected)?| $value
        )),*]
    };
}

/// One field: a value of the enum `E` (`enum<E>`, `maybe_enum<E>`, `enums<E>`), an object of type `T` (`one<T>`,
/// `maybe<T>`, `list<T>`, `maybe_list<T>`), or a scalar. `known<T>` is an object that must exist, but is looked up.
macro_rules! field {
    (enum<$of:ty>, $name:expr, $description:expr, [], [], |$row:pat_param| $value:expr) => {
        graphql_server::object::Field::one_of::<$of>($name, $description, |row| {
            let $row = *row;
            Some($value)
        })
    };
    (maybe_enum<$of:ty>, $name:expr, $description:expr, [], [], |$row:pat_param| $value:expr) => {
        graphql_server::object::Field::one_of::<Option<$of>>($name, $description, |row| {
            let $row = *row;
            $value
        })
    };
    (enums<$of:ty>, $name:expr, $description:expr, [], [], |$row:pat_param| $value:expr) => {
        graphql_server::object::Field::many_of::<$of>($name, $description, |row| {
            let $row = *row;
            $value
        })
    };
    (one<$of:ty>, $($field:tt)+) => { objects!(one_of, object, $of, $($field)+) };
    (known<$of:ty>, $($field:tt)+) => { objects!(one_of, maybe, $of, $($field)+) };
    (maybe<$of:ty>, $($field:tt)+) => { objects!(maybe_of, maybe, $of, $($field)+) };
    (list<$of:ty>, $($field:tt)+) => { objects!(list_of, list, $of, $($field)+) };
    (maybe_list<$of:ty>, $($field:tt)+) => { objects!(maybe_list_of, maybe_list, $of, $($field)+) };
    (text, $name:expr, $description:expr, [], [], |$row:pat_param| $value:expr) => {
        graphql_server::object::Field::text($name, $description, |row| {
            let $row = *row;
            std::borrow::Cow::from($value)
        })
    };
    ($scalar:ident, $name:expr, $description:expr, [], [], |$row:pat_param| $value:expr) => {
        graphql_server::object::Field::$scalar($name, $description, |row| {
            let $row = *row;
            $value
        })
    };
}

/// A field of objects, whose type the function `$ty` names and which `$write` writes.
macro_rules! objects {
    ($ty:ident, $write:ident, $of:ty, $name:expr, $description:expr, [$($arguments:expr)?], [$($permission:ident)?],
        |$row:pat_param $(, $selected:ident)?| $value:expr) => {
        graphql_server::object::Field {
            name: $name,
            description: $description,
            kind: kind!([$($permission)?] {
                ty: $crate::api::graphql::objects::types::$ty::<$of>,
                select: graphql_server::object::Selection::of::<$of>,
                arguments: arguments!($($arguments)?),
                write: |$row, field, json| {
                    $(let $selected = field;)?
                    graphql_server::object::$write::<$of>($value, &field.selection, json);
                },
            }),
        }
    };
}

macro_rules! arguments {
    () => {
        &[]
    };
    ($arguments:expr) => {
        $arguments
    };
}

macro_rules! kind {
    ([] { $($members:tt)* }) => {
        graphql_server::object::FieldKind::Objects { $($members)* }
    };
    ([$permission:ident] { $($members:tt)* }) => {
        graphql_server::object::FieldKind::Guarded {
            requires: clientele_domain::caller::Permission::$permission.as_str(),
            $($members)*
        }
    };
}

pub mod audit;
pub mod change;
pub mod client;
pub mod connection;
pub mod custom_field;
pub mod definition;
pub mod member;
pub mod message;
pub mod payload;
pub mod session;
pub mod suppression;
pub mod template;
pub mod user;

use async_graphql::registry::Registry;

use graphql_server::object::{Object, one_of};

/// Names of types as fields have them.
pub mod types {
    use async_graphql::registry::Registry;

    use graphql_server::object::Object;
    pub use graphql_server::object::{list_of, maybe_of, one_of};

    /// `[Client!]`
    pub fn maybe_list_of<T: Object>(registry: &mut Registry) -> String {
        format!("[{}]", one_of::<T>(registry))
    }
}

/// Registers a type in the schema, and returns its name there.
type Register = fn(&mut Registry) -> String;

const fn node<T: Object>() -> (&'static str, Register) {
    (T::NAME, one_of::<T>)
}

/// The types with a global ID.
pub const NODES: &[(&str, Register)] = &[
    node::<client::Client>(),
    node::<member::Address>(),
    node::<member::IdDocument>(),
    node::<custom_field::CustomFieldValue>(),
    node::<definition::CustomFieldSet>(),
    node::<definition::CustomField>(),
    node::<message::Message>(),
    node::<definition::ClientRole>(),
    node::<definition::IdDocumentTemplate>(),
    node::<template::MessageTemplate>(),
    node::<audit::AuditRecord>(),
    node::<user::User>(),
    node::<user::Token>(),
    node::<session::Session>(),
    node::<suppression::Suppression>(),
];
