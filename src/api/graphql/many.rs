//! `upsertClients`: the results for many clients in one payload.

use std::{iter::repeat_n, sync::Arc};

use async_graphql::{Context, Result};

use super::{
    context::{caller, loaders, selection},
    load_plan::{LoadPlan, selected_parts},
    loaded::LoadedData,
    mutation::{answer, incomplete},
    objects::payload::{ResultRow, UpsertClientsPayload},
};
use crate::api::metrics::ApiMetrics;
use clientele_domain::{
    client::{Aggregate, Clients},
    definitions::Definitions,
    upsert::{Many, Outcome, UpsertClients},
};
use graphql_server::object::{RawObject, Selection};

pub async fn upsert(context: &Context<'_>, mut input: UpsertClients) -> Result<RawObject<UpsertClientsPayload>> {
    let selection = selection::<UpsertClientsPayload>(context)?;
    let results = selection.below("results");
    let fields = results.flat_map(|field| field.selection.below("client"));
    let selections: Vec<&Selection> = fields.map(|field| &field.selection).collect();
    let load_plan = LoadPlan::of_clients(&selections)?;
    let parts = (!selections.is_empty()).then(|| selected_parts(selections));
    let clients = context.data::<Clients>()?;
    let outcome = clients.upsert_many(caller(context)?, &mut input, parts, super::now());
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
    let loaded = around(context, &many, &load_plan).await.map_err(|_| incomplete())?;
    let loaded = loaded.iter().flat_map(|(clients, data)| repeat_n(data, *clients));
    let stored = many.iter().flatten().filter_map(|stored| stored.client.as_ref());
    let mut shown = stored.map(|(client, _)| client).zip(loaded);
    let mut rows = Vec::with_capacity(many.len());
    for (result, input) in many.iter().zip(&input.clients) {
        let outcome = match result {
            Ok(stored) => {
                let client = stored.client.as_ref().and_then(|_| shown.next());
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
    answer(context, Ok(&*rows), client_mutation_id)
}

/// Loads the data around the stored clients: once for all in a row that are shown with the same definitions, with their
/// number.
async fn around(context: &Context<'_>, many: &Many, load_plan: &LoadPlan<'_>) -> Result<Vec<(usize, LoadedData)>> {
    let mut groups: Vec<(Vec<&Aggregate>, &Arc<Definitions>)> = Vec::new();
    for (client, definitions) in many.iter().flatten().filter_map(|stored| stored.client.as_ref()) {
        match groups.last_mut() {
            Some((clients, known)) if Arc::ptr_eq(known, definitions) => clients.push(client),
            _ => groups.push((vec![client], definitions)),
        }
    }
    let mut all = Vec::with_capacity(groups.len());
    for (clients, definitions) in groups {
        let number = clients.len();
        let (loaders, caller) = (loaders(context)?, caller(context)?);
        let data = LoadedData::around(clients, load_plan, definitions.clone(), loaders, caller);
        all.push((number, data.await?));
    }
    Ok(all)
}
