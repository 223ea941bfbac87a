//! `wait_ready`, `identity`, `require_*` of the server, rights, room, sessions.

use serde_json::json;

use super::{reader, shop};
use crate::support::Gate;

#[test]
fn the_server_says_who_it_is() {
    let (cluster, stage) =
        shop("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)");
    let text = r#"
        check("ready", || db::wait_ready(#{ tries: 3, every: "100ms" }));
        check("identity", || db::identity());
        check("version", || db::require_version(">=13, <99"));
        check("primary", || db::require_primary());
        let system = db::identity().system_identifier;
        check("database", || db::require_database(#{ name: "shop", system_identifier: system }));
        check("sizes", || [db::size() > db::table_size("t"), db::table_size("t") > 8000]);
        check("setting", || [db::setting("work_mem"), db::setting("no_such_setting")]);"#;
    for played in [stage.run(text), stage.plan(text)] {
        played.ok();
        let identity = played.value("identity");
        assert_eq!(identity["database"], "shop");
        assert_eq!(identity["standby"], json!(false));
        assert_eq!(played.value("sizes"), json!([true, true]));
        assert_eq!(played.value("setting"), json!(["4MB", null]));
    }
    let wrong = stage.run(r#"check("v", || db::require_version(">=99"));"#).fails("wrong-version");
    assert!(wrong.message.contains(&format!("PostgreSQL {}", cluster.major())), "{wrong}");
    stage.run(r#"check("v", || db::require_version("new"));"#).fails("wrong-argument");
    let wrong = stage
        .run(r#"check("d", || db::require_database(#{ name: "bank", host: "elsewhere" }));"#)
        .fails("wrong-database");
    let detail = wrong.detail.unwrap();
    assert!(detail.contains("bank") && detail.contains("elsewhere"), "{detail}");
    stage.run(r#"check("t", || db::table_size("absent"));"#).fails("no-such-table");
}

#[test]
fn waiting_for_a_server_shows_each_attempt_and_gives_up() {
    let (mut cluster, stage) = shop("");
    cluster.stop();
    let played = stage.run(r#"check("ready", || db::wait_ready(#{ tries: 3, every: "20ms" }));"#);
    assert_eq!(played.exit, 7, "{:#?}", played.fault());
    let tries = |event: &&runsheet::model::RunEvent| {
        matches!(event.kind, runsheet::model::EventKind::Retry { of: 3, .. })
    };
    assert!(played.events.iter().filter(tries).count() >= 2);
    cluster.restart();
    stage.run(r#"check("ready", || db::wait_ready(#{ tries: 30, every: "100ms" }));"#).ok();
}

#[test]
fn missing_rights_are_named_with_their_grants_also_in_a_plan_without_rights() {
    let (cluster, stage) = shop("CREATE TABLE t (a int); CREATE ROLE app");
    let text =
        r#"check("rights", || db::require_privileges(["SELECT", "INSERT"], #{ tables: ["t"] }));"#;
    stage.run(text).ok();
    let reader = reader(&cluster);
    let fault = reader.plan(text).fails("missing-privileges");
    assert!(fault.detail.unwrap().contains("GRANT INSERT ON public.t TO reader"));
    let text =
        r#"check("app", || db::require_privileges("SELECT", #{ role: "app", tables: "t" }));"#;
    let fault = stage.run(text).fails("missing-privileges");
    assert!(fault.message.starts_with("app"), "{fault}");
    stage.run(r#"check("x", || db::require_privileges(["FLY"]));"#).fails("unknown-right");
}

#[test]
fn room_is_known_here_asked_for_elsewhere_and_never_guessed() {
    let (cluster, stage) = shop("");
    stage.run(r#"check("room", || db::require_free(1000) > 1000);"#).ok();
    stage.plan(r#"check("room", || db::require_free(1000) > 1000);"#).ok();
    let fault =
        stage.run(r#"check("room", || db::require_free(1152921504606846976));"#).fails("no-room");
    assert!(fault.message.contains("1048576.0 TiB"), "{fault}");
    // A role that may not see the data directory.
    let blind = reader(&cluster);
    let played = blind.plan(r#"check("room", || db::require_free(1000));"#);
    played.ok();
    assert!(
        played.remarks().iter().any(|text| text.contains("cannot be known")),
        "{:?}",
        played.remarks()
    );
    let told = blind.config("[server]\nfree_bytes_query = \"SELECT 999::bigint\"\n");
    told.plan(r#"check("room", || db::require_free(1000));"#).fails("no-room");
}

#[test]
fn other_sessions_are_found_and_our_own_are_not() {
    let (cluster, stage) = shop("");
    stage.run(r#"check("none", || db::require_no_sessions());"#).ok();
    let guest = Gate::connected(&cluster.url("shop"), "guest");
    let fault = stage.run(r#"check("none", || db::require_no_sessions());"#).fails("sessions");
    assert!(fault.detail.unwrap().contains("postgres, guest, local"));
    let text = r#"check("some", || db::sessions().len());
        check("none", || db::require_no_sessions(#{ except: ["guest"] }));"#;
    for played in [stage.run(text), stage.plan(text)] {
        assert_eq!(played.ok().value("some"), json!(1));
    }
    guest.open();
}
