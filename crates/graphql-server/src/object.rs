//! Object types whose schema and answers come from one table of fields.
//!
//! A field of the root loads what its selection needs, then its object is written from typed rows into one JSON buffer,
//! which async-graphql carries as it is. Nothing here is asynchronous.

mod budget;
mod refusal;
mod written;

use std::{borrow::Cow, ops::Deref};

use async_graphql::{
    Name, PathSegment, Pos, Positioned, Value,
    parser::types::{Field as Syntax, SelectionSet},
    registry::Registry,
};
use chrono::{DateTime as Instant, NaiveDate, Utc};

pub use self::budget::Budget;
use self::refusal::Refusal;
pub use self::written::{NODE, Written, list_of, maybe_of, meta_field, one_of, text};
use crate::prepare::collect;
use clientele_core::{budget::Text, scalar::DateTime};

/// An object type of the schema.
pub trait Object: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    /// Whether it implements Relay's interface `Node`.
    const IS_NODE: bool = false;
    const FIELDS: &'static [Field<Self>];
    /// The data that one object is written from.
    type Row<'a>: Copy;
}

/// A field of an object type.
pub struct Field<T: Object + ?Sized> {
    pub name: &'static str,
    pub description: &'static str,
    pub is: Is<T>,
}

/// An argument of a field.
pub struct Argument {
    pub name: &'static str,
    pub description: &'static str,
    pub ty: &'static str,
}

/// A row as a field's function sees it. The wrapper ties the lifetime of what the function returns to the row.
pub struct Of<'a, T: Object + ?Sized>(T::Row<'a>);

impl<'a, T: Object + ?Sized> Deref for Of<'a, T> {
    type Target = T::Row<'a>;

    fn deref(&self) -> &T::Row<'a> {
        &self.0
    }
}

/// The type of a field in the schema, and the function that reads its value from a row.
pub enum Is<T: Object + ?Sized> {
    Id(for<'a> fn(Of<'a, T>) -> String),
    MaybeId(for<'a> fn(Of<'a, T>) -> Option<String>),
    Text(for<'a> fn(Of<'a, T>) -> Cow<'a, str>),
    MaybeText(for<'a> fn(Of<'a, T>) -> Option<&'a str>),
    Enum(fn(&mut Registry) -> String, for<'a> fn(Of<'a, T>) -> Option<&'a str>),
    /// With the type of one element.
    Enums(fn(&mut Registry) -> String, for<'a> fn(Of<'a, T>) -> Vec<&'a str>),
    MaybeDate(for<'a> fn(Of<'a, T>) -> Option<NaiveDate>),
    Instant(for<'a> fn(Of<'a, T>) -> Instant<Utc>),
    MaybeInstant(for<'a> fn(Of<'a, T>) -> Option<Instant<Utc>>),
    MaybeDecimal(for<'a> fn(Of<'a, T>) -> Option<&'a str>),
    Int(for<'a> fn(Of<'a, T>) -> i64),
    MaybeInt(for<'a> fn(Of<'a, T>) -> Option<i64>),
    MaybeFloat(for<'a> fn(Of<'a, T>) -> Option<f64>),
    Boolean(for<'a> fn(Of<'a, T>) -> bool),
    MaybeBoolean(for<'a> fn(Of<'a, T>) -> Option<bool>),
    Texts(for<'a> fn(Of<'a, T>) -> Vec<String>),
    MaybeTexts(for<'a> fn(Of<'a, T>) -> Option<Vec<String>>),
    /// Objects of other types, written by a function that gets the field's own selection.
    Objects {
        ty: fn(&mut Registry) -> String,
        plan: fn(&SelectionSet) -> Plan,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &Step, &mut Out<'_>),
    },
    /// As [`Objects`](Self::Objects), for callers with a permission. Others get null and an error, and nothing is
    /// loaded for it, so the type must be nullable.
    Guarded {
        /// The name of the permission.
        requires: &'static str,
        ty: fn(&mut Registry) -> String,
        plan: fn(&SelectionSet) -> Plan,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &Step, &mut Out<'_>),
    },
}

/// A selection, prepared to be written for any number of objects of one type.
#[derive(Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Whether a field in it, on any level, has been refused.
    refuses: bool,
}

/// One field to write.
#[derive(Debug)]
pub struct Step {
    /// The field's name in the schema.
    pub name: &'static str,
    /// The response key as JSON, with its colon.
    key: String,
    /// The index in the type's table; none for `__typename`.
    field: Option<usize>,
    pub plan: Plan,
    pub arguments: Vec<(Name, Value)>,
    /// The permission that the field requires.
    requires: Option<&'static str>,
    /// Whether the caller lacks it.
    refused: bool,
    at: Pos,
}

impl Step {
    /// The value of an argument; none when it was left out, or null.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments
            .iter()
            .find(|(found, value)| found == name && *value != Value::Null)
            .map(|(_, value)| value)
    }
}

impl Plan {
    /// Reads a prepared selection of objects of type `T`.
    pub fn of<T: Object>(selection: &SelectionSet) -> Self {
        let step = |syntax: &Positioned<Syntax>| {
            let (at, syntax) = (syntax.pos, &syntax.node);
            let place = T::FIELDS.iter().position(|field| field.name == syntax.name.node);
            let plan = match place.map(|place| &T::FIELDS[place].is) {
                Some(Is::Objects { plan, .. } | Is::Guarded { plan, .. }) => plan(&syntax.selection_set.node),
                _ => Self::default(),
            };
            let requires = place.and_then(|place| T::FIELDS[place].requires());
            let constant = |value: &async_graphql_value::Value| value.clone().into_const().unwrap_or_default();
            Step {
                name: place.map_or(TYPENAME, |place| T::FIELDS[place].name),
                key: format!("\"{}\":", syntax.response_key().node),
                field: place,
                plan,
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
            steps: collect(selection, T::NAME).map(step).collect(),
            refuses: false,
        }
    }

    /// The selected fields of this name, under any response key. Refused fields are left out.
    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.name == name && !step.refused)
    }

    /// Whether a field of this name is selected and not refused.
    pub fn asks(&self, name: &str) -> bool {
        self.below(name).next().is_some()
    }
}

const TYPENAME: &str = "__typename";

/// The JSON of an answer while it is written.
pub struct Out<'a> {
    json: Text,
    budget: &'a Budget,
    exceeded: bool,
    /// The path of the current field; kept only where a field is refused.
    path: Vec<PathSegment>,
    refusals: Vec<Refusal>,
}

impl Out<'_> {
    fn text(&mut self, text: &str) {
        self.json.push(text);
    }

    fn value(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        self.json.value(value);
    }

    /// Whether a limit is exceeded, so that writing can stop.
    fn is_over(&self) -> bool {
        self.exceeded || self.json.is_refused()
    }
}

/// Writes one object, or nothing once the answer exceeds a limit: the request is refused then.
pub fn object<T: Object>(row: T::Row<'_>, plan: &Plan, out: &mut Out<'_>) {
    if out.is_over() {
        return;
    }
    if !out.budget.take(plan.steps.len() + 1) {
        out.exceeded = true;
        return;
    }
    out.text("{");
    for (at, step) in plan.steps.iter().enumerate() {
        if at > 0 {
            out.text(",");
        }
        out.text(&step.key);
        let tells = step.refused || step.plan.refuses;
        if tells {
            out.path.push(PathSegment::Field(step.response_key().to_owned()));
        }
        match step.field {
            None => out.value(T::NAME),
            Some(_) if step.refused => out.refuse(step),
            Some(field) => value(&T::FIELDS[field].is, row, step, out),
        }
        if tells {
            out.path.pop();
        }
    }
    out.text("}");
}

/// Writes one object, or null.
pub fn maybe<T: Object>(row: Option<T::Row<'_>>, plan: &Plan, out: &mut Out<'_>) {
    match row {
        Some(row) => object::<T>(row, plan, out),
        None => out.text("null"),
    }
}

/// Writes a list of objects.
pub fn list<'a, T: Object>(rows: impl IntoIterator<Item = T::Row<'a>>, plan: &Plan, out: &mut Out<'_>) {
    out.text("[");
    for (at, row) in rows.into_iter().enumerate() {
        if out.is_over() {
            return;
        }
        if at > 0 {
            out.text(",");
        }
        if plan.refuses {
            out.path.push(PathSegment::Index(at));
        }
        object::<T>(row, plan, out);
        if plan.refuses {
            out.path.pop();
        }
    }
    out.text("]");
}

/// Writes a list of objects, or null.
pub fn maybe_list<'a, T: Object>(rows: Option<impl IntoIterator<Item = T::Row<'a>>>, plan: &Plan, out: &mut Out<'_>) {
    match rows {
        Some(rows) => list::<T>(rows, plan, out),
        None => out.text("null"),
    }
}

fn value<T: Object>(is: &Is<T>, row: T::Row<'_>, step: &Step, out: &mut Out<'_>) {
    match is {
        Is::Id(get) => out.value(&get(Of(row))),
        Is::Text(get) => out.value(&get(Of(row))),
        Is::MaybeText(get) | Is::Enum(_, get) | Is::MaybeDecimal(get) => out.value(&get(Of(row))),
        Is::MaybeDate(get) => out.value(&get(Of(row))),
        Is::Instant(get) => out.value(&DateTime::text(&get(Of(row)))),
        Is::MaybeInstant(get) => out.value(&get(Of(row)).map(|instant| DateTime::text(&instant))),
        Is::MaybeId(get) => out.value(&get(Of(row))),
        Is::Int(get) => out.value(&get(Of(row))),
        Is::MaybeInt(get) => out.value(&get(Of(row))),
        Is::MaybeFloat(get) => out.value(&get(Of(row))),
        Is::Boolean(get) => out.value(&get(Of(row))),
        Is::MaybeBoolean(get) => out.value(&get(Of(row))),
        Is::Enums(_, get) => out.value(&get(Of(row))),
        Is::Texts(get) => out.value(&get(Of(row))),
        Is::MaybeTexts(get) => out.value(&get(Of(row))),
        Is::Objects { write, .. } | Is::Guarded { write, .. } => write(row, step, out),
    }
}
