//! The fields of both roots about the suppression list.

use async_graphql::{Context, Object as Root, Result};

use super::{
    accounts::page,
    context::{Answer, caller, selection},
    load_plan::requested,
    mutation::answer,
    objects::{
        connection::Connection,
        payload::{AddSuppressionPayload, RemoveSuppressionPayload},
        suppression::Suppression,
    },
    page::PageArguments,
};
use clientele_domain::notify::suppression::{
    AddSuppression, NEWEST_FIRST, RemoveSuppression, SuppressionFilter, Suppressions,
};

/// Reads the suppression list.
#[derive(Default)]
pub struct SuppressionQuery;

/// Reads the suppression list.
#[Root]
impl SuppressionQuery {
    /// A page of the suppression list, newest first: the recipients that get no messages. Requires VIEW_MESSAGES;
    /// callers who are limited to branches or centres can't read it.
    async fn suppressions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only recipients that match; all of them by default.")] filter: Option<SuppressionFilter>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<Suppression>>> {
        let window = PageArguments::new(first, after, last, before).window("suppressions", "", &NEWEST_FIRST)?;
        let selection = selection::<Connection<Suppression>>(context)?;
        let list = context.data::<Suppressions>()?;
        let list = list
            .page(
                caller(context)?,
                &filter.unwrap_or_default(),
                &window,
                requested(&selection),
            )
            .await?;
        page::<Suppression>(context, &list, &selection).await
    }
}

/// Changes the suppression list.
#[derive(Default)]
pub struct SuppressionMutation;

/// Changes the suppression list.
#[Root]
impl SuppressionMutation {
    /// Adds a recipient to the suppression list: no message is sent to it any more, and queued messages become
    /// SUPPRESSED. A recipient that is on the list stays as it is. Requires MANAGE_SUPPRESSIONS; callers who are
    /// limited to branches or centres can't change the list.
    async fn add_suppression(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The recipient to add.")] input: AddSuppression,
    ) -> Result<Answer<AddSuppressionPayload>> {
        let list = context.data::<Suppressions>()?;
        let outcome = list.add(caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(|(row, added)| (row, *added));
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Removes a recipient from the suppression list. Messages that are SUPPRESSED stay so: resend them with
    /// `resendMessages` if they are still wanted. Requires MANAGE_SUPPRESSIONS; callers who are limited to branches or
    /// centres can't change the list.
    async fn remove_suppression(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The recipient to remove.")] input: RemoveSuppression,
    ) -> Result<Answer<RemoveSuppressionPayload>> {
        let list = context.data::<Suppressions>()?;
        let removed = list.remove(caller(context)?, &input, super::now()).await?;
        answer(context, removed.as_ref(), input.client_mutation_id.as_deref())
    }
}
