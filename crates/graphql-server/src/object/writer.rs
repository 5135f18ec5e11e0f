//! Writes objects as JSON, which async-graphql carries untouched: its own resolvers take about 2 µs for each field.
//! Fields that the caller may not read are answered null, and reported with their paths.

use std::{
    borrow::Cow,
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use async_graphql::{
    Context, ContextSelectionSet, OutputType, PathSegment, Positioned, Result, ServerError, ServerResult, Value,
    parser::types::Field as Syntax,
    registry::{MetaType, MetaTypeId, Registry},
};
use bytes::Bytes;

use super::{NODE, Object, SelectedField, Selection, WRITTEN};
use crate::{
    answer::raw,
    error::{Code, GraphqlError},
};
use clientele_core::{budget::Text, error::Error};

/// The most refused fields that one answer reports.
const MOST_REFUSALS: usize = 20;

/// The fields that the answer to one request may still have. Lists multiply selections by the number of stored rows, so
/// only counting while writing bounds them.
#[derive(Debug)]
pub struct FieldBudget {
    most: usize,
    left: AtomicUsize,
    /// The refused fields that may still be reported.
    refusals: AtomicUsize,
}

impl FieldBudget {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            left: AtomicUsize::new(most),
            refusals: AtomicUsize::new(MOST_REFUSALS),
        }
    }

    /// Takes room for this many fields. Once there isn't enough, every later call returns false.
    fn take(&self, fields: usize) -> bool {
        let rest = |left: usize| left.checked_sub(fields);
        if self.left.fetch_update(Relaxed, Relaxed, rest).is_ok() {
            return true;
        }
        self.left.store(0, Relaxed);
        false
    }

    /// Takes room for the report of one refused field.
    fn take_refusal(&self) -> bool {
        let rest = |left: usize| left.checked_sub(1);
        self.refusals.fetch_update(Relaxed, Relaxed, rest).is_ok()
    }
}

/// The JSON of an answer while it is written.
pub struct JsonWriter<'a> {
    json: Text,
    budget: &'a FieldBudget,
    exceeded: bool,
    /// The path of the current field; kept only where a field is refused.
    path: Vec<PathSegment>,
    /// The errors of refused fields, with their paths below the field of the root.
    refusals: Vec<ServerError>,
}

impl JsonWriter<'_> {
    fn text(&mut self, text: &str) {
        self.json.push(text);
    }

    pub(super) fn value(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        self.json.value(value);
    }

    /// True if a limit is exceeded, so that writing can stop.
    fn is_over(&self) -> bool {
        self.exceeded || self.json.is_refused()
    }

    /// Writes null for the current field.
    fn refuse(&mut self, field: &SelectedField) {
        self.text("null");
        if let Some(permission) = field.requires
            && self.budget.take_refusal()
        {
            let error = async_graphql::Error::from(Error::Forbidden(permission)).into_server_error(field.at);
            self.refusals.push(error.with_path(self.path.clone()));
        }
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
            Some(index) => T::FIELDS[index].kind.write(row, field, json),
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

/// An object as JSON text. `entry` is its index if the field of the root answers a list.
///
/// # Errors
/// The answer has too many fields, or takes too much memory or time.
pub fn text<T: Object>(
    context: &Context<'_>,
    row: T::Row<'_>,
    selection: &Selection,
    entry: Option<usize>,
) -> Result<Bytes> {
    text_within::<T>(context, row, selection, entry, context.data::<FieldBudget>()?)
}

fn text_within<T: Object>(
    context: &Context<'_>,
    row: T::Row<'_>,
    selection: &Selection,
    entry: Option<usize>,
    budget: &FieldBudget,
) -> Result<Bytes> {
    let mut out = JsonWriter {
        json: Text::begin(),
        budget,
        exceeded: false,
        path: entry.map(PathSegment::Index).into_iter().collect(),
        refusals: Vec::new(),
    };
    object::<T>(row, selection, &mut out);
    if out.exceeded {
        let most = budget.most;
        let message = format!("The answer would have more than {most} fields: ask for fewer, or for smaller pages.");
        return Err(GraphqlError::new(Code::QueryTooComplex, message).into());
    }
    let json = out.json.finish()?;
    for mut error in out.refusals {
        let below = std::mem::take(&mut error.path);
        error = context.set_error_path(error);
        error.path.extend(below);
        context.add_error(error);
    }
    Ok(json.into())
}

/// An object written as JSON.
pub struct RawObject<T> {
    json: Bytes,
    of: PhantomData<fn() -> T>,
}

impl<T: Object> RawObject<T> {
    /// # Errors
    /// As [`text`].
    pub fn object(context: &Context<'_>, row: T::Row<'_>, selection: &Selection) -> Result<Self> {
        Ok(Self {
            json: text::<T>(context, row, selection, None)?,
            of: PhantomData,
        })
    }

    /// An object of a subscription, each of which has the fields of a whole answer.
    ///
    /// # Errors
    /// As [`text`].
    pub fn event(context: &Context<'_>, row: T::Row<'_>, selection: &Selection) -> Result<Self> {
        let budget = FieldBudget::new(context.data::<FieldBudget>()?.most);
        Ok(Self {
            json: text_within::<T>(context, row, selection, None, &budget)?,
            of: PhantomData,
        })
    }
}

impl<T: Object> OutputType for RawObject<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(T::NAME)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Object, |registry| {
            if T::IS_NODE {
                registry.add_implements(T::NAME, NODE);
            }
            MetaType::Object {
                name: T::NAME.to_owned(),
                description: Some(T::DESCRIPTION.to_owned()),
                fields: T::FIELDS
                    .iter()
                    .map(|field| (field.name.to_owned(), field.describe(registry)))
                    .collect(),
                cache_control: Default::default(),
                extends: false,
                shareable: false,
                resolvable: true,
                keys: None,
                visible: None,
                inaccessible: false,
                interface_object: false,
                tags: vec![WRITTEN.to_owned()],
                is_subscription: false,
                rust_typename: Some(std::any::type_name::<Self>()),
                directive_invocations: Vec::new(),
                requires_scopes: Vec::new(),
            }
        })
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Syntax>) -> ServerResult<Value> {
        Ok(raw(self.json.clone()))
    }
}
