//! What may stand on the command line. The help texts are in `messages/*/cli.txt`, by the name of
//! the command or the argument; they are put in only when somebody asks for help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::model::Risk;

#[derive(Parser, Debug)]
#[command(name = "runsheet", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Arguments {
    /// Reads a command line.
    ///
    /// # Errors
    /// clap's, of the whole command line.
    pub(super) fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        let found = Self::named(args).try_get_matches_from(args);
        match found.and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(read) => Ok(read),
            Err(_) => Self::try_parse_from(args),
        }
    }

    /// The command line with those commands only that are named in `args`: each command gets a copy
    /// of every flag that all have, which takes longer than all the rest of the reading.
    fn named(args: &[OsString]) -> clap::Command {
        let commands = Self::command();
        let named =
            commands.get_subcommands().filter(|one| args.iter().any(|arg| arg == one.get_name()));
        Common::augment_args(clap::Command::new("runsheet"))
            .disable_help_subcommand(true)
            .subcommand_required(true)
            .subcommands(named.cloned())
    }
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
pub(super) struct Common {
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) project: Option<PathBuf>,
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) env: Option<String>,
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    #[arg(long, global = true, value_name = "en|ko")]
    pub(super) lang: Option<String>,
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[arg(long, global = true)]
    pub(super) plain: bool,
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
}

/// Flags of whatever walks the road.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Road {
    #[arg(long)]
    pub(super) yes: bool,
    #[arg(long, value_name = "ITEM")]
    pub(super) until: Option<String>,
    #[arg(long, value_name = "TIME")]
    pub(super) wait: Option<String>,
    #[arg(long, conflicts_with = "wait")]
    pub(super) no_wait: bool,
    // The inner one is missing where no run is named.
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub(super) take_over: Option<Option<String>>,
    #[arg(long, value_name = "WAY")]
    pub(super) on_failure: Option<FailureWay>,
    #[arg(long)]
    pub(super) accept_changes: bool,
    #[arg(long)]
    pub(super) accept_database: bool,
    #[arg(long, value_name = "CODE")]
    pub(super) approve: Option<String>,
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    #[arg(long)]
    pub(super) again: bool,
    #[arg(long)]
    pub(super) allow_pooler: bool,
    #[arg(long)]
    pub(super) unprotected: bool,
}

/// How a release treats the database.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Migration {
    #[arg(long, conflicts_with_all = ["manual_migrate", "skip_migrate"])]
    pub(super) auto_migrate: bool,
    #[arg(long, conflicts_with = "skip_migrate")]
    pub(super) manual_migrate: bool,
    #[arg(long)]
    pub(super) skip_migrate: bool,
    #[arg(long)]
    pub(super) backup: bool,
    #[arg(long)]
    pub(super) health_check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailureWay {
    Stop,
    Rollback,
    Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Md,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LintFormat {
    Text,
    Json,
    Sarif,
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RiskLevel {
    Low,
    Medium,
    High,
    #[value(name = "very_high", alias = "very-high")]
    VeryHigh,
}

impl From<RiskLevel> for Risk {
    fn from(level: RiskLevel) -> Self {
        match level {
            RiskLevel::Low => Self::Low,
            RiskLevel::Medium => Self::Medium,
            RiskLevel::High => Self::High,
            RiskLevel::VeryHigh => Self::VeryHigh,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.01..=100.0).contains(&percent) => Ok(percent),
        _ => Err("0.01 .. 100".into()),
    }
}

#[derive(Subcommand, Debug)]
#[command(defer = true)]
pub(super) enum Command {
    Init,
    New {
        name: String,
        #[arg(long, value_name = "PLAYBOOK")]
        from: Option<String>,
    },
    List,
    Show {
        playbook: String,
    },
    Verbs {
        name: Option<String>,
        #[arg(long)]
        markdown: bool,
    },
    Check {
        #[arg(value_name = "PLAYBOOK")]
        playbooks: Vec<String>,
    },
    Lint {
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
        #[arg(long, value_name = "ENV|URL")]
        against: Option<String>,
        #[arg(long, value_name = "LEVEL", value_enum)]
        max_risk: Option<RiskLevel>,
        #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: LintFormat,
    },
    Plan {
        playbook: String,
        #[command(flatten)]
        road: Road,
    },
    Approve {
        playbook: String,
        #[arg(long, value_name = "NAME")]
        by: String,
        #[arg(long, value_name = "TEXT")]
        because: Option<String>,
    },
    Run {
        playbook: String,
        #[command(flatten)]
        road: Road,
        #[arg(last = true, value_name = "COMMAND", conflicts_with = "until")]
        then: Vec<OsString>,
    },
    Deploy {
        playbook: String,
        #[command(flatten)]
        migration: Migration,
        #[command(flatten)]
        road: Road,
    },
    Coverage {
        #[arg(value_name = "PLAYBOOK")]
        playbooks: Vec<String>,
    },
    Rehearse {
        #[arg(required_unless_present = "pairs")]
        playbook: Option<String>,
        #[arg(long, value_name = "DIR", conflicts_with_all = ["playbook", "from", "on", "keep", "crash", "sample", "again"])]
        pairs: Option<PathBuf>,
        #[arg(long, value_name = "env|URL|DUMP|schema-only|generated")]
        from: Option<String>,
        #[arg(long, value_name = "ENV|URL")]
        on: Option<String>,
        #[arg(long)]
        keep: bool,
        // A runner that is killed is given its address as an argument, which must hold no secret.
        #[arg(long, conflicts_with = "on")]
        crash: bool,
        #[arg(long, value_name = "PERCENT", value_parser = percent)]
        sample: Option<f64>,
        #[arg(long)]
        again: bool,
        // Not for people: a rehearsal starts itself with these to be killed.
        #[arg(long, hide = true, value_name = "URL")]
        on_copy: Option<String>,
        #[arg(long, hide = true, value_name = "DIR")]
        copy_state: Option<PathBuf>,
        #[arg(long, hide = true, value_name = "RUN")]
        copy_run: Option<String>,
    },
    Fingerprint {
        #[arg(value_name = "ENV|URL")]
        place: Option<String>,
        #[arg(long, value_name = "N", default_value_t = 4)]
        jobs: usize,
    },
    Diff {
        #[arg(value_name = "ENV|URL")]
        left: String,
        #[arg(value_name = "ENV|URL")]
        right: String,
        #[arg(long, value_name = "N", default_value_t = 4)]
        jobs: usize,
        #[arg(long, value_name = "N", default_value_t = 10)]
        samples: usize,
    },
    Resume {
        run: Option<String>,
        #[command(flatten)]
        road: Road,
    },
    Rollback {
        run: Option<String>,
        // The inner one is missing where no dump is named.
        #[arg(long, value_name = "DUMP", num_args = 0..=1, require_equals = true)]
        restore: Option<Option<String>>,
        #[command(flatten)]
        road: Road,
    },
    Resolve {
        #[arg(value_names = ["RUN", "STEP"], num_args = 1..=2, required = true)]
        step: Vec<String>,
        #[arg(long, required_unless_present = "redo", conflicts_with = "redo")]
        done: bool,
        #[arg(long)]
        redo: bool,
    },
    Tick {
        #[arg(value_names = ["RUN", "ITEM"], num_args = 1..=2, required = true)]
        item: Vec<String>,
        #[arg(long, value_name = "NAME")]
        by: String,
        #[arg(long, value_name = "TEXT")]
        because: Option<String>,
    },
    Report {
        run: Option<String>,
        #[arg(long, value_enum, default_value = "md")]
        format: ReportFormat,
    },
    History {
        playbook: Option<String>,
    },
    Status {
        #[arg(long)]
        exit_code: bool,
    },
    Lock,
    Doctor,
    Demo {
        #[arg(long, value_name = "N", default_value_t = 200_000)]
        rows: u32,
        #[arg(long)]
        keep: bool,
    },
    Completions {
        shell: clap_complete::Shell,
    },
}
