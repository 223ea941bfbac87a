//! check: what can be known of playbooks without a database.

use serde_json::{Value, json};

use super::desk::{Desk, say};
use crate::engine::{Finding, Severity};
use crate::model::Fault;
use crate::msg;
use crate::playbook::Origin;

/// `runsheet check [PLAYBOOK..]`: the project's where none is named.
pub(super) fn check(desk: &Desk, names: &[String]) -> Result<u8, Fault> {
    desk.warn_of_config();
    let names: Vec<String> = if names.is_empty() {
        let all = crate::playbook::list(&desk.project);
        all.into_iter().filter(|one| one.origin == Origin::Project).map(|one| one.name).collect()
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        desk.talk(&msg!("cli.no-playbooks"));
        return Ok(0);
    }
    let (mut errors, mut listed) = (0, Vec::new());
    for name in &names {
        let playbook = crate::playbook::find(&desk.project, name)?;
        let findings = crate::engine::check(&desk.project, &playbook, &desk.config);
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let wrong = findings.iter().filter(|finding| is_error(finding)).count();
        errors += wrong;
        if desk.common.json {
            listed.extend(findings.iter().map(|finding| {
                json!({
                    "playbook": playbook.name,
                    "severity": if is_error(finding) { "error" } else { "warning" },
                    "fault": finding.fault,
                })
            }));
            continue;
        }
        for finding in &findings {
            if !is_error(finding) {
                desk.talk(&msg!("cli.check.warning"));
            }
            say(&finding.fault, &desk.redactor, false);
        }
        let file = &playbook.path_display;
        desk.out(&match (wrong, findings.len()) {
            (0, 0) => format!("{}\n", msg!("cli.check.fine", file = file)),
            (0, n) => format!("{}\n", msg!("cli.check.warnings", file = file, n = n)),
            (n, _) => format!("{}\n", msg!("cli.check.errors", file = file, n = n)),
        });
    }
    if desk.common.json {
        desk.json(&Value::Array(listed));
    }
    Ok(u8::from(errors > 0))
}
