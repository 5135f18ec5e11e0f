//! Object types whose schema and answers come from one table of fields.
//!
//! A field of the root loads what its selection needs, then its object is written from typed rows into one JSON buffer,
//! which async-graphql carries as it is. Nothing here is asynchronous.

mod writer;

use std::{borrow::Cow, ops::Deref, sync::Arc};

use async_graphql::{
    Context, ID, OutputType, Positioned,
    parser::types::{Field as Syntax, SelectionSet},
    registry::{Deprecation, MetaField, MetaInputValue, Registry},
};
use chrono::{DateTime as Instant, NaiveDate, Utc};

pub use self::writer::{FieldBudget, JsonWriter, RawObject, list, maybe, maybe_list, object, text};
pub use crate::{
    prepare::WRITTEN,
    selection::{SelectedField, Selection},
};
use crate::{prepare::collect, selection::RootSelections};
use clientele_core::scalar::{Date, DateTime, Decimal};

/// The name of Relay's interface for objects with a global id.
pub const NODE: &str = "Node";

/// An object type of the schema.
pub trait Object: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    /// True if it implements Relay's interface `Node`.
    const IS_NODE: bool = false;
    const FIELDS: &'static [Field<Self>];
    /// The data that one object is written from.
    type Row<'a>: Copy;
}

/// A field of an object type.
pub struct Field<T: Object + ?Sized> {
    pub name: &'static str,
    pub description: &'static str,
    pub kind: FieldKind<T>,
}

/// An argument of a field.
pub struct Argument {
    pub name: &'static str,
    pub description: &'static str,
    pub ty: &'static str,
}

/// A row as a field's function sees it. The wrapper ties the lifetime of what the function returns to the row.
pub struct RowRef<'a, T: Object + ?Sized>(T::Row<'a>);

impl<'a, T: Object + ?Sized> Deref for RowRef<'a, T> {
    type Target = T::Row<'a>;

    fn deref(&self) -> &T::Row<'a> {
        &self.0
    }
}

/// Declares the kinds of fields with one scalar value or a list of them. Each line has the constructor of a field, its
/// kind, the type of the value in Rust and in the schema, and the conversion to the value in JSON, if there is one.
macro_rules! scalars {
    ($($constructor:ident: $kind:ident($value:ty) is $schema:ty $(, $convert:expr)?;)+) => {
        /// The type of a field in the schema, and the function that reads its value from a row.
        pub enum FieldKind<T: Object + ?Sized> {
            $($kind(for<'a> fn(RowRef<'a, T>) -> $value),)+
            Enum(fn(&mut Registry) -> String, for<'a> fn(RowRef<'a, T>) -> Option<&'a str>),
            /// With the type of one element.
            Enums(fn(&mut Registry) -> String, for<'a> fn(RowRef<'a, T>) -> Vec<&'a str>),
            /// Objects of other types, written by a function that gets the field's own selection.
            Objects {
                ty: fn(&mut Registry) -> String,
                select: fn(&SelectionSet) -> Selection,
                arguments: &'static [Argument],
                write: for<'a> fn(T::Row<'a>, &SelectedField, &mut JsonWriter<'_>),
            },
            /// As [`Objects`](Self::Objects), for callers with a permission. Others get null and an error, and nothing
            /// is loaded for it, so the type must be nullable.
            Guarded {
                /// The name of the permission.
                requires: &'static str,
                ty: fn(&mut Registry) -> String,
                select: fn(&SelectionSet) -> Selection,
                arguments: &'static [Argument],
                write: for<'a> fn(T::Row<'a>, &SelectedField, &mut JsonWriter<'_>),
            },
        }

        /// Constructors of the fields of one kind each, so that a field is one line of its object.
        impl<T: Object + ?Sized> Field<T> {
            $(pub const fn $constructor(
                name: &'static str,
                description: &'static str,
                read: for<'a> fn(RowRef<'a, T>) -> $value,
            ) -> Self {
                Self { name, description, kind: FieldKind::$kind(read) }
            })+

            fn ty(&self, registry: &mut Registry) -> String {
                match &self.kind {
                    $(FieldKind::$kind(_) => <$schema as OutputType>::create_type_info(registry),)+
                    FieldKind::Enums(ty, _) => format!("[{}]!", ty(registry)),
                    FieldKind::Enum(ty, _) | FieldKind::Objects { ty, .. } | FieldKind::Guarded { ty, .. } => {
                        ty(registry)
                    }
                }
            }
        }

        impl<T: Object> FieldKind<T> {
            fn write(&self, row: T::Row<'_>, field: &SelectedField, json: &mut JsonWriter<'_>) {
                match self {
                    $(Self::$kind(read) => {
                        let value = read(RowRef(row));
                        $(let value = $convert(value);)?
                        json.value(&value);
                    })+
                    Self::Enum(_, read) => json.value(&read(RowRef(row))),
                    Self::Enums(_, read) => json.value(&read(RowRef(row))),
                    Self::Objects { write, .. } | Self::Guarded { write, .. } => write(row, field, json),
                }
            }
        }
    };
}

scalars! {
    id: Id(String) is ID;
    maybe_id: MaybeId(Option<String>) is Option<ID>;
    text: Text(Cow<'a, str>) is String;
    maybe_text: MaybeText(Option<&'a str>) is Option<String>;
    maybe_date: MaybeDate(Option<NaiveDate>) is Option<Date>;
    instant: Instant(Instant<Utc>) is DateTime, |instant| DateTime::text(&instant);
    maybe_instant: MaybeInstant(Option<Instant<Utc>>) is Option<DateTime>,
        |instant: Option<_>| instant.map(|instant| DateTime::text(&instant));
    maybe_decimal: MaybeDecimal(Option<&'a str>) is Option<Decimal>;
    int: Int(i64) is i32;
    maybe_int: MaybeInt(Option<i64>) is Option<i32>;
    maybe_float: MaybeFloat(Option<f64>) is Option<f64>;
    boolean: Boolean(bool) is bool;
    maybe_boolean: MaybeBoolean(Option<bool>) is Option<bool>;
    texts: Texts(Vec<String>) is Vec<String>;
    maybe_texts: MaybeTexts(Option<Vec<String>>) is Option<Vec<String>>;
}

impl<T: Object + ?Sized> Field<T> {
    /// A value of the enum `E`; none only where `E` is an `Option`.
    pub const fn one_of<E: OutputType>(
        name: &'static str,
        description: &'static str,
        read: for<'a> fn(RowRef<'a, T>) -> Option<&'a str>,
    ) -> Self {
        Self {
            name,
            description,
            kind: FieldKind::Enum(E::create_type_info, read),
        }
    }

    /// Values of the enum `E`.
    pub const fn many_of<E: OutputType>(
        name: &'static str,
        description: &'static str,
        read: for<'a> fn(RowRef<'a, T>) -> Vec<&'a str>,
    ) -> Self {
        Self {
            name,
            description,
            kind: FieldKind::Enums(E::create_type_info, read),
        }
    }

    /// The permission that the field requires.
    const fn requires(&self) -> Option<&'static str> {
        match self.kind {
            FieldKind::Guarded { requires, .. } => Some(requires),
            _ => None,
        }
    }

    fn describe(&self, registry: &mut Registry) -> MetaField {
        let arguments = match &self.kind {
            FieldKind::Objects { arguments, .. } | FieldKind::Guarded { arguments, .. } => arguments,
            _ => &[][..],
        };
        let ty = self.ty(registry);
        let requires = self.requires();
        assert!(
            requires.is_none() || !ty.ends_with('!'),
            "{} must be nullable: it may be refused",
            self.name
        );
        MetaField {
            requires_scopes: requires.map(str::to_owned).into_iter().collect(),
            ..meta_field(self.name, self.description, ty, arguments)
        }
    }
}

/// A field for async-graphql's registry.
pub fn meta_field(name: &str, description: &str, ty: String, arguments: &[Argument]) -> MetaField {
    let argument = |argument: &Argument| MetaInputValue {
        name: argument.name.to_owned(),
        description: Some(argument.description.to_owned()),
        ty: argument.ty.to_owned(),
        deprecation: Deprecation::NoDeprecated,
        default_value: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        is_secret: false,
        directive_invocations: Vec::new(),
    };
    MetaField {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        args: arguments
            .iter()
            .map(|each| (each.name.to_owned(), argument(each)))
            .collect(),
        ty,
        deprecation: Deprecation::NoDeprecated,
        cache_control: Default::default(),
        external: false,
        requires: None,
        provides: None,
        visible: None,
        shareable: false,
        inaccessible: false,
        tags: Vec::new(),
        override_from: None,
        compute_complexity: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

/// The type of one object, as the schema names it: `Client!`.
pub fn one_of<T: Object>(registry: &mut Registry) -> String {
    RawObject::<T>::create_type_info(registry)
}

/// `Client`
pub fn maybe_of<T: Object>(registry: &mut Registry) -> String {
    RawObject::<T>::create_type_info(registry);
    T::NAME.to_owned()
}

/// `[Client!]!`
pub fn list_of<T: Object>(registry: &mut Registry) -> String {
    format!("[{}]!", RawObject::<T>::create_type_info(registry))
}

impl Selection {
    /// Reads a prepared selection of objects of type `T`.
    pub fn of<T: Object>(selection: &SelectionSet) -> Self {
        let field = |syntax: &Positioned<Syntax>| {
            let (at, syntax) = (syntax.pos, &syntax.node);
            let index = T::FIELDS.iter().position(|field| field.name == syntax.name.node);
            let field = index.map(|index| &T::FIELDS[index]);
            let selection = match field.map(|field| &field.kind) {
                Some(FieldKind::Objects { select, .. } | FieldKind::Guarded { select, .. }) => {
                    select(&syntax.selection_set.node)
                }
                _ => Self::default(),
            };
            let constant = |value: &async_graphql_value::Value| value.clone().into_const().unwrap_or_default();
            SelectedField {
                name: field.map_or("__typename", |field| field.name),
                key: format!("\"{}\":", syntax.response_key().node),
                index,
                selection,
                arguments: syntax
                    .arguments
                    .iter()
                    .map(|(name, value)| (name.node.clone(), constant(&value.node)))
                    .collect(),
                requires: field.and_then(Field::requires),
                refused: false,
                at,
            }
        };
        Self::new(collect(selection, T::NAME).map(field).collect())
    }

    /// The selection of the current field of the root, for objects of type `T`.
    pub fn of_root<T: Object>(context: &Context<'_>) -> Arc<Self> {
        let field = &context.item.node;
        let roots = context.data_opt::<RootSelections>();
        let known = roots.and_then(|roots| roots.get(&field.response_key().node, T::NAME, Self::of::<T>));
        known.unwrap_or_else(|| Arc::new(Self::of::<T>(&field.selection_set.node)))
    }
}
