//! Run with: `cargo run --example pay_day_loan`
//!
//! A synchronous call to a cache that is loaded asynchronously, in batches: workers of a stream share it, and ask for
//! what they are about to need.

#![allow(
    clippy::disallowed_types,
    reason = "barriers stop the loader at the database, where the example looks at it"
)]

use std::error::Error;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use larder::{BoxError, Bucket, BulkLoader, LoadState, Outcome};

const PATIENCE: Duration = Duration::from_secs(10);
const ACCOUNTS: u32 = 200;

#[derive(Clone, Debug, PartialEq)]
struct Account {
    owner: String,
    version: u32,
}

/// Executes the queries, and turns their results into what is cached.
struct AccountLoader(Arc<Database>);

/// Stands in for a database. Its updates meet the example twice: when they begin and before they answer.
struct Database {
    updates: Barrier,
}

impl Database {
    /// `SELECT count(1) FROM accounts WHERE id = ...`
    fn key_exists(account: u32) -> bool {
        account < ACCOUNTS
    }

    /// `SELECT ... FROM accounts WHERE id IN (...)`
    fn owners(accounts: &[u32]) -> impl Iterator<Item = (u32, String)> {
        accounts.iter().map(|&id| (id, format!("owner of {id}")))
    }
}

impl BulkLoader<u32, Account> for AccountLoader {
    fn bulk_load(&self, keys: &[u32]) -> Result<Vec<(u32, Outcome<Account>)>, BoxError> {
        let new = |owner| Account { owner, version: 1 };
        let rows = Database::owners(keys);
        Ok(rows.map(|(id, owner)| (id, new(owner).into())).collect())
    }

    fn refreshes(&self) -> bool {
        true
    }

    /// What is cached is there to be updated; most of it need not be.
    fn bulk_refresh(
        &self,
        entries: &[(u32, Account)],
    ) -> Result<Vec<(u32, Outcome<Account>)>, BoxError> {
        self.0.updates.wait();
        let refreshed = entries.iter().map(|(id, account)| match id {
            1 => {
                let version = account.version + 1;
                (
                    *id,
                    Outcome::Value(Account {
                        version,
                        ..account.clone()
                    }),
                )
            }
            _ => (*id, Outcome::Unchanged),
        });
        self.0.updates.wait();
        Ok(refreshed.collect())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let updates = Barrier::new(2);
    let database = Arc::new(Database { updates });
    let accounts = Bucket::<u32, Account>::builder("accounts")
        .exists(|id| Ok::<_, BoxError>(Database::key_exists(*id)))
        .bulk_loader(AccountLoader(Arc::clone(&database)))
        .batch_size(100)
        .wait_limit(Duration::from_secs(5))
        .build()?;

    // Returns when the account is loaded, or after the wait limit; a key that does not exist is not loaded.
    assert_eq!(accounts.load_state(&1), LoadState::Unknown);
    let first = accounts.get(&1);
    assert_eq!(
        first.as_ref().map(|account| &*account.owner),
        Some("owner of 1")
    );
    assert_eq!(accounts.load_state(&1), LoadState::Cached);
    assert_eq!(accounts.get(&ACCOUNTS), None);
    assert_eq!(accounts.stats().loader_calls, 1);

    // Returns at once. The workers of a stream find their accounts loaded, or wait for the batch that has them.
    let new = (0..ACCOUNTS).filter(|id| accounts.peek(id).is_none());
    let ahead = accounts.request_load(new);
    assert!(ahead.rejected().is_empty(), "the queue is full");
    let balance = thread::scope(|scope| {
        let workers = [0, 1, 2, 3].map(|worker| {
            let accounts = &accounts;
            let events = (0..ACCOUNTS).filter(move |event| event % 4 == worker);
            scope.spawn(move || events.filter(|event| accounts.get(event).is_some()).count())
        });
        workers
            .into_iter()
            .flat_map(thread::ScopedJoinHandle::join)
            .sum::<usize>()
    });
    assert_eq!(balance, ACCOUNTS as usize);

    // Keys that are loaded are reloaded, and nobody waits for that.
    let reload = accounts.request_load([1, 2]);
    database.updates.wait();
    assert_eq!(accounts.load_state(&1), LoadState::Reloading);
    assert_eq!(accounts.get(&1), first);
    database.updates.wait();
    assert!(reload.wait(PATIENCE), "the loader hangs");
    let versions = [1, 2].map(|id| accounts.get(&id).map(|account| account.version));
    assert_eq!(versions, [Some(2), Some(1)]);

    // One for the first, two for all others, one to reload two of them.
    let calls = accounts.stats().loader_calls;
    println!("{} accounts in {calls} calls of the loader", accounts.len());
    assert_eq!((accounts.len(), calls), (ACCOUNTS as usize, 4));
    Ok(())
}
