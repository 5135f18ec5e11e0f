//! Reads the records of one client in pages, in either direction, to replay them.

use entity::audit_record;

use super::{AuditLog, LARGEST_CONTENTS, Member};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};

/// Limits of the records that one request replays, and of their contents in bytes.
pub const MOST_VERSIONS: i64 = 10_000;
pub const MOST_CONTENTS: i64 = 64 << 20;

/// The records of a page; fewer if their contents are large.
const PAGE: i64 = 500;

/// Records by their positions: those after `after`, up to and including `until`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Records {
    pub after: i64,
    pub until: i64,
}

/// The records, and the bytes of their contents, that replays can still read.
#[derive(Debug)]
pub(crate) struct Allowance {
    records: i64,
    bytes: i64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            records: MOST_VERSIONS,
            bytes: MOST_CONTENTS,
        }
    }
}

/// The direction of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Direction {
    Forward,
    Back,
}

/// The reason why records can't be replayed.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Missing,
    Erased,
    TooMany,
    TooLarge,
    Failed(Error),
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Unreadable {
    /// Returns the problem of an argument that leads to these records: of `versions`, with advice if they are too many.
    pub fn problem(self, argument: &'static str, versions: &str, advice: &str) -> Result<Problem> {
        let message = match self {
            Self::Missing => "The client's history doesn't reach back to it.".to_owned(),
            Self::Erased => "Contents of the client's history that it depends on have been erased.".to_owned(),
            Self::TooMany => {
                let most = MOST_VERSIONS / 1_000;
                format!("Reading {versions} needs more than {most},000 audit records. {advice}")
            }
            Self::TooLarge => {
                let most = MOST_CONTENTS >> 20;
                format!("Reading {versions} needs more than {most} MiB of audit records. {advice}")
            }
            Self::Failed(error) => return Err(error),
        };
        Ok(Problem::new(ProblemCode::Invalid, path![argument], message))
    }
}

impl AuditLog {
    /// Passes these records of a client to `apply`, one by one with their members; without, if they were erased. Only a
    /// page of records is in memory.
    pub(crate) async fn replay(
        &self,
        client_key: &str,
        records: Records,
        direction: Direction,
        allowance: &mut Allowance,
        mut apply: impl FnMut(&audit_record::Model, Option<Vec<Member>>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let (mut left, mut size) = (records, PAGE);
        if left.until - left.after > allowance.records {
            return Err(Unreadable::TooMany);
        }
        let order = match direction {
            Direction::Forward => "ASC",
            Direction::Back => "DESC",
        };
        let clauses =
            format!("WHERE a.chain = $1 AND a.position > $2 AND a.position <= $3 ORDER BY a.position {order}");
        while left.after < left.until {
            let count = size.min(left.until - left.after);
            let (after, until) = match direction {
                Direction::Forward => (left.after, left.after + count),
                Direction::Back => (left.until - count, left.until),
            };
            let values = vec![client_key.into(), after.into(), until.into()];
            let (rows, bytes, _reading) = self.read_for_now(&clauses, values, true).await?;
            if bytes > LARGEST_CONTENTS && count > 1 {
                size = count / 2;
                continue;
            }
            allowance.records -= count;
            allowance.bytes -= bytes;
            if bytes > LARGEST_CONTENTS || allowance.bytes < 0 {
                return Err(Unreadable::TooLarge);
            }
            size = (size * 2).min(PAGE);
            if rows.len() as i64 != count {
                return Err(Unreadable::Missing);
            }
            for row in &rows {
                let members = row.contents.as_deref().map(serde_json::from_str);
                apply(row, members.transpose().map_err(Error::internal)?)?;
            }
            match direction {
                Direction::Forward => left.after = until,
                Direction::Back => left.until = after,
            }
        }
        Ok(())
    }
}
