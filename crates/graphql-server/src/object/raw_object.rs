//! Objects written as JSON, which async-graphql carries untouched, and the registration of their types.

use std::{borrow::Cow, marker::PhantomData};

use async_graphql::{
    Context, ContextSelectionSet, ID, OutputType, Positioned, Result, ServerResult, Value,
    parser::types::Field as Syntax,
    registry::{Deprecation, MetaField, MetaInputValue, MetaType, MetaTypeId, Registry},
};
use bytes::Bytes;

use super::{Argument, Budget, Field, FieldKind, JsonWriter, Object, Selection, object, refusal};
use crate::{
    answer::raw,
    error::{Code, GraphqlError},
};
use clientele_core::{
    budget::Text,
    scalar::{Date, DateTime, Decimal},
};

/// The name of Relay's interface for objects with a global id.
pub const NODE: &str = "Node";

/// An object written as JSON, which async-graphql carries untouched.
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
    let budget = context.data::<Budget>()?;
    let mut out = JsonWriter {
        json: Text::begin(),
        budget,
        exceeded: false,
        path: Vec::new(),
        refusals: Vec::new(),
    };
    object::<T>(row, selection, &mut out);
    if out.exceeded {
        let most = budget.most;
        let message = format!("The answer would have more than {most} fields: ask for fewer, or for smaller pages.");
        return Err(GraphqlError::new(Code::QueryTooComplex, message).into());
    }
    let json = out.json.finish()?;
    refusal::report(out.refusals, entry, context);
    Ok(json.into())
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
                tags: Vec::new(),
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

impl<T: Object> Field<T> {
    fn describe(&self, registry: &mut Registry) -> MetaField {
        let (ty, arguments): (String, &[Argument]) = match &self.kind {
            FieldKind::Id(_) => (<ID as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeId(_) => (<Option<ID> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Text(_) => (<String as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeText(_) => (<Option<String> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Enum(ty, _) => (ty(registry), &[]),
            FieldKind::Enums(ty, _) => (format!("[{}]!", ty(registry)), &[]),
            FieldKind::MaybeDate(_) => (<Option<Date> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Instant(_) => (<DateTime as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeInstant(_) => (<Option<DateTime> as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeDecimal(_) => (<Option<Decimal> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Int(_) => (<i32 as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeInt(_) => (<Option<i32> as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeFloat(_) => (<Option<f64> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Boolean(_) => (<bool as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeBoolean(_) => (<Option<bool> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Texts(_) => (<Vec<String> as OutputType>::create_type_info(registry), &[]),
            FieldKind::MaybeTexts(_) => (<Option<Vec<String>> as OutputType>::create_type_info(registry), &[]),
            FieldKind::Objects { ty, arguments, .. } => (ty(registry), arguments),
            FieldKind::Guarded { ty, arguments, .. } => {
                let ty = ty(registry);
                assert!(!ty.ends_with('!'), "{} must be nullable: it may be refused", self.name);
                (ty, arguments)
            }
        };
        MetaField {
            requires_scopes: self.requires().map(str::to_owned).into_iter().collect(),
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
