//! Object types whose schema and answers come from one table of fields.
//!
//! A field of the root loads what its selection needs, then its object is written from typed rows into one JSON buffer,
//! which async-graphql carries as it is. Nothing here is asynchronous.

mod budget;
mod raw_object;
mod refusal;

use std::{borrow::Cow, ops::Deref};

use async_graphql::{
    Name, OutputType, PathSegment, Pos, Positioned, Value,
    parser::types::{Field as Syntax, SelectionSet},
    registry::Registry,
};
use chrono::{DateTime as Instant, NaiveDate, Utc};

pub use self::budget::Budget;
pub use self::raw_object::{NODE, RawObject, list_of, maybe_of, meta_field, one_of, text};
use self::refusal::Refusal;
use crate::prepare::collect;
use clientele_core::{budget::Text, scalar::DateTime};

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

/// Constructors of the fields of one kind each, so that a field is one line of its object.
macro_rules! constructors {
    ($($name:ident: $kind:ident => $value:ty,)+) => {$(
        pub const fn $name(
            name: &'static str,
            description: &'static str,
            read: for<'a> fn(RowRef<'a, T>) -> $value,
        ) -> Self {
            Self { name, description, kind: FieldKind::$kind(read) }
        }
    )+};
}

impl<T: Object + ?Sized> Field<T> {
    constructors! {
        id: Id => String,
        maybe_id: MaybeId => Option<String>,
        text: Text => Cow<'a, str>,
        maybe_text: MaybeText => Option<&'a str>,
        maybe_date: MaybeDate => Option<NaiveDate>,
        instant: Instant => Instant<Utc>,
        maybe_instant: MaybeInstant => Option<Instant<Utc>>,
        maybe_decimal: MaybeDecimal => Option<&'a str>,
        int: Int => i64,
        maybe_int: MaybeInt => Option<i64>,
        maybe_float: MaybeFloat => Option<f64>,
        boolean: Boolean => bool,
        maybe_boolean: MaybeBoolean => Option<bool>,
        texts: Texts => Vec<String>,
        maybe_texts: MaybeTexts => Option<Vec<String>>,
    }

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

/// The type of a field in the schema, and the function that reads its value from a row.
pub enum FieldKind<T: Object + ?Sized> {
    Id(for<'a> fn(RowRef<'a, T>) -> String),
    MaybeId(for<'a> fn(RowRef<'a, T>) -> Option<String>),
    Text(for<'a> fn(RowRef<'a, T>) -> Cow<'a, str>),
    MaybeText(for<'a> fn(RowRef<'a, T>) -> Option<&'a str>),
    Enum(
        fn(&mut Registry) -> String,
        for<'a> fn(RowRef<'a, T>) -> Option<&'a str>,
    ),
    /// With the type of one element.
    Enums(fn(&mut Registry) -> String, for<'a> fn(RowRef<'a, T>) -> Vec<&'a str>),
    MaybeDate(for<'a> fn(RowRef<'a, T>) -> Option<NaiveDate>),
    Instant(for<'a> fn(RowRef<'a, T>) -> Instant<Utc>),
    MaybeInstant(for<'a> fn(RowRef<'a, T>) -> Option<Instant<Utc>>),
    MaybeDecimal(for<'a> fn(RowRef<'a, T>) -> Option<&'a str>),
    Int(for<'a> fn(RowRef<'a, T>) -> i64),
    MaybeInt(for<'a> fn(RowRef<'a, T>) -> Option<i64>),
    MaybeFloat(for<'a> fn(RowRef<'a, T>) -> Option<f64>),
    Boolean(for<'a> fn(RowRef<'a, T>) -> bool),
    MaybeBoolean(for<'a> fn(RowRef<'a, T>) -> Option<bool>),
    Texts(for<'a> fn(RowRef<'a, T>) -> Vec<String>),
    MaybeTexts(for<'a> fn(RowRef<'a, T>) -> Option<Vec<String>>),
    /// Objects of other types, written by a function that gets the field's own selection.
    Objects {
        ty: fn(&mut Registry) -> String,
        select: fn(&SelectionSet) -> Selection,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &SelectedField, &mut JsonWriter<'_>),
    },
    /// As [`Objects`](Self::Objects), for callers with a permission. Others get null and an error, and nothing is
    /// loaded for it, so the type must be nullable.
    Guarded {
        /// The name of the permission.
        requires: &'static str,
        ty: fn(&mut Registry) -> String,
        select: fn(&SelectionSet) -> Selection,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &SelectedField, &mut JsonWriter<'_>),
    },
}

/// A selection, prepared to be written for any number of objects of one type.
#[derive(Debug, Default)]
pub struct Selection {
    pub fields: Vec<SelectedField>,
    /// True if a field in it, on any level, has been refused.
    refuses: bool,
}

/// One field to write.
#[derive(Debug)]
pub struct SelectedField {
    /// The field's name in the schema.
    pub name: &'static str,
    /// The response key as JSON, with its colon.
    key: String,
    /// The index in the type's table; none for `__typename`.
    index: Option<usize>,
    pub selection: Selection,
    pub arguments: Vec<(Name, Value)>,
    /// The permission that the field requires.
    requires: Option<&'static str>,
    /// True if the caller lacks it.
    refused: bool,
    at: Pos,
}

impl SelectedField {
    /// The value of an argument; none when it was left json, or null.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments
            .iter()
            .find(|(found, value)| found == name && *value != Value::Null)
            .map(|(_, value)| value)
    }
}

impl Selection {
    /// Reads a prepared selection of objects of type `T`.
    pub fn of<T: Object>(selection: &SelectionSet) -> Self {
        let field = |syntax: &Positioned<Syntax>| {
            let (at, syntax) = (syntax.pos, &syntax.node);
            let index = T::FIELDS.iter().position(|field| field.name == syntax.name.node);
            let selection = match index.map(|index| &T::FIELDS[index].kind) {
                Some(FieldKind::Objects { select, .. } | FieldKind::Guarded { select, .. }) => {
                    select(&syntax.selection_set.node)
                }
                _ => Self::default(),
            };
            let requires = index.and_then(|index| T::FIELDS[index].requires());
            let constant = |value: &async_graphql_value::Value| value.clone().into_const().unwrap_or_default();
            SelectedField {
                name: index.map_or(TYPENAME, |index| T::FIELDS[index].name),
                key: format!("\"{}\":", syntax.response_key().node),
                index,
                selection,
                arguments: syntax
                    .arguments
                    .iter()
                    .map(|(name, value)| (name.node.clone(), constant(&value.node)))
                    .collect(),
                requires,
                refused: false,
                at,
            }
        };
        Self {
            fields: collect(selection, T::NAME).map(field).collect(),
            refuses: false,
        }
    }

    /// The selected fields of this name, under any response key. Refused fields are left out.
    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SelectedField> {
        self.fields
            .iter()
            .filter(move |field| field.name == name && !field.refused)
    }

    /// True if a field of this name is selected and not refused.
    pub fn selects(&self, name: &str) -> bool {
        self.below(name).next().is_some()
    }
}

const TYPENAME: &str = "__typename";

/// The JSON of an answer while it is written.
pub struct JsonWriter<'a> {
    json: Text,
    budget: &'a Budget,
    exceeded: bool,
    /// The path of the current field; kept only where a field is refused.
    path: Vec<PathSegment>,
    refusals: Vec<Refusal>,
}

impl JsonWriter<'_> {
    fn text(&mut self, text: &str) {
        self.json.push(text);
    }

    fn value(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        self.json.value(value);
    }

    /// True if a limit is exceeded, so that writing can stop.
    fn is_over(&self) -> bool {
        self.exceeded || self.json.is_refused()
    }
}

/// Writes one object, or nothing once the answer exceeds a limit: the request is refused then.
pub fn object<T: Object>(row: T::Row<'_>, selection: &Selection, json: &mut JsonWriter<'_>) {
    if json.is_over() {
        return;
    }
    if !json.budget.take(selection.fields.len() + 1) {
        json.exceeded = true;
        return;
    }
    json.text("{");
    for (at, field) in selection.fields.iter().enumerate() {
        if at > 0 {
            json.text(",");
        }
        json.text(&field.key);
        let has_refusal = field.refused || field.selection.refuses;
        if has_refusal {
            json.path.push(PathSegment::Field(field.response_key().to_owned()));
        }
        match field.index {
            None => json.value(T::NAME),
            Some(_) if field.refused => json.refuse(field),
            Some(index) => value(&T::FIELDS[index].kind, row, field, json),
        }
        if has_refusal {
            json.path.pop();
        }
    }
    json.text("}");
}

/// Writes one object, or null.
pub fn maybe<T: Object>(row: Option<T::Row<'_>>, selection: &Selection, json: &mut JsonWriter<'_>) {
    match row {
        Some(row) => object::<T>(row, selection, json),
        None => json.text("null"),
    }
}

/// Writes a list of objects.
pub fn list<'a, T: Object>(
    rows: impl IntoIterator<Item = T::Row<'a>>,
    selection: &Selection,
    json: &mut JsonWriter<'_>,
) {
    json.text("[");
    for (at, row) in rows.into_iter().enumerate() {
        if json.is_over() {
            return;
        }
        if at > 0 {
            json.text(",");
        }
        if selection.refuses {
            json.path.push(PathSegment::Index(at));
        }
        object::<T>(row, selection, json);
        if selection.refuses {
            json.path.pop();
        }
    }
    json.text("]");
}

/// Writes a list of objects, or null.
pub fn maybe_list<'a, T: Object>(
    rows: Option<impl IntoIterator<Item = T::Row<'a>>>,
    selection: &Selection,
    json: &mut JsonWriter<'_>,
) {
    match rows {
        Some(rows) => list::<T>(rows, selection, json),
        None => json.text("null"),
    }
}

fn value<T: Object>(kind: &FieldKind<T>, row: T::Row<'_>, field: &SelectedField, json: &mut JsonWriter<'_>) {
    match kind {
        FieldKind::Id(get) => json.value(&get(RowRef(row))),
        FieldKind::Text(get) => json.value(&get(RowRef(row))),
        FieldKind::MaybeText(get) | FieldKind::Enum(_, get) | FieldKind::MaybeDecimal(get) => {
            json.value(&get(RowRef(row)))
        }
        FieldKind::MaybeDate(get) => json.value(&get(RowRef(row))),
        FieldKind::Instant(get) => json.value(&DateTime::text(&get(RowRef(row)))),
        FieldKind::MaybeInstant(get) => json.value(&get(RowRef(row)).map(|instant| DateTime::text(&instant))),
        FieldKind::MaybeId(get) => json.value(&get(RowRef(row))),
        FieldKind::Int(get) => json.value(&get(RowRef(row))),
        FieldKind::MaybeInt(get) => json.value(&get(RowRef(row))),
        FieldKind::MaybeFloat(get) => json.value(&get(RowRef(row))),
        FieldKind::Boolean(get) => json.value(&get(RowRef(row))),
        FieldKind::MaybeBoolean(get) => json.value(&get(RowRef(row))),
        FieldKind::Enums(_, get) => json.value(&get(RowRef(row))),
        FieldKind::Texts(get) => json.value(&get(RowRef(row))),
        FieldKind::MaybeTexts(get) => json.value(&get(RowRef(row))),
        FieldKind::Objects { write, .. } | FieldKind::Guarded { write, .. } => write(row, field, json),
    }
}
