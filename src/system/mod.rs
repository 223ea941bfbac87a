//! What the operating system gives: child processes, signals, and the state folder.
//!
//! Knows nothing of PostgreSQL or playbooks. Called by every floor above.

mod cancel;
mod child;
mod cipher;
mod clock;
mod command;
mod drain;
mod files;
mod init;
mod leave;
mod state_dir;
mod waiting;

pub use cancel::{AbortHook, Cancel, Reason, on_abort, stop_listening};
pub use child::{CHILD_WORD, child_main, offer_trampoline, trampoline};
pub use cipher::{Sealing, belongs, is_encrypted, open_encrypted, plain_of};
pub use clock::{at_home, boot, moment, now};
pub use command::{Command, Input, OnLine, Output, Stream};
pub use files::{append_to, create_new, free_bytes, write_atomic, write_fault};
pub use init::{init_main, is_init};
pub use leave::leave;
pub use state_dir::{StateDir, is_run_id, new_run_id};
pub use waiting::{apart, runtime};
