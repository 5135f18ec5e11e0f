//! Who is asking, and the users and API tokens there are: fields of both roots.

use async_graphql::{Context, Object as Root, Result};

use super::{
    context::{caller, clientele, loaders, plan},
    mutation::answer,
    objects::{
        connection::{Connection, Listed, PageRow},
        payload::{
            ChangePasswordPayload, CreateTokenPayload, DeleteUserPayload, RevokeTokenPayload, UpsertUserPayload,
        },
        user::{Token, User, Viewer, ViewerRow},
    },
    page::{PageArguments, of_argument},
    reach::{Reach, asked},
    world::World,
};
use crate::api::Place;
use clientele_domain::access::{
    self, BY_CREATION, BY_NAME, ChangePassword, CreateToken, DeleteUser, RequestPlace, RevokeToken, UpsertUser,
};
use clientele_storage::paging::{Order, Total, Window};
use graphql_server::object::{Plan, Written};

/// Reads users and API tokens.
#[derive(Default)]
pub struct AccountQuery;

/// Reads users and API tokens.
#[Root]
impl AccountQuery {
    /// Who is asking, and what it may do.
    async fn viewer(&self, context: &Context<'_>) -> Result<Written<Viewer>> {
        let (clientele, caller) = (clientele(context)?, caller(context)?);
        let plan = plan::<Viewer>(context)?;
        let password_is_initial = match plan.asks("passwordIsInitial") {
            true => access::password_is_initial(clientele, caller).await?,
            false => false,
        };
        let row = ViewerRow {
            caller,
            password_is_initial,
        };
        Written::object(context, row, &plan)
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
    ) -> Result<Written<Connection<User>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let (window, plan) = (
            window(arguments, "users", &BY_NAME)?,
            plan::<Connection<User>>(context)?,
        );
        let found = access::users(clientele(context)?, caller(context)?, &window, asked(&plan)).await?;
        page::<User>(context, &found, found.total, &plan).await
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
    ) -> Result<Written<Connection<Token>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let (window, plan) = (
            window(arguments, "tokens", &BY_CREATION)?,
            plan::<Connection<Token>>(context)?,
        );
        let found = access::tokens(clientele(context)?, caller(context)?, &window, asked(&plan)).await?;
        page::<Token>(context, &found, found.total, &plan).await
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
    plan: &Plan,
) -> Result<Written<Connection<T>>> {
    let world = World::around_messages([], &Reach::default(), loaders(context)?, caller(context)?).await?;
    let world = &world;
    Written::object(context, PageRow { page, world, total }, plan)
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
    ) -> Result<Written<UpsertUserPayload>> {
        let plan = plan::<UpsertUserPayload>(context)?;
        let outcome = access::upsert_user(
            clientele(context)?,
            caller(context)?,
            &input,
            &Admitted::of(context),
            super::now(),
        )
        .await?;
        let stored = outcome.as_ref().map(|(user, created)| (user, *created));
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Removes a user, which can sign in nowhere after 10 seconds. The tokens that it created stay, as they are the
    /// programs' that use them; but it has seen them: revoke those with its key as `createdById`. Needs MANAGE_USERS,
    /// and every right that the user has.
    async fn delete_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which user.")] input: DeleteUser,
    ) -> Result<Written<DeleteUserPayload>> {
        let plan = plan::<DeleteUserPayload>(context)?;
        let outcome = access::delete_user(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(String::as_str);
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Changes the caller's own password. It counts on every server within 10 seconds.
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The old password and the new one.")] input: ChangePassword,
    ) -> Result<Written<ChangePasswordPayload>> {
        let plan = plan::<ChangePasswordPayload>(context)?;
        let outcome = access::change_password(
            clientele(context)?,
            caller(context)?,
            &input,
            &Admitted::of(context),
            super::now(),
        )
        .await?;
        let stored = outcome.as_ref().copied();
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Creates an API token with rights of its own, which it keeps until it ends or is revoked, whatever becomes of
    /// you. Needs MANAGE_USERS, and every right that the token is to have: judged by what is stored of you at this
    /// moment.
    async fn create_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token as it is to be.")] input: CreateToken,
    ) -> Result<Written<CreateTokenPayload>> {
        let plan = plan::<CreateTokenPayload>(context)?;
        let outcome = access::create_token(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref().map(|(token, text)| (token, text.reveal()));
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Makes an API token worthless, on every server within 10 seconds. Needs MANAGE_USERS, and every right that it
    /// has.
    async fn revoke_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which token.")] input: RevokeToken,
    ) -> Result<Written<RevokeTokenPayload>> {
        let plan = plan::<RevokeTokenPayload>(context)?;
        let outcome = access::revoke_token(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let stored = outcome.as_ref();
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }
}
