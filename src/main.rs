//! Passes the arguments to the library and its exit code back.

fn main() {}
