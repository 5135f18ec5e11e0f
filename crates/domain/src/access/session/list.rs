//! Lists of sessions.

use chrono::{DateTime, Utc};
use entity::{Table, instant, session};
use sea_orm::{FromQueryResult, Value};

use super::{BY_START, Session, is_user};
use crate::{
    access::{Accounts, listing::Listing},
    caller::{Caller, Permission},
};
use clientele_core::error::{Error, Result};
use clientele_storage::{
    db::{Database, Dialect},
    paging::{Conditions, Requested, Total, Window},
};

impl Accounts {
    /// Returns a page of the sessions that haven't expired, in order of their start: those of the user of this name, or
    /// else all of them. Without MANAGE_USERS a caller sees only their own.
    pub async fn sessions(
        &self,
        caller: &Caller,
        user: Option<&str>,
        window: &Window,
        asked: Requested,
        now: DateTime<Utc>,
    ) -> Result<Listing<Session>> {
        if let Some(name) = user
            && !(is_user(caller) && name.eq_ignore_ascii_case(&caller.name))
        {
            caller.require(Permission::ManageUsers)?;
        }
        let connection = self.db.read();
        let mut conditions = visible(caller, connection.dialect, now);
        let name = user.map(str::to_ascii_lowercase);
        conditions.text(name.as_ref(), |name| format!("lower(u.name) = {name}"));
        let total = match asked.total {
            true => {
                let rows = format!("{FROM} {}", conditions.clause());
                Some(Total::count(connection, &rows, conditions.values.clone()).await?)
            }
            false => None,
        };
        let rows = match asked.rows {
            true => {
                let clauses = window.clauses(&BY_START, "a", &mut conditions);
                read(&self.db, caller, &clauses, conditions.values).await?
            }
            false => Vec::new(),
        };
        Ok(Listing {
            page: window.page(rows),
            total,
        })
    }

    /// Returns the sessions with these keys that the caller can see, in no particular order.
    pub async fn sessions_by_key(&self, caller: &Caller, keys: &[&str], now: DateTime<Utc>) -> Result<Vec<Session>> {
        let keys = serde_json::to_string(keys).map_err(Error::internal)?;
        let dialect = self.db.read().dialect;
        let mut conditions = visible(caller, dialect, now);
        let keys = conditions.bind(keys);
        conditions.push(dialect.is_one_of("a.encoded_key", &keys));
        read(&self.db, caller, &conditions.clause(), conditions.values).await
    }
}

const FROM: &str = "session a JOIN api_user u ON u.encoded_key = a.user_key";

/// The conditions of sessions that haven't expired and that the caller can see.
fn visible(caller: &Caller, dialect: Dialect, now: DateTime<Utc>) -> Conditions {
    let mut conditions = Conditions::new(dialect);
    let now = conditions.bind(instant::to_text(&now));
    conditions.push(format!("a.refresh_expires_at > {}", dialect.cast(&now, "timestamptz")));
    if !caller.can(Permission::ManageUsers) {
        // Other callers have no sessions, and no user has an empty key.
        let key = match is_user(caller) {
            true => &*caller.id,
            false => "",
        };
        let key = conditions.bind(key);
        conditions.push(format!("a.user_key = {key}"));
    }
    conditions
}

/// Reads sessions with the names of their users.
async fn read(db: &Database, caller: &Caller, clauses: &str, values: Vec<Value>) -> Result<Vec<Session>> {
    let columns = <session::Entity as Table>::columns().join(", a.");
    let sql = format!("SELECT a.{columns}, u.name AS user_name, u.initial FROM {FROM} {clauses}");
    let mut sessions = Vec::new();
    for row in db.read().all(sql, values).await? {
        let session = session::Model::from_query_result(&row, "")?;
        sessions.push(Session {
            is_current: caller.session.as_deref() == Some(&*session.encoded_key),
            user_name: row.try_get("", "user_name")?,
            password_is_initial: row.try_get("", "initial")?,
            row: session,
        });
    }
    Ok(sessions)
}
