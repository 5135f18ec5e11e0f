//! Running statements, whether each takes a connection of a pool or all of them are of one transaction.

use std::pin::pin;

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Statement, StreamTrait, Value};

use super::{Dialect, bounds::Bounds};
use crate::{
    allowance::{Allowance, ConnectionPlace, Reading},
    error::Result,
};

/// Something that runs statements: a pool or a transaction, with the dialect it speaks.
#[derive(Clone, Debug)]
pub struct Connection<C> {
    pub(super) inner: C,
    pub dialect: Dialect,
    /// Whether each statement takes a connection of its own. A request may use only some at once.
    pub(super) pooled: bool,
    /// For what the database doesn't end by itself.
    pub(super) bounds: Option<Bounds>,
}

pub type Transaction = Connection<DatabaseTransaction>;

impl<C: ConnectionTrait> Connection<C> {
    pub async fn all(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>> {
        let statement = self.statement(sql, values);
        let _place = self.place().await;
        match &self.bounds {
            Some(bounds) => bounds.run(|| self.inner.query_all_raw(statement.clone())).await,
            None => Ok(self.inner.query_all_raw(statement).await?),
        }
    }

    pub async fn one(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>> {
        let statement = self.statement(sql, values);
        let _place = self.place().await;
        match &self.bounds {
            Some(bounds) => bounds.run(|| self.inner.query_one_raw(statement.clone())).await,
            None => Ok(self.inner.query_one_raw(statement).await?),
        }
    }

    /// Runs a statement that answers no rows, and says how many it touched.
    pub async fn run(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<u64> {
        Ok(self
            .inner
            .execute_raw(self.statement(sql, values))
            .await?
            .rows_affected())
    }

    /// The connection in sea-orm's own form, for the small definition tables.
    pub fn orm(&self) -> &C {
        &self.inner
    }

    /// One of the connections that the current request may use at once, for as long as it is kept.
    pub(super) async fn place(&self) -> Option<ConnectionPlace> {
        match self.pooled {
            true => Allowance::current()?.connection().await,
            false => None,
        }
    }

    fn statement(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.dialect.backend(), sql, values)
    }
}

impl Transaction {
    /// Lets the statements of this transaction take longer, and wait longer, than those of requests: for what is done once.
    pub async fn take_any_time(&self) -> Result<()> {
        // SQLite ends only what readers run.
        if self.dialect == Dialect::Postgres {
            self.run("SET LOCAL lock_timeout = 0", []).await?;
            self.run("SET LOCAL statement_timeout = 0", []).await?;
        }
        Ok(())
    }
}

impl<C: ConnectionTrait + StreamTrait> Connection<C> {
    /// Runs a statement whose rows may be large. Each is read as it comes, so that it is in memory only once: `decode` makes
    /// something of it, and says how many bytes that is. They stay held until the current request is answered.
    ///
    /// # Errors
    /// As [`Allowance::hold`]: the rest of the rows isn't read then.
    pub async fn each<T>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
        decode: impl Fn(&QueryResult) -> Result<(T, usize)>,
    ) -> Result<Vec<T>> {
        let statement = self.statement(sql, values);
        let read = async || {
            let (mut found, mut reading) = (Vec::new(), Reading::begin());
            let mut rows = pin!(self.inner.stream_raw(statement.clone()).await?);
            while let Some(row) = rows.try_next().await? {
                let decoded = decode(&row).and_then(|(decoded, bytes)| reading.hold(bytes).map(|()| decoded));
                match decoded {
                    Ok(decoded) => found.push(decoded),
                    Err(error) => return Ok(Err(error)),
                }
            }
            reading.keep();
            Ok(Ok(found))
        };
        let _place = self.place().await;
        match &self.bounds {
            Some(bounds) => bounds.run(read).await?,
            None => read().await?,
        }
    }
}
