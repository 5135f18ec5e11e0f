//! From a request's parts to its answer: documents are read once and kept, prepared for each request, and executed.
//!
//! It knows neither HTTP nor what the schema is about. The executing schema has no extensions: one would put the slow path
//! under every field (design §8).

use std::sync::{Arc, OnceLock};

use async_graphql::{
    Data, EmptySubscription, ObjectType, Request, Response, Schema, SchemaBuilder, SchemaEnv, ServerError,
    ValidationMode, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextRequest},
    parser::types::{DocumentOperations, ExecutableDocument},
    registry::Registry,
};
use futures_util::FutureExt;
use moka::sync::Cache;

use super::{
    answer::Answer,
    error::{Code, Fault, Refused},
    limits::Limits,
    prepare::{Document, Parsed, Prepared},
};

/// More than these nobody reads, and an answer must not be much larger than its request.
const MOST_FAULTS: usize = 20;
const LONGEST_MESSAGE: usize = 300;

/// A schema with everything around it that a request needs.
pub struct Door<Q, M> {
    /// Validates documents that haven't been seen before. It never runs a resolver.
    strict: Schema<Q, M, EmptySubscription>,
    /// Runs documents that have been validated.
    fast: Schema<Q, M, EmptySubscription>,
    env: SchemaEnv,
    documents: Cache<Arc<str>, Arc<Document>>,
    limits: Limits,
}

impl<Q: ObjectType + 'static, M: ObjectType + 'static> Door<Q, M> {
    /// `build` is called twice and must give the same schema each time, without extensions.
    ///
    /// # Panics
    /// When the engine no longer hands its schema to an extension: a change of the engine, seen by every test.
    pub fn new(build: impl Fn() -> SchemaBuilder<Q, M, EmptySubscription>, limits: Limits) -> Self {
        let env = Arc::new(OnceLock::new());
        // Our own check of nesting comes first and also counts fragments, so the engine's may be as wide.
        let depth = limits.nesting() + 1;
        let strict = build()
            .limit_recursive_depth(depth)
            .extension(ValidateOnly(env.clone()))
            .finish();
        let fast = build()
            .limit_recursive_depth(depth)
            .validation_mode(ValidationMode::Fast)
            .finish();
        strict.execute("{__typename}").now_or_never();
        let documents = Cache::builder()
            .max_capacity(limits.document_cache_bytes)
            .weigher(|text: &Arc<str>, document: &Arc<Document>| {
                document.weight.max(u32::try_from(text.len()).unwrap_or(u32::MAX))
            })
            .build();
        let env = env
            .get()
            .expect("an extension sees the schema of the request it is called for")
            .clone();
        Self {
            strict,
            fast,
            env,
            documents,
            limits,
        }
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers one request. Never fails: what went wrong is in the answer.
    pub async fn execute(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        data: Data,
        request_id: &str,
    ) -> Answer {
        match self.prepare(query, operation_name, variables).await {
            Ok(prepared) => self.run(prepared, data, request_id).await,
            Err(refused) => Answer::refused(&refused, request_id),
        }
    }

    /// Everything before the first resolver.
    ///
    /// # Errors
    /// Why the request can't be executed.
    pub async fn prepare(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
    ) -> Result<Prepared, Refused> {
        let document = match self.documents.get(query) {
            Some(document) => document,
            None => {
                let document = Arc::new(self.read(query).await?);
                self.documents.insert(query.into(), document.clone());
                document
            }
        };
        document.prepare(self.registry(), &self.limits, operation_name, variables)
    }

    /// Executes what [`prepare`](Self::prepare) gave. `data` is what resolvers find in their context.
    pub async fn run(&self, prepared: Prepared, data: Data, request_id: &str) -> Answer {
        let Prepared { operation, shape } = prepared;
        let mut request = Request::new("");
        request.data = data;
        request.set_parsed_query(ExecutableDocument {
            operations: DocumentOperations::Single(shape.position_node(operation)),
            fragments: Default::default(),
        });
        let Response { data, errors, .. } = self.fast.execute(request).await;
        Answer::executed(data, &errors, &shape.node, self.registry(), request_id)
    }

    async fn read(&self, query: &str) -> Result<Document, Refused> {
        let parsed = Parsed::parse(query, self.registry(), &self.limits)?;
        let (document, operation_name) = parsed.for_validation();
        let mut request = Request::new("");
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        let errors = self.strict.execute(request).await.errors;
        if !errors.is_empty() {
            let mut faults: Vec<_> = errors.into_iter().map(invalid).collect();
            // The engine tells some of them in the order of a hash map, and visits a document twice, so that some rules
            // speak up each time: in the order of the document the same refusal has the same words, each once.
            faults.sort_by(|one, other| {
                place(one)
                    .cmp(&place(other))
                    .then_with(|| one.message.cmp(&other.message))
            });
            faults.dedup();
            faults.truncate(MOST_FAULTS);
            return Err(Refused(faults));
        }
        parsed.finish(self.registry(), &self.limits)
    }

    fn registry(&self) -> &Registry {
        &self.env.registry
    }
}

/// Line and column.
fn place(fault: &Fault) -> Option<(usize, usize)> {
    fault.locations.first().map(|place| (place.line, place.column))
}

/// The engine's rules name fields, types and variables. One of them repeats a value, which may be anybody's.
fn invalid(error: ServerError) -> Fault {
    let message = match error.message.split_once(" does not contain the value ") {
        Some((place, _)) => format!("{place} does not contain the value that is sent."),
        None => error.message,
    };
    // Names may be as long as the document.
    let message = match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    };
    Fault {
        code: Code::ValidationFailed,
        message: message.into(),
        locations: error.locations,
    }
}

/// Lets a schema validate without executing, and takes hold of its registry, which the engine keeps private otherwise.
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
