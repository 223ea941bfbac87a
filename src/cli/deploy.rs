//! deploy: a release with the words of a deployment script. A thin face: the flags are parameters of
//! the playbook, and everything else is `run`, with its policy, approvals and lease.

use super::args::{Migration, Road};
use super::desk::Desk;
use super::road::{go, sound};
use crate::host::Mode;
use crate::model::Fault;
use crate::msg;

/// The parameters of a playbook that can be deployed.
const MODE: &str = "mode";
const BACKUP: &str = "backup";
const HEALTH_CHECK: &str = "health_check";

/// `runsheet deploy PLAYBOOK [--auto-migrate | --manual-migrate | --skip-migrate] [--backup]
/// [--health-check]`
///
/// # Errors
/// `not-a-deployment` where the playbook lacks a parameter that a flag stands for; as `run`.
pub(super) fn deploy(
    desk: &Desk,
    road: &Road,
    name: &str,
    migration: &Migration,
) -> Result<u8, Fault> {
    let (playbook, outline) = sound(desk, name)?;
    let mode = match (migration.auto_migrate, migration.manual_migrate, migration.skip_migrate) {
        (true, ..) => Some("auto"),
        (_, true, _) => Some("manual"),
        (.., true) => Some("skip"),
        _ => None,
    };
    let wanted = [
        (MODE, mode),
        (BACKUP, migration.backup.then_some("true")),
        (HEALTH_CHECK, migration.health_check.then_some("true")),
    ];
    let mut common = desk.common.clone();
    for (parameter, value) in wanted {
        if !outline.params.iter().any(|known| known == parameter) {
            let text = msg!("cli.not-a-deployment", playbook = name, parameter = parameter);
            return Err(Fault::usage("not-a-deployment", text)
                .cause(msg!("cli.not-a-deployment.cause"))
                .next(format!("runsheet run {name}")));
        }
        common.set.extend(value.map(|value| format!("{parameter}={value}")));
    }
    let desk = Desk::open(&common, &desk.redactor)?;
    go(&desk, road, playbook, outline, Mode::Run, None)
}
