//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Migration playbooks that run.
#[derive(Parser, Debug)]
#[command(name = "runsheet", version, about, disable_help_subcommand = true)]
pub(super) struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
pub(super) struct Common {
    /// The project's folder
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// The environment of runsheet.toml
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// The database's address; replaces the environment's, never its guards
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// A parameter, strongest of all
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// en or ko
    #[arg(long, global = true, value_name = "LANG")]
    pub lang: Option<String>,
    /// One JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Plain lines, also at a terminal
    #[arg(long, global = true)]
    pub plain: bool,
    /// More
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// The state folder
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Flags of plan, run, resume and rollback.
#[derive(Args, Debug, Clone)]
pub(super) struct Road {
    /// Answer prompts with yes, where the environment is not protected
    #[arg(long)]
    pub yes: bool,
    /// Stop after this item
    #[arg(long, value_name = "ITEM")]
    pub until: Option<String>,
    /// How long to wait for another run to end
    #[arg(long, value_name = "TIME")]
    pub wait: Option<String>,
    /// Do not wait for another run
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// End the run that holds the lease, and take it
    #[arg(long)]
    pub take_over: bool,
    /// stop, rollback or ask
    #[arg(long, value_name = "WAY")]
    pub on_failure: Option<String>,
    /// Go on although inputs changed
    #[arg(long)]
    pub accept_changes: bool,
    /// Run again what was done
    #[arg(long)]
    pub again: bool,
    /// Behind a transaction pooler: transactional steps only
    #[arg(long)]
    pub allow_pooler: bool,
    /// This database needs no protection
    #[arg(long)]
    pub unprotected: bool,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Show what a run would do
    Plan {
        /// The playbook
        playbook: String,
        #[command(flatten)]
        road: Road,
    },
    /// Run a playbook
    Run {
        /// The playbook
        playbook: String,
        #[command(flatten)]
        road: Road,
    },
    /// Go on with a run that ended early
    Resume {
        /// The run
        run: Option<String>,
        #[command(flatten)]
        road: Road,
    },
    /// Undo the steps of a run
    Rollback {
        /// The run
        run: Option<String>,
        #[command(flatten)]
        road: Road,
    },
}
