//! The room `postgres` against real servers.

mod catalog;
mod connect;
mod fingerprint;
mod session;
mod value;

use std::future::Future;

use runsheet::postgres::{ConnectOptions, Session, Target, connect as connect_to};

use crate::support::cluster::query;
use crate::support::{Cluster, soon};

/// Runs a future on a runtime like that of the program: one thread, driven by who waits.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(future);
    // A name look-up that nobody waits for any more must not hold the test up.
    runtime.shutdown_background();
    result
}

fn target(url: &str) -> Target {
    Target::parse(url, &|name| (name == "USER").then(|| "postgres".to_string())).unwrap()
}

async fn open(url: &str) -> Session {
    connect_to(&target(url), &ConnectOptions::default()).await.unwrap()
}

/// Cancels what the session does, from another thread, as soon as it is seen asleep.
fn cancel_its_sleep(cluster: &Cluster, session: &Session) -> std::thread::JoinHandle<()> {
    let (canceller, pid) = (session.canceller(), session.backend_pid());
    let url = cluster.url("postgres");
    std::thread::spawn(move || {
        let asleep = format!(
            "SELECT FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' \
             AND query LIKE 'SELECT pg_sleep%'"
        );
        soon("it sleeps", || !query(&url, &asleep).unwrap().is_empty());
        wait(canceller.cancel()).unwrap();
    })
}
