//! The record that begins a key of the audit log: it states how many clients may lack records under that key.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Member, Members, Subject};

const KEY: &str = "key";
const UNRECORDED: &str = "clientsWithoutRecords";
const EARLIER: &str = "clientsUnderEarlierKeys";

/// The contents of a record that begins a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Genesis {
    /// The id of the key in use from then on.
    pub key_id: String,
    /// When the key came into use.
    pub since: DateTime<Utc>,
    /// How many clients may lack the record of their creation.
    pub unrecorded: i64,
    /// How many clients may have records under earlier keys.
    pub earlier: i64,
}

impl Genesis {
    /// Reads the contents of a record. None if the record has another subject or can't be read.
    pub fn read(record: &audit_record::Model) -> Option<Self> {
        if record.subject != Subject::History.as_str() {
            return None;
        }
        let members: Vec<Member> = serde_json::from_str(record.contents.as_deref()?).ok()?;
        let after = |name: &str| {
            let mut members = members.iter();
            members.find(|member| member.path == [name])?.after.as_deref()
        };
        let number = |name: &str| after(name).map_or(Some(0), |text| text.parse().ok());
        Some(Self {
            key_id: after(KEY)?.to_owned(),
            since: record.recorded_at,
            unrecorded: number(UNRECORDED)?,
            earlier: number(EARLIER)?,
        })
    }

    /// Keeps the time of an earlier one: a key is in use since the first record that names it.
    pub fn after(self, earlier: Option<&Self>) -> Self {
        match earlier {
            Some(earlier) if earlier.key_id == self.key_id => Self {
                since: earlier.since,
                ..self
            },
            _ => self,
        }
    }

    /// Returns all members for a record that begins a key. Zero is left out: nothing is allowed unless a record says
    /// so.
    pub fn members(&self) -> Vec<Member> {
        let mut found = Vec::new();
        let mut members = Members::new(&mut found);
        let Self {
            key_id,
            since: _,
            unrecorded,
            earlier,
        } = self;
        members.text(KEY, None, Some(key_id));
        for (name, number) in [(UNRECORDED, *unrecorded), (EARLIER, *earlier)] {
            let text = (number > 0).then(|| number.to_string());
            members.text(name, None, text.as_deref());
        }
        found
    }
}
