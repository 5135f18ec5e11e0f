//! The fields of both roots about the caller, users and API tokens.

use async_graphql::{Context, Object as Root, Result};

use super::{
    context::{Answer, caller, loaders, selection},
    load_plan::{LoadPlan, requested},
    loaded::LoadedData,
    mutation::answer,
    objects::{
        connection::{Connection, Listed, PageRow},
        payload::{
            ChangePasswordPayload, CreateTokenPayload, DeleteUserPayload, RevokeTokenPayload, UpsertUserPayload,
        },
        user::{Token, User, Viewer},
    },
    page::PageArguments,
    sign_in::proven,
};
use crate::api::RequestPermit;
use clientele_domain::access::{
    Accounts, BY_CREATION, BY_NAME, ChangePassword, CreateToken, DeleteUser, PausablePermit, RevokeToken, UpsertUser,
};
use graphql_server::object::{RawObject, Selection};

/// Reads users and API tokens.
#[derive(Default)]
pub struct AccountQuery;

/// Reads users and API tokens.
#[Root]
impl AccountQuery {
    /// The caller of this request, with its permissions.
    async fn viewer(&self, context: &Context<'_>) -> Result<Answer<Viewer>> {
        let (accounts, caller) = (context.data::<Accounts>()?, caller(context)?);
        let selection = selection::<Viewer>(context)?;
        let password_is_initial = match selection.selects("passwordIsInitial") {
            true => accounts.password_is_initial(caller).await?,
            false => false,
        };
        RawObject::object(context, (caller, password_is_initial), &selection).map(Some)
    }

    /// A page of users, ordered by name. Requires MANAGE_USERS.
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<User>>> {
        let window = PageArguments::new(first, after, last, before).window("users", "", &BY_NAME)?;
        let selection = selection::<Connection<User>>(context)?;
        let accounts = context.data::<Accounts>()?;
        let list = accounts.users(caller(context)?, &window, requested(&selection)).await?;
        page::<User>(context, &list, &selection).await
    }

    /// A page of API tokens, including revoked and expired ones, ordered by creation. Requires MANAGE_USERS.
    async fn tokens(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<Token>>> {
        let window = PageArguments::new(first, after, last, before).window("tokens", "", &BY_CREATION)?;
        let selection = selection::<Connection<Token>>(context)?;
        let accounts = context.data::<Accounts>()?;
        let list = accounts
            .tokens(caller(context)?, &window, requested(&selection))
            .await?;
        page::<Token>(context, &list, &selection).await
    }
}

/// Users, their sessions and tokens lead nowhere else.
pub(super) async fn page<T: Listed>(
    context: &Context<'_>,
    list: &T::List,
    selection: &Selection,
) -> Result<Answer<Connection<T>>> {
    let loaded = LoadedData::around_messages([], &LoadPlan::default(), loaders(context)?, caller(context)?).await?;
    let loaded = &loaded;
    RawObject::object(context, PageRow { list, loaded }, selection).map(Some)
}

/// The request's permit; none where requests aren't admitted.
struct Admitted<'a>(Option<&'a RequestPermit>);

impl<'a> Admitted<'a> {
    fn of(context: &Context<'a>) -> Self {
        Self(context.data_opt())
    }
}

impl PausablePermit for Admitted<'_> {
    fn leave(&self) {
        if let Some(permit) = self.0 {
            permit.leave();
        }
    }

    async fn come_back(&self) -> bool {
        match self.0 {
            Some(permit) => permit.resume().await,
            None => true,
        }
    }
}

/// Changes users and API tokens.
#[derive(Default)]
pub struct AccountMutation;

/// Changes users and API tokens.
#[Root]
impl AccountMutation {
    /// Creates a user, or changes the existing user with this name. Requires MANAGE_USERS, and every right that the
    /// user has or gets; your own rights are read anew for this. The last active user with all rights keeps them.
    async fn upsert_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The user to create or change.")] input: UpsertUser,
    ) -> Result<Answer<UpsertUserPayload>> {
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts
            .upsert_user(caller(context)?, &input, &Admitted::of(context), super::now())
            .await?;
        let stored = outcome.as_ref().map(|(user, created)| (user, *created));
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Deletes a user. Within 10 seconds, no server accepts its password any more. Tokens that the user created stay
    /// valid for the programs that use them. The user has seen their secrets: to revoke them, find the tokens with the
    /// user's key as `createdById`. Requires MANAGE_USERS, and every right that the user has.
    async fn delete_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The user to delete.")] input: DeleteUser,
    ) -> Result<Answer<DeleteUserPayload>> {
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.delete_user(caller(context)?, &input, super::now()).await?;
        answer(
            context,
            outcome.as_ref().map(String::as_str),
            input.client_mutation_id.as_deref(),
        )
    }

    /// Changes your own password. Within 10 seconds, every server accepts only the new one. Ends all of your sessions,
    /// the one of this request included.
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The old and the new password.")] input: ChangePassword,
    ) -> Result<Answer<ChangePasswordPayload>> {
        let accounts = context.data::<Accounts>()?;
        let outcome = match proven(context, caller(context)?, &input.old_password).await? {
            Ok(caller) => {
                let permit = Admitted::of(context);
                accounts.change_password(&caller, &input, &permit, super::now()).await?
            }
            Err(problem) => Err(vec![problem]),
        };
        answer(context, outcome.as_ref().copied(), input.client_mutation_id.as_deref())
    }

    /// Creates an API token with rights of its own. It keeps them until it expires or is revoked, even if you lose
    /// yours. Requires MANAGE_USERS, and every right that the token gets; your own rights are read anew for this.
    async fn create_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token to create.")] input: CreateToken,
    ) -> Result<Answer<CreateTokenPayload>> {
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.create_token(caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(|(token, text)| (token, text.reveal()));
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Revokes an API token. Within 10 seconds, no server accepts it any more. Requires MANAGE_USERS, and every right
    /// that the token has.
    async fn revoke_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token to revoke.")] input: RevokeToken,
    ) -> Result<Answer<RevokeTokenPayload>> {
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.revoke_token(caller(context)?, &input, super::now()).await?;
        answer(context, outcome.as_ref(), input.client_mutation_id.as_deref())
    }
}
