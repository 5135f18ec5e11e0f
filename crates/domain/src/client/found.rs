//! Reads clients by their keys, for several callers at once.

use std::{collections::HashMap, sync::Arc};

use super::{
    Clients,
    aggregate::{Aggregate, Wanted, select},
};
use crate::{
    caller::{Permission, Readable, Rights, Unread},
    definitions::Definitions,
};
use clientele_core::error::{Error, Result};

/// A client with all its values, and the definitions when it was read.
#[derive(Clone, Debug)]
pub struct Found {
    pub client: Arc<Aggregate>,
    pub definitions: Arc<Definitions>,
}

/// APIs hide the values that the caller may not see when they show them: otherwise each caller would need a copy of the
/// client.
impl Readable for Found {
    const NEEDS: Permission = Permission::ViewClient;
    type Seen = Self;

    fn seen_with(&self, _: &Rights) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Clients {
    /// Returns the clients of these keys with all their values: the API must hide those that the caller may not see.
    /// Clients that don't exist are left out.
    pub async fn by_key(&self, keys: &[String], wanted: Wanted) -> Result<HashMap<String, Unread<Found>>> {
        let dialect = self.db.read().dialect;
        let keys: Vec<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
        let sql = format!(
            "{} WHERE {}",
            select(dialect, wanted),
            dialect.is_one_of("c.encoded_key", "$1")
        );
        let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
        let (rows, definitions) = self.read(sql, [keys.into()]).await?;
        let unread = |client: Aggregate| {
            let key = client.client.encoded_key.clone();
            let (client, definitions) = (Arc::new(client), definitions.clone());
            (key, Unread::new(Found { client, definitions }))
        };
        Ok(rows.into_iter().map(unread).collect())
    }
}
