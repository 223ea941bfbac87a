//! A migration's text as it is sent: whole where it can be, else statement by statement.

use super::read::Part;
use crate::msg;
use crate::postgres::{DbError, Session};
use crate::sql::{Piece, Splitter, quick_kind};

/// psql's commands that change nothing about what the server is sent.
const QUIET: &[&str] = &[
    "restrict",
    "unrestrict",
    "echo",
    "qecho",
    "timing",
    "pset",
    "x",
    "set",
    "encoding",
    "d",
    "dt",
];

enum Sent {
    Statement(String),
    Copy { statement: String, data: Vec<Vec<u8>> },
    Refused(String),
}

/// How a text was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// In one transaction.
    Inside,
    /// Each statement by itself.
    Outside,
}

/// One direction of a migration, cut.
pub(super) struct Script {
    text: String,
    sent: Vec<Sent>,
    /// It can be sent as one message inside of a transaction.
    pub(super) plain: bool,
    /// Nothing but comments.
    pub(super) empty: bool,
    /// It has BEGIN and COMMIT of its own.
    pub(super) own: bool,
}

impl Script {
    pub(super) fn new(part: &Part) -> Self {
        let name = part.file.display().to_string();
        let mut splitter = Splitter::new(&name, part.text.as_bytes());
        let mut sent = Vec::new();
        let (mut plain, mut own) = (!part.outside, false);
        while let Some(piece) = splitter.next() {
            match piece {
                Ok(Piece::Statement(statement)) => {
                    let quick = quick_kind(&statement.text);
                    own |= quick.control.is_some();
                    plain &= quick.control.is_none() && quick.transactional;
                    sent.push(Sent::Statement(statement.text));
                }
                Ok(Piece::Copy { statement }) => {
                    plain = false;
                    let mut data = Vec::new();
                    while let Ok(Some(chunk)) = splitter.copy_chunk() {
                        data.push(chunk);
                    }
                    sent.push(Sent::Copy { statement: statement.text, data });
                }
                Ok(Piece::Meta(meta)) => {
                    plain = false;
                    if !QUIET.contains(&meta.name.as_str()) {
                        sent.push(Sent::Refused(meta.name));
                    }
                }
                // What cannot be cut is the server's to complain about.
                Err(_) => {
                    plain = true;
                    sent.push(Sent::Statement(part.text.clone()));
                    break;
                }
            }
        }
        let text = format!("{}\n;", part.text);
        Self { text, empty: sent.is_empty(), sent, plain, own }
    }

    /// Sends it into the transaction that is open, or each statement by itself.
    pub(super) async fn run(&self, session: &Session) -> Result<(), DbError> {
        if self.plain {
            return session.batch(&self.text).await;
        }
        self.one_by_one(session).await
    }

    /// Each statement in a message of its own, as psql does.
    pub(super) async fn one_by_one(&self, session: &Session) -> Result<(), DbError> {
        for sent in &self.sent {
            match sent {
                Sent::Statement(text) => session.batch(text).await?,
                Sent::Copy { statement, data } => {
                    let mut sink = session.copy_in(statement).await?;
                    for chunk in data {
                        sink.send(chunk.clone()).await?;
                    }
                    sink.finish().await?;
                }
                Sent::Refused(name) => {
                    return Err(DbError::of_file(&crate::model::Fault::failed(
                        "pairs-command",
                        msg!("pairs.command", name = name),
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script::new(&Part { file: "x.sql".into(), text: text.into(), outside: false })
    }

    #[test]
    fn only_what_can_be_one_message_in_a_transaction_is_plain() {
        assert!(script("CREATE TABLE a (b int); INSERT INTO a VALUES (1)").plain);
        assert!(!script("CREATE INDEX CONCURRENTLY i ON a (b)").plain);
        let own = script("BEGIN; CREATE TABLE a (b int); COMMIT;");
        assert!(own.own && !own.plain);
        assert!(!script("COPY a FROM stdin;\n1\n\\.\n").plain);
    }

    #[test]
    fn comments_alone_are_empty() {
        assert!(script("-- nothing\n/* at all */\n").empty);
        assert!(!script("SELECT 1").empty);
    }
}
