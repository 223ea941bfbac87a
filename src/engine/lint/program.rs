//! A playbook and everything it imports, compiled for looking at: nothing is folded away.

use std::cell::RefCell;
use std::path::Path;

use rhai::{
    AST, ASTNode, Engine, Expr, FnAccess, Module, OptimizationLevel, ParseErrorType, Position, Stmt,
};

use super::super::build::{Limits, limited};
use super::finding::Findings;
use super::syntax;
use super::{tree, words};
use crate::model::Fault;
use crate::msg;
use crate::playbook::Playbook;

/// One file.
pub(super) struct Unit {
    /// The file as people see it.
    pub(super) file: String,
    /// Its text.
    pub(super) text: String,
    /// Its statements outside of functions.
    pub(super) main: Vec<Stmt>,
    /// Its functions, bodies of closures included.
    pub(super) functions: Vec<Function>,
    /// Its imports.
    pub(super) imports: Vec<Import>,
    /// Did it compile?
    pub(super) compiled: bool,
    /// What the strict compiler said although the looser one was content.
    strict: Option<(Position, Fault)>,
}

/// A function, or the body of a closure.
pub(super) struct Function {
    /// Its name; the compiler's own for a closure.
    pub(super) name: String,
    /// Its parameters; a closure's captured variables first.
    pub(super) params: Vec<String>,
    /// Its statements.
    pub(super) body: Vec<Stmt>,
    /// Where its body begins.
    pub(super) at: Position,
    /// Not to be called from other files.
    pub(super) private: bool,
}

impl Function {
    /// `name(a, b)`.
    pub(super) fn usage(&self) -> String {
        format!("{}({})", self.name, self.params.join(", "))
    }

    /// Is it the body of a closure?
    pub(super) fn is_closure(&self) -> bool {
        self.name.starts_with("anon$")
    }
}

/// One `import`.
pub(super) struct Import {
    /// The name that it is known by.
    pub(super) alias: String,
    /// What is imported; None where that is not a literal.
    pub(super) path: Option<String>,
    /// Where the path stands.
    pub(super) at: Position,
    /// The unit, where it was found and compiles.
    pub(super) unit: Option<usize>,
}

impl Unit {
    fn empty(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.strip_prefix('\u{feff}').unwrap_or(text).into(),
            main: Vec::new(),
            functions: Vec::new(),
            imports: Vec::new(),
            compiled: false,
            strict: None,
        }
    }

    /// The body of a closure.
    pub(super) fn closure(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// A function by its name and how many arguments it takes.
    pub(super) fn function(&self, name: &str, arity: usize) -> Option<usize> {
        self.functions.iter().position(|one| one.name == name && one.params.len() == arity)
    }

    /// All functions of a name.
    pub(super) fn named<'u>(&'u self, name: &str) -> impl Iterator<Item = &'u Function> {
        self.functions.iter().filter(move |one| one.name == name)
    }

    /// The import of a name.
    pub(super) fn import(&self, alias: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.alias == alias)
    }

    /// Where `fn NAME` stands: the compiler only remembers where the body begins.
    pub(super) fn function_position(&self, function: &Function) -> Position {
        let line = function.at.line().unwrap_or(1);
        let wanted = format!("fn {}", function.name);
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        for (number, text) in lines.iter().enumerate().rev().take(20) {
            if let Some(offset) = text.find(&wanted) {
                let column = text[..offset].chars().count() + 4;
                return Position::new(number as u16 + 1, column as u16);
            }
        }
        function.at
    }
}

/// The playbook (first) and its modules.
pub(super) struct Program {
    /// The files, the playbook first.
    pub(super) units: Vec<Unit>,
    /// Secrets that stand in the texts: no finding may show them.
    pub(super) secrets: RefCell<Vec<String>>,
}

impl Program {
    /// Compiles a playbook and what it imports.
    pub(super) fn load(project: &Path, playbook: &Playbook, findings: &mut Findings) -> Self {
        let mut engine = looking();
        let mut program = Self { units: Vec::new(), secrets: RefCell::default() };
        let first = compile(&mut engine, &playbook.path_display, &playbook.text, findings);
        program.units.push(first);
        let mut next = 0;
        while next < program.units.len() {
            program.link(next, &mut engine, project, findings);
            next += 1;
        }
        program.look_for_circles(findings);
        program
    }

    /// Compiles texts that are at hand, and links nothing.
    pub(super) fn of_texts(main: &str, texts: &[(String, String)]) -> Self {
        let mut engine = looking();
        let mut unheard = Findings::default();
        let (first, others): (Vec<_>, Vec<_>) = texts.iter().partition(|(file, _)| file == main);
        let units = first
            .into_iter()
            .chain(others)
            .map(|(file, text)| compile(&mut engine, file, text, &mut unheard))
            .collect();
        Self { units, secrets: RefCell::default() }
    }

    fn link(&mut self, index: usize, engine: &mut Engine, project: &Path, findings: &mut Findings) {
        for import in 0..self.units[index].imports.len() {
            let unit = &self.units[index];
            let one = &unit.imports[import];
            let place = unit.place(one.at);
            if !one.alias.is_empty() && words::is_room(&one.alias) {
                findings.error(
                    Fault::usage(
                        "hidden-namespace",
                        msg!("engine.hidden-namespace", name = one.alias),
                    )
                    .remedy(msg!("engine.hidden-namespace.remedy"))
                    .place(place.clone()),
                );
            }
            let Some(path) = &one.path else {
                findings.error(not_literal().place(place));
                continue;
            };
            let (file, text) = match crate::playbook::resolve_import(project, &unit.file, path) {
                Ok(found) => found,
                Err(fault) => {
                    findings.error(fault.place(place));
                    continue;
                }
            };
            let known = self.units.iter().position(|unit| unit.file == file);
            let target = known.unwrap_or_else(|| {
                self.units.push(compile(engine, &file, &text, findings));
                self.units.len() - 1
            });
            self.units[index].imports[import].unit = Some(target);
        }
    }

    fn look_for_circles(&self, findings: &mut Findings) {
        let mut done = vec![false; self.units.len()];
        self.circle(0, &mut Vec::new(), &mut done, findings);
    }

    fn circle(
        &self,
        index: usize,
        open: &mut Vec<usize>,
        done: &mut [bool],
        findings: &mut Findings,
    ) {
        if std::mem::replace(&mut done[index], true) {
            return;
        }
        open.push(index);
        let unit = &self.units[index];
        for import in &unit.imports {
            let Some(target) = import.unit else { continue };
            if open.contains(&target) {
                let file = &self.units[target].file;
                findings.error(
                    Fault::usage("import-circle", msg!("engine.import-circle", file = file))
                        .place(unit.place(import.at)),
                );
            } else {
                self.circle(target, open, done, findings);
            }
        }
        open.pop();
    }

    /// Adds what only the strict compiler found.
    pub(super) fn add_strict(&self, findings: &mut Findings) {
        for unit in &self.units {
            if let Some((at, fault)) = &unit.strict
                && !findings.on_line(&unit.file, at.line())
            {
                findings.error(fault.clone());
            }
        }
    }
}

/// An import whose path is not a literal.
pub(super) fn not_literal() -> Fault {
    Fault::usage("import-not-literal", msg!("engine.import-not-literal"))
        .cause(msg!("engine.import-not-literal.cause"))
        .remedy(msg!("engine.import-not-literal.remedy"))
}

/// An engine that compiles and never runs: it knows the namespaces, not the verbs in them.
fn looking() -> Engine {
    let mut engine = Engine::new_raw();
    limited(&mut engine, Limits::default());
    engine.set_optimization_level(OptimizationLevel::None);
    for room in words::rooms() {
        engine.register_static_module(room, Module::new().into());
    }
    engine
}

fn compile(engine: &mut Engine, file: &str, text: &str, findings: &mut Findings) -> Unit {
    let mut unit = Unit::empty(file, text);
    engine.set_strict_variables(true);
    let ast = match engine.compile(&unit.text) {
        Ok(ast) => ast,
        Err(error) => {
            let fault = syntax::fault(&error, &unit);
            let loose = matches!(
                error.err_type(),
                ParseErrorType::VariableUndefined(_) | ParseErrorType::ModuleUndefined(_)
            );
            engine.set_strict_variables(false);
            match engine.compile(&unit.text) {
                Ok(ast) if loose => {
                    unit.strict = Some((error.position(), fault));
                    ast
                }
                _ => {
                    findings.error(fault);
                    return unit;
                }
            }
        }
    };
    unit.compiled = true;
    unit.main = ast.statements().to_vec();
    unit.functions = functions(&ast);
    unit.imports = imports(&ast);
    unit
}

/// The functions of a file. Their bodies are only reachable by walking a tree that holds nothing
/// but the one function.
fn functions(ast: &AST) -> Vec<Function> {
    let lib = ast.shared_lib();
    let mut found: Vec<Function> = ast
        .iter_functions()
        .filter_map(|known| {
            let definition = lib.get_script_fn(known.name, known.params.len())?;
            let mut module = Module::new();
            module.set_script_fn(definition.clone());
            let mut body = Vec::new();
            AST::new_from_module(module).walk(&mut |path: &[ASTNode<'_>]| {
                if let [ASTNode::Stmt(stmt)] = path {
                    body.push((*stmt).clone());
                }
                true
            });
            Some(Function {
                name: known.name.to_string(),
                params: known.params.iter().map(ToString::to_string).collect(),
                body,
                at: definition.body.start_position(),
                private: definition.access == FnAccess::Private,
            })
        })
        .collect();
    found.sort_by_key(|function| function.at);
    found
}

/// The imports of a compiled file, wherever they stand.
pub(super) fn imports(ast: &AST) -> Vec<Import> {
    let mut found: Vec<Import> = Vec::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, at))) = path.last() {
            found.push(Import {
                alias: import.1.name.to_string(),
                path: tree::text(&import.0).map(String::from),
                at: match &import.0 {
                    Expr::StringConstant(_, at) => *at,
                    _ => *at,
                },
                unit: None,
            });
        }
        true
    });
    found.sort_by_key(|import| import.at);
    found
}
