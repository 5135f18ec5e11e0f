//! Tests that a chain is taken over in any parts, and that no part of an altered one is.

use chrono::DateTime;
use proptest::prelude::*;

use super::{ChainPart, ExportedRecord, MOST_ERASED, PartEnd, read::GrowingPart};
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
    let actions = (0..sealed_by.len()).map(|number| Action::of((number > 0).then_some(())));
    chain_of(&actions.collect::<Vec<_>>(), sealed_by)
}

/// A chain with records of these actions, which were sealed by these keys.
fn chain_of(actions: &[Action], sealed_by: &[&Keys]) -> (Vec<ExportedRecord>, Head) {
    let (mut records, mut head) = (Vec::new(), Head::default());
    for (number, (action, keys)) in actions.iter().zip(sealed_by).enumerate() {
        let change = Change {
            chain: Chain::Client("client"),
            subject: Subject::Client,
            subject_key: "client",
            action: *action,
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
        let checked = keys.check_part("client", after.as_ref(), part.clone());
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
    for (contents, expected) in [
        ("x", Err(0)),
        ("{}", Err(0)),
        ("[1]", Err(0)),
        (r#"[{"path":["a"],"before":null,"after":1}]"#, Err(0)),
        (r#"[{"path":[null],"after":"b"}]"#, Err(0)),
        (r#"[{"path":["a"],"after":"b"}]"#, Ok(2)),
        ("[]", Ok(2)),
    ] {
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

/// A chain whose first records lost their contents, with the record of the erasure or another one at the end.
fn without_contents(count: usize, last: Action) -> (Vec<ExportedRecord>, Head) {
    let one = keys("one", &[]);
    let changes = std::iter::repeat_n(Action::Changed, count - 1);
    let actions: Vec<Action> = [Action::Created].into_iter().chain(changes).chain([last]).collect();
    let (mut records, head) = chain_of(&actions, &vec![&one; actions.len()]);
    for record in &mut records[..count] {
        (record.contents, record.salt) = (None, None);
    }
    (records, head)
}

#[test]
fn only_a_full_part_can_lack_the_record_of_an_erasure() {
    let one = keys("one", &[]);
    let taken = |count: usize, cuts: &[usize], last: Action| {
        let (records, head) = without_contents(count, last);
        let mut parts = Vec::new();
        let mut rest = &records[..];
        for cut in cuts {
            let (part, others) = rest.split_at(*cut);
            parts.push(part);
            rest = others;
        }
        parts.push(rest);
        taken_over(&one, &parts, &head).map(|(taken, ..)| taken == records)
    };
    let n = MOST_ERASED;
    for (count, cuts, last, expected) in [
        // As exports write them: one part up to the limit, then several.
        (n - 1, vec![], Action::Erased, Ok(true)),
        (n, vec![n], Action::Erased, Ok(true)),
        (2 * n, vec![n, n], Action::Erased, Ok(true)),
        // Earlier exports wrote longer parts.
        (n, vec![], Action::Erased, Ok(true)),
        (n, vec![n - 1], Action::Erased, Err(0)),
        (2 * n, vec![n, n - 1], Action::Erased, Err(1)),
        (n, vec![n], Action::Changed, Err(1)),
        (n, vec![], Action::Changed, Err(0)),
    ] {
        assert_eq!(taken(count, &cuts, last), expected, "{count} {cuts:?} {last:?}");
    }
}

#[test]
fn missing_contents_are_remembered_until_their_erasure() {
    let one = keys("one", &[]);
    let n = MOST_ERASED;
    let changes = |count| std::iter::repeat_n(Action::Changed, count);
    let taken = |after: &[Action], cuts: [usize; 2]| {
        let erased = [Action::Created].into_iter().chain(changes(n - 1));
        let actions: Vec<Action> = erased.chain(after.iter().copied()).collect();
        let (mut records, head) = chain_of(&actions, &vec![&one; actions.len()]);
        for record in &mut records[..n] {
            (record.contents, record.salt) = (None, None);
        }
        let (first, rest) = records.split_at(cuts[0]);
        let (second, third) = rest.split_at(cuts[1]);
        taken_over(&one, &[first, second, third], &head).map(|(taken, ..)| taken == records)
    };
    // A full part that has its contents may come between.
    let between: Vec<Action> = changes(n).collect();
    let (erased, changed) = ([&between[..], &[Action::Erased]].concat(), changes(n + 1));
    assert_eq!(taken(&erased, [n, n]), Ok(true));
    assert_eq!(taken(&changed.collect::<Vec<_>>(), [n, n]), Err(2));
    // After the erasure, parts of any length follow.
    assert_eq!(
        taken(&[Action::Erased, Action::Changed, Action::Changed], [n, 2]),
        Ok(true)
    );
}

#[test]
fn exported_part_ends_with_an_erasure_or_when_it_is_full() {
    /// The number of records after the first part of an export.
    fn after_first_part(records: &[ExportedRecord]) -> usize {
        let mut growing = GrowingPart::default();
        let mut records = records.iter();
        while !growing.is_full()
            && let Some(record) = records.next()
        {
            growing.add(record.clone());
        }
        records.len()
    }
    for (count, left) in [(MOST_ERASED - 1, 0), (MOST_ERASED, 1), (MOST_ERASED + 1, 2)] {
        let (records, _) = without_contents(count, Action::Erased);
        assert_eq!(after_first_part(&records), left, "{count}");
    }
}
