//! The playbooks under trial: one with every kind of effect, one with everything that builds or
//! drops indexes beside running sessions.

/// What the database holds before each trial.
pub const BASE: &str = "
    DROP SCHEMA IF EXISTS runsheet CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL, name text NOT NULL);
    INSERT INTO items SELECT i, i, 'item ' || i FROM generate_series(1, 200) i;
    CREATE TABLE effects (step text NOT NULL);
    CREATE INDEX items_name ON items (name);
    CREATE INDEX items_old ON items (id, name);";

/// Twelve steps: none of them can be repeated, or left out, without being seen.
pub const ALL_KINDS: &str = r#"let p = playbook("it", #{ title: "Chaos" });
let before = db::count("items");
check("enough rows", || before == 200);
step("table", || {
    db::exec("CREATE TABLE made (gen_id bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, note text)");
    db::exec("INSERT INTO effects VALUES ('table')");
});
step("rows", || {
    db::exec("INSERT INTO made (n, note) SELECT i, 'row' FROM generate_series(1, 100) i");
    db::exec("INSERT INTO effects VALUES ($1)", ["rows"]);
});
step("count up", || {
    db::exec("UPDATE items SET n = n + 1");
    db::exec("UPDATE items SET n = n + $1 WHERE id <= 10", [5]);
    expect(db::count("items") == before, "no row is lost");
    db::exec("INSERT INTO effects VALUES ('count up')");
});
step("column", || {
    db::exec("ALTER TABLE items ADD COLUMN twice int");
    db::exec("UPDATE items SET twice = n * 2; INSERT INTO effects VALUES ('column')");
});
step("index", || db::exec("CREATE INDEX CONCURRENTLY items_n ON items (n)"));
step("unique index", || db::index_concurrently(#{ name: "made_n", table: "made", on: "n", unique: true }));
step("command", || app::run(["sh", "tool.sh"], #{ probe: ["grep", "-q", "command", "effects.txt"] }));
step("file", || sql::run_file("sql/up.sql"));
step("each", #{ transaction: false }, || sql::run_file("sql/each.sql"));
step("apart", #{ transaction: false }, || {
    db::exec("INSERT INTO effects VALUES ('apart 1')");
    db::exec("INSERT INTO effects VALUES ($1)", ["apart 2"]);
    db::exec("UPDATE items SET n = n + 100 WHERE id % 2 = 0");
});
let made = db::count("made");
step("reads and writes", || {
    db::exec("INSERT INTO effects VALUES ('made ' || $1)", [`${made}`]);
    db::exec("ALTER TABLE made ADD CONSTRAINT made_small CHECK (n < 1000)");
});
step("last", || db::exec("UPDATE made SET n = n + 200; INSERT INTO effects VALUES ('last')"));
verify("as many rows as before", || db::count("items") == before);
"#;

/// The file of the step "file".
pub const UP_SQL: &str = "CREATE TEMPORARY TABLE kept AS SELECT id FROM items WHERE id < 5;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT a * 2; $$;
INSERT INTO effects SELECT 'file ' || count(*) FROM kept;
UPDATE items SET n = n + 1000 WHERE id IN (SELECT id FROM kept);
";

/// The file of the step "each".
pub const EACH_SQL: &str = "INSERT INTO effects VALUES ('each 1');
CREATE INDEX CONCURRENTLY items_twice ON items (twice);
UPDATE items SET n = n + 1;
VACUUM items;
INSERT INTO effects VALUES ('each 2');
";

/// A command that leaves a line, and takes a moment before and after it.
pub const TOOL: &str = "sleep 0.03\necho command >> effects.txt\nsleep 0.03\n";

/// Everything that works beside running sessions and leaves wreckage behind when it is broken off.
pub const INDEXES: &str = r#"let p = playbook("it", #{ title: "Indexes" });
step("plain", || db::exec("CREATE INDEX CONCURRENTLY items_n ON items (n)"));
step("verb", || db::index_concurrently(#{ name: "items_both", table: "items", on: ["n", "name"], unique: true }));
step("file", #{ transaction: false }, || sql::run_file("sql/indexes.sql"));
step("away", || db::exec("DROP INDEX CONCURRENTLY items_old"));
step("anew", || db::exec("REINDEX INDEX CONCURRENTLY items_name"));
step("all anew", || db::exec("REINDEX SCHEMA CONCURRENTLY public"));
"#;

/// The file of the step "file" of [`INDEXES`].
pub const INDEXES_SQL: &str = "INSERT INTO effects VALUES ('file');
CREATE UNIQUE INDEX CONCURRENTLY items_unique ON items (id, n);
INSERT INTO effects VALUES ('file 2');
";
