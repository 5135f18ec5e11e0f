//! The fields of both roots about the caller, users and API tokens.

use async_graphql::{Context, Object as Root, Result};

use super::{
    context::{caller, loaders, selection},
    load_plan::{LoadPlan, asked},
    loaded::LoadedData,
    mutation::answer,
    objects::{
        connection::{Connection, Listed, PageRow},
        payload::{
            ChangePasswordPayload, CreateTokenPayload, DeleteUserPayload, RevokeTokenPayload, UpsertUserPayload,
        },
        user::{Token, User, Viewer, ViewerRow},
    },
    page::{PageArguments, of_argument},
};
use crate::api::Place;
use clientele_domain::access::{
    Accounts, BY_CREATION, BY_NAME, ChangePassword, CreateToken, DeleteUser, RequestPlace, RevokeToken, UpsertUser,
};
use clientele_storage::paging::{Order, Total, Window};
use graphql_server::object::{RawObject, Selection};

/// Reads users and API tokens.
#[derive(Default)]
pub struct AccountQuery;

/// Reads users and API tokens.
#[Root]
impl AccountQuery {
    /// Who is asking, and what it may do.
    async fn viewer(&self, context: &Context<'_>) -> Result<RawObject<Viewer>> {
        let (accounts, caller) = (context.data::<Accounts>()?, caller(context)?);
        let selection = selection::<Viewer>(context)?;
        let password_is_initial = match selection.selects("passwordIsInitial") {
            true => accounts.password_is_initial(caller).await?,
            false => false,
        };
        let row = ViewerRow {
            caller,
            password_is_initial,
        };
        RawObject::object(context, row, &selection)
    }

    /// A page of the users, by name. Needs MANAGE_USERS.
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many from the start, or after `after`: 50 unless given, at most 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only users after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, or before `before`: at most 500. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Only users before this cursor.")] before: Option<String>,
    ) -> Result<RawObject<Connection<User>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let (window, selection) = (
            window(arguments, "users", &BY_NAME)?,
            selection::<Connection<User>>(context)?,
        );
        let accounts = context.data::<Accounts>()?;
        let found = accounts.users(caller(context)?, &window, asked(&selection)).await?;
        page::<User>(context, &found, found.total, &selection).await
    }

    /// A page of the API tokens, revoked and expired ones too, in the order of their creation. Needs MANAGE_USERS.
    async fn tokens(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many from the start, or after `after`: 50 unless given, at most 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only tokens after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, or before `before`: at most 500. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Only tokens before this cursor.")] before: Option<String>,
    ) -> Result<RawObject<Connection<Token>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let (window, selection) = (
            window(arguments, "tokens", &BY_CREATION)?,
            selection::<Connection<Token>>(context)?,
        );
        let accounts = context.data::<Accounts>()?;
        let found = accounts.tokens(caller(context)?, &window, asked(&selection)).await?;
        page::<Token>(context, &found, found.total, &selection).await
    }
}

fn window(arguments: PageArguments, of: &str, order: &Order) -> Result<Window> {
    let window = Window::of(&arguments.range(of, "")?, order);
    Ok(window.map_err(|problem| of_argument("", &problem))?)
}

/// Users and tokens lead nowhere else.
async fn page<T: Listed>(
    context: &Context<'_>,
    page: &T::Page,
    total: Option<Total>,
    selection: &Selection,
) -> Result<RawObject<Connection<T>>> {
    let loaded = LoadedData::around_messages([], &LoadPlan::default(), loaders(context)?, caller(context)?).await?;
    let loaded = &loaded;
    RawObject::object(context, PageRow { page, loaded, total }, selection)
}

/// The request's place among those under way; none where requests aren't admitted.
struct Admitted<'a>(Option<&'a Place>);

impl<'a> Admitted<'a> {
    fn of(context: &Context<'a>) -> Self {
        Self(context.data_opt())
    }
}

impl RequestPlace for Admitted<'_> {
    fn leave(&self) {
        if let Some(place) = self.0 {
            place.leave();
        }
    }

    async fn come_back(&self) -> bool {
        match self.0 {
            Some(place) => place.resume().await,
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
    /// Creates a user, or changes the one of this name. Needs MANAGE_USERS, and every right that the user has or is to
    /// have: judged by what is stored of you at this moment. One active user with every right stays.
    async fn upsert_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The user as it is to be.")] input: UpsertUser,
    ) -> Result<RawObject<UpsertUserPayload>> {
        let selection = selection::<UpsertUserPayload>(context)?;
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts
            .upsert_user(caller(context)?, &input, &Admitted::of(context), super::now())
            .await?;
        let stored = outcome.as_ref().map(|(user, created)| (user, *created));
        answer(context, &selection, stored, input.client_mutation_id.as_deref())
    }

    /// Removes a user, which can sign in nowhere after 10 seconds. The tokens that it created stay, as they are the
    /// programs' that use them; but it has seen them: revoke those with its key as `createdById`. Needs MANAGE_USERS,
    /// and every right that the user has.
    async fn delete_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which user.")] input: DeleteUser,
    ) -> Result<RawObject<DeleteUserPayload>> {
        let selection = selection::<DeleteUserPayload>(context)?;
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.delete_user(caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(String::as_str);
        answer(context, &selection, stored, input.client_mutation_id.as_deref())
    }

    /// Changes the caller's own password. It counts on every server within 10 seconds.
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The old password and the new one.")] input: ChangePassword,
    ) -> Result<RawObject<ChangePasswordPayload>> {
        let selection = selection::<ChangePasswordPayload>(context)?;
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts
            .change_password(caller(context)?, &input, &Admitted::of(context), super::now())
            .await?;
        let stored = outcome.as_ref().copied();
        answer(context, &selection, stored, input.client_mutation_id.as_deref())
    }

    /// Creates an API token with rights of its own, which it keeps until it ends or is revoked, whatever becomes of
    /// you. Needs MANAGE_USERS, and every right that the token is to have: judged by what is stored of you at this
    /// moment.
    async fn create_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token as it is to be.")] input: CreateToken,
    ) -> Result<RawObject<CreateTokenPayload>> {
        let selection = selection::<CreateTokenPayload>(context)?;
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.create_token(caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(|(token, text)| (token, text.reveal()));
        answer(context, &selection, stored, input.client_mutation_id.as_deref())
    }

    /// Makes an API token worthless, on every server within 10 seconds. Needs MANAGE_USERS, and every right that it
    /// has.
    async fn revoke_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which token.")] input: RevokeToken,
    ) -> Result<RawObject<RevokeTokenPayload>> {
        let selection = selection::<RevokeTokenPayload>(context)?;
        let accounts = context.data::<Accounts>()?;
        let outcome = accounts.revoke_token(caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref();
        answer(context, &selection, stored, input.client_mutation_id.as_deref())
    }
}
