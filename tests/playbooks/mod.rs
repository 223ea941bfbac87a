//! The shipped playbooks, run whole.

pub mod alembic;
pub mod ground;
pub mod iamvet;
pub mod misopin;
pub mod prisma;
pub mod videoplanet;
