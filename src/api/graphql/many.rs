//! `upsertClients`: the results for many clients in one payload.

use std::sync::Arc;

use async_graphql::{Context, Result};

use super::{
    context::{Answer, caller, loaders, selection},
    load_plan::{LoadPlan, selected_parts},
    loaded::LoadedData,
    mutation::{answer, answer_with},
    objects::payload::{ResultRow, UpsertClientsPayload},
};
use crate::api::metrics::ApiMetrics;
use clientele_domain::{
    client::{Aggregate, Clients},
    definitions::Definitions,
    upsert::{Outcome, Shown, UpsertClients},
};
use graphql_server::{Cause, Code, GraphqlError, object::Selection};

pub async fn upsert(context: &Context<'_>, mut input: UpsertClients) -> Result<Answer<UpsertClientsPayload>> {
    let selection = selection::<UpsertClientsPayload>(context)?;
    let results = selection.below("results");
    let fields = results.flat_map(|field| field.selection.below("client"));
    let selections: Vec<&Selection> = fields.map(|field| &field.selection).collect();
    let load_plan = LoadPlan::of_clients(&selections)?;
    let shown = (!selections.is_empty()).then(|| Shown {
        notes: selections.iter().any(|selection| selection.selects("notes")),
        parts: selected_parts(selections),
    });
    let clients = context.data::<Clients>()?;
    let outcome = clients.upsert_many(caller(context)?, &mut input, shown, super::now());
    let outcome = outcome.await?;
    let client_mutation_id = input.client_mutation_id.as_deref();
    let many = match outcome {
        Ok(many) => many,
        Err(problems) => return answer(context, Err(&problems), client_mutation_id),
    };
    if let Ok(metrics) = context.data::<ApiMetrics>() {
        many.iter()
            .filter_map(|result| result.as_ref().err())
            .for_each(|problems| metrics.user_errors(problems));
    }
    let shown: Vec<(&Aggregate, &Arc<Definitions>)> = many
        .iter()
        .flatten()
        .filter_map(|stored| stored.client.as_ref())
        .map(|(client, definitions)| (client, definitions))
        .collect();
    let loaded = LoadedData::around_each(&shown, &load_plan, loaders(context)?, caller(context)?).await;
    let loaded = loaded.unwrap_or_else(|_| {
        // The results are reported without the clients: nothing else says which of them are stored.
        let error = async_graphql::Error::from(unread()).into_server_error(context.item.pos);
        context.add_error(context.set_error_path(error));
        Vec::new()
    });
    let mut shown = shown.into_iter().zip(&loaded);
    let (mut rows, mut is_any_stored) = (Vec::with_capacity(many.len()), false);
    for (result, input) in many.iter().zip(&input.clients) {
        let outcome = match result {
            Ok(stored) => {
                is_any_stored |= !input.validate_only;
                let client = stored.client.as_ref().and_then(|_| shown.next());
                let client = client.map(|((client, _), data)| (client, &**data));
                Ok((client, stored.outcome == Outcome::Created && !input.validate_only))
            }
            Err(problems) => Err(&**problems),
        };
        rows.push(ResultRow {
            outcome,
            warnings: result.as_ref().map(|stored| &*stored.warnings).unwrap_or_default(),
            client_mutation_id: input.client_mutation_id.as_deref(),
        });
    }
    answer_with(context, Ok(&*rows), client_mutation_id, None, is_any_stored)
}

/// The error of a list whose clients can't be shown.
fn unread() -> GraphqlError {
    let message = "The results say which clients are stored, but the selection of `client` could not be read: read the \
                   clients, asking for less.";
    GraphqlError::new(Code::Internal, message).because(Cause::new(
        "the selection of clients in a list that was stored could not be read",
    ))
}
