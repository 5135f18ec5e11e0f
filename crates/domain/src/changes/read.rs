//! The statements that read the change feed.

use entity::audit_record;
use sea_orm::{ConnectionTrait, QueryResult};

use super::Position;
use crate::audit::{CONTENTS_SIZE, LARGEST_CONTENTS};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Connection, Dialect, Pool};

/// A change as it is stored.
#[derive(Debug)]
pub(super) struct StoredChange {
    /// The position after it.
    pub position: Position,
    pub record: audit_record::Model,
    pub version: i64,
    /// The branch and centre of the client after the change, or at its removal.
    pub assignment: Assignment,
    /// Those before the change. None if the feed has no change before it.
    pub former: Option<Assignment>,
    /// Those that the client has now. None if it was removed.
    pub present: Option<Assignment>,
}

/// The branch and the centre of a client, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assignment {
    pub branch: Option<String>,
    pub centre: Option<String>,
}

/// Changes after a position.
#[derive(Debug)]
pub(super) struct ChangeBatch {
    pub changes: Vec<StoredChange>,
    /// The number of changes that were found. The last ones can be missing in `changes`.
    pub found_count: usize,
    /// The position that the feed begins after.
    pub begins_after: Position,
    /// True if the position is that of a change of this feed.
    pub has_position: bool,
}

/// The first ordinal that can't be served yet. Changes below it are complete.
pub(super) fn horizon(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "(SELECT shift + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM change_feed)",
        // Only committed changes are visible, in the order of their commits.
        Dialect::Sqlite => "1",
    }
}

impl ChangeBatch {
    /// Reads up to `most` changes and finds out whether there is another one. After contents of [`LARGEST_CONTENTS`],
    /// the remaining changes are left out.
    pub async fn after(connection: &Connection<Pool>, position: &Position, most: u32) -> Result<Self> {
        let row = connection.dialect.row::<audit_record::Entity>("a");
        let row = connection.dialect.cast_to_text(&row);
        let horizon = horizon(connection.dialect);
        // One row without a change if there is none.
        let sql = format!(
            "SELECT f.name, f.begins_after, (SELECT a.hmac FROM client_change o JOIN audit_record a \
             ON a.chain = o.client_key AND a.position = o.position WHERE o.ordinal = $1 AND o.id = $2), e.* \
             FROM change_feed f LEFT JOIN (SELECT {row} AS record, e.ordinal, e.id, e.version, e.found, e.branch_key, \
             e.centre_key, p.version AS former_version, p.branch_key AS former_branch, p.centre_key AS former_centre, \
             c.encoded_key, c.assigned_branch_key, c.assigned_centre_key \
             FROM (SELECT e.*, count(*) OVER () AS found, \
             CAST(sum({CONTENTS_SIZE}) OVER (ORDER BY e.ordinal, e.id) - {CONTENTS_SIZE} AS BIGINT) AS bytes \
             FROM (SELECT * FROM client_change WHERE (ordinal, id) > ($1, $2) AND ordinal < {horizon} \
             ORDER BY ordinal, id LIMIT $3) e \
             JOIN audit_record a ON a.chain = e.client_key AND a.position = e.position) e \
             JOIN audit_record a ON a.chain = e.client_key AND a.position = e.position \
             LEFT JOIN client_change p ON p.client_key = e.client_key AND p.position = e.position - 1 \
             LEFT JOIN client c ON c.encoded_key = e.client_key \
             WHERE e.bytes < {LARGEST_CONTENTS}) e ON TRUE ORDER BY e.ordinal, e.id"
        );
        let limit = i64::from(most) + 1;
        let values = [position.ordinal.into(), position.id.into(), limit.into()];
        let rows = connection.each(sql, values, row_of).await?;
        let mut batch = Self {
            changes: Vec::with_capacity(rows.len()),
            found_count: 0,
            begins_after: Position::START,
            has_position: false,
        };
        for Row {
            name,
            begins_after,
            hmac,
            found_count,
            change,
        } in rows
        {
            batch.begins_after = Position::parse(&begins_after).ok_or_else(|| Error::defect("a wrong begins_after"))?;
            batch.has_position = *position == batch.begins_after
                || hmac.is_some_and(|hmac| *position == Position::after(position.ordinal, position.id, &name, &hmac));
            batch.found_count = found_count;
            batch.changes.extend(change);
        }
        Ok(batch)
    }
}

struct Row {
    name: String,
    begins_after: String,
    /// The HMAC of the change at the position.
    hmac: Option<String>,
    found_count: usize,
    change: Option<StoredChange>,
}

fn row_of(row: &QueryResult) -> Result<(Row, usize)> {
    let name: String = row.try_get_by_index(0)?;
    let text: Option<String> = row.try_get_by_index(3)?;
    let size = size_of::<Row>() + text.as_ref().map_or(0, String::len);
    let (change, found_count) = match text {
        Some(text) => {
            let (change, found_count) = change_of(row, &text, &name)?;
            (Some(change), found_count)
        }
        None => (None, 0),
    };
    let row = Row {
        begins_after: row.try_get_by_index(1)?,
        hmac: row.try_get_by_index(2)?,
        name,
        found_count,
        change,
    };
    Ok((row, size))
}

fn change_of(row: &QueryResult, text: &str, name: &str) -> Result<(StoredChange, usize)> {
    let record: audit_record::Model = serde_json::from_str(text).map_err(Error::internal)?;
    let assignment = |at| -> Result<Assignment> {
        Ok(Assignment {
            branch: row.try_get_by_index(at)?,
            centre: row.try_get_by_index(at + 1)?,
        })
    };
    let found_count: i64 = row.try_get_by_index(7)?;
    let (former_version, client): (Option<i64>, Option<String>) =
        (row.try_get_by_index(10)?, row.try_get_by_index(13)?);
    let change = StoredChange {
        position: Position::after(row.try_get_by_index(4)?, row.try_get_by_index(5)?, name, &record.hmac),
        version: row.try_get_by_index(6)?,
        assignment: assignment(8)?,
        former: former_version.map(|_| assignment(11)).transpose()?,
        present: client.map(|_| assignment(14)).transpose()?,
        record,
    };
    Ok((change, usize::try_from(found_count).unwrap_or_default()))
}

/// The position after the last change that can be served.
pub(crate) async fn end<C: ConnectionTrait>(connection: &Connection<C>) -> Result<Position> {
    let sql = format!(
        "SELECT f.name, f.begins_after, e.ordinal, e.id, a.hmac FROM change_feed f LEFT JOIN \
         (SELECT * FROM client_change WHERE ordinal < {} ORDER BY ordinal DESC, id DESC LIMIT 1) e ON TRUE \
         LEFT JOIN audit_record a ON a.chain = e.client_key AND a.position = e.position",
        horizon(connection.dialect)
    );
    let missing = || Error::defect("the row of change_feed is missing");
    let row = connection.one(sql, []).await?.ok_or_else(missing)?;
    let (name, begins_after): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let last: (Option<i64>, Option<i64>, Option<String>) = (
        row.try_get_by_index(2)?,
        row.try_get_by_index(3)?,
        row.try_get_by_index(4)?,
    );
    match last {
        (Some(ordinal), Some(id), Some(hmac)) => Ok(Position::after(ordinal, id, &name, &hmac)),
        _ => Position::parse(&begins_after).ok_or_else(|| Error::defect("a wrong begins_after")),
    }
}
