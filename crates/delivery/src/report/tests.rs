use super::{ReportError, receipts};
use clientele_domain::{
    enums::ReceiptStatus::{self, Bounced, Complained, Delivered},
    notify::receipt::ReceiptMessage,
};

const KEY: &str = "01a204b6e17070e2996235536f30e1a7";

/// A report in the form of Postfix, with these fields of the recipient and the headers of the message.
fn report(fields: &str, original: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.bank.test\r\nTo: service@bank.test\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"B1/bank\"\r\n\r\nThis is a MIME-encapsulated message.\r\n\r\n--B1/bank\r\n\
         Content-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         I'm sorry to have to inform you\r\n\r\n--B1/bank\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.bank.test\r\n\
         Arrival-Date: Sun, 22 Nov 2026 11:59:00 +0000 (UTC)\r\n\r\n{fields}\r\n\r\n--B1/bank\r\n{original}\r\n\
         --B1/bank--\r\n"
    )
}

fn message(id: &str) -> String {
    format!(
        "Content-Type: message/rfc822\r\n\r\nMessage-ID: <{id}>\r\nFrom: service@bank.test\r\nTo: ines@example.test\
         \r\nSubject: Welcome\r\n\r\nDear Ines\r\n"
    )
}

fn failed(status: &str) -> String {
    format!(
        "Final-Recipient: rfc822; ines@example.test\r\nOriginal-Recipient: rfc822;ines@example.test\r\n\
         Action: failed\r\nStatus: {status}\r\nRemote-MTA: dns; mx.example.test\r\n\
         Diagnostic-Code: smtp; 550 {status} <ines@example.test>:\r\n    Recipient address rejected\r\n\
         Last-Attempt-Date: Sun, 22 Nov 2026 13:00:00 +0100"
    )
}

type Found = Vec<(ReceiptStatus, bool, Option<String>)>;

fn found(mail: &str) -> Result<Found, ReportError> {
    let receipts = receipts(mail.as_bytes())?;
    Ok(receipts
        .into_iter()
        .map(|receipt| {
            assert_eq!(receipt.message, ReceiptMessage::Key(KEY.to_owned()));
            (receipt.status, receipt.permanent, receipt.reason().map(str::to_owned))
        })
        .collect())
}

#[test]
fn bounce_is_permanent_only_if_the_address_is_at_fault() {
    let ours = message(&format!("{KEY}@bank.test"));
    for (status, permanent) in [
        ("5.1.1", true),
        ("5.1.10", true),
        ("5.2.1", true),
        ("5.2.2", false),
        ("5.2.10", false),
        ("5.7.1", false),
        ("5.0.0", false),
        ("4.4.1", false),
        ("5.1.1 (bad mailbox)", true),
        ("", false),
    ] {
        let words = format!("smtp; 550 {status} <ines@example.test>: Recipient address rejected");
        let expected = vec![(Bounced, permanent, Some(words))];
        assert_eq!(found(&report(&failed(status), &ours)), Ok(expected), "{status}");
    }
    let mail = report(&failed("5.1.1"), &ours);
    let at = receipts(mail.as_bytes()).expect("a report")[0].at;
    assert_eq!(
        at.map(|at| at.to_rfc3339()).as_deref(),
        Some("2026-11-22T12:00:00+00:00")
    );
    // With the line ends that a pipe gives.
    assert_eq!(found(&mail.replace("\r\n", "\n")), found(&mail));
}

#[test]
fn message_is_found_in_the_form_in_which_the_server_returned_it() {
    let headers = format!(
        "Content-Type: text/rfc822-headers\r\n\r\nSubject: Welcome\r\nMessage-ID: <{KEY}@bank.test>\r\n\
         From: service@bank.test\r\n"
    );
    let folded = format!(
        "Content-Type: MESSAGE/RFC822\r\n\r\nSubject: x\r\nMessage-ID:\r\n <{KEY}@bank.test>\r\n\
         To: a@b.test\r\n\r\nx\r\n"
    );
    for original in [headers, folded] {
        assert_eq!(
            found(&report(&failed("5.1.1"), &original)).map(|found| found.len()),
            Ok(1)
        );
    }
    for (original, error) in [
        (
            "Content-Type: text/plain\r\n\r\nnothing\r\n".to_owned(),
            ReportError::NoMessage,
        ),
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n".to_owned(),
            ReportError::NoMessage,
        ),
    ] {
        assert_eq!(found(&report(&failed("5.1.1"), &original)), Err(error));
    }
}

#[test]
fn other_actions_have_the_receipts_that_they_mean() {
    let ours = message(&format!("{KEY}@bank.test"));
    let group = |action: &str| format!("Final-Recipient: rfc822; a@b.test\r\naction:  {action}\r\nStatus: 2.0.0");
    for (action, expected) in [
        ("delivered", vec![(Delivered, false, None)]),
        ("Delivered", vec![(Delivered, false, None)]),
        ("delayed", vec![]),
        ("relayed", vec![]),
        ("expanded", vec![]),
    ] {
        assert_eq!(found(&report(&group(action), &ours)), Ok(expected), "{action}");
    }
    // Of a list that the recipient stands for, each member has a group.
    let many = vec![group("delivered"); 101].join("\r\n\r\n");
    assert_eq!(found(&report(&many, &ours)).map(|found| found.len()), Ok(100));
}

#[test]
fn complaint_is_read() {
    let ours = message(&format!("{KEY}@bank.test"));
    for (kind, expected) in [
        ("abuse", vec![(Complained, false, Some("abuse".to_owned()))]),
        ("not-spam", vec![]),
    ] {
        let mail = report("", &ours)
            .replace("message/delivery-status", "message/feedback-report")
            .replace(
                "Reporting-MTA: dns; mx.bank.test",
                &format!("Feedback-Type: {kind}\r\nUser-Agent: Provider/1.0\r\nVersion: 1"),
            );
        assert_eq!(found(&mail), Ok(expected), "{kind}");
    }
}

#[test]
fn other_mails_are_no_reports() {
    for (mail, error) in [
        ("", ReportError::NotMail),
        (
            "Subject: Out of office\r\nContent-Type: text/plain\r\n\r\nI'm away.\r\n",
            ReportError::NotReport,
        ),
        ("hello", ReportError::NotReport),
    ] {
        assert_eq!(found(mail), Err(error), "{mail}");
    }
}

#[test]
fn named_recipients_are_read() {
    let ours = message(&format!("{KEY}@bank.test"));
    let named = |fields: &str| {
        let mail = report(&format!("{fields}Action: failed\r\nStatus: 5.1.1"), &ours);
        receipts(mail.as_bytes()).expect("a report")[0].recipients.clone()
    };
    for (fields, expected) in [
        (
            "Final-Recipient: rfc822; a@other.test\r\nOriginal-Recipient: rfc822;ines@example.test\r\n",
            vec!["a@other.test", "ines@example.test"],
        ),
        ("Final-Recipient: RFC822; <a@other.test>\r\n", vec!["a@other.test"]),
        ("Final-Recipient: a@other.test\r\n", vec!["a@other.test"]),
        ("Final-Recipient: rfc822;\r\n", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(named(fields), expected, "{fields}");
    }
}
