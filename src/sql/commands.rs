//! The backslash commands of a script: what each does, and which are refused.

use super::args::{self, Argument, CopyEnd, Direction, Refused};
use super::conditions::Misplaced;
use super::files;
use super::place::StatementPlace;
use super::quick::quick_kind;
use super::script::{DEEPEST_INCLUDE, Follow, Script, Unit};
use super::split::Meta;
use super::transaction::Verdict;
use crate::model::{Fault, Place};
use crate::msg;

/// Commands that only show something or change how psql shows it.
const DISPLAY: &[&str] = &[
    "?",
    "C",
    "H",
    "T",
    "a",
    "conninfo",
    "copyright",
    "errverbose",
    "f",
    "h",
    "help",
    "html",
    "l",
    "l+",
    "list",
    "list+",
    "pset",
    "sf",
    "sf+",
    "sv",
    "sv+",
    "t",
    "timing",
    "x",
    "z",
];

impl Script {
    /// Does a backslash command; None where it gives nothing to do.
    pub(super) fn command(&mut self, meta: &Meta) -> Result<Option<Unit>, Fault> {
        if let Some(key) = &self.restricted {
            // pg_dump's key is compared as it is: nothing between the two may be evaluated.
            if meta.name != "unrestrict" {
                return Err(self.refuse(meta, msg!("sql.restricted.cause")));
            }
            if meta.args.trim_end_matches(';') != key {
                return Err(
                    Fault::usage("sql-restrict-key", msg!("sql.restrict-key")).place(self.at(meta))
                );
            }
            self.restricted = None;
            return Ok(None);
        }
        match meta.name.as_str() {
            "if" | "elif" | "else" | "endif" => return self.condition(meta).map(|()| None),
            _ if !self.active() => return Ok(None),
            _ => {}
        }
        match meta.name.as_str() {
            "echo" | "qecho" | "warn" => self.echo(meta).map(Some),
            "set" => self.set(meta),
            "unset" => self.unset(meta),
            "i" | "include" => self.include(meta, false).map(|()| None),
            "ir" | "include_relative" => self.include(meta, true).map(|()| None),
            "copy" => self.copy(meta).map(Some),
            "restrict" => self.restrict(meta).map(|()| None),
            "unrestrict" => {
                Err(Fault::usage("sql-restrict-key", msg!("sql.unrestricted")).place(self.at(meta)))
            }
            "encoding" => self.encoding(meta),
            "g" | "gx" | "gset" | "gexec" => Err(Fault::usage(
                "sql-nothing-to-send",
                msg!("sql.nothing-to-send", name = meta.name),
            )
            .remedy(msg!("sql.nothing-to-send.remedy", name = meta.name))
            .place(self.at(meta))),
            "o" if meta.args.is_empty() => Ok(Some(self.skipped(meta))),
            name if is_display(name) => self.display(meta).map(Some),
            _ => Err(self.refuse(meta, self.why_refused(meta))),
        }
    }

    /// What the command that sends a statement asks for.
    pub(super) fn follow(&self, meta: &Meta) -> Result<Follow, Fault> {
        let arguments = self.arguments(meta)?;
        match (meta.name.as_str(), arguments.as_slice()) {
            ("g" | "gx", []) => Ok(Follow::None),
            ("gexec", []) => Ok(Follow::Gexec),
            ("gset", []) => Ok(Follow::Gset { prefix: String::new() }),
            ("gset", [prefix]) => Ok(Follow::Gset { prefix: prefix.text.clone() }),
            _ => Err(self.refuse(meta, self.why_refused(meta))),
        }
    }

    fn echo(&self, meta: &Meta) -> Result<Unit, Fault> {
        let arguments = self.arguments(meta)?;
        let words: Vec<_> = arguments
            .iter()
            .enumerate()
            .filter(|(at, word)| *at > 0 || word.text != "-n")
            .map(|(_, word)| word.text.as_str())
            .collect();
        Ok(Unit::Echo(words.join(" ")))
    }

    fn set(&mut self, meta: &Meta) -> Result<Option<Unit>, Fault> {
        let arguments = self.arguments(meta)?;
        let Some((name, values)) = arguments.split_first() else {
            return Ok(Some(self.skipped(meta)));
        };
        self.check_name(meta, &name.text)?;
        let value: String = values.iter().map(|value| value.text.as_str()).collect();
        if self.undecided() || values.iter().any(|value| value.unknown) {
            self.variables.forget(&name.text);
        } else {
            self.variables.set(&name.text, &value);
        }
        let off = args::boolean(&value) == Some(false);
        // psql's own transaction per file: the step has one already.
        Ok((name.text == "AUTOCOMMIT" && off).then(|| self.skipped(meta)))
    }

    fn unset(&mut self, meta: &Meta) -> Result<Option<Unit>, Fault> {
        let arguments = self.arguments(meta)?;
        let Some(name) = arguments.first() else {
            return Err(self.missing_argument(meta));
        };
        if self.undecided() {
            self.variables.forget(&name.text);
        } else {
            self.variables.unset(&name.text);
        }
        Ok(None)
    }

    fn check_name(&self, meta: &Meta, name: &str) -> Result<(), Fault> {
        if !name.is_empty() && name.bytes().all(super::lex::is_variable) {
            return Ok(());
        }
        Err(Fault::usage("sql-variable-name", msg!("sql.variable-name", name = name))
            .place(self.at(meta)))
    }

    fn condition(&mut self, meta: &Meta) -> Result<(), Fault> {
        let place = self.at(meta);
        let (active, waiting) = match self.frames.last() {
            Some(frame) => (frame.conditions.active(), frame.conditions.evaluates_elif()),
            None => return Ok(()),
        };
        let evaluated = match meta.name.as_str() {
            "if" if active => self.truth(meta)?,
            "elif" if waiting => self.truth(meta)?,
            _ => Some(false),
        };
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let fits = match meta.name.as_str() {
            "if" => {
                frame.conditions.begin(evaluated, place.clone());
                Ok(())
            }
            "elif" => frame.conditions.elif(evaluated),
            "else" => frame.conditions.otherwise(),
            _ => frame.conditions.end(),
        };
        fits.map_err(|misplaced| {
            let text = match misplaced {
                Misplaced::NoIf => msg!("sql.if-missing", name = meta.name),
                Misplaced::AfterElse => msg!("sql.after-else", name = meta.name),
            };
            Fault::usage("sql-if-misplaced", text).place(place)
        })
    }

    /// The truth of a condition; None where only the run will know it.
    fn truth(&self, meta: &Meta) -> Result<Option<bool>, Fault> {
        let arguments = self.arguments(meta)?;
        if self.validating && arguments.iter().any(|argument| argument.unknown) {
            return Ok(None);
        }
        let words: Vec<_> = arguments.iter().map(|argument| argument.text.as_str()).collect();
        let text = words.join(" ");
        let Some(truth) = args::boolean(&text) else {
            let fault = Fault::usage(
                "sql-not-boolean",
                msg!("sql.not-boolean", value = text, name = meta.name),
            );
            return Err(fault.remedy(msg!("sql.not-boolean.remedy")).place(self.at(meta)));
        };
        Ok(Some(truth))
    }

    fn include(&mut self, meta: &Meta, relative: bool) -> Result<(), Fault> {
        let place = self.at(meta);
        let arguments = self.arguments(meta)?;
        let Some(Argument { text, unknown }) = arguments.first() else {
            return Err(self.missing_argument(meta));
        };
        if self.validating && *unknown {
            return Err(Fault::usage("sql-include-unknown", msg!("sql.include-unknown"))
                .remedy(msg!("sql.include-unknown.remedy"))
                .place(place));
        }
        if self.frames.len() >= DEEPEST_INCLUDE {
            return Err(Fault::usage(
                "sql-include-depth",
                msg!("sql.include-depth", limit = DEEPEST_INCLUDE),
            )
            .remedy(msg!("sql.include-depth.remedy"))
            .place(place));
        }
        let own = self.frames.last().map(|frame| frame.file.path.as_path());
        let found = files::included(&self.root, &self.root, own, (text, relative))
            .map_err(|fault| fault.place(place.clone()))?;
        self.enter(found).map_err(|fault| fault.place(place))
    }

    fn copy(&mut self, meta: &Meta) -> Result<Unit, Fault> {
        let at = self.at(meta);
        let Some(copy) = args::copy_command(&meta.args) else {
            return Err(Fault::usage("sql-copy-syntax", msg!("sql.copy-syntax"))
                .remedy(msg!("sql.copy-syntax.remedy"))
                .place(at));
        };
        let place = StatementPlace {
            file: at.file.clone(),
            line: at.line,
            column: at.column,
            text: format!("\\copy {}", meta.args),
            whole: true,
            lead: at.source.chars().take(at.column as usize - 1).collect(),
            tail: String::new(),
            edits: None,
        };
        if self.guard.look(&quick_kind(&copy.sql), &place)? == Verdict::Drop {
            return Ok(self.skipped(meta));
        }
        let given = match &copy.end {
            CopyEnd::Program => return Err(self.refuse(meta, msg!("sql.copy-program.cause"))),
            CopyEnd::Terminal => return Err(self.refuse(meta, msg!("sql.copy-terminal.cause"))),
            CopyEnd::Inline => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.splitter.begin_copy_data(meta)?;
                }
                return Ok(Unit::CopyFrom { text: copy.sql, place });
            }
            CopyEnd::File(given) => given,
        };
        let found = match copy.direction {
            Direction::To => files::writable(&self.root, &self.root, given),
            Direction::From => match files::writable(&self.root, &self.root, given) {
                // Written by an earlier \copy of the same run: not there yet in a validation.
                Ok(found) if self.validating && self.written.contains(&found.path) => Ok(found),
                Ok(_) => files::existing(&self.root, &self.root, given),
                Err(fault) => Err(fault),
            },
        }
        .map_err(|fault| fault.place(at))?;
        match copy.direction {
            Direction::To => self.written.push(found.path.clone()),
            Direction::From if !self.written.contains(&found.path) => self.remember(&found),
            Direction::From => {}
        }
        Ok(Unit::CopyFile { text: copy.sql, path: found.path, direction: copy.direction, place })
    }

    fn restrict(&mut self, meta: &Meta) -> Result<(), Fault> {
        let key = meta.args.trim_end_matches(';');
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(
                Fault::usage("sql-restrict-key", msg!("sql.restrict-no-key")).place(self.at(meta))
            );
        }
        self.restricted = Some(key.to_string());
        Ok(())
    }

    fn encoding(&self, meta: &Meta) -> Result<Option<Unit>, Fault> {
        let arguments = self.arguments(meta)?;
        let Some(name) = arguments.first() else { return Ok(Some(self.skipped(meta))) };
        let plain: String = name.text.chars().filter(char::is_ascii_alphanumeric).collect();
        if matches!(plain.to_ascii_lowercase().as_str(), "utf8" | "unicode") {
            return Ok(Some(self.skipped(meta)));
        }
        Err(Fault::usage("sql-encoding", msg!("sql.encoding", name = name.text))
            .remedy(msg!("sql.not-utf8.remedy"))
            .place(self.at(meta)))
    }

    /// A display command: skipped, unless its arguments would run something.
    fn display(&self, meta: &Meta) -> Result<Unit, Fault> {
        self.arguments(meta)?;
        Ok(self.skipped(meta))
    }

    fn skipped(&self, meta: &Meta) -> Unit {
        let gap = if meta.args.is_empty() { "" } else { " " };
        let command = format!("\\{}{gap}{}", meta.name, meta.args);
        Unit::Skipped { command, place: self.at(meta) }
    }

    fn arguments(&self, meta: &Meta) -> Result<Vec<Argument>, Fault> {
        args::arguments(&meta.args, &self.variables).map_err(|refused| match refused {
            Refused::Backtick => self.refuse(meta, msg!("sql.backtick.cause")),
            Refused::Unclosed => {
                Fault::usage("sql-unclosed", msg!("sql.unclosed.argument", name = meta.name))
                    .place(self.at(meta))
            }
        })
    }

    fn missing_argument(&self, meta: &Meta) -> Fault {
        Fault::usage("sql-argument-missing", msg!("sql.argument-missing", name = meta.name))
            .place(self.at(meta))
    }

    fn refuse(&self, meta: &Meta, why: String) -> Fault {
        Fault::usage("sql-meta-refused", msg!("sql.meta-refused", name = meta.name))
            .cause(why)
            .remedy(remedy(&meta.name))
            .place(self.at(meta))
    }

    fn why_refused(&self, meta: &Meta) -> String {
        match meta.name.as_str() {
            "!" => msg!("sql.refused.shell"),
            "c" | "connect" | "password" => msg!("sql.refused.connect"),
            "cd" | "setenv" | "getenv" => msg!("sql.refused.environment"),
            "prompt" => msg!("sql.refused.prompt"),
            "o" | "out" | "g" | "gx" | "w" | "write" | "s" => msg!("sql.refused.output"),
            "e" | "edit" | "ef" | "ev" => msg!("sql.refused.editor"),
            "." => msg!("sql.refused.dot"),
            _ => msg!("sql.refused.other"),
        }
    }

    /// The command with its arguments, underlined.
    fn at(&self, meta: &Meta) -> Place {
        let gap = usize::from(!meta.args.is_empty());
        let length = 1 + meta.name.chars().count() + gap + meta.args.chars().count();
        let behind = meta.source.chars().count().saturating_sub(meta.column as usize - 1);
        Place {
            file: self.frames.last().map_or_else(String::new, |frame| frame.file.shown.clone()),
            line: meta.line,
            column: meta.column,
            length: length.min(behind.max(1)) as u32,
            label: String::new(),
            source: meta.source.clone(),
        }
    }
}

fn is_display(name: &str) -> bool {
    DISPLAY.contains(&name) || name.starts_with('d')
}

fn remedy(name: &str) -> String {
    match name {
        "!" => msg!("sql.refused.shell.remedy"),
        "c" | "connect" => msg!("sql.refused.connect.remedy"),
        "prompt" | "getenv" | "setenv" | "set" | "echo" => msg!("sql.refused.vars.remedy"),
        "copy" => msg!("sql.refused.copy.remedy"),
        _ => msg!("sql.refused.remedy", name = name),
    }
}
