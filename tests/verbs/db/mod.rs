//! `db::` against a real server, through the library: each verb where it holds, where it does not,
//! and in a plan.

mod compare;
mod exec;
mod fingerprint;
mod index;
mod inspect;
mod read_only;
mod schema;
mod server;
mod snapshot;

use crate::support::{Cluster, Stage};

/// A server with a database `shop`, and a project for it.
fn shop(sql: &str) -> (Cluster, Stage) {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    if !sql.is_empty() {
        cluster.sql("shop", sql);
    }
    let stage = Stage::new(&cluster.url("shop"));
    (cluster, stage)
}

/// The role `reader`, which may look and not touch.
fn reader(cluster: &Cluster) -> Stage {
    cluster.sql(
        "shop",
        "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    );
    Stage::new(
        &cluster
            .url("shop")
            .replace("postgres@", "reader@")
            .replace("user=postgres", "user=reader"),
    )
}
