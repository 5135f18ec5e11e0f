//! The route for delivery receipts: JSON, the form that SMS gateways send, and the reports of mail servers.

mod read;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};

use super::{
    Api, MaybeRequestId, answer,
    errors::{RestError, codes},
    kept,
    parameters::Parameters,
    request, respond,
    submit::{Received, now},
};
use crate::api::RequestPermit;
use clientele_delivery::report;
use clientele_domain::{
    caller::{Caller, Permission},
    notify::receipt::Receipt,
};
pub use read::{OUTCOMES, UNDERWAY, of_form, of_json};

pub async fn record(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    respond(api.record(&caller, request).await, request_id)
}

impl Api {
    /// Records receipts. The answer doesn't say whether their messages exist.
    async fn record(&self, caller: &Caller, request: Request) -> Result<Body, RestError> {
        // The permission is checked before the body is read.
        caller.require(Permission::RecordReceipts)?;
        let permit = request.extensions().get::<RequestPermit>().cloned();
        let received = self.receive(request).await?;
        Parameters::parse(received.query())?.refuse_with("receipts")?;
        let receipts = self.receipts(&received)?;
        let (messages, of_caller, now) = (self.messages.clone(), caller.clone(), now());
        let recording = async move { messages.record_receipts(&of_caller, &receipts, now).await.map(Ok) };
        let (_, budget) = self.carry_out(caller, recording, permit).await?;
        Ok(kept(answer::success_bytes(), &budget))
    }

    fn receipts(&self, received: &Received) -> Result<Vec<Receipt>, RestError> {
        let declared = received.content_type().unwrap_or("application/json");
        let kind = declared
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if received.bytes.is_empty() {
            let source = "There is no body: send receipts as JSON, a gateway's form, or a mail server's report.";
            return Err(RestError::new(codes::MISSING_ENTITY_JSON, source));
        }
        match kind.as_str() {
            "application/json" => of_json(request::json(&received.bytes, self.settings.body_values)?),
            "application/x-www-form-urlencoded" => {
                of_form(&Parameters::parse(request::utf8(&received.bytes)?)?).map(Vec::from_iter)
            }
            "message/rfc822" => reported(&received.bytes),
            // The header of the request is that of the report.
            "multipart/report" => {
                let head = format!("Content-Type: {declared}\r\n\r\n");
                reported(&[head.as_bytes(), &received.bytes].concat())
            }
            _ => {
                let source = "Send receipts as application/json, a gateway's form as \
                              application/x-www-form-urlencoded, or a mail server's report as message/rfc822 or \
                              multipart/report.";
                Err(RestError::new(codes::MISSING_ENTITY_JSON, source))
            }
        }
    }
}

fn reported(mail: &[u8]) -> Result<Vec<Receipt>, RestError> {
    report::receipts(mail).map_err(|error| RestError::new(codes::INVALID_PARAMETERS, format!("The body: {error}.")))
}
