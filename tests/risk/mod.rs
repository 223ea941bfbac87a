//! The judgement of statements: a table of what is foretold, the server that it is held against,
//! the command, and real migrations.

mod against;
mod command;
mod corpora;
mod server;
mod table;
