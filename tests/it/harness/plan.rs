//! The plans of statements, as for large tables and values that the database doesn't know.

use clientele::{
    db::{Dialect, Step, Transaction, Work},
    error::Result,
};

use super::TestServer;

impl TestServer {
    /// The steps of the statement's plan.
    pub async fn plan(&self, sql: &str) -> Vec<String> {
        self.services.db.write(&Plan(sql)).await.expect("a plan")
    }
}

struct Plan<'a>(&'a str);

impl Work for Plan<'_> {
    type Output = Vec<String>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<String>>> {
        let Self(sql) = self;
        let (explain, column) = match transaction.dialect {
            Dialect::Sqlite => (format!("EXPLAIN QUERY PLAN {sql}"), 3),
            Dialect::Postgres => {
                for other in ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"] {
                    transaction.run(format!("SET LOCAL {other} = off"), []).await?;
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
