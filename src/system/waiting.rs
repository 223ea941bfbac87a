//! Where asynchronous work is waited for: one thread, one runtime. Made by whoever opens connections.

use tokio::runtime::{Builder, Runtime};

use crate::model::Fault;

/// A runtime on the calling thread.
///
/// # Errors
/// `internal` where the system gives none.
pub fn runtime() -> Result<Runtime, Fault> {
    let made = Builder::new_current_thread().enable_all().build();
    made.map_err(|error| Fault::failed("internal", error.to_string()))
}

/// Waits on a thread of its own: a caller inside a runtime may not block on another one.
///
/// # Errors
/// Those of the work; `internal` as [`runtime`].
pub fn apart<T: Send, W>(work: impl FnOnce() -> W + Send) -> Result<T, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| runtime()?.block_on(work()));
        thread.join().unwrap_or_else(|_| Err(Fault::failed("internal", "panic")))
    })
}
