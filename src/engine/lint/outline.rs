//! What a playbook consists of, without running it: for `show`, and for what must be known before
//! the first item (who will be asked, whether errors are caught).

use std::path::Path;

use rhai::{AST, Expr, FnCallExpr, Stmt};

use super::declared::{self, Declared};
use super::files::SQL_VERBS;
use super::finding::Findings;
use super::flow::Flow;
use super::program::Program;
use super::tree::{self, Part};
use crate::host::{Foresight, Sources};
use crate::model::ItemKind;
use crate::playbook::Playbook;

/// What stands at one place of the checklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlineKind {
    /// A heading.
    Section,
    /// An item.
    Item(ItemKind),
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineItem {
    /// What it is.
    pub kind: OutlineKind,
    /// Its title in NFC; None where it is put together when it runs.
    pub title: Option<String>,
    /// The file that it stands in.
    pub file: String,
    /// Its line there, 1-based.
    pub line: u32,
    /// Has it an `undo`?
    pub has_undo: bool,
    /// Does it depend on the environment (`when`)?
    pub when: bool,
    /// Does it stand outside of every branch and loop?
    pub certain: bool,
}

/// What a playbook consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its id; None where it has no literal header.
    pub id: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The names of its parameters, in the order of the playbook.
    pub params: Vec<String>,
    /// Its sections and items in the order of execution, through its own functions.
    pub items: Vec<OutlineItem>,
    /// Titles of the items that surely ask a person: `manual` and `approve` with a literal title,
    /// without `when`, outside of branches and loops.
    pub asks: Vec<String>,
    /// Does the playbook, or a module, catch errors?
    pub catches: bool,
    /// Is it meant to run where nobody is?
    pub unattended: bool,
    /// SQL files that it names: literals, and parameters' defaults.
    pub sql_files: Vec<String>,
    /// What its own SQL, its declared risks and its commands foretell.
    pub foretold: Foresight,
    /// What the playbook itself imports.
    pub imports: Vec<String>,
}

/// Id and title of a compiled playbook.
pub fn header(ast: &AST) -> Option<(String, Option<String>)> {
    let (call, _) = declared::find(ast.statements())?;
    let declared = Declared::read(call);
    Some((declared.id?, declared.title))
}

/// The outline of a compiled playbook whose texts are in `sources`; the items that its modules
/// make are not in it.
pub fn outline(ast: &AST, sources: &Sources) -> Outline {
    let program = Program::of_texts(ast.source().unwrap_or(""), &sources.files());
    of(&program, &mut Findings::default())
}

/// The outline of a playbook, the items that its modules make included; empty where it does not
/// compile.
pub fn outline_of(project: &Path, playbook: &Playbook) -> Outline {
    let mut unread = Findings::default();
    of(&Program::load(project, playbook, &mut unread), &mut unread)
}

/// The outline; what the walk finds on its way is added to the findings.
pub(super) fn of(program: &Program, findings: &mut Findings) -> Outline {
    let Some(main) = program.units.first() else { return Outline::default() };
    let declared = Declared::of(main);
    let items = Flow::walk(program, findings);
    let asks = items
        .iter()
        .filter(|item| item.certain && !item.when)
        .filter(|item| matches!(item.kind, OutlineKind::Item(ItemKind::Manual | ItemKind::Approve)))
        .filter_map(|item| item.title.clone())
        .collect();
    let mut found = Gathered { declared: &declared, catches: false, sql_files: Vec::new() };
    for unit in &program.units {
        found.block(&unit.main);
        for function in &unit.functions {
            found.block(&function.body);
        }
    }
    let (catches, sql_files) = (found.catches, found.sql_files);
    Outline {
        params: declared.params.iter().flatten().map(|(name, _)| name.clone()).collect(),
        id: declared.id,
        title: declared.title,
        items,
        asks,
        catches,
        unattended: declared.unattended,
        sql_files,
        foretold: super::foretold::of(program),
        imports: main.imports.iter().filter_map(|import| import.path.clone()).collect(),
    }
}

/// What is gathered wherever it stands.
struct Gathered<'d> {
    declared: &'d Declared,
    catches: bool,
    sql_files: Vec<String>,
}

impl Gathered<'_> {
    fn block(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.catches |= matches!(stmt, Stmt::TryCatch(..));
            self.parts(tree::parts(stmt));
        }
    }

    fn parts(&mut self, parts: Vec<Part<'_>>) {
        for part in parts {
            match part {
                Part::Expr(expr) | Part::Arm(_, expr) => self.expr(expr),
                Part::Block(block) | Part::ArmBlock(_, block) | Part::Loop(block) => {
                    self.block(block);
                }
                Part::Call(call, _) => self.call(call),
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => self.call(call),
            other => self.parts(tree::inside(other)),
        }
    }

    fn call(&mut self, call: &FnCallExpr) {
        if SQL_VERBS.contains(&tree::written(call).as_str())
            && let Some(path) = call.args.first().and_then(|path| self.path(path))
            && !self.sql_files.contains(&path)
        {
            self.sql_files.push(path);
        }
        for arg in &call.args {
            self.expr(arg);
        }
    }

    fn path(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::StringConstant(path, _) => Some(path.to_string()),
            // Only the parameters' map has these names as properties, whatever it is called.
            Expr::Dot(pair, ..) => {
                let (name, _) = tree::property(&pair.rhs)?;
                let path = self.declared.default_of(name)?.as_str()?;
                (!path.is_empty()).then(|| path.to_string())
            }
            _ => None,
        }
    }
}
