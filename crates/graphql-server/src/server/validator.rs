//! Validates documents against the language and the schema, without executing them.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    ObjectType, Request, Response, Schema, SchemaBuilder, SchemaEnv, ServerError, SubscriptionType,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextRequest},
    registry::{MetaType, Registry},
};
use futures_util::FutureExt;

use crate::{
    engine_text,
    error::{Code, GraphqlError, RequestError},
    prepare::{Parsed, form, not_of_enum},
    suggestion::suggestion,
};

/// A schema that never runs a resolver.
pub(crate) struct Validator<Q, M, S> {
    schema: Schema<Q, M, S>,
    env: SchemaEnv,
}

impl<Q, M, S> Validator<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    /// # Panics
    /// If async-graphql no longer passes its schema to extensions. Every test would notice.
    pub fn new(schema: SchemaBuilder<Q, M, S>) -> Self {
        let env = Arc::new(OnceLock::new());
        let schema = schema.extension(ValidateOnly(env.clone())).finish();
        schema.execute("{__typename}").now_or_never();
        let env = env
            .get()
            .expect("an extension sees the schema of the request it is called for")
            .clone();
        Self { schema, env }
    }

    pub fn registry(&self) -> &Registry {
        &self.env.registry
    }

    /// # Errors
    /// The mistakes in the document, with suggestions for unknown names.
    pub async fn check(&self, parsed: &Parsed, shows_schema: bool) -> Result<(), RequestError> {
        let (document, operation_name) = parsed.for_validation();
        let mut request = Request::new("");
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        let errors = self.schema.execute(request).await.errors;
        if errors.is_empty() {
            return Ok(());
        }
        let errors = errors.into_iter().map(|error| self.invalid(error, shows_schema));
        Err(RequestError::new(errors.collect()))
    }

    /// The messages of async-graphql's rules contain fields, types and variables. One of them repeats a value, which
    /// can be personal data: it lists the valid values instead, as for a variable.
    fn invalid(&self, error: ServerError, shows_schema: bool) -> GraphqlError {
        let path = engine_text::input_path(&error.message);
        let message = match engine_text::unknown_enum_value(&error.message) {
            Some((place, argument, ty)) => match self.registry().types.get(ty) {
                Some(MetaType::Enum { name, enum_values, .. }) if shows_schema => {
                    format!("{argument}: {}", not_of_enum(name, enum_values))
                }
                _ => format!("{place} does not contain the value that is sent."),
            },
            None => {
                let advice = self.advice(&error.message);
                error.message + &advice
            }
        };
        GraphqlError {
            locations: error.locations,
            ..GraphqlError::new(Code::ValidationFailed, message).of_input(path)
        }
    }

    /// Returns the advice that async-graphql's messages lack: the form of a scalar, or the member of an input object
    /// that a misspelt one means.
    fn advice(&self, message: &str) -> String {
        let types = &self.registry().types;
        if let Some(form) = engine_text::expected_type(message).and_then(|ty| form(types.get(ty)?)) {
            return format!(". {form}");
        }
        let Some((member, ty)) = engine_text::unknown_member(message) else {
            return String::new();
        };
        match types.get(ty) {
            Some(MetaType::InputObject { input_fields, .. }) => {
                format!(".{}", suggestion(member, input_fields.keys().map(String::as_str)))
            }
            _ => String::new(),
        }
    }
}

/// Lets a schema validate without executing, and keeps a reference to its registry, which is private otherwise.
struct ValidateOnly(Arc<OnceLock<SchemaEnv>>);

impl ExtensionFactory for ValidateOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self(self.0.clone()))
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for ValidateOnly {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        self.0.get_or_init(|| ctx.schema_env.clone());
        next.run(ctx).await
    }

    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}
