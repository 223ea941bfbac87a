//! What is in the database.

use runsheet::postgres::catalog;
use serde_json::json;

use super::{open, wait};
use crate::support::Cluster;

const SCHEMA: &str = r#"
    CREATE SCHEMA app;
    CREATE TYPE "Status" AS ENUM ('a');
    CREATE TABLE users (id int PRIMARY KEY, email varchar(20) NOT NULL DEFAULT 'x');
    CREATE TABLE "Project" (id bigint GENERATED ALWAYS AS IDENTITY, "ownerId" int, note text,
        twice bigint GENERATED ALWAYS AS ("ownerId" * 2) STORED);
    ALTER TABLE "Project" ADD CONSTRAINT "Project_owner_fkey" FOREIGN KEY ("ownerId")
        REFERENCES users (id) ON DELETE CASCADE NOT VALID;
    CREATE TABLE app."Order.Items" (id int);
    CREATE VIEW active AS SELECT * FROM users;
    CREATE UNIQUE INDEX "Email_idx" ON users (lower(email));
    INSERT INTO users VALUES (1, 'a'), (2, 'b');
"#;

#[test]
fn names_keep_their_case_and_are_found_along_the_search_path() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        // In a transaction: a question about something absent must not abort it.
        session.batch("BEGIN").await.unwrap();
        for (name, wanted) in [
            ("users", true),
            ("public.users", true),
            ("Users", false),
            ("Project", true),
            ("\"Project\"", true),
            ("project", false),
            ("app.\"Order.Items\"", true),
            ("Order.Items", false),
            ("nosuch.users", false),
            ("active", false),
            ("Email_idx", false),
            ("x\"; drop table users; --", false),
        ] {
            assert_eq!(catalog::has_table(&session, name).await.unwrap(), wanted, "{name}");
        }
        assert!(catalog::has_column(&session, "Project", "ownerId").await.unwrap());
        assert!(!catalog::has_column(&session, "Project", "ownerid").await.unwrap());
        assert!(!catalog::has_column(&session, "nosuch", "id").await.unwrap());
        assert!(catalog::has_index(&session, "Email_idx").await.unwrap());
        assert!(!catalog::has_index(&session, "users").await.unwrap());
        assert!(catalog::has_constraint(&session, "Project", "Project_owner_fkey").await.unwrap());
        assert!(!catalog::has_constraint(&session, "users", "Project_owner_fkey").await.unwrap());
        for (name, wanted) in [
            ("Status", true),
            ("status", false),
            ("integer", true),
            ("int4", true),
            ("timestamp with time zone", true),
            ("no such type", false),
        ] {
            assert_eq!(catalog::has_type(&session, name).await.unwrap(), wanted, "{name}");
        }
        let tables = catalog::tables(&session, None).await.unwrap();
        assert_eq!(tables, ["Project", "users"]);
        session.batch("SET LOCAL search_path = app").await.unwrap();
        assert!(!catalog::has_table(&session, "users").await.unwrap());
        session.batch("COMMIT").await.unwrap();
    });
}

#[test]
fn columns_indexes_and_foreign_keys_are_described() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let columns = catalog::columns(&session, "Project").await.unwrap();
        let shown = serde_json::to_value(&columns).unwrap();
        assert_eq!(shown[0]["identity"], "always");
        assert_eq!(
            shown[1],
            json!({"name": "ownerId", "type": "integer", "nullable": true, "default": null,
                "identity": null, "generated": false})
        );
        assert_eq!(shown[3]["generated"], true);
        let email = &catalog::columns(&session, "users").await.unwrap()[1];
        assert_eq!((email.datatype.as_str(), email.nullable), ("character varying(20)", false));
        assert_eq!(email.default.as_deref(), Some("'x'::character varying"));
        let fault = catalog::columns(&session, "nosuch").await.unwrap_err();
        assert_eq!(fault.code, "no-such-table");

        let index = catalog::index(&session, "Email_idx").await.unwrap();
        assert!(index.exists && index.valid && index.ready && index.unique);
        assert_eq!(index.table, "users");
        assert!(!catalog::index(&session, "nosuch").await.unwrap().exists);
        session
            .batch("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"Email_idx\"'::regclass")
            .await
            .unwrap();
        let index = catalog::index(&session, "Email_idx").await.unwrap();
        assert!(index.exists && !index.valid);

        let keys = catalog::foreign_keys(&session, "Project").await.unwrap();
        assert_eq!(
            serde_json::to_value(&keys).unwrap(),
            json!([{"name": "Project_owner_fkey", "columns": ["ownerId"], "references_schema": "public",
                "references": "users", "references_columns": ["id"], "on_delete": "cascade",
                "on_update": "no action", "validated": false}])
        );
        assert!(catalog::foreign_keys(&session, "users").await.unwrap().is_empty());
    });
}

#[test]
fn the_database_says_who_it_is() {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    wait(async {
        let session = open(&cluster.tcp_url("shop")).await;
        let identity = catalog::identity(&session).await.unwrap();
        assert_eq!((identity.host.as_str(), identity.port), ("127.0.0.1", cluster.port()));
        assert_eq!((identity.database.as_str(), identity.user.as_str()), ("shop", "postgres"));
        let known = cluster.value("shop", "SELECT system_identifier FROM pg_control_system()");
        assert_eq!(identity.system_identifier, Some(known));
        assert_eq!((identity.timeline, identity.standby), (Some(1), false));
        assert_eq!(identity.version_number, session.server_version());
        assert_eq!(identity.encoding, "UTF8");
        session
            .batch("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; CREATE ROLE guest")
            .await
            .unwrap();
        session.batch("BEGIN; SET LOCAL ROLE guest").await.unwrap();
        let identity = catalog::identity(&session).await.unwrap();
        assert_eq!((identity.user.as_str(), identity.system_identifier), ("guest", None));
        assert!(!catalog::is_superuser(&session).await.unwrap());
        assert_eq!(catalog::data_directory(&session).await.unwrap(), None);
        session.batch("COMMIT").await.unwrap();
        assert!(catalog::is_superuser(&session).await.unwrap());
        let directory = catalog::data_directory(&session).await.unwrap().unwrap();
        assert_eq!(std::path::PathBuf::from(directory), cluster.data_dir());
    });
}

#[test]
fn sizes_settings_and_counts_are_told() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        assert!(catalog::database_size(&session).await.unwrap() > 1_000_000);
        assert!(catalog::table_size(&session, "users").await.unwrap() >= 8192);
        assert_eq!(
            catalog::table_size(&session, "nosuch").await.unwrap_err().code,
            "no-such-table"
        );
        assert_eq!(catalog::row_count(&session, "users").await.unwrap(), 2);
        let fault = catalog::row_count(&session, "nosuch").await.unwrap_err();
        assert_eq!(fault.sqlstate.as_deref(), Some("42P01"));
        let known = catalog::setting(&session, "max_connections").await.unwrap();
        assert!(known.is_some_and(|value| value.parse::<u32>().is_ok()));
        assert_eq!(catalog::setting(&session, "nosuch").await.unwrap(), None);
        session.batch("SET app.tenant = 'a'").await.unwrap();
        assert_eq!(catalog::setting(&session, "app.tenant").await.unwrap().as_deref(), Some("a"));
        session
            .batch(
                "CREATE TABLE parted (id int) PARTITION BY RANGE (id); \
                 CREATE TABLE part PARTITION OF parted DEFAULT; INSERT INTO parted VALUES (1)",
            )
            .await
            .unwrap();
        assert!(catalog::table_size(&session, "parted").await.unwrap() >= 8192);
    });
}

#[test]
fn orphans_are_counted_and_shown() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE parent (id int); CREATE TABLE child (\"parentId\" int); \
         INSERT INTO parent VALUES (1), (NULL); \
         INSERT INTO child SELECT i / 2 FROM generate_series(2, 41) AS i; \
         INSERT INTO child VALUES (NULL)",
    );
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let found = catalog::orphans(&session, "child", "parentId", "parent", "id").await.unwrap();
        assert_eq!(found.count, 38);
        assert_eq!(found.sample, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
        session.batch("DELETE FROM child WHERE \"parentId\" > 1").await.unwrap();
        let none = catalog::orphans(&session, "public.child", "\"parentId\"", "parent", "id").await;
        let none = none.unwrap();
        assert_eq!((none.count, none.sample.len()), (0, 0));
    });
}

#[test]
fn each_missing_right_is_named_with_its_grant() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "CREATE ROLE \"App\" LOGIN; GRANT SELECT ON users TO \"App\"");
    cluster.sql("postgres", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"); // as from 15 on
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let ask = async |rights: &[&str], schema, tables: &[&str]| {
            let found =
                catalog::missing_privileges(&session, rights, schema, tables, Some("App")).await;
            found.map(|list| list.into_iter().map(|missing| missing.grant).collect::<Vec<_>>())
        };
        assert_eq!(
            ask(&["CREATE", "select", "INSERT", "ALTER"], None, &["users", "Project"])
                .await
                .unwrap(),
            [
                "GRANT CREATE ON SCHEMA public TO \"App\"",
                "GRANT SELECT ON public.\"Project\" TO \"App\"",
                "GRANT INSERT ON public.\"Project\" TO \"App\"",
                "GRANT INSERT ON public.users TO \"App\"",
                "ALTER TABLE public.\"Project\" OWNER TO \"App\"",
                "ALTER TABLE public.users OWNER TO \"App\"",
            ]
        );
        assert_eq!(
            ask(&["DELETE", "CREATE SCHEMA", "CONNECT"], Some("app"), &[]).await.unwrap(),
            [
                "GRANT USAGE ON SCHEMA app TO \"App\"",
                "GRANT DELETE ON app.\"Order.Items\" TO \"App\"",
                "GRANT CREATE ON DATABASE postgres TO \"App\"",
            ]
        );
        assert_eq!(
            ask(&["SELECT"], Some("app"), &["\"Order.Items\""]).await.unwrap().len(),
            2,
            "a table is looked up in the schema that is named"
        );
        // Doing what it says leaves nothing missing.
        let rights = ["CREATE", "SELECT", "INSERT", "ALTER", "DROP", "CREATEDB"];
        for grant in ask(&rights, None, &[]).await.unwrap() {
            session.batch(&grant).await.unwrap();
        }
        assert!(ask(&rights, None, &[]).await.unwrap().is_empty());
        let own = catalog::missing_privileges(&session, &rights, None, &[], None).await.unwrap();
        assert!(own.is_empty(), "a superuser lacks nothing");

        assert_eq!(ask(&["FLY"], None, &[]).await.unwrap_err().code, "unknown-right");
        assert_eq!(ask(&["SELECT"], None, &["nosuch"]).await.unwrap_err().code, "no-such-table");
        assert_eq!(ask(&["SELECT"], Some("nosuch"), &[]).await.unwrap_err().code, "no-such-name");
        let nobody = catalog::missing_privileges(&session, &[], None, &[], Some("nobody")).await;
        assert_eq!(nobody.unwrap_err().code, "no-such-name");
    });
}

#[test]
fn sessions_and_those_who_block_are_shown() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t (id int)");
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let holder = open(&cluster.url("postgres")).await;
        let waiter = open(&cluster.url("postgres")).await;
        waiter.batch("SET application_name = 'shop web'").await.unwrap();
        let names = |list: Vec<catalog::Activity>| -> Vec<String> {
            list.into_iter().map(|one| one.application_name).collect()
        };
        let all = catalog::sessions(&session, &[]).await.unwrap();
        assert_eq!(names(all), ["runsheet", "shop web"]);
        let some = catalog::sessions(&session, &["runsheet"]).await.unwrap();
        assert_eq!(names(some), ["shop web"]);
        holder.batch("BEGIN; LOCK TABLE t").await.unwrap();
        let (done, _) = tokio::join!(waiter.batch("SELECT * FROM t"), async {
            let blocked = loop {
                let waiting = catalog::waiting(&session).await.unwrap();
                if let Some(first) = waiting.into_iter().next() {
                    break first;
                }
            };
            assert_eq!(blocked.pid, waiter.backend_pid());
            assert_eq!(blocked.blocked_by, [holder.backend_pid()]);
            let found = catalog::standstill(&session, blocked.pid).await.unwrap().unwrap();
            assert_eq!(found.relation.as_deref(), Some("t"));
            assert_eq!(found.by[0].pid, holder.backend_pid());
            assert_eq!(found.by[0].state.as_deref(), Some("idle in transaction"));
            assert_eq!(found.by[0].query.as_deref(), Some("BEGIN; LOCK TABLE t"));
            assert!(found.by[0].since.is_some() && !found.by[0].waits);
            let lock = [("t".to_string(), "AccessExclusiveLock".to_string())];
            let held = catalog::holders(&session, &lock, 0).await.unwrap();
            assert_eq!((held.len(), held[0].pid), (1, holder.backend_pid()));
            let old = catalog::holders(&session, &lock, 600_000).await.unwrap();
            assert!(old.is_empty(), "a transaction that began later held nobody up");
            let none = catalog::standstill(&session, holder.backend_pid()).await.unwrap();
            assert_eq!(none, None);
            holder.batch("ROLLBACK").await.unwrap();
        });
        done.unwrap();
    });
}
