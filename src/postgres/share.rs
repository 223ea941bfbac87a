//! Work shared out among sessions: whichever is ready takes the next piece.

use std::cell::RefCell;

use futures_util::future::try_join_all;

/// Does every piece, the last one first, on as many at a time as there are workers. Gives the
/// results in the order in which they were ready on each.
///
/// # Errors
/// The first of the work's.
pub async fn share<W, P, T, E>(
    workers: impl IntoIterator<Item = W>,
    pieces: Vec<P>,
    work: impl AsyncFn(&W, P) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let left = RefCell::new(pieces);
    let (next, work) = (&|| left.borrow_mut().pop(), &work);
    let done = try_join_all(workers.into_iter().map(|worker| async move {
        let mut done = Vec::new();
        while let Some(piece) = next() {
            done.push(work(&worker, piece).await?);
        }
        Ok(done)
    }));
    Ok(done.await?.into_iter().flatten().collect())
}
