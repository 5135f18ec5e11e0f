//! Properties of the states that receipts lead to.

use chrono::{DateTime, TimeDelta, Utc};
use entity::message;
use proptest::prelude::*;

use super::{Receipt, ReceiptMessage};
use crate::{
    enums::{
        MessageState,
        ReceiptStatus::{self, Bounced, Complained, Delivered, Failed},
    },
    message_guard::Recipients,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn message(state: MessageState, attempts: i32) -> message::Model {
    message::Model {
        client_key: "c".into(),
        encoded_key: "m".into(),
        event: "CLIENT_CREATED".into(),
        channel: "SMS".into(),
        template_key: "t".into(),
        template_id: "t".into(),
        variant_key: "v".into(),
        language: "ENGLISH".into(),
        recipient: "+14155550101".into(),
        placeholders: None,
        state: state.as_str().into(),
        attempts,
        created_at: at(0),
        queued_at: at(0),
        first_attempt_at: None,
        due_at: Some(at(1)),
        lease: None,
        sent_at: None,
        failed_at: None,
        provider: None,
        provider_id: None,
        reason: None,
        detail: None,
        delivered_at: None,
        receipt_at: None,
    }
}

fn receipt(status: ReceiptStatus, permanent: bool) -> Receipt {
    Receipt::new(ReceiptMessage::Key("m".into()), status, permanent, None, None)
}

/// The state and the reason after receipts.
fn after(mut message: message::Model, receipts: &[Receipt]) -> (String, Option<String>) {
    for receipt in receipts {
        if let Some(after) = receipt.applied(&message, at(10)) {
            assert_eq!((after.due_at, after.receipt_at), (None, Some(at(10))));
            message = after;
        }
    }
    (message.state, message.reason)
}

#[test]
fn transitions_are_those_of_the_table() {
    const STATES: [(MessageState, i32); 10] = [
        (MessageState::Queued, 0),
        (MessageState::Queued, 1),
        (MessageState::Sending, 0),
        (MessageState::Sending, 1),
        (MessageState::Sent, 1),
        (MessageState::Failed, 1),
        (MessageState::Delivered, 1),
        (MessageState::Bounced, 1),
        (MessageState::Suppressed, 0),
        (MessageState::Suppressed, 1),
    ];
    for (status, expected) in [
        (
            Delivered,
            [
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "-",
                "-",
                "-",
                "DELIVERED",
            ],
        ),
        (
            Bounced,
            [
                "-", "BOUNCED", "BOUNCED", "BOUNCED", "BOUNCED", "BOUNCED", "BOUNCED", "-", "-", "BOUNCED",
            ],
        ),
        (
            Failed,
            ["-", "-", "FAILED", "-", "FAILED", "-", "-", "-", "-", "FAILED"],
        ),
        (
            Complained,
            [
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "DELIVERED",
                "-",
                "DELIVERED",
            ],
        ),
    ] {
        for ((state, attempts), expected) in STATES.into_iter().zip(expected) {
            let applied = receipt(status, false).applied(&message(state, attempts), at(10));
            let found = applied.as_ref().map_or("-", |message| &message.state);
            assert_eq!(found, expected, "{status:?} after {state:?} with {attempts} attempts");
        }
    }
}

proptest! {
    #[test]
    fn order_and_repetition_of_receipts_change_nothing(
        receipts in proptest::collection::vec((0_usize..4, any::<bool>()), 0..6),
        seed in any::<u64>(),
    ) {
        let all = [Delivered, Bounced, Failed, Complained];
        let receipts: Vec<Receipt> =
            receipts.into_iter().map(|(status, permanent)| receipt(all[status], permanent)).collect();
        let mut others = [&receipts[..], &receipts[..]].concat();
        let length = others.len().max(1);
        others.rotate_left(seed as usize % length);
        others.reverse();
        for state in [MessageState::Sending, MessageState::Sent] {
            prop_assert_eq!(after(message(state, 1), &receipts), after(message(state, 1), &others));
        }
    }
}

#[test]
fn time_of_a_receipt_is_believed_only_within_the_life_of_the_message() {
    for (given, kept) in [(None, 10), (Some(5), 5), (Some(11), 10), (Some(-1), 10)] {
        let receipt = Receipt {
            at: given.map(at),
            ..receipt(Delivered, false)
        };
        let after = receipt
            .applied(&message(MessageState::Sent, 1), at(10))
            .expect("it is new");
        assert_eq!(after.delivered_at, Some(at(kept)), "{given:?}");
    }
}

#[test]
fn message_is_named_by_its_key_or_its_message_id() {
    let key = "01a204b6e17070e2996235536f30e1a7";
    for (text, is_ours) in [
        (key.to_owned(), true),
        (format!("<{key}@bank.test>"), true),
        (format!(" {key}@bank.test "), true),
        ("<1.2@elsewhere.test>".to_owned(), false),
        (String::new(), false),
    ] {
        let expected = match is_ours {
            true => ReceiptMessage::Key(key.to_owned()),
            false => ReceiptMessage::Foreign,
        };
        assert_eq!(ReceiptMessage::of_message_id(&text), expected, "{text}");
    }
}

#[test]
fn bounce_of_another_address_is_not_permanent() {
    let to_ines = message::Model {
        channel: "EMAIL".into(),
        recipient: "Ines@Example.test".into(),
        ..message(MessageState::Sent, 1)
    };
    for (named, permanent) in [
        (vec![], true),
        (vec!["ines@example.test"], true),
        (vec!["old@other.test", "INES@example.test"], true),
        (vec!["old@other.test"], false),
        (vec!["old@other.test", "list@example.test"], false),
    ] {
        let receipt = Receipt {
            recipients: named.iter().map(|&named| named.to_owned()).collect(),
            ..receipt(Bounced, true)
        };
        let found = receipt.concerning(&to_ines, Recipients::default());
        assert_eq!(found.permanent, permanent, "{named:?}");
    }
}

#[test]
fn reason_is_one_line_of_limited_length() {
    let kept = |text: &str| {
        let message = ReceiptMessage::ProviderId("p".into());
        let receipt = Receipt::new(message, Bounced, false, Some(text), None);
        receipt.reason().map(str::to_owned)
    };
    for (text, expected) in [
        ("a\r\nb ".to_owned(), Some("a  b".to_owned())),
        (" \n".to_owned(), None),
        ("x".repeat(255), Some("x".repeat(255))),
        ("x".repeat(256), Some("x".repeat(255))),
    ] {
        assert_eq!(kept(&text), expected, "{text:?}");
    }
}
