//! The parts of a request that verify a password or a refresh token.

use async_graphql::{Context, Result};

use crate::api::{
    PeerAddress, RequestId, RequestPermit,
    authentication::{Anonymous, SignIn, SignInRefusal, SignInRequest},
    report::RequestReport,
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{access::SignInError, caller::Caller};
use graphql_server::{Code, GraphqlError};

/// The present request, as signing in needs it.
pub(super) fn request<'a>(context: &Context<'a>) -> Result<SignInRequest<'a>> {
    Ok(SignInRequest {
        id: context.data::<RequestId>()?,
        from: context.data::<PeerAddress>()?.0,
        permit: context.data_opt::<RequestPermit>(),
        report: context.data_opt::<RequestReport>(),
        is_anonymous: context.data_opt::<Anonymous>().is_some(),
    })
}

/// The error of a sign-in that was refused before the credentials were checked, or failed.
pub(super) fn refused(context: &Context<'_>, error: SignInError) -> GraphqlError {
    if let Some(refusal) = context.data_opt::<SignInRefusal>() {
        refusal.set(&error);
    }
    let code = match &error {
        SignInError::TooMany(_) => Code::RateLimited,
        SignInError::Busy | SignInError::IssuerUnreachable(_) => Code::Unavailable,
        SignInError::Missing(_) | SignInError::Wrong => Code::Unauthenticated,
        SignInError::Failed(error) => return error.into(),
    };
    GraphqlError::new(code, error.to_string())
}

/// The caller with the proof of the password, if they have signed in with an access token. Some problem if it is wrong.
pub(super) async fn proven(context: &Context<'_>, caller: &Caller, password: &str) -> Result<Result<Caller, Problem>> {
    let sign_in = context.data::<SignIn>()?;
    if caller.session.is_none() || sign_in.is_off() {
        return Ok(Ok(caller.clone()));
    }
    match sign_in.prove(caller, password, request(context)?).await {
        Ok(proven) => Ok(Ok(proven)),
        Err(SignInError::Wrong) => {
            let message = "This isn't your password.";
            Ok(Err(Problem::new(ProblemCode::Invalid, path!["oldPassword"], message)))
        }
        Err(error) => Err(refused(context, error).into()),
    }
}
