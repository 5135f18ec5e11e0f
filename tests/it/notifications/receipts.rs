//! Delivery receipts: the states that they lead to, receipts before the message is sent, and bad input.

use std::time::SystemTime;

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
};
use clientele::{
    caller::{Caller, Permission, Rights},
    delivery::{NotificationSettings, settings::SmsSettings},
    enums::ReceiptStatus,
    notify::receipt::{MOST_RECEIPTS, Receipt, ReceiptMessage},
    services::Services,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    manual_worker::{Hand, settings, sms_settings},
    messages, metrics, reachable, template,
};
use crate::harness::{
    Answer, TestServer,
    graphql::{data, store_key},
    peers::{Answering, GatewayPeer, Mailing, SmtpPeer},
};

const PATH: &str = "/api/notifications/receipts";

/// A caller that can record receipts and nothing else.
fn gateway() -> Rights {
    Rights::of([Permission::RecordReceipts])
}

async fn post(server: &TestServer, body: Value) -> Answer {
    server.as_caller(&gateway()).post(PATH, body).await
}

async fn accepts(server: &TestServer, body: Value) {
    let answer = post(server, body).await;
    let success = r#"{"returnCode":0,"returnStatus":"SUCCESS"}"#;
    assert_eq!((answer.status, &*answer.text), (200, success));
}

/// Sends one text message and returns its key. Its provider's id is SM17.
async fn send(server: &TestServer) -> String {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    let message = messages(server).await.remove(0);
    assert_eq!(
        (&*message.state, message.provider_id.as_deref()),
        ("SENT", Some("SM17"))
    );
    message.encoded_key
}

/// The state of the only message, with its reason.
async fn state(server: &TestServer) -> (String, Option<String>) {
    let message = messages(server).await.remove(0);
    (message.state, message.reason)
}

fn is(state: &str, reason: Option<&str>) -> (String, Option<String>) {
    (state.to_owned(), reason.map(str::to_owned))
}

async fn suppressed(server: &TestServer) -> Value {
    let query = "{ suppressions { nodes { channel recipient reason byKind byName } } }";
    data(server, query, json!({})).await["suppressions"]["nodes"].take()
}

on_both!(
    receipt_is_shown_at_its_message,
    receipts_lead_to_one_state_in_any_order,
    resent_message_has_a_new_key_only_if_it_was_accepted,
    permanent_bounce_suppresses_the_recipient_once,
    complaint_suppresses_the_recipient,
    receipt_during_the_attempt_wins_over_its_outcome,
    receipt_before_the_providers_id_is_known_is_kept,
    early_receipt_of_the_highest_rank_decides,
    used_receipt_is_not_applied_again,
    receipts_are_counted_by_their_outcome,
    bounce_of_a_forwarded_message_does_not_suppress_the_client,
    unknown_messages_are_answered_like_known_ones,
    gateways_form_is_read,
    mail_servers_report_is_read,
    bad_receipts_are_refused_with_advice,
    limited_callers_record_no_receipts,
    delivered_message_that_waits_is_not_sent_again,
    receipts_take_a_fixed_number_of_statements,
);

async fn receipt_is_shown_at_its_message(server: &TestServer) {
    let key = send(server).await;
    let query = "{ messages { nodes { state deliveredAt receiptAt sentAt failedAt reason detail } } }";
    accepts(server, json!({ "messageId": key, "status": "DELIVERED" })).await;
    let delivered = json!({ "state": "DELIVERED", "deliveredAt": "<time>", "receiptAt": "<time>", "sentAt": "<time>",
        "failedAt": null, "reason": null, "detail": null });
    let answer = server.graphql(query, json!({})).await;
    answer.data(json!({ "messages": { "nodes": [delivered] } }));
    let bounced = json!({ "messageId": key, "status": "BOUNCED", "reason": "550 no\r\nsuch user" });
    accepts(server, bounced).await;
    let bounced = json!({ "state": "BOUNCED", "deliveredAt": "<time>", "receiptAt": "<time>", "sentAt": "<time>",
        "failedAt": "<time>", "reason": "SOFT_BOUNCE", "detail": "550 no  such user" });
    let answer = server.graphql(query, json!({})).await;
    answer.data(json!({ "messages": { "nodes": [bounced] } }));
    let filter = "{ messages(filter: { states: [BOUNCED] }) { totalCount } }";
    assert_eq!(data(server, filter, json!({})).await["messages"]["totalCount"], 1);
}

async fn resent_message_has_a_new_key_only_if_it_was_accepted(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    gateway.once([Answering::status(400), Answering::Accept, Answering::status(408)]);
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    let key = messages(server).await.remove(0).encoded_key;
    let resend = "mutation { resendMessages(input: { filter: { states: [FAILED, BOUNCED] } }) { resent } }";
    // Refused, then accepted and bounced.
    worker.finish().await;
    data(server, resend, json!({})).await;
    worker.finish().await;
    accepts(server, json!({ "messageId": key, "status": "BOUNCED" })).await;
    data(server, resend, json!({})).await;
    let resent_at = messages(server).await.remove(0).queued_at.timestamp_micros();
    // Deferred, then accepted: both attempts are one submission.
    worker.finish().await;
    worker.wait(3_600);
    worker.finish().await;
    let keys: Vec<String> = gateway
        .messages()
        .into_iter()
        .map(|message| message.headers["idempotency-key"].clone())
        .collect();
    let again = format!("{key}-{resent_at}");
    assert_eq!(keys, [key.clone(), key, again.clone(), again]);
}

async fn receipts_lead_to_one_state_in_any_order(server: &TestServer) {
    let key = send(server).await;
    let receipt = |status: &str| json!({ "messageId": key, "status": status });
    let by_id = |status: &str| json!({ "providerId": "SM17", "status": status });
    let again = "UPDATE message SET state = 'SENT', reason = NULL, failed_at = NULL, delivered_at = NULL";
    for (receipts, expected) in [
        (vec![receipt("DELIVERED")], is("DELIVERED", None)),
        (vec![by_id("DELIVERED"), by_id("DELIVERED")], is("DELIVERED", None)),
        (
            vec![by_id("DELIVERED"), receipt("BOUNCED")],
            is("BOUNCED", Some("SOFT_BOUNCE")),
        ),
        (
            vec![receipt("BOUNCED"), by_id("DELIVERED"), receipt("FAILED")],
            is("BOUNCED", Some("SOFT_BOUNCE")),
        ),
        (vec![receipt("FAILED"), receipt("DELIVERED")], is("DELIVERED", None)),
        (vec![by_id("FAILED")], is("FAILED", Some("UNDELIVERED"))),
        (
            vec![receipt("COMPLAINED"), receipt("DELIVERED")],
            is("DELIVERED", Some("COMPLAINT")),
        ),
    ] {
        for receipt in &receipts {
            accepts(server, receipt.clone()).await;
        }
        assert_eq!(state(server).await, expected, "one after the other: {receipts:?}");
        server.write(again).await.expect("written");
        accepts(server, json!(receipts)).await;
        assert_eq!(state(server).await, expected, "together: {receipts:?}");
        server.write(again).await.expect("written");
    }
}

async fn permanent_bounce_suppresses_the_recipient_once(server: &TestServer) {
    let key = send(server).await;
    let bounce = json!({ "messageId": key, "status": "BOUNCED", "permanent": true });
    accepts(server, bounce.clone()).await;
    let entry = json!([{ "channel": "SMS", "recipient": "+14155550101", "reason": "HARD_BOUNCE",
        "byKind": "ISSUER", "byName": "caller0" }]);
    assert_eq!(suppressed(server).await, entry);
    assert_eq!(state(server).await, is("BOUNCED", Some("HARD_BOUNCE")));
    // An entry stays as it is.
    accepts(server, json!({ "messageId": key, "status": "COMPLAINED" })).await;
    assert_eq!(state(server).await, is("DELIVERED", Some("COMPLAINT")));
    assert_eq!(suppressed(server).await, entry);
    // A repeated receipt doesn't undo a decision.
    let remove = "mutation { removeSuppression(input: { channel: SMS, recipient: \"(415) 555-0101\" }) { \
        suppression { recipient } userErrors { message } } }";
    data(server, remove, json!({})).await;
    let remove = remove.replace("(415) 555-0101", "+1 415 555 0101");
    let removed = data(server, &remove, json!({})).await;
    assert_eq!(removed["removeSuppression"]["suppression"]["recipient"], "+14155550101");
    let before = server.snapshot().await;
    accepts(server, bounce).await;
    assert_eq!(server.snapshot().await, before);
    assert_eq!(suppressed(server).await, json!([]));
}

async fn complaint_suppresses_the_recipient(server: &TestServer) {
    let key = send(server).await;
    accepts(server, json!({ "messageId": key, "status": "COMPLAINED" })).await;
    let entry = json!([{ "channel": "SMS", "recipient": "+14155550101", "reason": "COMPLAINT", "byKind": "ISSUER",
        "byName": "caller0" }]);
    assert_eq!(suppressed(server).await, entry);
}

/// The settings of a gateway that reports about a message before it answers the request that sends it.
async fn early_gateway(services: Services, receipt: fn(&str) -> ReceiptMessage, status: u16) -> NotificationSettings {
    let answer = move |headers: HeaderMap| {
        let services = services.clone();
        async move {
            let key = headers["idempotency-key"].to_str().expect("a key").to_owned();
            let receipt = Receipt::new(receipt(&key), ReceiptStatus::Delivered, false, None, None);
            let now = SystemTime::now().into();
            let recorded = services
                .messages
                .record_receipts(&Caller::operator(), &[receipt], now)
                .await;
            recorded.expect("recorded");
            let status = StatusCode::from_u16(status).expect("a status");
            (status, r#"{"sid":"SM9"}"#)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/send", listener.local_addr().expect("bound"));
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    let usual = sms_settings(&GatewayPeer::start(Answering::Accept).await);
    NotificationSettings {
        sms: SmsSettings {
            url,
            ..usual.sms.clone()
        },
        ..usual
    }
}

async fn receipt_during_the_attempt_wins_over_its_outcome(server: &TestServer) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    // The message has arrived even if the gateway's answer is an error.
    for (status, provider_id) in [(201, Some("SM9")), (503, None), (400, None)] {
        store_key(server, json!({ "client": reachable() })).await;
        let by_key = |key: &str| ReceiptMessage::Key(key.to_owned());
        let settings = early_gateway(server.services.clone(), by_key, status).await;
        let mut worker = Hand::new(server, settings);
        worker.step().await;
        worker.wait(3_600 * 7);
        assert_eq!(worker.step().await, 0, "nothing is left to send");
        let message = messages(server).await.pop().expect("a message");
        assert_eq!(
            (&*message.state, message.provider_id.as_deref(), message.attempts),
            ("DELIVERED", provider_id, 1),
            "{status}"
        );
        assert_eq!((message.lease, message.due_at, message.failed_at), (None, None, None));
        assert!(message.sent_at.is_some() && message.delivered_at.is_some());
    }
}

async fn receipt_before_the_providers_id_is_known_is_kept(server: &TestServer) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    let by_id = |_: &str| ReceiptMessage::ProviderId("SM9".to_owned());
    let settings = early_gateway(server.services.clone(), by_id, 201).await;
    let mut worker = Hand::new(server, settings);
    assert_eq!(worker.step().await, 1);
    assert_eq!(state(server).await, is("DELIVERED", None));
    // Receipts of other systems are kept for a day.
    accepts(
        server,
        json!({ "providerId": "of another system", "status": "DELIVERED" }),
    )
    .await;
    let db = &server.services.db;
    let day = chrono::TimeDelta::days(1);
    for (age, removed) in [
        (day + chrono::TimeDelta::hours(1), 0),
        (-chrono::TimeDelta::hours(1), 1),
    ] {
        let before = worker.now() - age;
        let found = clientele::notify::receipt::remove_early_receipts(db, before).await;
        assert_eq!(found.expect("written"), removed, "{age}");
    }
}

async fn early_receipt_of_the_highest_rank_decides(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    for statuses in [["DELIVERED", "BOUNCED"], ["BOUNCED", "DELIVERED"]] {
        for together in [false, true] {
            let id = format!("{}-{together}", statuses[0]);
            let receipts = statuses.map(|status| json!({ "providerId": id, "status": status }));
            match together {
                true => accepts(server, json!(receipts)).await,
                false => {
                    for receipt in receipts {
                        accepts(server, receipt).await;
                    }
                }
            }
            gateway.once([Answering::Answer {
                status: 201,
                headers: Vec::new(),
                body: json!({ "sid": id }).to_string(),
            }]);
            store_key(server, json!({ "client": reachable() })).await;
            worker.finish().await;
            let message = messages(server).await.pop().expect("a message");
            assert_eq!(
                (&*message.state, message.provider_id.as_ref()),
                ("BOUNCED", Some(&id)),
                "{statuses:?}"
            );
        }
    }
    assert_eq!(counted(server).await, ["BOUNCED\"} 4", "EARLY\"} 8"]);
}

async fn used_receipt_is_not_applied_again(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    let bounced = json!({ "providerId": "SM17", "status": "BOUNCED" });
    // The first receipt comes before the message is sent, and the second one after that.
    accepts(server, bounced.clone()).await;
    worker.finish().await;
    for attempts in 2..=3 {
        assert_eq!(state(server).await, is("BOUNCED", Some("SOFT_BOUNCE")));
        // The gateway knows the Idempotency-Key and gives the same id.
        let resend = "mutation { resendMessages(input: { filter: { states: [BOUNCED] } }) { resent } }";
        assert_eq!(data(server, resend, json!({})).await["resendMessages"]["resent"], 1);
        worker.wait(60);
        worker.finish().await;
        assert_eq!(gateway.messages().len(), attempts);
        assert_eq!(state(server).await, is("SENT", None));
        accepts(server, bounced.clone()).await;
    }
    assert_eq!(state(server).await, is("BOUNCED", Some("SOFT_BOUNCE")));
}

/// The receipts in the metrics.
async fn counted(server: &TestServer) -> Vec<String> {
    let all = metrics(server, SystemTime::now().into()).await;
    let start = "messages_receipts_total{outcome=\"";
    let receipts = all.iter().filter_map(|line| line.strip_prefix(start));
    receipts.map(str::to_owned).collect()
}

async fn receipts_are_counted_by_their_outcome(server: &TestServer) {
    let key = send(server).await;
    let by_key = ["FAILED", "DELIVERED", "DELIVERED", "BOUNCED", "COMPLAINED"]
        .map(|status| json!({ "messageId": key, "status": status }));
    let others = [
        json!({ "messageId": "01a204b6e17070e2996235536f30e1a7", "status": "DELIVERED" }),
        json!({ "providerId": "SM18", "status": "DELIVERED" }),
    ];
    accepts(server, json!([&by_key[..], &others].concat())).await;
    let outcomes = [
        "BOUNCED",
        "COMPLAINED",
        "DELIVERED",
        "EARLY",
        "FAILED",
        "UNCHANGED",
        "UNKNOWN",
    ];
    assert_eq!(
        counted(server).await,
        outcomes.map(|outcome| format!("{outcome}\"}} 1"))
    );
}

async fn bounce_of_a_forwarded_message_does_not_suppress_the_client(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    let key = messages(server).await[0].encoded_key.clone();
    let forwarded = report(&key, "5.1.1").replace("rfc822; ana@example.test", "rfc822; old@other.test");
    let gateway = server.as_caller(&gateway());
    let request = gateway
        .request(Method::POST, PATH)
        .header("content-type", "message/rfc822");
    assert_eq!(gateway.send(request.body(forwarded)).await.status, 200);
    assert_eq!(state(server).await, is("BOUNCED", Some("SOFT_BOUNCE")));
    assert_eq!(suppressed(server).await, json!([]));
}

async fn unknown_messages_are_answered_like_known_ones(server: &TestServer) {
    let key = send(server).await;
    for receipt in [
        json!({ "messageId": key, "status": "DELIVERED" }),
        json!({ "messageId": "01a204b6e17070e2996235536f30e1a7", "status": "DELIVERED" }),
        json!({ "messageId": "<1.2@elsewhere.test>", "status": "BOUNCED", "permanent": true }),
        json!([{ "messageId": "SM01a204b6e17070e2996235536f30e1a7", "status": "DELIVERED" },
            { "messageId": "", "status": "FAILED" }]),
        json!({ "providerId": "SM18", "status": "DELIVERED" }),
        json!([]),
    ] {
        accepts(server, receipt).await;
    }
    let counted = metrics(server, SystemTime::now().into()).await;
    for (outcome, count) in [("DELIVERED", 1), ("UNKNOWN", 1), ("FOREIGN", 3), ("EARLY", 1)] {
        let line = format!("messages_receipts_total{{outcome=\"{outcome}\"}} {count}");
        assert!(counted.contains(&line), "{line}: {counted:#?}");
    }
    assert_eq!(state(server).await, is("DELIVERED", None));
    assert_eq!(suppressed(server).await, json!([]));
}

async fn gateways_form_is_read(server: &TestServer) {
    send(server).await;
    let gateway = server.as_caller(&gateway());
    for (status, code, expected) in [
        ("sent", "", is("SENT", None)),
        ("delivered", "", is("DELIVERED", None)),
        ("undelivered", "30003", is("BOUNCED", Some("SOFT_BOUNCE"))),
        ("undelivered", "30005", is("BOUNCED", Some("HARD_BOUNCE"))),
    ] {
        let form = [
            ("MessageSid", "SM17"),
            ("MessageStatus", status),
            ("ErrorCode", code),
            ("To", "+14155550101"),
            ("AccountSid", "AC1"),
        ];
        let answer = gateway.send(gateway.request(Method::POST, PATH).form(&form)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(state(server).await, expected, "{status}");
    }
    assert_eq!(messages(server).await[0].detail.as_deref(), Some("code 30005"));
    assert_eq!(suppressed(server).await[0]["recipient"], "+14155550101");
}

/// A report about a message with this key.
pub fn report(key: &str, status: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.bank.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
         report-type=delivery-status; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nSorry\r\n\r\n--B\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.bank.test\r\n\r\n\
         Final-Recipient: rfc822; ana@example.test\r\nAction: failed\r\nStatus: {status}\r\n\r\n--B\r\n\
         Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{key}@bank.test>\r\nSubject: Welcome\r\n\r\n--B--\r\n"
    )
}

async fn mail_servers_report_is_read(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    let key = messages(server).await[0].encoded_key.clone();
    let gateway = server.as_caller(&gateway());
    let send = async |media: &str, body: String| {
        let request = gateway.request(Method::POST, PATH).header("content-type", media);
        gateway.send(request.body(body)).await
    };
    let whole = report(&key, "5.2.2");
    assert_eq!(send("message/rfc822", whole.clone()).await.status, 200);
    assert_eq!(state(server).await, is("BOUNCED", Some("SOFT_BOUNCE")));
    let (_, body) = report(&key, "5.1.1")
        .split_once("\r\n\r\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("two");
    let media = "multipart/report; report-type=delivery-status; boundary=B";
    assert_eq!(send(media, body).await.status, 200);
    assert_eq!(state(server).await, is("BOUNCED", Some("HARD_BOUNCE")));
    assert_eq!(suppressed(server).await[0]["recipient"], "ana@example.test");
    assert_eq!(send("message/rfc822", report("elsewhere.1", "5.1.1")).await.status, 200);
    let refused = send(
        "message/rfc822",
        "Subject: Out of office\r\n\r\nI'm away.\r\n".to_owned(),
    )
    .await;
    assert_eq!(
        refused.body,
        json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": "The body: this isn't a report \
            about a message: it must be multipart/report with a part message/delivery-status (RFC 3464) or \
            message/feedback-report (RFC 5965)." })
    );
}

async fn bad_receipts_are_refused_with_advice(server: &TestServer) {
    let key = send(server).await;
    let good = json!({ "messageId": key, "status": "DELIVERED" });
    let long = "x".repeat(256);
    let before = server.snapshot().await;
    for (body, sentence) in [
        (json!("x"), "The body must be a receipt or an array of receipts."),
        (json!([good, 1]), "[1]: must be an object."),
        (
            json!({ "messageId": key }),
            "[0].status: must be DELIVERED, BOUNCED, FAILED or COMPLAINED.",
        ),
        (
            json!([good, { "messageId": key, "status": "delivered" }]),
            "[1].status: must be DELIVERED, BOUNCED, FAILED or COMPLAINED.",
        ),
        (
            json!({ "messageId": key, "status": "BOUNCED", "permanant": true }),
            "[0]: permanant isn't a member of a receipt: messageId, providerId, status, permanent, reason, at.",
        ),
        (
            json!({ "messageId": key, "status": "BOUNCED", "permanent": "yes" }),
            "[0].permanent: must be true or false.",
        ),
        (
            json!({ "messageId": key, "status": "BOUNCED", "reason": 5 }),
            "[0].reason: must be a text.",
        ),
        (
            json!({ "messageId": key, "status": "BOUNCED", "at": "yesterday" }),
            "[0].at: must be a time such as 2026-11-22T12:00:00Z.",
        ),
        (
            json!({ "status": "BOUNCED" }),
            "[0]: give either messageId or providerId.",
        ),
        (
            json!({ "messageId": key, "providerId": "SM17", "status": "BOUNCED" }),
            "[0]: give either messageId or providerId.",
        ),
        (
            json!({ "providerId": "", "status": "BOUNCED" }),
            "[0].providerId: must not be empty.",
        ),
        (
            json!({ "providerId": long, "status": "BOUNCED" }),
            "[0].providerId: must have at most 255 characters.",
        ),
        (
            json!({ "providerId": "a\u{0}b", "status": "BOUNCED" }),
            "[0].providerId: must not contain control characters.",
        ),
        (
            json!(vec![good.clone(); MOST_RECEIPTS + 1]),
            "There are 1001 receipts: send at most 1000 at once.",
        ),
    ] {
        let answer = post(server, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.body["errorSource"]),
            (400, &json!(sentence)),
            "{}",
            answer.text
        );
    }
    let gateway = server.as_caller(&gateway());
    for (media, body, sentence) in [
        (
            "text/plain",
            "x",
            "Send receipts as application/json, a gateway's form as application/x-www-form-urlencoded, or a mail \
             server's report as message/rfc822 or multipart/report.",
        ),
        (
            "application/json",
            "",
            "There is no body: send receipts as JSON, a gateway's form, or a mail server's report.",
        ),
        (
            "application/x-www-form-urlencoded",
            "MessageStatus=delivered",
            "MessageSid is missing: it is the gateway's id of the message.",
        ),
        (
            "application/x-www-form-urlencoded",
            "MessageSid=SM17&MessageStatus=lost",
            "MessageStatus: must be delivered, read, undelivered, failed or canceled, or a status before the outcome, \
             such as sent.",
        ),
    ] {
        let request = gateway
            .request(Method::POST, PATH)
            .header("content-type", media)
            .body(body);
        let answer = gateway.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["errorSource"]),
            (400, &json!(sentence)),
            "{media}"
        );
    }
    let request = gateway
        .request(Method::POST, &format!("{PATH}?messageId=1"))
        .json(&good);
    assert_eq!(
        gateway.send(request).await.body["errorSource"],
        "messageId isn't allowed with receipts."
    );
    assert_eq!(gateway.get(PATH).await.body["errorSource"], "This route takes POST.");
    assert_eq!(server.snapshot().await, before);
    accepts(server, json!(vec![good; MOST_RECEIPTS])).await;
    accepts(server, json!({ "providerId": "x".repeat(255), "status": "BOUNCED" })).await;
}

async fn limited_callers_record_no_receipts(server: &TestServer) {
    let key = send(server).await;
    let limited = Rights {
        branches: clientele::caller::Limit::To(["north".to_owned()].into()),
        ..gateway()
    };
    for message in [key.as_str(), "01a204b6e17070e2996235536f30e1a7"] {
        let body = json!({ "messageId": message, "status": "DELIVERED" });
        let answer = server.as_caller(&limited).post(PATH, body).await;
        assert_eq!(
            (answer.status, answer.body),
            (
                403,
                json!({ "returnCode": 15, "returnStatus": "INVALID_PERMISSIONS", "errorSource": "This concerns all \
                    clients: you can't do it while your rights are limited to branches or centres." })
            )
        );
    }
    assert_eq!(state(server).await, is("SENT", None));
}

async fn delivered_message_that_waits_is_not_sent_again(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Drop).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    let key = messages(server).await[0].encoded_key.clone();
    assert_eq!(state(server).await.0, "QUEUED");
    accepts(server, json!({ "messageId": key, "status": "DELIVERED" })).await;
    worker.wait(3_600 * 7);
    assert_eq!(worker.step().await, 0);
    assert_eq!(gateway.messages().len(), 1);
}

async fn receipts_take_a_fixed_number_of_statements(server: &TestServer) {
    let key = send(server).await;
    let mut counts = Vec::new();
    for receipts in [1, 50] {
        let by_key = (0..receipts).map(|_| json!({ "messageId": key, "status": "DELIVERED" }));
        let by_id = (0..receipts).map(|at| json!({ "providerId": format!("SM{at}"), "status": "DELIVERED" }));
        let all: Vec<Value> = by_key.chain(by_id).collect();
        accepts(server, json!(all)).await;
        server.statements();
        accepts(server, json!(all)).await;
        counts.push(server.statements().len());
    }
    assert_eq!(counts[0], counts[1]);
}
