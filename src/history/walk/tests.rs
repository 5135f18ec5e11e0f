//! Whatever is done to a chain is found, and nothing is found when nothing is done.

use chrono::DateTime;
use entity::audit_record;
use proptest::prelude::*;

use super::{MOST_FINDINGS, Walk, What};
use crate::{
    access::Caller,
    history::{Action, AuditSettings, Chain, Change, Head, Keys, Member, Subject},
    secret::Secret,
};

fn keys(configured: &str) -> Keys {
    let settings = AuditSettings {
        key: Secret::new(configured),
        previous_keys: Vec::new(),
    };
    Keys::new(&settings, "the database's")
}

/// A client's chain with so many records; those after which it was erased are given by their numbers.
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
    fn a_chain_that_nobody_touched_is_intact((count, erasures, _) in some_chain()) {
        let keys = keys("configured");
        let (records, head) = chain(&keys, count, &erasures);
        let walk = walk(&keys, &records, &head);
        prop_assert_eq!(&walk.findings, &vec![]);
        prop_assert_eq!((walk.counts.records, walk.counts.chains), (count as u64, 1));
        prop_assert_eq!(walk.counts.erased, erasures.iter().max().copied().unwrap_or_default() as u64);
    }

    #[test]
    fn whatever_is_done_to_one_record_is_found((count, erasures, at) in some_chain(), which in 0..12) {
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
            // Unless it is erased already.
            _ if record.contents.is_none() => return Ok(()),
            _ => (record.contents, record.salt) = (None, None),
        }
        prop_assert!(!walk(&keys, &records, &head).is_intact());
    }

    #[test]
    fn an_earlier_end_does_not_fit_and_a_later_one_is_missed((count, _, at) in some_chain()) {
        let keys = keys("configured");
        let (records, head) = chain(&keys, count, &[]);
        // Who has no key has the HMACs that are stored, and none of them is an end.
        let forged = Head { seal: at.checked_sub(1).map(|last| records[last].hmac.clone()), count: at as i64 };
        prop_assert_eq!(walk(&keys, &records[..at], &forged).is_intact(), at == 0);
        let until = What::CutOff { until: count as i64 };
        prop_assert!(walk(&keys, &records[..at], &head).findings.iter().any(|finding| finding.what == until));
    }

    #[test]
    fn a_chain_made_with_the_databases_key_is_weak((count, erasures, at) in some_chain()) {
        let (weak, strong) = (keys(""), keys("configured"));
        let (mut records, head) = chain(&weak, count, &erasures);
        let walked = walk(&strong, &records, &head);
        prop_assert!(walked.is_intact() && walked.weak_until() == records.last().map(|record| record.recorded_at));
        // It is sealed by a record under the other key, which none comes after.
        records.truncate(at);
        let (others, _) = chain(&strong, 1, &[]);
        records.extend(others);
        prop_assert_eq!(walk(&strong, &records, &head).weak_until(), None);
    }
}

#[test]
fn of_many_findings_the_first_are_told_and_the_others_counted() {
    let keys = keys("configured");
    let (mut records, head) = chain(&keys, 500, &[]);
    records
        .iter_mut()
        .for_each(|record| record.contents = Some("[]".to_owned()));
    let walk = walk(&keys, &records, &head);
    assert_eq!(walk.findings.len() as u64, MOST_FINDINGS);
    let rest = walk.rest().map(|finding| finding.to_string());
    assert_eq!(rest.as_deref(), Some("client: 400 more findings"));
}
