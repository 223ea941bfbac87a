//! Words for what the watch saw: how far the server is, and who waits for whom.

use super::harmless::one_line;
use super::words::span;
use crate::model::{Advance, LockWait, Party, Wait, spoken_lock};
use crate::msg;

/// So many characters of a statement are shown.
const STATEMENT: usize = 100;
/// So many of those who are in the way are named.
const NAMED: usize = 3;

/// "CREATE INDEX CONCURRENTLY items: building index: scanning table".
pub(super) fn advance_name(advance: &Advance) -> String {
    let object = advance.object.as_deref().unwrap_or_default();
    let command = format!("{} {object}", advance.command);
    match advance.phase.as_str() {
        "" => command.trim_end().to_string(),
        phase => format!("{}: {phase}", command.trim_end()),
    }
}

/// "held up by this run for 12s, the lock of items: process 12, shop web, .."; `more` milliseconds
/// have gone by since it was seen.
pub(super) fn wait_line(wait: &Wait, more: u64) -> String {
    let lock = match &wait.relation {
        Some(relation) => msg!("report.watch.lock", relation = relation),
        None => msg!("report.watch.some-lock"),
    };
    let span = span((wait.millis + more) / 1000 * 1000);
    if !wait.waiter.ours {
        let who = party(&wait.waiter, 0);
        return msg!("report.watch.held-up", span = span, lock = lock, who = who);
    }
    let mut who: Vec<String> = wait.by.iter().take(NAMED).map(|one| party(one, more)).collect();
    if wait.by.len() > NAMED {
        who.push(msg!("host.blockers-more", count = wait.by.len() - NAMED));
    }
    let who = match who.is_empty() {
        true => msg!("host.blocker-unknown"),
        false => who.join("; "),
    };
    msg!("report.watch.waits", span = span, lock = lock, who = who)
}

/// "waited at least 1.2s for the lock ACCESS EXCLUSIVE of public.items".
pub fn lock_wait_line(wait: &LockWait) -> String {
    let span = span(wait.waited_ms);
    let mode = spoken_lock(&wait.mode);
    match (&wait.relation, wait.kind.as_str()) {
        (Some(of), "relation") => {
            msg!("report.lock-wait", span = span, mode = mode, relation = of)
        }
        (Some(of), _) => msg!("report.lock-wait-row", span = span, relation = of),
        (None, "transactionid" | "virtualxid") => msg!("report.lock-wait-other", span = span),
        (None, "advisory") => msg!("report.lock-wait-advisory", span = span),
        (None, "unknown") => msg!("report.lock-wait-unknown", span = span),
        (None, kind) => msg!("report.lock-wait-kind", span = span, kind = kind),
    }
}

fn party(one: &Party, more: u64) -> String {
    let unknown = || msg!("host.blocker-unknown");
    let name = Some(one.application_name.clone()).filter(|name| !name.is_empty());
    let who = msg!(
        "report.watch.who",
        pid = one.pid,
        application = name.unwrap_or_else(unknown),
        user = one.user.clone().unwrap_or_else(unknown),
        state = one.state.clone().unwrap_or_else(|| msg!("host.blocker-hidden"))
    );
    let age = match one.millis {
        Some(millis) if one.state.as_deref() != Some("active") => {
            format!(" {}", span((millis + more) / 1000 * 1000))
        }
        _ => String::new(),
    };
    match &one.query {
        Some(query) => {
            let mut line = one_line(query);
            if let Some((end, _)) = line.char_indices().nth(STATEMENT) {
                line.truncate(end);
                line.push('…');
            }
            format!("{who}{age}: {line}")
        }
        None => format!("{who}{age}"),
    }
}

/// Does this wait belong to the same two sessions as that one?
pub(super) fn is_same(one: &Wait, other: &Wait) -> bool {
    one.waiter.pid == other.waiter.pid
        && one.waiter.ours == other.waiter.ours
        && one.relation == other.relation
}
