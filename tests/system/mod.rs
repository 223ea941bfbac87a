//! Child processes through the real program's trampoline.

mod child;
