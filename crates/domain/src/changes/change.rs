//! A change of the feed, as a caller sees it.

use chrono::{DateTime, Utc};

use super::{
    ChangeFilter, ChangeKind, Position,
    filter::{BRANCH, CENTRE},
    read::{Assignment, StoredChange},
};
use crate::{
    audit::{Action, DefinedFields, Record, Shown},
    caller::{Limit, Rights},
};

/// A committed change of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientChange {
    /// The position after it.
    pub position: Position,
    pub client_key: String,
    /// The version of the client that the change made. Of a removal, the one after the last version.
    pub version: i64,
    pub kind: ChangeKind,
    pub at: DateTime<Utc>,
    /// The paths of the members that changed, without those whose values the caller may not see.
    pub members: Vec<Vec<String>>,
    /// The audit record of the change. None if the caller may not see the client any more.
    pub record: Option<Record>,
}

impl ClientChange {
    /// Returns the change as the caller sees it. None if it is hidden or filtered out.
    pub(super) fn of(
        stored: &StoredChange,
        rights: &Rights,
        fields: &impl DefinedFields,
        filter: &ChangeFilter,
    ) -> Option<Self> {
        let client_key = &stored.record.chain;
        if !filter.has_client(client_key) {
            return None;
        }
        let record = match Record::of(&stored.record, rights) {
            Ok(record) => Some(record.hide_values(fields, rights)),
            // The other changes must remain readable.
            Err(error) => {
                tracing::error!(error = error.kind(), "an audit record can't be read");
                None
            }
        };
        let limits = Limits {
            branches: [&rights.branches, &filter.branches],
            centres: [&rights.centres, &filter.centres],
        };
        let is_left = match limits.allow(&stored.assignment) {
            true => false,
            false if limits.allow(&former(stored, record.as_ref())) => true,
            false => return None,
        };
        let is_removed = matches!(
            Action::parse(&stored.record.action),
            Some(Action::Deleted | Action::Erased)
        );
        let own = Limits::of(rights);
        let is_visible = own.are_none()
            || match &stored.present {
                Some(present) => own.allow(present),
                None => is_removed,
            };
        let record = record.filter(|_| is_visible && !is_left);
        let shown = record.iter().flat_map(|record| record.changes.iter().flatten());
        let members = shown.filter(|change| !change.masked).map(|change| change.path.clone());
        let change = Self {
            position: stored.position.clone(),
            client_key: client_key.clone(),
            version: stored.version,
            kind: if is_left {
                ChangeKind::Left
            } else {
                kind(&stored.record.action, record.as_ref())
            },
            at: stored.record.recorded_at,
            members: members.collect(),
            record,
        };
        filter.passes(change.kind, &change.members).then_some(change)
    }
}

/// The branches and centres that a caller and a filter are limited to.
struct Limits<'a> {
    branches: [&'a Limit; 2],
    centres: [&'a Limit; 2],
}

impl<'a> Limits<'a> {
    fn of(rights: &'a Rights) -> Self {
        Self {
            branches: [&rights.branches; 2],
            centres: [&rights.centres; 2],
        }
    }

    fn are_none(&self) -> bool {
        self.allow(&Assignment::default())
    }

    fn allow(&self, assignment: &Assignment) -> bool {
        let Assignment { branch, centre } = assignment;
        let allows =
            |limits: [&Limit; 2], key: &Option<String>| limits.iter().all(|limit| limit.allows(key.as_deref()));
        allows(self.branches, branch) && allows(self.centres, centre)
    }
}

/// The branch and centre of a client before a change. The first change in the feed of an older client has them only in
/// its record.
pub(super) fn former(stored: &StoredChange, record: Option<&Record>) -> Assignment {
    if let Some(former) = &stored.former {
        return former.clone();
    }
    let before = |name, after: &Option<String>| match record.and_then(|record| changed(record, name)) {
        Some(change) => change.before.clone(),
        None => after.clone(),
    };
    Assignment {
        branch: before(BRANCH, &stored.assignment.branch),
        centre: before(CENTRE, &stored.assignment.centre),
    }
}

fn changed<'a>(record: &'a Record, name: &str) -> Option<&'a Shown> {
    record.changes.iter().flatten().find(|change| change.path == [name])
}

pub(super) fn kind(action: &str, record: Option<&Record>) -> ChangeKind {
    let changes = |name| record.and_then(|record| changed(record, name));
    match Action::parse(action) {
        Some(Action::Created) => ChangeKind::Created,
        Some(Action::Deleted) => ChangeKind::Deleted,
        Some(Action::Erased) => ChangeKind::Erased,
        Some(Action::Changed) | None => {
            let is_merged = changes("mergedIntoKey").is_some_and(|change| change.after.is_some());
            match (is_merged, changes("state")) {
                (true, _) => ChangeKind::Merged,
                (false, Some(_)) => ChangeKind::StateChanged,
                (false, None) => ChangeKind::Changed,
            }
        }
    }
}
