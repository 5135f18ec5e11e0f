//! Tests that every manipulation of a chain is found, and that an intact chain has no findings.

use chrono::DateTime;
use entity::audit_record;
use proptest::prelude::*;

use super::{FindingKind, MOST_FINDINGS, Walk};
use crate::{
    audit::{Action, AuditSettings, Chain, Change, Head, Keys, Member, Subject},
    caller::Caller,
};
use clientele_core::secret::Secret;

fn keys(configured: &str) -> Keys {
    keys_after(configured, &[])
}

fn keys_after(configured: &str, previous: &[&str]) -> Keys {
    let settings = AuditSettings {
        key: Secret::new(configured),
        previous_keys: previous.iter().map(|key| Secret::new(*key)).collect(),
    };
    Keys::new(&settings, "the database's")
}

/// Builds a client's chain with `count` records, erased after the records with the numbers in `erasures`.
fn chain(keys: &Keys, count: usize, erasures: &[usize]) -> (Vec<audit_record::Model>, Head) {
    let mut records: Vec<audit_record::Model> = Vec::new();
    let mut head = Head::default();
    for number in 0..count {
        let erased = erasures.contains(&number);
        if erased {
            for record in &mut records {
                (record.contents, record.salt) = (None, None);
            }
        }
        let change = Change {
            chain: Chain::Client("client"),
            subject: Subject::Client,
            subject_key: "client",
            action: if erased { Action::Erased } else { Action::Changed },
            members: vec![Member::secret(&number.to_string())],
        };
        let now = DateTime::from_timestamp(number as i64, 0).expect("a time");
        let record = keys.record(&change, &Caller::operator(), &head, now).expect("a record");
        head = keys.end(&record).expect("its key is known");
        records.push(record);
    }
    (records, head)
}

fn walk<'k>(keys: &'k Keys, records: &[audit_record::Model], head: &Head) -> Walk<'k> {
    let mut walk = Walk::new(keys, "client");
    records.iter().for_each(|record| walk.record(record));
    walk.end(head);
    walk
}

fn some_chain() -> impl Strategy<Value = (usize, Vec<usize>, usize)> {
    (1_usize..30).prop_flat_map(|count| (Just(count), prop::collection::vec(0..count, 0..3), 0..count))
}

proptest! {
    #[test]
    fn an_unchanged_chain_is_intact((count, erasures, _) in some_chain()) {
        let keys = keys("configured");
        let (records, head) = chain(&keys, count, &erasures);
        let walk = walk(&keys, &records, &head);
        prop_assert_eq!(&walk.findings, &vec![]);
        prop_assert_eq!((walk.counts.records, walk.counts.chains), (count as u64, 1));
        prop_assert_eq!(walk.counts.erased, erasures.iter().max().copied().unwrap_or_default() as u64);
    }

    #[test]
    fn every_change_of_one_record_is_found((count, erasures, at) in some_chain(), which in 0..13) {
        let keys = keys("configured");
        let (mut records, head) = chain(&keys, count, &erasures);
        let record = &mut records[at];
        match which {
            0 => { records.remove(at); }
            1 => record.caller_id.push('x'),
            2 => record.caller_name.push('x'),
            3 => record.door.push('x'),
            4 => record.subject_key.push('x'),
            5 => record.action.push('x'),
            6 => record.recorded_at += chrono::TimeDelta::microseconds(1),
            7 => record.digest.push('x'),
            8 => record.hmac.push('x'),
            9 => record.key_id.push('x'),
            10 => record.contents = Some("[]".to_owned()),
            11 => record.key_id = "AAAA____".to_owned(),
            // Already erased.
            _ if record.contents.is_none() => return Ok(()),
            _ => (record.contents, record.salt) = (None, None),
        }
        prop_assert!(!walk(&keys, &records, &head).is_intact());
    }

    #[test]
    fn an_earlier_end_does_not_fit_and_a_later_one_is_missed((count, _, at) in some_chain()) {
        let keys = keys("configured");
        let (records, head) = chain(&keys, count, &[]);
        // Without the key an attacker has the stored HMACs, and none of them is an end.
        let forged = Head { seal: at.checked_sub(1).map(|last| records[last].hmac.clone()), count: at as i64 };
        prop_assert_eq!(walk(&keys, &records[..at], &forged).is_intact(), at == 0);
        let until = FindingKind::CutOff { until: count as i64 };
        prop_assert!(walk(&keys, &records[..at], &head).findings.iter().any(|finding| finding.kind == until));
    }

    #[test]
    fn keys_come_one_after_the_other(order in prop::collection::vec(0_usize..4, 1..12)) {
        let by_age = [keys_after("3", &["2", "1"]), keys_after("2", &["1"]), keys("1"), keys("")];
        let mut records: Vec<audit_record::Model> = Vec::new();
        let mut head = Head::default();
        for age in &order {
            let (more, end) = one_more(&by_age[*age], &head);
            records.push(more);
            head = end;
        }
        let walked = walk(&by_age[0], &records, &head);
        let earlier = |at: usize| order[..at].iter().any(|before| *before < order[at]);
        let expected = (0..order.len()).filter(|at| earlier(*at));
        let expected: Vec<_> = expected.map(|at| (Some(at as i64 + 1), FindingKind::EarlierKey)).collect();
        let found = walked.findings.iter().map(|finding| (finding.position, finding.kind.clone()));
        let found: Vec<_> = found.collect();
        prop_assert_eq!(found, expected);
        for age in 0..4 {
            let older = (0..order.len()).filter(|at| order[*at] > age && !earlier(*at));
            let newest = older.map(|at| records[at].recorded_at).max();
            prop_assert_eq!(walked.newest_before(age), newest);
        }
        // With the database's key as the current one, an attacker can make any order of keys.
        prop_assert!(walk(&keys_after("", &["3", "2", "1"]), &records, &head).is_intact());
    }
}

/// Appends a record after `head`, and returns the new end of the chain.
fn one_more(keys: &Keys, head: &Head) -> (audit_record::Model, Head) {
    let change = Change {
        chain: Chain::Client("client"),
        subject: Subject::Client,
        subject_key: "client",
        action: Action::Changed,
        members: Vec::new(),
    };
    let now = DateTime::from_timestamp(head.count, 0).expect("a time");
    let record = keys.record(&change, &Caller::operator(), head, now).expect("a record");
    let end = keys.end(&record).expect("its key is known");
    (record, end)
}

#[test]
fn of_many_findings_the_first_are_reported_and_the_others_counted() {
    let keys = keys("configured");
    let (mut records, head) = chain(&keys, 500, &[]);
    records
        .iter_mut()
        .for_each(|record| record.contents = Some("[]".to_owned()));
    let walk = walk(&keys, &records, &head);
    assert_eq!(walk.findings.len() as u64, MOST_FINDINGS);
    let more = walk.more_findings().map(|finding| finding.to_string());
    assert_eq!(more.as_deref(), Some("client: 400 more findings"));
}
