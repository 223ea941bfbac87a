//! Findings for machines: JSON of our own, SARIF 2.1.0, and the commands of GitHub's log.

use serde_json::{Value, json};

use crate::model::Risk;
use crate::sql::{Finding, Level, Linted};

/// All that is known: `{risk, files: [{file, risk, statements, findings}]}`.
pub(super) fn json(linted: &[Linted]) -> Value {
    let risk = linted.iter().map(|file| file.risk).max().unwrap_or(Risk::Low);
    json!({ "risk": risk, "files": linted })
}

/// Static analysis results as code hosts read them; accepted findings are suppressed ones.
pub(super) fn sarif(linted: &[Linted]) -> Value {
    let findings: Vec<&Finding> = linted.iter().flat_map(|file| &file.findings).collect();
    let mut rules: Vec<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "runsheet",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| json!({ "id": rule })).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(|finding| result(finding)).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let text = match &finding.help {
        Some(help) => format!("{}\n{help}", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule,
        "level": finding.level.word(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&finding.file) },
            "region": { "startLine": finding.line.max(1), "startColumn": finding.column.max(1) },
        }}],
    });
    if let (Some(reason), Some(fields)) = (&finding.allowed, result.as_object_mut()) {
        let suppression = json!([{ "kind": "inSource", "justification": reason }]);
        fields.insert("suppressions".into(), suppression);
    }
    result
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One line a finding that nothing accepts, as GitHub Actions shows it beside the code.
pub(super) fn github(linted: &[Linted]) -> String {
    let mut out = String::new();
    for finding in linted.iter().flat_map(|file| &file.findings) {
        if finding.allowed.is_some() {
            continue;
        }
        let level = match finding.level {
            Level::Note => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let message = match &finding.help {
            Some(help) => format!("{}\n{help}", finding.message),
            None => finding.message.clone(),
        };
        out.push_str(&format!(
            "::{level} file={},line={},col={},title={}::{}\n",
            property(&finding.file),
            finding.line.max(1),
            finding.column.max(1),
            property(&finding.rule),
            data(&message)
        ));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::lint_file;

    fn linted() -> Vec<Linted> {
        let text =
            "-- runsheet: allow data-loss because it was empty\nDROP TABLE a;\nDROP TABLE b;\n";
        vec![lint_file("a,b.sql", text.as_bytes())]
    }

    #[test]
    fn sarif_names_rules_places_and_what_is_accepted() {
        let sarif = sarif(&linted());
        let run = &sarif["runs"][0];
        let results = run["results"].as_array().unwrap();
        let loss: Vec<_> = results.iter().filter(|one| one["ruleId"] == "data-loss").collect();
        assert_eq!(loss.len(), 2);
        assert_eq!(loss[0]["suppressions"][0]["justification"], "it was empty");
        assert!(loss[1]["suppressions"].is_null());
        let place = &loss[1]["locations"][0]["physicalLocation"];
        assert_eq!(place["region"]["startLine"], 3);
        assert_eq!(place["artifactLocation"]["uri"], "a%2Cb.sql");
        let ids: Vec<_> = run["tool"]["driver"]["rules"].as_array().unwrap().iter().collect();
        assert!(ids.iter().any(|rule| rule["id"] == "ban-drop-table"));
    }

    #[test]
    fn the_log_command_escapes_what_would_end_it() {
        let text = github(&linted());
        let loss: Vec<_> = text.lines().filter(|line| line.contains("title=data-loss")).collect();
        assert_eq!(loss.len(), 1);
        assert!(loss[0].starts_with("::warning file=a%2Cb.sql,line=3,col=1,title=data-loss::"));
    }
}
