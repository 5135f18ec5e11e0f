//! Reads all clients, a page at a time.

use std::sync::Arc;

use super::{Aggregate, ClientParts, Clients, aggregate::select};
use crate::{
    caller::{Caller, Permission},
    definitions::Definitions,
};
use clientele_core::error::Result;

impl Clients {
    /// Returns the next clients in the order of their keys, at most `most`, after this key, that exist for the
    /// caller, without the values that they may not see, and the definitions at that time.
    ///
    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) without VIEW_CLIENT.
    pub async fn export(
        &self,
        caller: &Caller,
        after: &str,
        most: usize,
    ) -> Result<(Vec<Aggregate>, Arc<Definitions>)> {
        caller.require(Permission::ViewClient)?;
        let (dialect, mut values) = (self.db.read().dialect, vec![after.into()]);
        let limit = caller.rights.and_limit(dialect, "c", &mut values);
        let select = select(dialect, ClientParts::ALL);
        let sql = format!("{select} WHERE c.encoded_key > $1{limit} ORDER BY c.encoded_key LIMIT {most}");
        let (mut clients, definitions) = self.read(sql, values).await?;
        for client in &mut clients {
            client.hide_values(&caller.rights, &definitions);
        }
        Ok((clients, definitions))
    }
}
