//! Every change is offered to all subscriptions that pass it on.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::DateTime;
use entity::audit_record;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use tokio::time::advance;

use super::{
    super::{
        ChangeFilter, ChangeKind, ClientChange, Position,
        read::{Assignment, StoredChange},
    },
    LONGEST_QUEUE, Live, LiveQueue, QueueEnd, STALLED, SubscriptionEnd, Topic,
};
use crate::{
    audit::DefinedFields,
    caller::{Limit, Permission, Rights},
};

struct NoFields;

impl DefinedFields for NoFields {
    fn is_hidden(&self, _: &str, _: &Rights) -> bool {
        false
    }
}

fn keys() -> impl Strategy<Value = String> {
    "[abc]"
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        2 => Just(Limit::None),
        1 => prop::collection::btree_set(keys(), 0..3).prop_map(Limit::To),
    ]
}

fn assignment() -> impl Strategy<Value = Assignment> {
    let key = || prop::option::of(keys());
    (key(), key()).prop_map(|(branch, centre)| Assignment { branch, centre })
}

const MEMBERS: [&str; 6] = [
    "state",
    "mergedIntoKey",
    "notes",
    "addresses",
    "assignedBranchKey",
    "assignedCentreKey",
];

fn member() -> impl Strategy<Value = String> {
    prop::sample::select(&MEMBERS[..]).prop_map(str::to_owned)
}

fn change() -> impl Strategy<Value = StoredChange> {
    let contents = prop::option::of(prop::collection::vec((member(), prop::option::of(keys())), 0..4));
    let action = prop::sample::select(&["CREATED", "CHANGED", "DELETED", "ERASED"][..]);
    let assignments = (
        assignment(),
        prop::option::of(assignment()),
        prop::option::of(assignment()),
    );
    (keys(), action, contents, assignments).prop_map(|(client, action, contents, (assignment, former, present))| {
        let contents = contents.map(|members| {
            let member = |(name, before)| serde_json::json!({ "path": [name], "before": before, "after": "b" });
            serde_json::Value::from_iter(members.into_iter().map(member)).to_string()
        });
        let record = audit_record::Model {
            chain: client.clone(),
            position: 2,
            recorded_at: DateTime::UNIX_EPOCH,
            caller_kind: "TOKEN".to_owned(),
            caller_id: String::new(),
            caller_name: String::new(),
            door: "REST".to_owned(),
            request_id: String::new(),
            subject: "CLIENT".to_owned(),
            subject_key: client,
            action: action.to_owned(),
            contents,
            salt: None,
            digest: String::new(),
            hmac: "a".repeat(43),
            key_id: String::new(),
        };
        StoredChange {
            position: Position::after(1, 1, "name", &record.hmac),
            record,
            version: 2,
            assignment,
            former,
            present,
        }
    })
}

fn filter() -> impl Strategy<Value = ChangeFilter> {
    use ChangeKind::{Changed, Created, Deleted, Erased, Left, Merged, StateChanged};

    let kinds = [Created, Changed, StateChanged, Merged, Deleted, Erased, Left];
    let kinds = prop::sample::subsequence(kinds.to_vec(), 0..=7);
    let sets = |values| prop::collection::btree_set(values, 0..3);
    (
        prop::option::weighted(0.3, sets(keys().boxed())),
        prop::option::weighted(0.3, kinds),
        prop::option::weighted(0.3, sets(member().boxed())),
        limit(),
        limit(),
    )
        .prop_map(|(clients, kinds, members, branches, centres)| ChangeFilter {
            clients,
            kinds,
            members,
            branches,
            centres,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn change_has_a_topic_of_each_subscription_that_passes_it_on(
        change in change(),
        filter in filter(),
        branches in limit(),
        centres in limit(),
    ) {
        let rights = Rights { branches, centres, ..Rights::of([Permission::ViewClient]) };
        let shown = ClientChange::of(&change, &rights, &NoFields, &filter);
        let topics = Topic::of_subscription(&filter, &rights);
        let is_offered = !topics.is_disjoint(&Topic::of_change(&change));
        prop_assert!(is_offered || shown.is_none(), "{shown:?}");
    }
}

#[test]
fn change_is_offered_only_to_subscriptions_that_it_concerns() {
    let tree = change().new_tree(&mut TestRunner::deterministic());
    let mut change = tree.expect("a change").current();
    change.record.chain = "a".to_owned();
    let topics = Topic::of_change(&change);
    for (clients, is_offered) in [(Some("a"), true), (Some("b"), false), (None, true)] {
        let filter = ChangeFilter {
            clients: clients.map(|key| [key.to_owned()].into()),
            ..ChangeFilter::default()
        };
        let wanted = Topic::of_subscription(&filter, &Rights::all());
        assert_eq!(!topics.is_disjoint(&wanted), is_offered, "{clients:?}");
    }
}

fn live() -> (Arc<Live>, LiveQueue) {
    let live = Arc::<Live>::default();
    let queue = live.open_queue(Some(Position::START), || {}, HashSet::from([Topic::Any]));
    (live.clone(), queue.expect("a queue"))
}

/// Offers this many changes.
fn offer(live: &Live, count: usize) {
    let tree = change().new_tree(&mut TestRunner::deterministic()).expect("a change");
    let changes = (0..count).map(|_| tree.current()).collect();
    live.offer(changes, &Arc::default());
}

async fn drain(queue: &mut LiveQueue) -> (usize, QueueEnd) {
    let mut changes = Vec::new();
    loop {
        if let Err(end) = queue.receive(&mut changes, 10).await {
            return (changes.len(), end);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn full_queue_is_overtaken() {
    let (live, mut queue) = live();
    // Waiting for changes is not being slow.
    advance(10 * STALLED).await;
    offer(&live, LONGEST_QUEUE + 1);
    assert_eq!(drain(&mut queue).await, (LONGEST_QUEUE, QueueEnd::Overtaken));
    assert!(live.state().by_topic.is_empty());
}

#[tokio::test(start_paused = true)]
async fn subscription_that_receives_nothing_is_too_slow() {
    let (live, mut queue) = live();
    let mut changes = Vec::new();
    offer(&live, LONGEST_QUEUE);
    advance(STALLED).await;
    queue.receive(&mut changes, 1).await.expect("a change");
    advance(STALLED).await;
    offer(&live, 1);
    advance(Duration::from_millis(1)).await;
    offer(&live, 1);
    let too_slow = QueueEnd::Subscription(SubscriptionEnd::TooSlow);
    assert_eq!(drain(&mut queue).await, (LONGEST_QUEUE, too_slow));
}
