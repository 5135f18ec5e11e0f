//! Tests that a chain is taken over in any parts, and that no part of an altered one is.

use chrono::DateTime;
use proptest::prelude::*;

use super::{ChainPart, ExportedRecord, PartEnd};
use crate::{
    audit::{Action, AuditSettings, Chain, Change, Head, Keys, Member, Subject, keys::digest_of},
    caller::Caller,
};
use clientele_core::secret::Secret;

fn keys(current: &str, previous: &[&str]) -> Keys {
    let settings = AuditSettings {
        key: Secret::new(current),
        previous_keys: previous.iter().map(|key| Secret::new(*key)).collect(),
    };
    Keys::new(&settings, "the database's")
}

/// A chain whose records were sealed by these keys.
fn chain(sealed_by: &[&Keys]) -> (Vec<ExportedRecord>, Head) {
    let (mut records, mut head) = (Vec::new(), Head::default());
    for (number, keys) in sealed_by.iter().enumerate() {
        let change = Change {
            chain: Chain::Client("client"),
            subject: Subject::Client,
            subject_key: "client",
            action: Action::of((number > 0).then_some(())),
            members: vec![Member::secret(&number.to_string())],
        };
        let now = DateTime::from_timestamp(number as i64, 0).expect("a time");
        let record = keys.record(&change, &Caller::operator(), &head, now).expect("a record");
        head = keys.end(&record).expect("its key is known");
        records.push(ExportedRecord::of(record));
    }
    (records, head)
}

/// Takes a chain over in parts of these lengths. Returns the records, the new end and the number of those that couldn't
/// be verified, or the number of the part that is refused.
fn taken_over(
    keys: &Keys,
    parts: &[&[ExportedRecord]],
    head: &Head,
) -> Result<(Vec<ExportedRecord>, Head, u64), usize> {
    let (mut after, mut records, mut end, mut unverified) = (None::<PartEnd>, Vec::new(), Head::default(), 0);
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let part = ChainPart {
            records: part.to_vec(),
            head: head.seal.clone().filter(|_| is_last),
        };
        let checked = keys.check_part("client", after.as_ref(), &part);
        let mut checked = checked.map_err(|_| number)?;
        unverified += checked.unverified;
        end = keys.seal_anew(&mut checked.rows, &end);
        records.extend(checked.rows.into_iter().map(ExportedRecord::of));
        after = part.end(after.as_ref()).or(after);
    }
    Ok((records, end, unverified))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chain_is_taken_over_in_any_parts(count in 2_usize..12, cut in 1_usize..11, altered in 0_usize..12) {
        let (cut, altered) = (cut.min(count - 1), altered.min(count - 1));
        let (one, other) = (keys("one", &[]), keys("other", &["one"]));
        let (mut records, head) = chain(&vec![&one; count]);
        let parts = |records: &[ExportedRecord]| {
            let (first, second) = records.split_at(cut);
            [first.to_vec(), second.to_vec()]
        };
        let [first, second] = parts(&records);
        let same = taken_over(&one, &[&first, &second], &head);
        prop_assert_eq!(same, Ok((records.clone(), head.clone(), 0)));
        let (moved, end, unverified) = taken_over(&other, &[&first, &second], &head).expect("it is intact");
        prop_assert_eq!(unverified, 0);
        prop_assert!(moved.iter().zip(&records).all(|(moved, record)| moved.hmac != record.hmac));
        let again = taken_over(&other, &[&moved], &end);
        prop_assert_eq!(again, Ok((moved, end, 0)));
        let third = keys("third", &[]);
        let (_, _, unverified) = taken_over(&third, &[&first, &second], &head).expect("it can't be verified");
        prop_assert_eq!(unverified, count as u64);
        records[altered].caller.name.push('x');
        let [first, second] = parts(&records);
        let refused = taken_over(&other, &[&first, &second], &head);
        prop_assert_eq!(refused, Err(usize::from(altered >= cut)));
    }
}

#[test]
fn record_by_an_earlier_key_after_a_later_one_is_refused() {
    let (one, other, third) = (
        keys("one", &[]),
        keys("other", &["one"]),
        keys("third", &["other", "one"]),
    );
    let rotated = keys("one", &["other"]);
    for (sealed_by, expected) in [
        ([&one, &one, &other], Ok(0)),
        ([&one, &other, &other], Ok(0)),
        ([&other, &other, &rotated], Err(1)),
    ] {
        let (records, head) = chain(&sealed_by);
        let (first, second) = records.split_at(2);
        let taken = taken_over(&third, &[first, second], &head);
        assert_eq!(taken.map(|(_, _, unverified)| unverified), expected);
        let whole = taken_over(&third, &[&records], &head);
        assert_eq!(whole.map(|(_, _, unverified)| unverified), expected.map_err(|_| 0));
    }
}

#[test]
fn contents_of_an_unknown_key_must_be_readable() {
    let (one, other) = (keys("one", &[]), keys("other", &[]));
    let (mut records, head) = chain(&[&one, &one]);
    let mut record = records.remove(1);
    for (contents, expected) in [("x", Err(0)), ("{}", Err(0)), ("[1]", Err(0)), ("[]", Ok(2))] {
        let salt = record.salt.as_deref().expect("a salt");
        record.digest = digest_of(salt, contents);
        record.contents = Some(contents.to_owned());
        let taken = taken_over(&other, &[&[records[0].clone(), record.clone()]], &head);
        assert_eq!(taken.map(|(_, _, unverified)| unverified), expected, "{contents}");
    }
}

#[test]
fn record_after_one_of_an_unknown_key_is_unverified() {
    let (one, other) = (keys("one", &[]), keys("other", &[]));
    let (records, head) = chain(&[&one, &other, &other]);
    for parts in [vec![&records[..]], vec![&records[..1], &records[1..]]] {
        let taken = taken_over(&other, &parts, &head);
        assert_eq!(taken.map(|(_, _, unverified)| unverified), Ok(2));
    }
    // Its contents must be readable, though its key is known.
    let mut altered = records.clone();
    altered[1].contents = Some("x".to_owned());
    altered[1].digest = digest_of(altered[1].salt.as_deref().expect("a salt"), "x");
    let taken = taken_over(&other, &[&altered], &head);
    assert_eq!(taken.map(|(_, _, unverified)| unverified), Err(0));
}

#[test]
fn only_an_end_ends_a_chain_with_records() {
    let one = keys("one", &[]);
    let (records, head) = chain(&[&one, &one]);
    let without_end = Head::default();
    assert_eq!(taken_over(&one, &[&records, &[]], &without_end), Err(1));
    assert_eq!(taken_over(&one, &[&[]], &head), Err(0));
    let empty = taken_over(&one, &[&[]], &without_end);
    assert_eq!(
        empty.map(|(_, head, unverified)| (head, unverified)),
        Ok((without_end, 0))
    );
}
