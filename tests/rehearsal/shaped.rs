//! Masks, samples and made rows: done before anything is looked at.

use super::{rehearse, report};
use crate::faults::Desk;

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, mail text UNIQUE, boss int REFERENCES people, \
        mood text CHECK (mood IN ('good', 'bad')), born date NOT NULL); \
    INSERT INTO people SELECT n, 'canary' || n || '@secret.example', nullif(n / 2, 0), 'good', now() \
        FROM generate_series(1, 5000) n; \
    CREATE TABLE orders (id int PRIMARY KEY, who int NOT NULL REFERENCES people); \
    INSERT INTO orders SELECT n, n % 5000 + 1 FROM generate_series(1, 20000) n";

/// Looks, and writes nothing that would have to be undone.
fn looking(question: &str) -> Desk {
    let desk = Desk::new(&format!(
        r#"check("look", || {question});
        step("add", #{{ undo: || db::exec("DROP TABLE more") }}, || db::exec("CREATE TABLE more (a int)"));"#
    ));
    desk.sql(PEOPLE);
    desk
}

#[test]
fn masked_columns_are_masked_before_anything_is_looked_at() {
    let desk = looking(
        r#"db::count("SELECT count(*) FROM people WHERE mail = 'person' || id") == 5000
            && db::count("SELECT count(*) FROM people WHERE mail LIKE '%canary%'") == 0
            && db::count("SELECT count(*) FROM mails WHERE mail = 'person' || id") == 5000"#,
    );
    // What was made of the rows before they were masked holds it as well.
    desk.sql("CREATE MATERIALIZED VIEW mails AS SELECT id, mail FROM people");
    let url = desk.url();
    let toml = |mask: &str| {
        let text = format!(
            "[environments.live]\nurl = \"{url}\"\nrehearsal = {{ mask = {{ {mask} }} }}\n"
        );
        desk.project.file("runsheet.toml", &text);
    };
    toml(r#""people.mail" = "'person' || id""#);
    let ran = desk.project.run(&["rehearse", "it"]);
    ran.exits(0).stdout_shows("masked on the copy: people.mail").shows_nowhere("canary");
    assert!(!report(&desk).to_string().contains("canary"));
    assert_eq!(desk.value("SELECT count(*) FROM people WHERE mail LIKE 'canary%'"), "5000");
    // A rule that does not fit would leave what it should hide: nothing goes on.
    toml(r#""people.male" = "'person' || id""#);
    let ran = desk.project.run(&["rehearse", "it"]);
    ran.exits(1).stderr_shows("the mask of people does not fit").stderr_shows("male");
    toml(r#""mail" = "''""#);
    desk.project.run(&["rehearse", "it"]).exits(2).stderr_shows("rehearsal.mask");
}

#[test]
fn a_sample_keeps_whatever_its_rows_refer_to() {
    let desk = looking(
        r#"db::count("orders") > 1000 && db::count("orders") < 4000 && db::count("people") < 5000
            && db::count("SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM people p WHERE p.id = o.who)") == 0
            && db::count("SELECT count(*) FROM people c WHERE boss IS NOT NULL AND NOT EXISTS (SELECT FROM people p WHERE p.id = c.boss)") == 0
            && db::count("items") == 20"#,
    );
    let ran = rehearse(&desk, &["--sample", "10"]);
    ran.exits(0).stdout_shows("the rows: 10 % of those of tables with more than 1000");
    assert_eq!(desk.value("SELECT count(*) FROM orders"), "20000");
    rehearse(&desk, &["--sample", "0"]).exits(2);
}

#[test]
fn rows_are_made_where_only_the_schema_is_copied() {
    let desk = looking(
        r#"db::count("orders") == 100 && db::count("items") == 100
            && db::count("SELECT count(*) FROM people WHERE mood IN ('good', 'bad') AND mail LIKE '%@example.com'") == 100"#,
    );
    let ran = rehearse(&desk, &["--from", "generated"]);
    ran.exits(0).stdout_shows("the rows: 100 were made for each table").shows_nowhere("canary");
}
