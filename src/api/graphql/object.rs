//! How objects are declared and written: one table of fields serves the schema and the answer.
//!
//! A root field loads what its selection needs, then its object is written from typed rows into one JSON buffer, which
//! the engine carries as it is. Nothing here waits, and nothing here knows what the objects are about.

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
pub use self::written::{Written, list_of, maybe_of, meta_field, one_of, text};
use super::prepare::collect;
use clientele_core::{budget::Text, scalar::DateTime};
use clientele_domain::caller::Permission;

/// An object type of the schema.
pub trait Object: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    /// Whether it has a global id and can be found by it.
    const IS_NODE: bool = false;
    const FIELDS: &'static [Field<Self>];
    /// What one object is written from.
    type Row<'a>: Copy;
}

/// A field, which exists because somebody wrote it down.
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

/// A row as a field's function sees it: so wrapped, the row's lifetime is known to the compiler for what it returns.
pub struct Of<'a, T: Object + ?Sized>(T::Row<'a>);

impl<'a, T: Object + ?Sized> Deref for Of<'a, T> {
    type Target = T::Row<'a>;

    fn deref(&self) -> &T::Row<'a> {
        &self.0
    }
}

/// What a field is, and where its value comes from. The variant decides the type in the schema.
pub enum Is<T: Object + ?Sized> {
    Id(for<'a> fn(Of<'a, T>) -> String),
    MaybeId(for<'a> fn(Of<'a, T>) -> Option<String>),
    Text(for<'a> fn(Of<'a, T>) -> Cow<'a, str>),
    MaybeText(for<'a> fn(Of<'a, T>) -> Option<&'a str>),
    Enum(fn(&mut Registry) -> String, for<'a> fn(Of<'a, T>) -> Option<&'a str>),
    /// With the type of one of them.
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
    /// Objects of other types, written by a function that is given the field's own selection.
    Objects {
        ty: fn(&mut Registry) -> String,
        plan: fn(&SelectionSet) -> Plan,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &Step, &mut Out<'_>),
    },
    /// As [`Objects`](Self::Objects), for callers with a permission. Others get null and an error, and nothing is loaded
    /// for it; so that the type must be nullable.
    Guarded {
        needs: Permission,
        ty: fn(&mut Registry) -> String,
        plan: fn(&SelectionSet) -> Plan,
        arguments: &'static [Argument],
        write: for<'a> fn(T::Row<'a>, &Step, &mut Out<'_>),
    },
}

/// A selection made ready to be written for any number of objects of one type.
#[derive(Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Whether something in it, on any level, has been refused.
    refuses: bool,
}

/// One field to write.
#[derive(Debug)]
pub struct Step {
    /// The field's name; the response key may be another.
    pub name: &'static str,
    /// The response key as JSON, with its colon.
    key: String,
    /// The place in the type's table; none for `__typename`.
    field: Option<usize>,
    pub plan: Plan,
    pub arguments: Vec<(Name, Value)>,
    /// The permission it takes.
    needs: Option<Permission>,
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
            let needs = place.and_then(|place| T::FIELDS[place].needs());
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
                needs,
                refused: false,
                at,
            }
        };
        Self {
            steps: collect(selection, T::NAME).map(step).collect(),
            refuses: false,
        }
    }

    /// The selections of all fields of this name, whatever their response keys, but for those that are refused.
    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.name == name && !step.refused)
    }

    /// Whether a field of this name is to be answered.
    pub fn asks(&self, name: &str) -> bool {
        self.below(name).next().is_some()
    }
}

const TYPENAME: &str = "__typename";

/// What has been written so far.
pub struct Out<'a> {
    json: Text,
    budget: &'a Budget,
    exceeded: bool,
    /// Where the writer is; kept up only where something is refused.
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

    /// Whether the request is refused anyway, so that nothing more need be written.
    fn is_over(&self) -> bool {
        self.exceeded || self.json.is_refused()
    }
}

/// Writes one object. Nothing, once there is no room for more of the answer: the request is refused then.
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
