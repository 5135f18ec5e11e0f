//! Reads the records of one client in pages, in either direction, to replay them.

use entity::audit_record;

use super::{AuditLog, LARGEST_CONTENTS, Member};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};

/// Limits of the records that one replay reads, and of their contents in bytes.
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
    /// Returns the problem of an argument that leads to these records.
    pub fn problem(self, argument: &'static str, advice: &str) -> Result<Problem> {
        let message = match self {
            Self::Missing => "The client's history doesn't reach back to it.".to_owned(),
            Self::Erased => "Contents of the client's history that it depends on have been erased.".to_owned(),
            Self::TooMany => format!("It depends on more than {MOST_VERSIONS} changes: {advice}."),
            Self::TooLarge => {
                let most = MOST_CONTENTS >> 20;
                format!("It depends on changes with more than {most} MiB: {advice}.")
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
        mut apply: impl FnMut(&audit_record::Model, Option<Vec<Member>>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let (mut left, mut size, mut total) = (records, PAGE, 0);
        if left.until - left.after > MOST_VERSIONS {
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
            total += bytes;
            if bytes > LARGEST_CONTENTS || total > MOST_CONTENTS {
                return Err(Unreadable::TooLarge);
            }
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
