//! The room `postgres` against real servers.

mod catalog;
mod connect;
mod fingerprint;
mod session;
mod value;

use std::future::Future;

use runsheet::postgres::{ConnectOptions, Session, Target, connect as connect_to};

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
