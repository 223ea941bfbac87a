//! An approval: who has approved what, bound to everything that a plan was made of.
//!
//! A file of mode 0600 in the state folder, with a checksum so that an edited one is refused, beside
//! the receipts. What it is worth for a run is decided above.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::{Fault, FaultKind, hex};
use crate::msg;
use crate::system::{StateDir, write_atomic};

/// The folder of approvals in the state folder.
const FOLDER: &str = "approvals";

/// What a plan was made of, and who has approved it; without a name it is only that plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// The playbook's id.
    pub playbook: String,
    /// The environment's name.
    pub environment: Option<String>,
    /// The address, without any password.
    pub target: Option<String>,
    /// `database` and `system_identifier`, as the server says.
    pub server: Value,
    /// Content hashes of playbook, imports and SQL files.
    pub files: BTreeMap<String, String>,
    /// The parameters, secrets blanked.
    pub params: Value,
    /// Each object of the schema to a hash of what counts of it.
    pub schema: BTreeMap<String, String>,
    /// Who approved, as they call themselves.
    pub by: String,
    /// The account that it was done with, `user@host`.
    pub account: String,
    /// When, RFC 3339 with zone.
    pub at: String,
    /// Why.
    pub because: Option<String>,
    /// The checksum of everything above.
    #[serde(default)]
    pub checksum: String,
}

impl Approval {
    /// The code: twelve digits of a hash over everything that the plan was made of.
    pub fn code(&self) -> String {
        let made_of = json!([
            self.playbook,
            self.environment,
            self.target,
            self.server,
            self.files,
            self.params,
            self.schema
        ]);
        hex(&Sha256::digest(made_of.to_string().as_bytes())[..6])
    }

    /// Writes it under its code; an older one of the same plan is replaced.
    ///
    /// # Errors
    /// `write-failed`, `disk-full`.
    pub fn write(mut self, state: &StateDir) -> Result<PathBuf, Fault> {
        self.checksum = self.sum();
        let path = state.folder(FOLDER)?.join(format!("{}.json", self.code()));
        let text = serde_json::to_string_pretty(&self).unwrap_or_default();
        write_atomic(&path, text.as_bytes())?;
        Ok(path)
    }

    /// The approval of that code; None where nobody has given it on this machine.
    ///
    /// # Errors
    /// `approval-edited`, kind Refused.
    pub fn find(state: &StateDir, code: &str) -> Result<Option<Self>, Fault> {
        if code.is_empty() || !code.chars().all(|c| c.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let path = state.root().join(FOLDER).join(format!("{code}.json"));
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let read: Option<Self> = serde_json::from_str(&text).ok();
        if let Some(found) = read.filter(|it| it.sum() == it.checksum && it.code() == code) {
            return Ok(Some(found));
        }
        let path = path.display();
        Err(Fault::new(
            FaultKind::Refused,
            "approval-edited",
            msg!("journal.approval-edited", path = path),
        )
        .cause(msg!("journal.approval-edited.cause"))
        .remedy(msg!("journal.approval-edited.remedy", path = path)))
    }

    /// Was it given by somebody else than the one whose account this is, `user@host`?
    pub fn is_by_another(&self, account: &str) -> bool {
        let user = account.split('@').next().unwrap_or(account);
        self.account != account && self.by != account && self.by != user
    }

    fn sum(&self) -> String {
        let bare = Self { checksum: String::new(), ..self.clone() };
        let text = serde_json::to_string(&bare).unwrap_or_default();
        hex(&Sha256::digest(format!("runsheet approval\n{text}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn approval() -> Approval {
        Approval {
            playbook: "it".into(),
            by: "kim".into(),
            account: "kim@desk".into(),
            at: "2026-11-21T11:00:00+00:00".into(),
            files: BTreeMap::from([("playbooks/it.rhai".into(), "a".into())]),
            params: json!({ "b": 1, "a": 2.5 }),
            ..Approval::default()
        }
    }

    #[test]
    fn an_approval_comes_back_under_its_code_and_an_edited_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let code = approval().code();
        let path = approval().write(&state).unwrap();
        assert_eq!(Approval::find(&state, &code).unwrap().unwrap().by, "kim");
        assert!(Approval::find(&state, "000000000000").unwrap().is_none());
        assert!(Approval::find(&state, "../receipts/x").unwrap().is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [("\"kim\"", "\"lee\""), ("11:00:00", "12:00:00"), ("\"a\"", "\"b\"")] {
            std::fs::write(&path, text.replace(was, is)).unwrap();
            assert_eq!(Approval::find(&state, &code).unwrap_err().code, "approval-edited");
        }
    }

    #[test]
    fn the_code_hangs_on_everything_that_the_plan_was_made_of_and_not_on_who_signs() {
        let code = approval().code();
        let mut others = vec![approval(); 7];
        others[0].playbook.push('x');
        others[1].environment = Some("live".into());
        others[2].target = Some("postgresql://h/d".into());
        others[3].server = json!({ "database": "shop" });
        others[4].files.insert("sql/up.sql".into(), "b".into());
        others[5].params["a"] = json!(2.6);
        others[6].schema.insert("relation public.t".into(), "c".into());
        assert!(others.iter().all(|other| other.code() != code));
        assert_eq!(Approval { by: "lee".into(), ..approval() }.code(), code);
    }

    #[test]
    fn the_runner_is_not_another_whatever_name_is_given() {
        assert!(approval().is_by_another("lee@desk"));
        assert!(!approval().is_by_another("kim@desk"));
        assert!(!approval().is_by_another("kim@elsewhere"), "the same name on another machine");
        let own = Approval { by: "boss".into(), account: "lee@desk".into(), ..approval() };
        assert!(!own.is_by_another("lee@desk"), "another name from the runner's own account");
    }
}
