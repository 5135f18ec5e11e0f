//! The plans of statements, as for large tables and values that the database doesn't know.

use clientele::{
    db::{Dialect, Step, Transaction, Work},
    error::Result,
};

use super::{Backend, TestServer};

impl TestServer {
    /// Collects the statistics of this server's tables. SQLite plans without any.
    pub async fn analyze(&self) {
        if self.backend == Backend::Sqlite {
            return;
        }
        // Without a list, those of every table of the database, also of other schemas.
        let tables = "SELECT 'ANALYZE ' || string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = \
            current_schema()";
        let row = self.services.db.read().one(tables, []).await.expect("it is read");
        let sql: String = row.expect("a row").try_get_by_index(0).expect("a text");
        self.write(&sql).await.expect("statistics");
    }

    /// The steps of the statement's plan.
    pub async fn plan(&self, sql: &str) -> Vec<String> {
        let avoided = &["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
        self.services.db.write(&Plan { sql, avoided }).await.expect("a plan")
    }

    /// The same as the database chooses it for the tables as they are.
    pub async fn plan_by_statistics(&self, sql: &str) -> Vec<String> {
        let avoided = &[];
        self.services.db.write(&Plan { sql, avoided }).await.expect("a plan")
    }
}

struct Plan<'a> {
    sql: &'a str,
    /// Ways that PostgreSQL must avoid: it would take them for small tables.
    avoided: &'a [&'a str],
}

impl Work for Plan<'_> {
    type Output = Vec<String>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<String>>> {
        let sql = self.sql;
        let (explain, column) = match transaction.dialect {
            Dialect::Sqlite => (format!("EXPLAIN QUERY PLAN {sql}"), 3),
            Dialect::Postgres => {
                for avoided in self.avoided {
                    transaction.run(format!("SET LOCAL {avoided} = off"), []).await?;
                }
                transaction
                    .run("SET LOCAL plan_cache_mode = force_generic_plan", [])
                    .await?;
                transaction.run(format!("PREPARE planned AS {sql}"), []).await?;
                let count = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
                let values = vec!["NULL"; count].join(", ");
                let values = if count == 0 { values } else { format!("({values})") };
                (format!("EXPLAIN (COSTS OFF) EXECUTE planned{values}"), 0)
            }
        };
        let rows = transaction.all(explain, []).await?;
        let steps = rows.iter().map(|row| Ok(row.try_get_by_index(column)?));
        let steps = steps.collect::<Result<_>>()?;
        if transaction.dialect == Dialect::Postgres {
            transaction.run("DEALLOCATE planned", []).await?;
        }
        Ok(Step::Discard(steps))
    }
}
