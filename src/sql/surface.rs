//! What can be seen on a statement's surface that it does not do. A letter more than needed may be
//! seen in it, never one less: comments and strings count as well.

/// So many bytes are looked through; of a longer text nothing is said.
const MOST: usize = 4 * 1024;
/// Every statement that ends a transaction has one of these words in it.
const ENDS: [&str; 5] = ["commit", "rollback", "abort", "end", "prepare"];
/// Statements that define or write, and leave the session's role and settings alone.
const PLAIN: [&str; 11] = [
    "alter", "comment", "create", "delete", "drop", "grant", "insert", "merge", "revoke",
    "truncate", "update",
];

/// Could a text end the transaction that it runs in, however its quotes are read?
pub fn may_end_transaction(text: &str) -> bool {
    text.len() > MOST || ENDS.iter().any(|word| holds(text, word))
}

/// Could a text leave another role or other settings behind? Not one statement that defines or
/// writes, unless a function that it calls does so.
pub fn may_change_session(text: &str) -> bool {
    if text.len() > MOST || text.trim_end().trim_end_matches(';').contains(';') {
        return true;
    }
    let start = text.trim_start();
    let verb = start.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    !PLAIN.iter().any(|plain| verb.eq_ignore_ascii_case(plain)) || holds(text, "set_config")
}

/// Does a word stand anywhere in a text, in letters of either case?
fn holds(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_ends_a_transaction_is_seen_wherever_it_is_hidden() {
        for text in [
            "COMMIT",
            "SELECT 'a\\'; Commit; BEGIN; --'",
            "/* */ eNd",
            "ABORT WORK",
            "rollback to savepoint s",
            "PREPARE TRANSACTION 'x'",
            &"x".repeat(5000),
        ] {
            assert!(may_end_transaction(text), "{text}");
        }
        assert!(!may_end_transaction("CREATE TABLE t (id bigint PRIMARY KEY)"));
    }

    #[test]
    fn only_one_defining_or_writing_statement_leaves_the_session_alone() {
        for text in [
            "SET search_path = x",
            "-- create\nSET ROLE x",
            "SELECT set_config('role', 'x', false)",
            "insert into t select Set_Config('role', 'x', false)",
            "CREATE TABLE t (); SET ROLE x",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "SELECT f()",
            "createx",
            "",
        ] {
            assert!(may_change_session(text), "{text}");
        }
        for text in
            ["CREATE TABLE t (id int);\n", "\n insert into t values (1)", "UPDATE t SET a = 1"]
        {
            assert!(!may_change_session(text), "{text}");
        }
    }
}
