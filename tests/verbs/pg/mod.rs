//! Twins of `src/verbs/pg`.

mod dump;
#[cfg(feature = "age")]
mod encrypted;
mod external;
mod restore;
mod upload;
mod verify;

use crate::support::Cluster;

/// A database with two tables, a view, an index, a policy and quoted names.
pub(super) fn shop() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    cluster.sql("postgres", "CREATE ROLE clerk NOLOGIN");
    cluster.sql(
        "shop",
        "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE); \
         INSERT INTO users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, 500) n; \
         CREATE SCHEMA \"App\"; CREATE TABLE \"App\".\"Order\" (id int, who int REFERENCES users); \
         INSERT INTO \"App\".\"Order\" SELECT n, n FROM generate_series(1, 70) n; \
         CREATE VIEW active AS SELECT * FROM users WHERE id > 10; \
         ALTER TABLE users ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON users TO clerk USING (id < 5); \
         GRANT SELECT ON users TO clerk",
    );
    cluster
}
