use super::shop;
use crate::support::Cluster;
use crate::support::Stage;
use serde_json::Value;

fn databases(cluster: &Cluster) -> Vec<String> {
    let rows = cluster.query("postgres", "SELECT datname FROM pg_database ORDER BY 1");
    rows.into_iter().filter_map(|mut row| row.remove(0)).collect()
}

const DUMP: &str = r#"let d = step("dump", || pg::dump());"#;

#[test]
fn a_restored_copy_on_a_private_server_verifies_the_dump() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let before = databases(&cluster);
    let played = stage.run(&format!("{DUMP} check(\"back\", || pg::restore_test(d));")).fine();
    let back = played.value("back");
    assert_eq!(back["state"], "verified");
    assert!(back["tables"].as_u64().unwrap() >= 2);
    assert!(back["rows"].as_u64().unwrap() >= 570);
    assert_eq!(databases(&cluster), before);
    let manifest = std::fs::read_dir(stage.path().join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(".manifest.json"))
        .unwrap();
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    assert_eq!(manifest["state"], "verified");
}

#[test]
fn a_restored_copy_beside_the_database_is_dropped_afterwards() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let before = databases(&cluster);
    let text =
        format!("{DUMP} check(\"back\", || pg::restore_test(d, #{{ into: \"shop_try\" }}));");
    let played = stage.run(&text).fine();
    assert_eq!(played.value("back")["state"], "verified");
    assert_eq!(databases(&cluster), before);
    // Somebody's own database of that name is left alone, also an empty one.
    cluster.create_database("shop_try");
    stage.run(&text).fails_with("database-exists");
    assert!(databases(&cluster).contains(&"shop_try".to_string()));
    // What a killed test of ours left behind is taken again.
    cluster.sql("postgres", "COMMENT ON DATABASE shop_try IS 'runsheet scratch database of x'");
    stage.run(&text).fine();
    assert_eq!(databases(&cluster), before);
}

/// Ctrl-C while rows are put back: nothing of the passing database is left, whatever its name.
#[test]
fn an_interrupted_restore_leaves_no_database_behind() {
    let cluster = shop();
    cluster.sql(
        "shop",
        "CREATE FUNCTION slow(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
            IF current_database() <> 'shop' THEN PERFORM pg_sleep(600); END IF; RETURN a; END $$; \
         CREATE TABLE waits (a int); INSERT INTO waits VALUES (1); CREATE INDEX ON waits (slow(a))",
    );
    let before = databases(&cluster);
    let restoring = "SELECT EXISTS (SELECT FROM pg_stat_activity \
        WHERE datname <> 'shop' AND state = 'active' AND query LIKE 'CREATE INDEX%')";
    for call in [
        r#"step("back", || pg::restore(d, #{ into: "shop_back" }));"#,
        r#"check("back", || pg::restore_test(d, #{ into: "shop_try" }));"#,
    ] {
        let stage = Stage::on(&cluster, "shop");
        let (cancel, cluster) = (stage.cancel.clone(), &cluster);
        let played = std::thread::scope(|scope| {
            scope.spawn(move || {
                cluster.wait_until("postgres", restoring);
                cancel.cancel(runsheet::system::Reason::Interrupted);
            });
            stage.run(&format!("{DUMP} {call}"))
        });
        assert_eq!(played.exit, 130, "{:?}", played.faults());
        assert_eq!(databases(cluster), before, "{call}");
    }
}

#[test]
fn a_dump_whose_rows_are_not_those_that_were_counted_is_not_verified() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage.run(DUMP).fine();
    let dump = played.value("dump");
    let path = dump["files"][0]["path"].as_str().unwrap();
    let manifest = path.replace(".dump", ".manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"public.users\": 500", "\"public.users\": 501"))
        .unwrap();
    let fault = stage
        .run(&format!(r#"check("back", || pg::restore_test("{path}"));"#))
        .fails_with("restore-differs");
    let detail = fault.detail.unwrap();
    assert!(detail.contains("public.users") && detail.contains("501"), "{detail}");
    std::fs::remove_file(&manifest).unwrap();
    stage
        .run(&format!(r#"check("back", || pg::restore_test("{path}"));"#))
        .fails_with("no-manifest");
}

/// P7: as many rows are not the same rows.
#[test]
fn a_value_that_is_another_one_and_an_object_that_is_gone_are_found_by_the_fingerprint() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage.run(DUMP).fine();
    let path = played.value("dump")["files"][0]["path"].as_str().unwrap().to_string();
    let manifest = path.replace(".dump", ".manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let call = format!(r#"check("back", || pg::restore_test("{path}"));"#);
    let sum = whole["sums"]["public.users"].as_str().unwrap().replace('"', "\\\"");
    std::fs::write(&manifest, text.replace(&sum, "[500,\\\"1\\\",\\\"1\\\"]")).unwrap();
    let fault = stage.run(&call).fails_with("restore-differs");
    assert!(fault.detail.unwrap().contains("public.users: as many rows as in the dump"));
    std::fs::write(&manifest, text.replace("policy public.users.own", "policy public.users.more"))
        .unwrap();
    let fault = stage.run(&call).fails_with("restore-differs");
    let detail = fault.detail.unwrap();
    assert!(detail.contains("missing: policy public.users.more"), "{detail}");
    assert!(detail.contains("left over: policy public.users.own"), "{detail}");
    // A manifest that cannot be read is damage: with it the checksums are gone.
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    stage.run(&call).fails_with("manifest-damaged");
    stage.run(&format!(r#"check("v", || pg::verify("{path}"));"#)).fails_with("manifest-damaged");
}

#[test]
fn a_plain_dump_alone_is_refused_with_the_way_out() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let fault = stage
        .run(
            r#"let d = step("dump", || pg::dump(#{ formats: ["plain"] }));
            check("back", || pg::restore_test(d));"#,
        )
        .fails_with("plain-only");
    assert!(fault.remedy.unwrap().contains("custom"));
}

#[test]
fn a_dump_is_restored_into_a_new_database() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage
        .run(&format!("{DUMP} step(\"back\", || pg::restore(d, #{{ into: \"shop_back\" }}));"))
        .fine();
    let back = played.value("back");
    assert_eq!(back["database"], "shop_back");
    assert_eq!(back["old"], Value::Null);
    assert_eq!(cluster.value("shop_back", "SELECT count(*) FROM users"), "500");
    let right = "SELECT has_table_privilege('clerk', 'users', 'SELECT')::text";
    assert_eq!(cluster.value("shop_back", right), "true", "rights are restored, too");
    assert_eq!(databases(&cluster).iter().filter(|name| name.contains("_restore_")).count(), 0);
}

/// F52: an existing database is left alone, or replaced and kept, as told.
#[test]
fn an_existing_database_is_replaced_only_when_told_and_is_kept() {
    let cluster = shop();
    cluster.create_database("other");
    cluster.sql("other", "CREATE TABLE mine (a int); INSERT INTO mine VALUES (1)");
    cluster.sql(
        "postgres",
        "ALTER DATABASE other SET work_mem = '7MB'; ALTER DATABASE other SET search_path = \"App\", public; \
         ALTER ROLE clerk IN DATABASE other SET search_path = ''; \
         ALTER DATABASE other OWNER TO clerk; REVOKE CONNECT ON DATABASE other FROM PUBLIC",
    );
    let stage = Stage::on(&cluster, "shop");
    let restore = |options: &str| {
        format!("{DUMP} step(\"back\", || pg::restore(d, #{{ into: \"other\"{options} }}));")
    };
    stage.run(&restore("")).fails_with("database-exists");
    assert_eq!(cluster.value("other", "SELECT count(*) FROM mine"), "1");
    let played = stage.run(&restore(", replace: true")).fine();
    let old = played.value("back")["old"].as_str().unwrap().to_string();
    assert!(old.starts_with("other_old_2"), "{old}");
    assert_eq!(cluster.value(&old, "SELECT count(*) FROM mine"), "1");
    assert_eq!(cluster.value("other", "SELECT count(*) FROM public.users"), "500");
    assert_eq!(cluster.value("other", "SHOW work_mem"), "7MB");
    assert_eq!(cluster.value("other", "SHOW search_path"), "\"App\", public");
    let own = "SELECT setconfig::text FROM pg_db_role_setting s JOIN pg_database d \
        ON d.oid = s.setdatabase WHERE d.datname = 'other' AND s.setrole <> 0";
    assert_eq!(cluster.value("postgres", own), r#"{"search_path=\"\""}"#);
    let facts = "SELECT pg_get_userbyid(datdba) || ' ' || \
        has_database_privilege('pg_monitor', 'other', 'CONNECT') FROM pg_database WHERE datname = 'other'";
    assert_eq!(cluster.value("postgres", facts), "clerk false");
}

#[test]
fn the_runs_own_database_is_never_replaced_by_it() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let fault = stage
        .run(&format!(
            "{DUMP} step(\"back\", || pg::restore(d, #{{ into: \"shop\", replace: true }}));"
        ))
        .fails_with("restore-own-database");
    assert!(fault.remedy.is_some());
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM users"), "500");
}

/// F50: the sum is looked at before use, too.
#[test]
fn a_damaged_dump_is_not_even_begun_with() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage.run(DUMP).fine();
    let dump = played.value("dump");
    let path = dump["files"][0]["path"].as_str().unwrap();
    let whole = std::fs::read(path).unwrap();
    std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
    let before = databases(&cluster);
    for call in [
        format!(r#"step("back", || pg::restore("{path}", #{{ into: "new" }}));"#),
        format!(r#"check("back", || pg::restore_test("{path}"));"#),
    ] {
        stage.run(&call).fails_with("backup-damaged");
    }
    assert_eq!(databases(&cluster), before);
}
