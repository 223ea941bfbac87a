//! A shipped playbook reads like the guide's checklist: short enough for one look, and not because its
//! lines are long. What it needs besides stands in `playbooks/NAME/parts.rhai` and in `stdlib/`.

use std::ops::RangeInclusive;

use super::source::root;

const LINES: RangeInclusive<usize> = 60..=150;
const WIDEST: usize = 130;

fn violations(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let length = (!LINES.contains(&lines))
        .then(|| format!("{name}: {lines} lines, not {} to {}", LINES.start(), LINES.end()));
    let wide = text.lines().enumerate().filter_map(|(at, line)| {
        let columns = line.chars().count();
        (columns > WIDEST)
            .then(|| format!("{name}:{}: {columns} columns, at most {WIDEST}", at + 1))
    });
    length.into_iter().chain(wide).collect()
}

#[test]
fn the_shipped_playbooks_are_as_long_as_a_checklist() {
    let folder = root().join("playbooks");
    let mut found = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("playbooks") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "rhai") {
            let name = path.file_name().expect("its name").to_string_lossy().into_owned();
            found.extend(violations(&name, &std::fs::read_to_string(&path).expect("a text")));
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} playbooks");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_playbook_of_another_length_is_found() {
    let line = "check(\"a\", || true);\n";
    assert!(violations("a", &line.repeat(60)).is_empty());
    assert!(violations("a", &line.repeat(150)).is_empty());
    assert_eq!(violations("a", &line.repeat(59)), ["a: 59 lines, not 60 to 150"]);
    assert_eq!(violations("a", &line.repeat(151)).len(), 1);
    let wide = format!("{}// {}\n", line.repeat(60), "가".repeat(128));
    assert_eq!(violations("a", &wide), ["a:61: 131 columns, at most 130"]);
}
