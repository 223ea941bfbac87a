//! How long an item waited for locks, as the watch saw it from time to time. Costs nothing where
//! nothing lasts long enough to be watched.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use super::super::gate::Host;
use super::super::stop::Trouble;
use crate::model::{EventKind, LockWait};
use crate::postgres::catalog::Awaited;

/// One wait: from its beginning until it was last seen.
struct One {
    lock: Awaited,
    /// When it was first seen: all that is known where the server does not tell since when.
    first: Instant,
    millis: u64,
}

/// The waits of an item.
#[derive(Default)]
pub(in crate::host) struct Awaiting {
    waits: RefCell<Vec<One>>,
    /// The last look saw the last one of them.
    open: Cell<bool>,
    /// So many are of earlier tries.
    earlier: Cell<usize>,
}

/// What a lock is called where only its timeout is known.
const UNSEEN: &str = "unknown";

impl Awaiting {
    /// A try begins.
    pub(in crate::host) fn begin(&self) {
        self.open.set(false);
        self.earlier.set(self.waits.borrow().len());
    }

    /// The try ended in a lock timeout of so many milliseconds: its last wait lasted as long.
    pub(in crate::host) fn timed_out(&self, limit: u64) {
        let mut waits = self.waits.borrow_mut();
        if waits.len() > self.earlier.get() {
            waits.last_mut().into_iter().for_each(|one| one.millis = one.millis.max(limit));
            return;
        }
        let (relation, mode, since) = (None, String::new(), None);
        let lock = Awaited { relation, kind: UNSEEN.into(), mode, since, millis: Some(limit) };
        waits.push(One { lock, first: Instant::now(), millis: limit });
    }

    /// What a look found; None: it waited for nothing.
    pub(in crate::host) fn note(&self, found: Option<Awaited>) {
        let was_open = self.open.replace(found.is_some());
        let Some(lock) = found else { return };
        let mut waits = self.waits.borrow_mut();
        let same = |one: &&mut One| {
            let of = |lock: &Awaited| (lock.relation.clone(), lock.kind.clone(), lock.mode.clone());
            // In its first moment a wait has no beginning yet.
            let since = one.lock.since.is_none() || one.lock.since == lock.since;
            was_open && of(&one.lock) == of(&lock) && since
        };
        let Some(one) = waits.last_mut().filter(same) else {
            let millis = lock.millis.unwrap_or(0);
            waits.push(One { lock, first: Instant::now(), millis });
            return;
        };
        let seen = one.first.elapsed().as_millis() as u64;
        one.millis = one.millis.max(lock.millis.unwrap_or(seen));
        one.lock.since = lock.since;
    }

    /// All of them, waits for the same lock together, the longest first; none are kept.
    pub(in crate::host) fn take(&self) -> Vec<LockWait> {
        self.open.set(false);
        let mut all: Vec<LockWait> = Vec::new();
        for One { lock, millis, .. } in self.waits.take() {
            let Awaited { relation, kind, mode, .. } = lock;
            let known = all
                .iter_mut()
                .find(|one| (&one.relation, &one.kind, &one.mode) == (&relation, &kind, &mode));
            match known {
                Some(known) => known.waited_ms += millis,
                None => all.push(LockWait { relation, kind, mode, waited_ms: millis }),
            }
        }
        all.retain(|wait| wait.waited_ms > 0);
        all.sort_by_key(|wait| std::cmp::Reverse(wait.waited_ms));
        all
    }
}

impl Host {
    /// Behind the last try of an item: the locks that it waited for.
    ///
    /// # Errors
    /// `journal-write`.
    pub(in crate::host) fn tell_lock_waits(&self, title: &str) -> Result<(), Trouble> {
        let waits = self.lock_watch.awaited.take();
        if waits.is_empty() {
            return Ok(());
        }
        self.emit(EventKind::LockWaits { item: title.into(), waits }).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(relation: &str, since: Option<&str>, millis: u64) -> Option<Awaited> {
        Some(Awaited {
            relation: Some(relation.into()),
            kind: "relation".into(),
            mode: "AccessExclusiveLock".into(),
            since: since.map(Into::into),
            millis: since.map(|_| millis),
        })
    }

    fn told(awaiting: &Awaiting) -> Vec<(String, u64)> {
        let all = awaiting.take().into_iter();
        all.map(|wait| (wait.relation.unwrap_or_default(), wait.waited_ms)).collect()
    }

    #[test]
    fn one_wait_counts_once_and_a_second_wait_for_the_same_lock_is_added() {
        let awaiting = Awaiting::default();
        for (since, millis) in [(None, 0), (Some("a"), 310), (Some("a"), 420), (Some("b"), 50)] {
            awaiting.note(lock("public.t", since, millis));
        }
        awaiting.note(None);
        awaiting.note(lock("public.u", Some("c"), 900));
        assert_eq!(told(&awaiting), [("public.u".into(), 900), ("public.t".into(), 470)]);
        assert!(told(&awaiting).is_empty(), "none are kept");
    }

    #[test]
    fn a_lock_that_was_got_in_between_is_waited_for_anew() {
        let awaiting = Awaiting::default();
        awaiting.note(lock("public.t", Some("a"), 100));
        awaiting.note(None);
        awaiting.note(lock("public.t", Some("b"), 30));
        assert_eq!(told(&awaiting), [("public.t".into(), 130)]);
    }

    #[test]
    fn a_lock_timeout_says_how_long_was_waited_also_where_nobody_looked() {
        let awaiting = Awaiting::default();
        awaiting.begin();
        awaiting.timed_out(1000);
        awaiting.begin();
        awaiting.note(lock("public.t", Some("a"), 820));
        awaiting.timed_out(1000);
        awaiting.begin();
        awaiting.note(lock("public.t", Some("b"), 70));
        assert_eq!(told(&awaiting), [("public.t".into(), 1070), (String::new(), 1000)]);
    }
}
