//! The fields of both roots about sessions: sign-in, refresh, sign-out, lists and revocation.

use async_graphql::{Context, InputObject, Object as Root, Result};

use super::{
    accounts::page,
    context::{Answer, caller, selection},
    load_plan::requested,
    mutation::answer,
    objects::{
        connection::Connection,
        payload::{RefreshSessionPayload, RevokeSessionPayload, SessionRow, SignInPayload, SignOutPayload},
        session::Session,
    },
    page::PageArguments,
    sign_in::{refused, request},
};
use crate::api::authentication::{Begun, SignIn};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::access::{Accounts, BY_START, RefreshError, RevokeSession, SignInError, SignOut, check_sign_in};
use graphql_server::object::Object;

/// Signs in with a name and a password.
#[derive(InputObject, Clone)]
#[graphql(name = "SignInInput")]
pub struct SignInInput {
    /// The name of the user.
    name: String,
    /// The password of the user.
    password: String,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Refreshes a session.
#[derive(InputObject, Clone)]
#[graphql(name = "RefreshSessionInput")]
pub struct RefreshSessionInput {
    /// The refresh token that the session got last.
    refresh_token: String,
    /// An ID of your choice, which the payload returns unchanged.
    client_mutation_id: Option<String>,
}

/// Reads sessions.
#[derive(Default)]
pub struct SessionQuery;

/// Reads sessions.
#[Root]
impl SessionQuery {
    /// A page of sessions that haven't expired, ordered by their start: your own or, with MANAGE_USERS, those of all
    /// users.
    async fn sessions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only sessions of the user of this name. Another name than your own requires MANAGE_USERS.")]
        user: Option<String>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<Session>>> {
        let window = PageArguments::new(first, after, last, before).window("sessions", "", &BY_START)?;
        let selection = selection::<Connection<Session>>(context)?;
        let (accounts, caller) = (context.data::<Accounts>()?, caller(context)?);
        let requested = requested(&selection);
        let list = accounts.sessions(caller, user.as_deref(), &window, requested, super::now());
        page::<Session>(context, &list.await?, &selection).await
    }
}

/// Begins, refreshes and ends sessions.
#[derive(Default)]
pub struct SessionMutation;

/// Begins, refreshes and ends sessions.
#[Root]
impl SessionMutation {
    /// Begins a session of a user: returns an access token, which the application sends with each request, and a
    /// refresh token. Needs no credentials, and must be the only field of its operation, `__typename` aside. A user
    /// has at most 100 sessions: with one more, the oldest ends.
    async fn sign_in(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The name and the password.")] input: SignInInput,
    ) -> Result<Answer<SignInPayload>> {
        let sign_in = context.data::<SignIn>()?;
        let SignInInput { name, password, .. } = &input;
        let problem = check_sign_in(name, password).or_else(|| off(sign_in));
        let begun = match problem {
            Some(problem) => Err(vec![problem]),
            None => match sign_in.sign_in(name, password, request(context)?, super::now()).await {
                Ok(begun) => Ok(begun),
                Err(SignInError::Wrong) => Err(vec![wrong_password()]),
                Err(error) => return Err(refused(context, error).into()),
            },
        };
        begun_answer(context, &begun, input.client_mutation_id.as_deref())
    }

    /// Replaces the access token and the refresh token of a session. The previous refresh token is no longer valid;
    /// within 10 seconds, no server accepts the previous access token any more. A refresh token that was replaced
    /// before ends its session (WRONG_CREDENTIALS), except within 10 seconds: then another request had just replaced
    /// it, and the session goes on (TOKEN_REPLACED). Needs no credentials, and must be the only field of its operation,
    /// `__typename` aside.
    async fn refresh_session(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The refresh token.")] input: RefreshSessionInput,
    ) -> Result<Answer<RefreshSessionPayload>> {
        let sign_in = context.data::<SignIn>()?;
        let begun = match off(sign_in) {
            Some(problem) => Err(vec![problem]),
            None => match sign_in
                .refresh(&input.refresh_token, request(context)?, super::now())
                .await
            {
                Ok(refreshed) => refreshed.map_err(|error| vec![not_refreshed(error)]),
                Err(error) => return Err(refused(context, error).into()),
            },
        };
        begun_answer(context, &begun, input.client_mutation_id.as_deref())
    }

    /// Ends the session whose access token you send, or all of your sessions. Within 10 seconds, no server accepts
    /// their tokens any more.
    async fn sign_out(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The sessions to end: by default the one whose access token you send.")] input: Option<
            SignOut,
        >,
    ) -> Result<Answer<SignOutPayload>> {
        let input = input.unwrap_or_default();
        let accounts = context.data::<Accounts>()?;
        let ended = accounts.sign_out(caller(context)?, &input, super::now()).await?;
        answer(context, ended.as_ref().copied(), input.client_mutation_id.as_deref())
    }

    /// Ends a session: one of your own or, with MANAGE_USERS and every right that its user has, of another user. Within
    /// 10 seconds, no server accepts its tokens any more.
    async fn revoke_session(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The session to end.")] input: RevokeSession,
    ) -> Result<Answer<RevokeSessionPayload>> {
        let accounts = context.data::<Accounts>()?;
        let ended = accounts.revoke_session(caller(context)?, &input, super::now()).await?;
        answer(context, ended.as_ref(), input.client_mutation_id.as_deref())
    }
}

/// The payload of new tokens.
fn begun_answer<'a, T>(
    context: &Context<'_>,
    begun: &'a Result<Begun, Vec<Problem>>,
    client_mutation_id: Option<&'a str>,
) -> Result<Answer<T>>
where
    T: Object<Row<'a> = super::objects::payload::PayloadRow<'a, SessionRow<'a>>>,
{
    let row = begun.as_ref().map(|(session, tokens, caller)| SessionRow {
        session,
        tokens,
        caller,
    });
    answer(context, row, client_mutation_id)
}

/// The problem of a server without authentication.
fn off(sign_in: &SignIn) -> Option<Problem> {
    let message = "This server has no authentication: send requests without signing in.";
    sign_in
        .is_off()
        .then(|| Problem::new(ProblemCode::Invalid, path![], message))
}

fn wrong_password() -> Problem {
    let message = "The name or the password is wrong, or the user can't sign in.";
    Problem::new(ProblemCode::WrongCredentials, path![], message)
}

fn not_refreshed(error: RefreshError) -> Problem {
    let (code, message) = match error {
        RefreshError::Unknown | RefreshError::Reused => (
            ProblemCode::WrongCredentials,
            "The refresh token is unknown, expired or revoked. Sign in again.",
        ),
        RefreshError::Replaced => (
            ProblemCode::TokenReplaced,
            "Another request has just replaced this refresh token. Use the tokens that it got, or sign in again.",
        ),
    };
    Problem::new(code, path!["refreshToken"], message)
}
