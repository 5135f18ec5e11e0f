//! The server of one schema: reads each document once and caches it, prepares it for each request, and runs it.
//!
//! The schema that executes has no extensions: with one, async-graphql takes a slower path for every field.

mod validator;

use std::sync::Arc;

use async_graphql::{
    Data, EmptySubscription, ObjectType, Positioned, Request, Response, Schema, SchemaBuilder, SubscriptionType,
    ValidationMode, Value, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition},
    registry::Registry,
};
use futures_util::{Stream, StreamExt, future::ready};
use moka::sync::Cache;

pub(crate) use self::validator::Validator;
use crate::{
    answer::Answer,
    context::{RequestContext, Restriction},
    cost::{Prices, measure},
    error::{Code, GraphqlError, RequestError},
    limits::{DocumentSize, LimitExceeded, OperationSize, Policy, introspection_within},
    persisted::Persisted,
    prepare::{Document, Parsed, Prepared, is_only},
    settings::GraphqlSettings,
};

/// A schema, and all that a request needs to be validated, limited and run.
pub struct GraphqlServer<Q, M, S = EmptySubscription> {
    /// Validates documents that aren't in the cache.
    validator: Validator<Q, M, S>,
    /// Runs documents that have been validated.
    fast: Schema<Q, M, S>,
    documents: Cache<Arc<str>, Arc<Document>>,
    policy: Policy,
    prices: Prices,
    settings: GraphqlSettings,
    /// Documents that requests can name instead of sending them.
    pub(crate) persisted: Persisted,
}

impl<Q, M, S> GraphqlServer<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    /// `build` is called twice and must return the same schema each time, without extensions.
    pub fn new(
        build: impl Fn() -> SchemaBuilder<Q, M, S>,
        settings: GraphqlSettings,
        prices: Prices,
        persisted: Persisted,
    ) -> Self {
        let policy = Policy::new(&settings);
        // Our own check of nesting comes first and also counts fragments, so this limit can be as wide.
        let depth = policy.ceiling.nesting() + 1;
        let validator = Validator::new(build().limit_recursive_depth(depth));
        let fast = build()
            .limit_recursive_depth(depth)
            .validation_mode(ValidationMode::Fast)
            .finish();
        let documents = Cache::builder()
            .max_capacity(settings.document_cache_bytes)
            .weigher(|text: &Arc<str>, document: &Arc<Document>| {
                document.weight.max(u32::try_from(text.len()).unwrap_or(u32::MAX))
            })
            .build();
        Self {
            validator,
            fast,
            documents,
            policy,
            prices,
            settings,
            persisted,
        }
    }

    #[must_use]
    pub fn settings(&self) -> &GraphqlSettings {
        &self.settings
    }

    /// The types of the schema.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.validator.registry()
    }

    /// The highest cost that a request of this caller can have.
    pub(crate) fn allowed_cost(&self, context: &impl RequestContext) -> usize {
        self.policy.of(context.role()).complexity
    }

    /// The most requests that a body can have, whatever the caller's role.
    pub(crate) fn largest_batch(&self) -> usize {
        self.policy.ceiling.batch
    }

    /// The error of a body with more requests than any role can send at once.
    pub(crate) fn too_many(&self, requests: usize, context: &impl RequestContext) -> GraphqlError {
        let excess = LimitExceeded {
            limit: "batch",
            found: requests,
            allowed: self.largest_batch(),
        };
        context.on_limit_exceeded(excess, false);
        excess.error()
    }

    /// Checks the number of requests in a body, and their cost together, against the caller's limits.
    pub(crate) fn batch_within(
        &self,
        requests: usize,
        cost: usize,
        context: &impl RequestContext,
    ) -> Result<(), GraphqlError> {
        let limits = self.policy.of(context.role());
        let over = [
            ("batch", requests, limits.batch),
            ("complexity", cost, limits.complexity),
        ];
        over.into_iter()
            .filter(|(_, found, allowed)| found > allowed)
            .try_for_each(|(limit, found, allowed)| self.exceeded(LimitExceeded { limit, found, allowed }, context))
    }

    /// Reports a limit that is exceeded. An error, unless the limit is only observed.
    fn exceeded(&self, excess: LimitExceeded, context: &impl RequestContext) -> Result<(), GraphqlError> {
        let is_observed = self.policy.only_observes(excess);
        context.on_limit_exceeded(excess, is_observed);
        match is_observed {
            true => Ok(()),
            false => Err(excess.error()),
        }
    }

    /// Parses, validates, coerces and limits a request.
    ///
    /// # Errors
    /// The errors of a request that can't be executed. They suggest names of the schema only to callers who may see it.
    pub async fn prepare(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        context: &impl RequestContext,
    ) -> Result<Prepared, RequestError> {
        let prepared = self.prepare_within(query, operation_name, variables, context).await;
        prepared.map_err(|mut refused| {
            if !self.shows_schema(context) {
                refused.errors.iter_mut().for_each(GraphqlError::remove_names);
            }
            refused
        })
    }

    async fn prepare_within(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        context: &impl RequestContext,
    ) -> Result<Prepared, RequestError> {
        let limits = &self.policy.ceiling;
        let known = self.documents.get(query);
        let admit = |syntax: &_| admit_restricted(syntax, operation_name, context);
        let document = match &known {
            Some(document) => {
                admit(&document.syntax)?;
                document.clone()
            }
            None => {
                let parsed = Parsed::parse(query, self.registry(), limits)?;
                admit(&parsed.syntax)?;
                self.validator.check(&parsed, self.shows_schema(context)).await?;
                Arc::new(parsed.finish(self.registry(), limits)?)
            }
        };
        let coerced = document.coerce(self.registry(), limits, operation_name, variables)?;
        let size = measure(&coerced.flat.whole.node, &coerced.values, &self.prices);
        if let Err(error) = self.admit(document.text, &size, context) {
            return Err(RequestError {
                cost: Some(size.cost),
                ..error.into()
            });
        }
        // A refused document isn't cached, so that it displaces none that runs. It is read again each time, which the
        // ceiling bounds. A caller who may send little must not fill the cache either.
        if known.is_none() && context.restriction().is_none() {
            self.documents.insert(query.into(), document);
        }
        Ok(coerced.fill(limits, size.cost)?)
    }

    /// Checks an operation against the caller's limits.
    fn admit(
        &self,
        text: DocumentSize,
        size: &OperationSize,
        context: &impl RequestContext,
    ) -> Result<(), GraphqlError> {
        introspection_within(size)?;
        for excess in self.policy.of(context.role()).exceeded(text, size) {
            self.exceeded(excess, context)?;
        }
        if size.looks_at_schema && !self.shows_schema(context) {
            let message = "This server doesn't show its schema to you. __typename is answered to everybody.";
            return Err(GraphqlError::new(Code::Forbidden, message));
        }
        Ok(())
    }

    fn shows_schema(&self, context: &impl RequestContext) -> bool {
        self.settings.introspection.allows(context.is_authenticated())
    }

    /// Executes a query or a mutation that was [prepared](Self::prepare). Resolvers find `data` in their context.
    pub async fn run(&self, prepared: Prepared, data: Data, request_id: &str) -> Answer {
        let (request, shape) = executable(prepared, data);
        let Response { data, errors, .. } = self.fast.execute(request).await;
        Answer::executed(data, &errors, &shape.node, self.registry(), request_id)
    }

    /// Executes a subscription that was [prepared](Self::prepare). An error is the last item.
    pub fn subscribe(
        self: Arc<Self>,
        prepared: Prepared,
        data: Data,
        request_id: &str,
    ) -> impl Stream<Item = Result<Answer, RequestError>> + Send + 'static {
        let (request, shape) = executable(prepared, data);
        let (this, request_id) = (self.clone(), Arc::<str>::from(request_id));
        let answers = self.fast.execute_stream(request).map(move |response| {
            let Response { data, errors, .. } = response;
            if data == Value::Null && !errors.is_empty() {
                let set = &shape.node.selection_set.node;
                return Err(RequestError::of_subscription(&errors, set));
            }
            Ok(Answer::executed(
                data,
                &errors,
                &shape.node,
                this.registry(),
                &request_id,
            ))
        });
        let has_failed = false;
        answers.scan(has_failed, |has_failed, answer| {
            let is_over = std::mem::replace(has_failed, answer.is_err());
            ready((!is_over).then_some(answer))
        })
    }

    /// The number of cached documents, and their memory in bytes.
    #[cfg(test)]
    pub(crate) fn cached(&self) -> (u64, u64) {
        self.documents.run_pending_tasks();
        (self.documents.entry_count(), self.documents.weighted_size())
    }
}

/// The request to async-graphql, and the selections for the writer of the answer.
fn executable(prepared: Prepared, mut data: Data) -> (Request, Arc<Positioned<OperationDefinition>>) {
    let Prepared {
        operation,
        selections,
        shape,
        ..
    } = prepared;
    let mut request = Request::new("");
    data.insert(selections);
    request.data = data;
    request.set_parsed_query(ExecutableDocument {
        operations: DocumentOperations::Single(shape.position_node(operation)),
        fragments: Default::default(),
    });
    (request, shape)
}

/// Checks that a restricted caller may send this operation.
fn admit_restricted(
    syntax: &ExecutableDocument,
    operation_name: Option<&str>,
    context: &impl RequestContext,
) -> Result<(), GraphqlError> {
    match context.restriction() {
        Some(Restriction { mutations, .. }) if !is_only(syntax, operation_name, mutations) => Err(not_admitted()),
        Some(_) => {
            context.on_admitted();
            Ok(())
        }
        None => Ok(()),
    }
}

/// The error of a request that a restricted caller may not send.
pub(crate) fn not_admitted() -> GraphqlError {
    GraphqlError::new(Code::Unauthenticated, "This request requires authentication.")
}
