//! The nouns everything else speaks in: faults, actions, risk, events, names, durations.
//!
//! Plain data with a stable serde form. Nothing here performs anything.

mod action;
mod backup;
mod event;
mod fault;
mod hex;
mod lock_mode;
mod measured;
mod names;
mod nearest;
mod risk;
mod span;
mod table_size;
mod text_hash;
mod watched;

pub use action::{Action, Effect};
pub use backup::{Backup, BackupFile};
pub use event::{
    Attestation, EventKind, FinalState, Item, ItemKind, ItemState, RunEvent, RunId, RungKind,
    StatementReport,
};
pub use fault::{Fault, FaultKind, Place};
pub use hex::hex;
pub use lock_mode::{LOCK_MODES, lock_strength, spoken_lock, written_lock};
pub use measured::{Bytes, DiskNeed, Measured, TableLock, TableRows, TableSpace};
pub use names::{Redactor, quote_ident, quote_literal, quote_name};
pub use nearest::nearest;
pub use risk::Risk;
pub use span::{format_bytes, format_span, parse_estimate, parse_span};
pub use table_size::TableSize;
pub use text_hash::{hash_bytes, hash_reader, hash_text};
pub use watched::{Advance, LockWait, Party, Wait, Watched};
