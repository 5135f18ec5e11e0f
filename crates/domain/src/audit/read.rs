//! Reads pages of records, and hides the values that the reader may not see.

use chrono::{DateTime, Utc};
use entity::{audit_record, instant};
use serde::Serialize;

use super::{Action, Member, Subject};
use crate::caller::{Api, CallerKind, Permission, Restricted, Rights};
use clientele_core::error::{Error, Result};
use clientele_storage::paging::{Cursor, Order, Page, Total};

/// The order of all records.
pub static NEWEST_FIRST: Order = Order {
    name: "audit",
    columns: &["recorded_at", "chain", "position"],
    descending: true,
};

/// The order of one chain, the newest record first. The clocks of servers differ; positions don't.
pub static BY_POSITION: Order = Order {
    name: "history",
    columns: &["position"],
    descending: true,
};

/// Identifies a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RecordKey {
    pub chain: String,
    pub position: i64,
}

/// A record of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub key: RecordKey,
    pub at: DateTime<Utc>,
    pub caller_kind: CallerKind,
    pub caller_id: String,
    pub caller_name: String,
    pub api: Api,
    pub request_id: String,
    pub subject: Subject,
    pub subject_key: String,
    pub action: Action,
    /// None if they were erased.
    pub changes: Option<Vec<Shown>>,
}

/// A member that changed, as the reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub path: Vec<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    /// True if the values are hidden from the reader.
    pub masked: bool,
}

/// A page of a list of records, and their number if it was requested.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub records: Page<Record>,
    pub total: Option<Total>,
    /// The bytes of contents that the statement read for this page and for others. Records come without contents if
    /// there are more than [`super::LARGEST_CONTENTS`].
    pub bytes: i64,
    order: &'static Order,
}

impl HistoryPage {
    /// Masks the values of custom field sets that the caller can't view now.
    #[must_use]
    pub fn hide_values(mut self, fields: &impl DefinedFields, rights: &Rights) -> Self {
        let records = std::mem::take(&mut self.records.rows).into_iter();
        self.records.rows = records.map(|record| record.hide_values(fields, rights)).collect();
        self
    }

    pub(super) fn of(rows: &Rows, order: &'static Order, rights: &Rights) -> Result<Self> {
        let Rows { page, total, bytes } = rows;
        let records = page.rows.iter().map(|row| Record::of(row, rights));
        Ok(Self {
            records: Page {
                rows: records.collect::<Result<_>>()?,
                has_next: page.has_next,
                has_previous: page.has_previous,
            },
            total: *total,
            bytes: *bytes,
            order,
        })
    }

    /// The cursor of a record in this list.
    pub fn cursor(&self, record: &Record) -> String {
        let RecordKey { chain, position } = &record.key;
        let position = position.to_string();
        let position = match *self.order == BY_POSITION {
            true => vec![position],
            false => vec![instant::to_text(&record.at), chain.clone(), position],
        };
        Cursor::of(position).encode(self.order)
    }
}

/// The stored rows of a page of one client's records.
#[derive(Clone, Debug)]
pub struct Rows {
    pub page: Page<audit_record::Model>,
    pub total: Option<Total>,
    pub bytes: i64,
}

impl Restricted for Rows {
    const PERMISSION: Permission = Permission::Audit;
    type View = HistoryPage;

    fn view(&self, rights: &Rights) -> Result<HistoryPage> {
        HistoryPage::of(self, &BY_POSITION, rights)
    }
}

/// A stored record, and the bytes of contents that the statement read.
pub type Stored = (audit_record::Model, i64);

impl Restricted for Stored {
    const PERMISSION: Permission = Permission::Audit;
    type View = (Record, i64);

    fn view(&self, rights: &Rights) -> Result<(Record, i64)> {
        let (row, bytes) = self;
        Ok((Record::of(row, rights)?, *bytes))
    }
}

impl Record {
    pub(crate) fn of(row: &audit_record::Model, rights: &Rights) -> Result<Self> {
        let unknown = || Error::defect("a record of the history has a value that this server does not know");
        let members = row.contents.as_deref().map(serde_json::from_str::<Vec<Member>>);
        let members = members.transpose().map_err(Error::internal)?;
        let subject = Subject::parse(&row.subject).ok_or_else(unknown)?;
        // A caller who may not see clients may not see their former values either.
        let hidden = subject == Subject::Client && !rights.permissions.contains(Permission::ViewClient);
        let shown = |member| Shown::to(rights, member, hidden);
        let shown = |members: Vec<Member>| members.into_iter().map(shown).collect();
        Ok(Self {
            key: RecordKey {
                chain: row.chain.clone(),
                position: row.position,
            },
            at: row.recorded_at,
            caller_kind: CallerKind::parse(&row.caller_kind).ok_or_else(unknown)?,
            caller_id: row.caller_id.clone(),
            caller_name: row.caller_name.clone(),
            api: Api::parse(&row.door).ok_or_else(unknown)?,
            request_id: row.request_id.clone(),
            subject,
            subject_key: row.subject_key.clone(),
            action: Action::parse(&row.action).ok_or_else(unknown)?,
            changes: members.map(shown),
        })
    }
}

impl Record {
    /// Masks the values of custom field sets that the caller can't view now.
    #[must_use]
    pub fn hide_values(mut self, fields: &impl DefinedFields, rights: &Rights) -> Self {
        let changes = self.changes.iter_mut().flatten();
        for change in changes.filter(|change| is_hidden_now(&change.path, fields, rights)) {
            (change.before, change.after, change.masked) = (None, None, true);
        }
        self
    }
}

impl Shown {
    /// Removes the values if they are masked, which a part of them may not have been.
    pub(super) fn hidden_if_masked(self) -> Self {
        match self.masked {
            true => Self {
                before: None,
                after: None,
                ..self
            },
            false => self,
        }
    }

    /// Only the values of members are masked: an audit log must show every change.
    pub(super) fn to(rights: &Rights, member: Member, hidden: bool) -> Self {
        let visible = !hidden && member.is_visible(rights);
        let Member {
            path, before, after, ..
        } = member;
        Self {
            path,
            masked: !visible,
            before: before.filter(|_| visible),
            after: after.filter(|_| visible),
        }
    }
}

impl Member {
    /// Checks the rights to the set of a value when it was recorded, even if that set no longer exists. Then it needs
    /// rights to all sets, or leftover rights to that set.
    pub(crate) fn is_visible(&self, rights: &Rights) -> bool {
        let of_set = self.path.first().is_some_and(|step| step == CUSTOM_INFORMATION);
        !self.secret
            && match &self.set {
                Some(set) => rights.views(set),
                // The field was unknown when the change was recorded.
                None => !of_set || rights.views_all(),
            }
    }
}

/// The custom fields as they are now. Definitions are recorded in the audit log, which therefore knows none of them.
pub trait DefinedFields: Sync {
    /// Returns true if the field is in a set that a caller with these rights can't view.
    fn is_hidden(&self, field_id: &str, rights: &Rights) -> bool;
}

/// Returns true if this is the path of a value whose field is now in a set that the caller can't view. A value can have
/// been recorded when the field was in another set.
pub(crate) fn is_hidden_now(path: &[String], fields: &impl DefinedFields, rights: &Rights) -> bool {
    match path {
        [first, field, ..] if first == CUSTOM_INFORMATION => fields.is_hidden(field, rights),
        _ => false,
    }
}

const CUSTOM_INFORMATION: &str = "customInformation";
