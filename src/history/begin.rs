//! The beginning of the history: a record that founds each shared chain at the first start, and one more when a
//! configured key comes into force.
//!
//! Sealed like any other record, they say what verifying can't know from the clients: how many had no records then, and
//! how many had only records under the key in the database. More than that can't be later, whoever resets their chains.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, Chain, Change, Member, Members, Subject};
use crate::{
    Clientele,
    access::Caller,
    db::{Step, Transaction, Work},
    error::{Error, Result},
};

const KEY: &str = "key";
const UNRECORDED: &str = "clientsWithoutRecords";
const WEAK: &str = "clientsUnderDatabaseKey";

/// What such a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// Names the key in force from then on.
    pub key_id: String,
    /// Since when that is.
    pub since: DateTime<Utc>,
    /// How many clients may have no records.
    pub unrecorded: i64,
    /// How many clients may have records under the database's key only.
    pub weak: i64,
}

impl Begun {
    /// What a record says. None when it is of something else, or can't be read.
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
            weak: number(WEAK)?,
        })
    }

    /// The same after an earlier one: a key is in force since the first record that says so.
    pub fn after(self, earlier: Option<&Self>) -> Self {
        match earlier {
            Some(earlier) if earlier.key_id == self.key_id => Self {
                since: earlier.since,
                ..self
            },
            _ => self,
        }
    }

    /// All of it, as a record that begins a key has it: zero is left out, as nothing is allowed without being said.
    fn members(&self) -> Vec<Member> {
        let mut found = Vec::new();
        let mut members = Members::new(&mut found);
        let Self {
            key_id,
            since: _,
            unrecorded,
            weak,
        } = self;
        members.text(KEY, None, Some(key_id));
        let some = |number: &i64| Some(*number).filter(|number| *number > 0);
        members.value(UNRECORDED, None, some(unrecorded), i64::to_string);
        members.value(WEAK, None, some(weak), i64::to_string);
        found
    }
}

impl Clientele {
    /// Founds the history at the first start, and notes at later ones that another key has come into force. To be called
    /// before anything is written. A history that has records and no beginning is left as it is: verifying says so.
    pub async fn begin_history(&self, now: DateTime<Utc>) -> Result<()> {
        self.db.write(&Beginning { clientele: self, now }).await
    }

    /// Notes that so many more clients are stored without a record, which only seeding does: by `transaction`.
    pub(crate) async fn allow_unrecorded(
        &self,
        transaction: &Transaction,
        clients: usize,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let chain = Chain::Definitions;
        super::lock(transaction, chain).await?;
        let Some(begun) = last(transaction, chain).await? else {
            return Ok(());
        };
        let unrecorded = begun.unrecorded + i64::try_from(clients).map_err(Error::internal)?;
        let begun = Begun { unrecorded, ..begun };
        self.note(transaction, chain, Action::Changed, &begun, now).await
    }

    async fn note(
        &self,
        transaction: &Transaction,
        chain: Chain<'_>,
        action: Action,
        begun: &Begun,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let change = Change {
            chain,
            subject: Subject::History,
            subject_key: chain.name(),
            action,
            members: begun.members(),
        };
        self.history
            .record(transaction, &Caller::operator(), &change, now)
            .await
    }
}

struct Beginning<'a> {
    clientele: &'a Clientele,
    now: DateTime<Utc>,
}

impl Work for Beginning<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let keys = self.clientele.history.keys(transaction).await?;
        let mut chains = Vec::new();
        for chain in Chain::SHARED {
            super::lock(transaction, chain).await?;
            chains.push((chain, last(transaction, chain).await?));
        }
        let known = transaction
            .one("SELECT 1 FROM audit_record LIMIT 1", [])
            .await?
            .is_some();
        let key_id = &keys.current().id;
        let is_weak = |last: &Begun| keys.is_outdone(&last.key_id);
        // Both go on under another key together: one alone was made anew under the database's.
        let half = chains.iter().flat_map(|(_, last)| last).any(|last| !is_weak(last));
        let mut step = Step::Discard(());
        for (chain, last) in chains {
            let action = match &last {
                None if !known => Action::Created,
                Some(last) if last.key_id == *key_id || !keys.are_configured() => continue,
                Some(last) if !half || !is_weak(last) => Action::Changed,
                _ => {
                    let chain = chain.name();
                    tracing::warn!(
                        chain,
                        "the beginning of the history is missing: run `clientele audit verify`"
                    );
                    continue;
                }
            };
            let begun = match last {
                // What was allowed under another configured key stays so: counting again would allow what was done since.
                Some(last) if !is_weak(&last) => last,
                _ => self.count(transaction, chain).await?,
            };
            let key_id = key_id.clone();
            let begun = Begun { key_id, ..begun };
            self.clientele
                .note(transaction, chain, action, &begun, self.now)
                .await?;
            tracing::info!(
                chain = chain.name(),
                key = begun.key_id,
                "the history begins under this key"
            );
            step = Step::Commit(());
        }
        Ok(step)
    }
}

impl Beginning<'_> {
    /// The clients that are there, by what they have. Once in the life of a database and of its first configured key.
    async fn count(&self, transaction: &Transaction, chain: Chain<'_>) -> Result<Begun> {
        let sql = "SELECT count(*), coalesce(sum(CASE WHEN history_count > 0 THEN 1 ELSE 0 END), 0) FROM client";
        let (all, weak): (i64, i64) = match transaction.one(sql, []).await? {
            Some(row) if chain == Chain::Definitions => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
            _ => (0, 0),
        };
        Ok(Begun {
            key_id: String::new(),
            since: self.now,
            unrecorded: all - weak,
            weak,
        })
    }
}

/// The last record of its kind in a shared chain.
async fn last(transaction: &Transaction, chain: Chain<'_>) -> Result<Option<Begun>> {
    let row = transaction.dialect.row::<audit_record::Entity>("a");
    let row = transaction.dialect.cast_to_text(&row);
    let subject = Subject::History.as_str();
    let sql = format!(
        "SELECT {row} FROM audit_record a WHERE a.chain = $1 AND a.subject = '{subject}' \
         ORDER BY a.position DESC LIMIT 1"
    );
    match transaction.one(sql, [chain.name().into()]).await? {
        Some(row) => Ok(Begun::read(&super::search::decode(&row)?)),
        None => Ok(None),
    }
}
