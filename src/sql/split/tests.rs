#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::sql::buffer::CHUNK;
use proptest::prelude::*;

fn pieces(text: &str) -> Vec<Piece> {
    Splitter::new("a.sql", text.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn fault(bytes: &[u8]) -> Fault {
    Splitter::new("a.sql", bytes).find_map(Result::err).expect("a fault")
}

fn texts(text: &str) -> Vec<String> {
    pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Statement(statement) | Piece::Copy { statement } => statement.text,
            Piece::Meta(meta) => format!("\\{} {}", meta.name, meta.args),
        })
        .collect()
}

/// The fault's code, line, column and underlined length.
fn seen(fault: &Fault) -> (&str, u32, u32, u32) {
    let place = &fault.places[0];
    (&fault.code, place.line, place.column, place.length)
}

#[test]
fn dollar_quotes_nest_and_keep_their_semicolons() {
    let text = "DO $a$ begin execute $b$ select 1; $b$; end $a$; select $$;$$;";
    assert_eq!(texts(text), ["DO $a$ begin execute $b$ select 1; $b$; end $a$", "select $$;$$"]);
}

#[test]
fn a_begin_atomic_body_with_case_is_one_statement() {
    let body = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 0 \
                THEN 1 ELSE 2 END; SELECT 3; END";
    assert_eq!(texts(&format!("{body}; select 1")), [body, "select 1"]);
}

#[test]
fn a_column_called_begin_swallows_nothing() {
    let text =
        "CREATE FUNCTION f(\"begin\" int, begin int) RETURNS int AS 'x' LANGUAGE sql; select 1";
    assert_eq!(texts(text).len(), 2);
    assert_eq!(texts("CREATE FUNCTION begin() RETURNS int AS 'x' LANGUAGE sql; select 1").len(), 2);
}

#[test]
fn a_rule_with_two_actions_is_one_statement() {
    let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b)";
    assert_eq!(texts(&format!("{rule};select 1;")), [rule, "select 1"]);
}

#[test]
fn quotes_of_every_kind_hide_semicolons() {
    let text = r#"select E'\';', U&'\0041;', B'1', "a;b", 'it''s;' /* ; /* ; */ ; */ -- ;
, 2; select 2"#;
    assert_eq!(texts(text).len(), 2);
}

#[test]
fn empty_statements_vanish_and_the_last_needs_no_semicolon() {
    assert_eq!(texts(";; select 1;; select 2"), ["select 1", "select 2"]);
    let last = pieces("select 1; select 2 -- done\n");
    let Piece::Statement(last) = &last[1] else { panic!() };
    assert_eq!((last.text.as_str(), last.terminator), ("select 2", Terminator::Eof));
    assert!(pieces("-- only\n/* comments */\n").is_empty());
}

#[test]
fn copy_data_is_no_sql() {
    let text = "COPY t (a, b) FROM stdin;\n1\tit's; \\N\n\\\\.\n\\.\nselect 1;";
    let mut splitter = Splitter::new("a.sql", text.as_bytes());
    let Some(Ok(Piece::Copy { statement })) = splitter.next() else { panic!() };
    assert_eq!(statement.text, "COPY t (a, b) FROM stdin");
    assert_eq!(splitter.copy_chunk().unwrap().unwrap(), b"1\tit's; \\N\n\\\\.\n");
    assert_eq!(splitter.copy_chunk().unwrap(), None);
    let Some(Ok(Piece::Statement(next))) = splitter.next() else { panic!() };
    assert_eq!((next.text.as_str(), next.line), ("select 1", 5));
    // Data that nobody asks for is passed over.
    assert_eq!(texts(text), ["COPY t (a, b) FROM stdin", "select 1"]);
}

#[test]
fn copy_from_a_file_or_to_stdout_has_no_data() {
    assert_eq!(
        texts("COPY t FROM '/stdin'; copy (select a from stdin) to stdout; select 1").len(),
        3
    );
}

#[test]
fn empty_and_windows_copy_data_end_at_their_mark() {
    let mut splitter = Splitter::new("a.sql", &b"COPY t FROM STDIN;\r\n\\.\r\nselect 1"[..]);
    splitter.next();
    assert_eq!(splitter.copy_chunk().unwrap(), None);
    assert_eq!(splitter.count(), 1);
}

#[test]
fn backslash_commands_are_pieces_of_their_own() {
    let text = "\\restrict aB3;\n\\set x 'a b' \n\\if :x \\echo yes \\\\ select 1; \\endif\nselect 2 as a \\gset p_\n";
    assert_eq!(
        texts(text),
        [
            "\\restrict aB3;",
            "\\set x 'a b'",
            "\\if :x",
            "\\echo yes",
            "select 1",
            "\\endif ",
            "select 2 as a",
            "\\gset p_"
        ]
    );
    let commands: Vec<_> = pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Meta(meta) => Some((meta.line, meta.column)),
            _ => None,
        })
        .collect();
    assert_eq!(commands, [(1, 1), (2, 1), (3, 1), (3, 8), (3, 31), (4, 15)]);
}

#[test]
fn a_backslash_semicolon_separates() {
    let all = pieces("select 1\\; select 2; select 3 \\gexec");
    let ends: Vec<_> = all
        .iter()
        .filter_map(|piece| match piece {
            Piece::Statement(statement) => Some(statement.terminator),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [Terminator::Separator, Terminator::Semicolon, Terminator::Meta]);
}

#[test]
fn broken_statements_are_kept_for_the_server_to_refuse() {
    assert_eq!(texts("select 1; selec 2; select 3"), ["select 1", "selec 2", "select 3"]);
}

#[test]
fn korean_identifiers_and_odd_tokens_are_read_as_postgres_does() {
    assert_eq!(
        texts("SELECT 이름 FROM 회원; SELECT a$b$c, @-1, 1--2;\n, $tag$;$tag$; x"),
        ["SELECT 이름 FROM 회원", "SELECT a$b$c, @-1, 1--2;\n, $tag$;$tag$", "x"]
    );
}

#[test]
fn places_count_lines_and_characters() {
    let all = pieces("\u{feff}-- 머리말\r\nSELECT '가'; SELECT 2;\r\n  SELECT 3");
    let at: Vec<_> = all
        .iter()
        .filter_map(|piece| match piece {
            Piece::Statement(s) => Some((s.line, s.column, s.lead.as_str(), s.tail.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(at, [(2, 1, "", "; SELECT 2;"), (2, 13, "SELECT '가'; ", ";"), (3, 3, "  ", "")]);
}

#[test]
fn a_planner_hint_stays_with_its_statement() {
    assert_eq!(
        texts("/* no */ /*+ SeqScan(t) */ select 1; /*+ lost */;"),
        ["/*+ SeqScan(t) */ select 1"]
    );
}

#[test]
fn what_is_never_closed_is_refused_where_it_opened() {
    for (text, place) in [
        ("select 1;\n select 'a;\nb;", (2, 9, 1)),
        ("select \"가\", \"b;\n", (1, 13, 1)),
        ("-- x\nDO $body$ begin; end $bod$;", (2, 4, 6)),
        ("select 1 /* a /* b */\n;", (1, 10, 2)),
        ("/* a", (1, 1, 2)),
        ("select E'a\\';", (1, 8, 1)),
    ] {
        let fault = fault(text.as_bytes());
        assert_eq!(seen(&fault), ("sql-unclosed", place.0, place.1, place.2), "{text}");
        assert_eq!(fault.places[0].source, text.lines().nth(place.0 as usize - 1).unwrap());
    }
}

#[test]
fn a_nul_byte_is_refused_with_its_line() {
    let found = fault(b"select 1;\nselect 'a\0b';\n");
    assert_eq!(seen(&found), ("sql-nul-byte", 2, 10, 1));
    assert!(found.detail.unwrap().contains("19"));
    assert_eq!(seen(&fault(b"select 1; -- \0")), ("sql-nul-byte", 1, 14, 1));
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_byte() {
    // "이름" in EUC-KR.
    let found = fault(b"-- ok\nselect '\xc0\xcc\xb8\xa7';");
    assert_eq!(seen(&found), ("sql-not-utf8", 2, 9, 1));
    assert!(found.detail.unwrap().contains("14"));
    assert_eq!(fault(b"\xff\xfes\0e\0").code, "sql-not-utf8");
    // The wrong encoding is the better answer than the quote that it swallowed.
    assert_eq!(fault(b"select '\xc0").code, "sql-not-utf8");
}

#[test]
fn copy_data_without_its_end_is_refused_at_the_copy() {
    let mut splitter = Splitter::new("a.sql", &b"select 1;\nCOPY t FROM stdin;\n1\n"[..]);
    splitter.nth(1).unwrap().unwrap();
    assert_eq!(splitter.copy_chunk().unwrap().unwrap(), b"1\n");
    let fault = splitter.copy_chunk().unwrap_err();
    assert_eq!(seen(&fault), ("sql-copy-unterminated", 2, 1, 4));
    assert_eq!(
        seen(&self::fault(b"copy t from stdin; select 1;\n")),
        ("sql-copy-same-line", 1, 19, 1)
    );
}

#[test]
fn a_command_inside_a_statement_is_refused() {
    let fault = fault(b"create table t (a int)\n\\echo done\n");
    assert_eq!(seen(&fault), ("sql-meta-in-statement", 2, 1, 5));
    assert_eq!(fault.places[0].source, "\\echo done");
}

#[test]
fn a_statement_longer_than_the_buffer_is_handed_over_whole() {
    let long = format!("select '{}'", "가;".repeat(3 << 20));
    let text = format!("select 1; {long}; select 2;\nselect 3");
    let all = pieces(&text);
    let Piece::Statement(second) = &all[1] else { panic!() };
    assert!(second.text == long && second.offset == 10);
    let Piece::Statement(last) = &all[3] else { panic!() };
    assert_eq!((last.text.as_str(), last.line, last.column), ("select 3", 2, 1));
    assert_eq!(&text[last.offset as usize..], "select 3");
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("select 1".to_string()),
        Just(";".to_string()),
        Just("\n".to_string()),
        Just("\r\n".to_string()),
        Just(" ".to_string()),
        Just("-- it's; \"not\" $$ closed\n".to_string()),
        Just("/* a; /* b' */ \" */".to_string()),
        Just("'it''s;'".to_string()),
        Just(" E'\\';' ".to_string()),
        Just("\"a;\"\"b\"".to_string()),
        Just(" $$ ; ' $$ ".to_string()),
        Just(" $본문$ ; $$ $본문$ ".to_string()),
        Just("(".to_string()),
        Just(")".to_string()),
        Just("::int".to_string()),
        Just(" :'var' ".to_string()),
        Just("이름".to_string()),
        Just("a$b$c".to_string()),
        Just("\n\\echo x;y\n".to_string()),
        Just("; create function f() begin atomic select case when 1 then 2 end; end ;".to_string()),
        Just("; copy t from stdin;\n1;'\t한\n\\N\n\\.\n".to_string()),
        "[a-z0-9 ,.+*=<>가-힣]{0,12}",
    ]
}

/// Everything a splitter gives, COPY data included.
fn all(text: &str, chunk: usize) -> Result<Vec<(Piece, Vec<u8>)>, Fault> {
    let mut splitter = Splitter::new("a.sql", text.as_bytes()).with_chunk(chunk);
    let mut all = Vec::new();
    while let Some(piece) = splitter.next() {
        let piece = piece?;
        let mut data = Vec::new();
        if matches!(piece, Piece::Copy { .. }) {
            while let Some(chunk) = splitter.copy_chunk()? {
                data.extend(chunk);
            }
        }
        all.push((piece, data));
    }
    Ok(all)
}

proptest! {
    #[test]
    fn cutting_loses_nothing(tokens in proptest::collection::vec(token(), 0..40)) {
        let text = tokens.concat();
        let Ok(pieces) = all(&text, CHUNK) else { return Ok(()) };
        let mut at = 0;
        for (piece, data) in &pieces {
            let (Piece::Statement(statement) | Piece::Copy { statement }) = piece else {
                continue;
            };
            let start = statement.offset as usize;
            // What stands between two statements is not SQL.
            for token in crate::sql::lex::meaningful(&text[at..start]) {
                let known = matches!(token.kind, Kind::Semicolon | Kind::Backslash)
                    || ["echo", "x", "y"].contains(&token.text);
                prop_assert!(known, "lost {:?}", token.text);
            }
            prop_assert_eq!(&text[start..start + statement.text.len()], &statement.text);
            let place = Place::at_offset("a.sql", &text, start, 1);
            prop_assert_eq!((statement.line, statement.column), (place.line, place.column));
            at = start + statement.text.len();
            if !data.is_empty() {
                let found = text[at..].find(std::str::from_utf8(data).unwrap()).unwrap();
                at += found + data.len() + 3;
            }
        }
    }

    #[test]
    fn tiny_reads_give_the_same_pieces(tokens in proptest::collection::vec(token(), 0..30)) {
        let text = tokens.concat();
        let whole = all(&text, CHUNK);
        for chunk in [1, 2, 7] {
            prop_assert_eq!(&all(&text, chunk), &whole);
        }
    }
}
