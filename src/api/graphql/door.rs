//! From a request's parts to its answer: documents are read once and kept, prepared for each request, and executed.
//!
//! It knows neither HTTP nor what the schema is about. The executing schema has no extensions: one would put the slow path
//! under every field (design §8).

mod strict;

use std::sync::Arc;

use async_graphql::{
    Data, EmptySubscription, ObjectType, Request, Response, Schema, SchemaBuilder, ValidationMode, Variables,
    parser::types::{DocumentOperations, ExecutableDocument},
    registry::Registry,
};
use moka::sync::Cache;

pub(super) use self::strict::Strict;
use super::{
    answer::Answer,
    error::{Code, Fault, Refused},
    limits::{Excess, Policy, Size, Text, introspection_within},
    persisted::Persisted,
    prepare::{Document, Parsed, Prepared},
    settings::GraphqlSettings,
};
use crate::api::metrics::ApiMetrics;

/// A schema with everything around it that a request needs.
pub struct Door<Q, M> {
    /// Validates documents that haven't been seen before.
    strict: Strict<Q, M>,
    /// Runs documents that have been validated.
    fast: Schema<Q, M, EmptySubscription>,
    documents: Cache<Arc<str>, Arc<Document>>,
    policy: Policy,
    settings: GraphqlSettings,
    /// Documents that may be named instead of sent.
    pub persisted: Persisted,
    metrics: ApiMetrics,
}

/// Who asks, as far as it matters for what may be asked.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub role: Option<&'a str>,
    pub signed_in: bool,
    pub request_id: &'a str,
}

/// Why a request isn't executed.
#[derive(Debug, Clone, PartialEq)]
pub struct Unprepared {
    pub refused: Refused,
    /// What it would have cost; none when that wasn't found out.
    pub cost: Option<usize>,
}

impl<T: Into<Refused>> From<T> for Unprepared {
    fn from(refused: T) -> Self {
        Self {
            refused: refused.into(),
            cost: None,
        }
    }
}

impl<Q: ObjectType + 'static, M: ObjectType + 'static> Door<Q, M> {
    /// `build` is called twice and must give the same schema each time, without extensions.
    pub fn new(
        build: impl Fn() -> SchemaBuilder<Q, M, EmptySubscription>,
        settings: GraphqlSettings,
        persisted: Persisted,
        metrics: ApiMetrics,
    ) -> Self {
        let policy = Policy::new(&settings);
        // Our own check of nesting comes first and also counts fragments, so the engine's may be as wide.
        let depth = policy.ceiling.nesting() + 1;
        let strict = Strict::new(build().limit_recursive_depth(depth));
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
            strict,
            fast,
            documents,
            policy,
            settings,
            persisted,
            metrics,
        }
    }

    #[must_use]
    pub fn settings(&self) -> &GraphqlSettings {
        &self.settings
    }

    /// The most a caller's request may cost.
    #[must_use]
    pub fn allowed_cost(&self, asker: &Asker<'_>) -> usize {
        self.policy.of(asker.role).complexity
    }

    /// How many requests one body may ever have; a role may have less.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.policy.ceiling.batch
    }

    /// The fault of a body with more requests than anybody may send at once.
    #[must_use]
    pub fn too_many(&self, requests: usize) -> Fault {
        let (limit, allowed) = ("batch", self.largest_batch());
        self.metrics.limit_exceeded(limit, false);
        let found = requests;
        Excess { limit, found, allowed }.fault()
    }

    /// Holds a body of several requests to the caller's limits: their number, and what they cost together.
    ///
    /// # Errors
    /// When it is over one, unless that is only observed.
    pub fn batch_within(&self, requests: usize, cost: usize, asker: &Asker<'_>) -> Result<(), Fault> {
        let limits = self.policy.of(asker.role);
        let over = [
            ("batch", requests, limits.batch),
            ("complexity", cost, limits.complexity),
        ];
        over.into_iter()
            .filter(|(_, found, allowed)| found > allowed)
            .try_for_each(|(limit, found, allowed)| self.exceeded(Excess { limit, found, allowed }, asker))
    }

    /// What a limit that is exceeded leads to.
    fn exceeded(&self, excess: Excess, asker: &Asker<'_>) -> Result<(), Fault> {
        let Excess { limit, found, allowed } = excess;
        let observed = self.policy.only_observes(excess);
        self.metrics.limit_exceeded(limit, observed);
        if !observed {
            return Err(excess.fault());
        }
        let request_id = asker.request_id;
        tracing::warn!(request_id, limit, found, allowed, "over a limit that is only observed");
        Ok(())
    }

    /// Answers one request. Never fails: what went wrong is in the answer.
    pub async fn execute(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        data: Data,
        asker: &Asker<'_>,
    ) -> Answer {
        match self.prepare(query, operation_name, variables, asker).await {
            Ok(prepared) => self.run(prepared, data, asker.request_id).await,
            Err(unprepared) => Answer::refused(&unprepared.refused, asker.request_id),
        }
    }

    /// Everything before the first resolver.
    ///
    /// # Errors
    /// Why the request can't be executed, and what it would have cost where that is known by then.
    pub async fn prepare(
        &self,
        query: &str,
        operation_name: Option<&str>,
        variables: Variables,
        asker: &Asker<'_>,
    ) -> Result<Prepared, Unprepared> {
        let limits = &self.policy.ceiling;
        let known = self.documents.get(query);
        let document = match &known {
            Some(document) => document.clone(),
            None => Arc::new(self.read(query, asker).await?),
        };
        let measured = document.measure(self.registry(), limits, operation_name, variables)?;
        if let Err(fault) = self.admit(document.text, &measured.size, asker) {
            return Err(Unprepared {
                refused: fault.into(),
                cost: Some(measured.size.cost),
            });
        }
        // What is refused isn't kept, so that it takes no place from what somebody runs: it is read anew each time, which the
        // ceiling bounds.
        if known.is_none() {
            self.documents.insert(query.into(), document);
        }
        Ok(measured.fill(limits)?)
    }

    /// Holds an operation to what its caller may send.
    fn admit(&self, text: Text, size: &Size, asker: &Asker<'_>) -> Result<(), Fault> {
        introspection_within(size)?;
        for excess in self.policy.of(asker.role).exceeded(text, size) {
            self.exceeded(excess, asker)?;
        }
        if size.looks_at_schema && !self.shows_schema(asker) {
            let message = "This server doesn't show its schema to you. __typename is answered to everybody.";
            return Err(Fault::new(Code::Forbidden, message));
        }
        Ok(())
    }

    fn shows_schema(&self, asker: &Asker<'_>) -> bool {
        self.settings.introspection.allows(asker.signed_in)
    }

    /// Executes what [`prepare`](Self::prepare) gave. `data` is what resolvers find in their context.
    pub async fn run(&self, prepared: Prepared, data: Data, request_id: &str) -> Answer {
        let Prepared {
            operation,
            shape,
            size: _,
        } = prepared;
        let mut request = Request::new("");
        request.data = data;
        request.set_parsed_query(ExecutableDocument {
            operations: DocumentOperations::Single(shape.position_node(operation)),
            fragments: Default::default(),
        });
        let Response { data, errors, .. } = self.fast.execute(request).await;
        Answer::executed(data, &errors, &shape.node, self.registry(), request_id)
    }

    async fn read(&self, query: &str, asker: &Asker<'_>) -> Result<Document, Refused> {
        let limits = &self.policy.ceiling;
        let parsed = Parsed::parse(query, self.registry(), limits)?;
        self.strict.check(&parsed, self.shows_schema(asker)).await?;
        parsed.finish(self.registry(), limits)
    }

    fn registry(&self) -> &Registry {
        self.strict.registry()
    }

    /// How many documents are kept, and what they take in memory, in bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (u64, u64) {
        self.documents.run_pending_tasks();
        (self.documents.entry_count(), self.documents.weighted_size())
    }
}
