//! `runsheet coverage`: every item of a guide is carried by something.

use std::path::Path;

use crate::support::Project;

/// Every list of items that lies beside a shipped playbook.
#[test]
fn every_item_of_every_guide_is_carried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let project = Project::new();
    let mut lists = 0;
    for entry in std::fs::read_dir(&folder).expect("playbooks") {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(path.join("guide.toml")) else { continue };
        let guide: toml::Table = text.parse().expect("a list of items");
        lists += 1;
        let items = guide["item"].as_array().expect("items");
        let ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
        let begin = ids[0].split('.').next().expect("a guide");
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(*id, format!("{begin}.{:02}", at + 1), "no gap and no order of its own");
        }
        let name = path.file_name().expect("its name").to_string_lossy().into_owned();
        project
            .run(&["coverage", &name])
            .exits(0)
            .shows(&format!("{0} of {0} items are carried", ids.len()));
    }
    assert_eq!(lists, 5, "five guides");
}

#[test]
fn an_item_that_nothing_carries_is_named_and_counts_as_a_finding() {
    let project = Project::new();
    project
        .playbook("it", "// G1.01\nlet p = playbook(\"it\");\ncheck(\"G1.02 looked\", || true);\n");
    let item =
        |id: &str| format!("[[item]]\nid = \"{id}\"\nen = \"words {id}\"\nko = \"말 {id}\"\n");
    let guide = format!(
        "title = {{ en = \"Mine\", ko = \"나의 가이드\" }}\n{}{}{}",
        item("G1.01"),
        item("G1.02"),
        item("G1.03")
    );
    project.file("playbooks/it/guide.toml", &guide);
    project
        .run(&["coverage", "it"])
        .exits(1)
        .stdout_shows("words G1.03\n        carried by nothing")
        .stdout_shows("2 of 3 items are carried");
    let korean = project.run(&["coverage", "it", "--lang", "ko"]);
    korean
        .exits(1)
        .stdout_shows("나의 가이드")
        .stdout_shows("말 G1.03")
        .stdout_shows("다루는 곳이 없습니다");
    let ran = project.run(&["coverage", "--json", "it"]);
    ran.exits(1);
    let page: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(page["missing"], 1);
    let items = &page["guides"][0]["items"];
    assert_eq!(items[0]["carried_by"][0]["kind"], "playbook");
    assert_eq!(items[1]["carried_by"][0]["line"], 3);
    assert_eq!(items[2]["carried_by"].as_array().map(Vec::len), Some(0));
    project.run(&["coverage", "absent"]).exits(2);
    project.playbook("bare", "let p = playbook(\"bare\");\n");
    project.run(&["coverage", "bare"]).exits(2).shows("playbooks/bare/guide.toml");
}
