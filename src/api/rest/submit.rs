//! The two ways to submit a client: as JSON, or as parameters of a URL or a form.

use axum::extract::Request;
use chrono::{DateTime, Utc};
use tracing::Instrument;

use super::{
    Door,
    answer::Bare,
    body::{self, Declared, Media},
    errors::{Failure, Refusal, codes},
    expanded, json,
    parameters::Parameters,
    read,
};
use crate::{
    client::{UpsertClient, Upserted, Wanted},
    error::Error,
};

/// What the caller sent, and how it is to be answered.
struct Submission {
    input: UpsertClient,
    expanded: bool,
}

impl Door {
    /// Creates or changes a client. `named` is the id in the path.
    pub async fn submit(&self, request: Request, named: Option<String>) -> Result<Vec<u8>, Failure> {
        let Submission { input, expanded: full } = self.read(request, named).await?;
        let wanted = if full { Wanted::ALL } else { Wanted::default() };
        let Upserted {
            client,
            definitions,
            outcome: _,
        } = self.store(input, wanted, now()).await?;
        if full {
            expanded(&client, &definitions)
        } else {
            json(&Bare(&client.client))
        }
    }

    async fn read(&self, request: Request, named: Option<String>) -> Result<Submission, Refusal> {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let declared = Declared::of(&head.headers);
        let bytes = body::read(body, self.settings.body_bytes).await?;
        match (declared, bytes.is_empty()) {
            (None, true) => parameters(Parameters::parse(query)?, named),
            (Some(_), true) => Err(missing("There is no body: drop the Content-Type header, or send JSON.")),
            (
                Some(Declared {
                    media: Media::Other, ..
                }),
                false,
            ) => Err(missing("Send the body as application/json.")),
            (Some(Declared { utf8: false, .. }), false) => Err(body::not_utf8()),
            (Some(Declared { media: Media::Form, .. }), false) => {
                let form = Parameters::parse(body::utf8(&bytes)?)?;
                parameters(Parameters::parse(query)?.and(form), named)
            }
            // A body that doesn't say what it is can only be JSON.
            (Some(Declared { media: Media::Json, .. }) | None, false) => {
                let input = read::submission(body::utf8(&bytes)?)?;
                Parameters::parse(query)?.refuse_beside("a JSON body")?;
                let demand_key = self.settings.require_encoded_key;
                Ok(Submission {
                    input: UpsertClient {
                        named,
                        demand_key,
                        ..input
                    },
                    expanded: true,
                })
            }
        }
    }

    /// Runs on when the caller is gone, so that what was begun is finished.
    async fn store(&self, input: UpsertClient, wanted: Wanted, now: DateTime<Utc>) -> Result<Upserted, Failure> {
        let clientele = self.clientele.clone();
        let work = async move { clientele.upsert_client(&input, wanted, now).await };
        let stored = tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?;
        Ok(stored??)
    }
}

/// Parameters only create: a change needs JSON.
fn parameters(parameters: Parameters, named: Option<String>) -> Result<Submission, Refusal> {
    if named.is_some() {
        return Err(missing("A client is changed by a JSON body, not by parameters."));
    }
    Ok(Submission {
        input: parameters.client()?,
        expanded: false,
    })
}

fn missing(source: &str) -> Refusal {
    Refusal::new(codes::MISSING_ENTITY_JSON, source)
}

/// The door is where time comes from; below it, time is a parameter.
#[expect(clippy::disallowed_methods, reason = "this is a door")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
