//! The mutations that change the state of a client, and that merge, delete and erase clients.

use async_graphql::{Context, InputObject, Object as Root, Result};

use super::{
    client_by::ClientBy,
    context::{Answer, caller, loaders, selection},
    load_plan::{LoadPlan, selected_parts},
    loaded::LoadedData,
    mutation::{answer, read_back},
    objects::payload::{
        ChangeClientStatePayload, DeleteClientPayload, EraseClientPayload, MergeClientsPayload, MergeRow,
    },
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{
    client::Clients,
    client_by::ClientBy as Named,
    enums::ClientState,
    removal::RemoveClient,
    upsert::{ChangeClientState, ClientMember, MergeClients, MergeMode},
};
use graphql_server::object::Selection;

/// Changes the state of a client.
#[derive(InputObject)]
pub struct ChangeClientStateInput {
    /// The client.
    by: ClientBy,
    /// The new state. The state that the client already has changes nothing.
    state: ClientState,
    /// The reason, which the audit log keeps: up to 2,000 characters, with line breaks and tabs. A blank reason counts
    /// as none.
    reason: Option<String>,
    /// The version that the stored client must have. Any other version refuses the change with VERSION_CONFLICT.
    expected_version: Option<i32>,
    /// Makes it safe to repeat the request, as in `upsertClient`. Null means no key.
    idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Merges a client into another one.
#[derive(InputObject)]
pub struct MergeClientsInput {
    /// The client to merge, which exits.
    from: ClientBy,
    /// The client that the other one is merged into.
    into: ClientBy,
    /// The fields that `into` gets from `from`, each listed once. A field that `from` has no value for is cleared.
    #[graphql(default)]
    fields: Vec<ClientMember>,
    /// Decides whether the address moves. A client has at most one.
    #[graphql(default)]
    addresses: MergeMode,
    /// Decides which identification documents move.
    #[graphql(default)]
    id_documents: MergeMode,
    /// Decides which custom field values move. Links between the two clients stay, and values of sets that you may not
    /// change stay, too.
    #[graphql(default)]
    custom_information: MergeMode,
    /// The reason, which the audit log of `from` keeps: up to 2,000 characters, with line breaks and tabs. A blank
    /// reason counts as none.
    reason: Option<String>,
    /// The version that `from` must have. Any other version refuses the merge with VERSION_CONFLICT.
    expected_from_version: Option<i32>,
    /// The version that `into` must have. Any other version refuses the merge with VERSION_CONFLICT.
    expected_into_version: Option<i32>,
    /// True to only check the merge: all its problems are reported, and nothing is stored.
    #[graphql(default)]
    validate_only: bool,
    /// Makes it safe to repeat the request, as in `upsertClient`. Null means no key.
    idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Deletes a client.
#[derive(InputObject)]
pub struct DeleteClientInput {
    /// The client.
    by: ClientBy,
    /// The version that the stored client must have. Any other version refuses the deletion with VERSION_CONFLICT.
    expected_version: Option<i32>,
    /// Makes it safe to repeat the request, as in `upsertClient`. Null means no key.
    idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Erases a client.
#[derive(InputObject)]
pub struct EraseClientInput {
    /// The client. One that was deleted is found by its key or global ID only.
    by: ClientBy,
    /// Makes it safe to repeat the request, as in `upsertClient`. Null means no key. A repetition of an erasure that
    /// named the client by its ID gets OUTCOME_ERASED, because nothing is kept that shows the ID.
    idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Changes the states of clients, and merges and removes clients.
#[derive(Default)]
pub struct LifecycleMutation;

/// Changes the states of clients, and merges and removes clients.
#[Root]
impl LifecycleMutation {
    /// Changes the state of a client, and the dates that follow from it. A transition that isn't allowed is refused
    /// with INVALID_TRANSITION. Requires CHANGE_STATE. The payload shows the client to callers who also have
    /// VIEW_CLIENT.
    async fn change_client_state(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client and its new state.")] input: ChangeClientStateInput,
    ) -> Result<Answer<ChangeClientStatePayload>> {
        let selection = selection::<ChangeClientStatePayload>(context)?;
        let selections: Vec<&Selection> = selection.below("client").map(|field| &field.selection).collect();
        let load_plan = LoadPlan::of_clients(&selections)?;
        let client_mutation_id = input.client_mutation_id.as_deref();
        let by = match named(input.by) {
            Ok(by) => by,
            Err(problems) => return answer(context, Err(&problems), client_mutation_id),
        };
        let change = ChangeClientState {
            by,
            state: input.state,
            reason: input.reason,
            expected_version: input.expected_version,
            idempotency_key: input.idempotency_key,
        };
        let (clients, loaders, caller) = (context.data::<Clients>()?, loaders(context)?, caller(context)?);
        let outcome = clients.change_state(caller, &change, selected_parts(selections), super::now());
        match outcome.await? {
            Ok(Some(changed)) => {
                let client = &changed.client;
                let loaded = LoadedData::around([client], &load_plan, changed.definitions, loaders, caller).await;
                let loaded = read_back(context, loaded, &selection, "client");
                answer(
                    context,
                    Ok(loaded.as_ref().map(|loaded| (client, loaded))),
                    client_mutation_id,
                )
            }
            Ok(None) => answer(context, Ok(None), client_mutation_id),
            Err(problems) => answer(context, Err(&problems), client_mutation_id),
        }
    }

    /// Merges a client into another one. `into` gets the chosen fields, addresses, documents and custom field values of
    /// `from`, and must meet all rules of an upsert. Links of other clients to `from`, at most 500, lead to `into` from
    /// then on. `from` becomes EXITED and keeps a reference to `into`. Requires MERGE_CLIENTS.
    async fn merge_clients(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The two clients, and what `into` gets from `from`.")] input: MergeClientsInput,
    ) -> Result<Answer<MergeClientsPayload>> {
        let selection = selection::<MergeClientsPayload>(context)?;
        let selections: Vec<&Selection> = selection.below("client").map(|field| &field.selection).collect();
        let load_plan = LoadPlan::of_clients(&selections)?;
        let client_mutation_id = input.client_mutation_id.as_deref();
        let (from, into) = match (named_by(input.from, "from"), named_by(input.into, "into")) {
            (Ok(from), Ok(into)) => (from, into),
            (from, into) => {
                let problems = [from.err(), into.err()].into_iter().flatten().flatten().collect();
                return answer(context, Err(&problems), client_mutation_id);
            }
        };
        let merge = MergeClients {
            from,
            into,
            members: input.fields,
            addresses: input.addresses,
            id_documents: input.id_documents,
            custom_information: input.custom_information,
            reason: input.reason,
            expected_from_version: input.expected_from_version,
            expected_into_version: input.expected_into_version,
            validate_only: input.validate_only,
            idempotency_key: input.idempotency_key,
        };
        let (clients, loaders, caller) = (context.data::<Clients>()?, loaders(context)?, caller(context)?);
        let outcome = clients.merge(caller, &merge, selected_parts(selections), super::now());
        match outcome.await? {
            Ok(merged) if merge.validate_only => {
                let row = MergeRow {
                    client: None,
                    stored: None,
                    warnings: &merged.into.warnings,
                };
                answer(context, Ok(row), client_mutation_id)
            }
            Ok(merged) => {
                let (client, definitions) = (&merged.into.client, merged.into.definitions.clone());
                let loaded = LoadedData::around([client], &load_plan, definitions, loaders, caller).await;
                let loaded = read_back(context, loaded, &selection, "client");
                let row = MergeRow {
                    client: loaded.as_ref().map(|loaded| (client, loaded)),
                    stored: Some(&merged),
                    warnings: &merged.into.warnings,
                };
                answer(context, Ok(row), client_mutation_id)
            }
            Err(problems) => answer(context, Err(&problems), client_mutation_id),
        }
    }

    /// Deletes a client with everything that belongs to it, its messages included: those that wait to be sent never
    /// will be. Its audit records stay until `eraseClient`. The deletion is refused with STILL_LINKED while custom
    /// fields of other clients link to the client. Requires DELETE_CLIENT.
    async fn delete_client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client to delete.")] input: DeleteClientInput,
    ) -> Result<Answer<DeleteClientPayload>> {
        let client_mutation_id = input.client_mutation_id.as_deref();
        let outcome = match named(input.by) {
            Ok(by) => {
                let removal = RemoveClient {
                    expected_version: input.expected_version,
                    idempotency_key: input.idempotency_key,
                    ..by.into()
                };
                let clients = context.data::<Clients>()?;
                clients.delete(caller(context)?, &removal, super::now()).await?
            }
            Err(problems) => Err(problems),
        };
        answer(context, outcome.as_ref(), client_mutation_id)
    }

    /// Erases all personal data of a client, or of one that was deleted: the client with everything that belongs to it,
    /// its messages, the contents of its audit records, and the stored outcomes of requests about it. The key is never
    /// used again, and links of other clients to it stay. It can't be undone. Requires ERASE_CLIENT.
    async fn erase_client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client to erase.")] input: EraseClientInput,
    ) -> Result<Answer<EraseClientPayload>> {
        let client_mutation_id = input.client_mutation_id.as_deref();
        let outcome = match named(input.by) {
            Ok(by) => {
                let removal = RemoveClient {
                    idempotency_key: input.idempotency_key,
                    ..by.into()
                };
                let clients = context.data::<Clients>()?;
                clients.erase(caller(context)?, &removal, super::now()).await?
            }
            Err(problems) => Err(problems),
        };
        answer(context, outcome.as_ref(), client_mutation_id)
    }
}

/// # Errors
/// The global ID isn't one of a client.
fn named(by: ClientBy) -> Result<Named, Vec<Problem>> {
    named_by(by, "by")
}

/// As [`named`], for another member of the input.
fn named_by(by: ClientBy, member: &'static str) -> Result<Named, Vec<Problem>> {
    let message = "There is no client with this global ID.";
    by.named()
        .ok_or_else(|| vec![Problem::new(ProblemCode::NotFound, path![member], message)])
}
