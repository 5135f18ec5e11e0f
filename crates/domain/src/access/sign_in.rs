//! Signs callers in with a name and a password, from the credential cache or by hashing. The APIs extract the
//! credentials from requests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{Account, Accounts, asking::Verdict, hash_queue::HashPermit, reads::Read};
use crate::caller::CredentialKey;
use crate::caller::throttle::Charge;
use clientele_core::{error::Result, fair_queue::QueueFull, secret::Secret};

/// A name and a password, and the address that sent them.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    name: &'a str,
    password: &'a str,
    from: IpAddr,
    mark: CredentialKey,
}

impl Accounts {
    pub fn attempt<'a>(&self, name: &'a str, password: &'a str, from: IpAddr) -> Attempt<'a> {
        Attempt {
            name,
            password,
            from,
            mark: self.credentials.mark(name, password, from),
        }
    }

    /// Returns the user if these credentials were verified lately and are still valid, at most `freshness` old. Hashes
    /// nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_user(&self, attempt: &Attempt<'_>, freshness: Duration) -> Result<Option<Arc<Account>>> {
        let Some(read) = self.credentials.get(&attempt.mark) else {
            return Ok(None);
        };
        if self.is_fresh(&read, freshness) {
            return Ok(read.found.clone());
        }
        let Some(proven) = &read.found else { return Ok(None) };
        if let Some(read) = self.user(&proven.name, freshness).await?
            && let Some(account) = &read.found
            && account.has_the_password_of(proven)
        {
            self.credentials.keep(attempt.mark, read.clone());
            return Ok(Some(account.clone()));
        }
        self.credentials.forget(&attempt.mark);
        Ok(None)
    }

    /// Returns the user of lately verified credentials from the last read, however old. None if this process has
    /// changed accounts since. Runs no statement.
    pub fn last_known_user(&self, attempt: &Attempt<'_>) -> Option<Arc<Account>> {
        let read = self.credentials.get(&attempt.mark)?;
        read.found.clone().filter(|_| self.is_fresh(&read, Duration::MAX))
    }

    /// Verifies the password of the user of this name. An unknown name takes the same path and as long, so that neither
    /// answers nor times reveal which names exist.
    ///
    /// The attempt is charged when its permit is granted, before anything is verified. The charge is refunded if the
    /// password was right or the check failed.
    pub async fn verify(
        &self,
        attempt: Attempt<'_>,
        freshness: Duration,
        charge: impl FnOnce() -> Result<Charge, Duration> + Send + 'static,
    ) -> Verdict {
        let Attempt { from, mark, .. } = attempt;
        let begin = || {
            // Another request may just have verified it.
            let known = self.credentials.get(&mark).and_then(|read| read.found.clone());
            if let Some(account) = known {
                return Err(Verdict::Right(account));
            }
            let ticket = self.hasher.queue.join(self.credentials.waiter(from));
            ticket.map_err(|QueueFull| Verdict::Busy)
        };
        let accounts = self.clone();
        let (name, password) = (attempt.name.into(), Secret::new(attempt.password));
        let look = async move |permit| {
            let charge = match charge() {
                Ok(charge) => charge,
                Err(wait) => return Verdict::TooMany(wait),
            };
            let verdict = match accounts.look(permit, &name, password, freshness).await {
                Ok(Some((account, read))) => {
                    accounts.credentials.keep(mark, read);
                    accounts.credentials.keep_network(from);
                    Verdict::Right(account)
                }
                Ok(None) => return Verdict::Wrong,
                Err(error) => Verdict::Unknown(error),
            };
            charge.refund();
            verdict
        };
        self.asking.ask(mark, begin, look).await
    }

    /// Finds the user of this name if it has this password. Reads the row under the permit: a flood of attempts then
    /// needs one statement per hash at most.
    async fn look(
        &self,
        permit: HashPermit,
        name: &Arc<str>,
        password: Secret,
        freshness: Duration,
    ) -> Result<Option<(Arc<Account>, Arc<Read<Account>>)>> {
        let read = self.user(name, freshness).await?;
        let account = read.as_ref().and_then(|read| read.found.clone());
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        let right = self.hasher.compare(permit, password, stored).await?;
        Ok(account.zip(read).filter(|_| right))
    }
}

#[cfg(test)]
mod tests;
