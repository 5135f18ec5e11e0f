//! Erasing what records say, and not that there was something.

use crate::{db::Transaction, error::Result};

/// Erases the contents of all records of a client. Who changed it and when stays, and the chain still verifies. Answers how
/// many records had contents.
pub async fn erase(transaction: &Transaction, client_key: &str) -> Result<u64> {
    let sql = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = $1 AND contents IS NOT NULL";
    transaction.run(sql, [client_key.into()]).await
}
