//! What `import` may reach: shipped and project's stdlib, and files of the project. Never outside.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::host::{FaultValue, Sources};
use crate::model::Fault;

/// Resolves imports of one playbook.
pub struct Resolver {
    project: PathBuf,
    main: String,
    sources: Rc<Sources>,
    known: RefCell<HashMap<String, Shared<Module>>>,
    open: RefCell<Vec<String>>,
}

impl Resolver {
    /// A resolver for the playbook shown as `main`.
    pub fn new(project: &Path, main: &str, sources: Rc<Sources>) -> Self {
        Self {
            project: project.into(),
            main: main.into(),
            sources,
            known: RefCell::default(),
            open: RefCell::default(),
        }
    }

    fn compile(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<(String, AST), Box<EvalAltResult>> {
        let from = source.filter(|source| !source.is_empty()).unwrap_or(&self.main);
        let (file, text) = crate::playbook::resolve_import(&self.project, from, path)
            .map_err(|fault| raise(fault, at))?;
        let ast = super::build::compile(engine, &self.sources, &file, &text)
            .map_err(|fault| raise(fault, at))?;
        Ok((file, ast))
    }
}

fn raise(fault: Fault, at: Position) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(FaultValue(Rc::new(fault))), at))
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let (file, ast) = self.compile(engine, source, path, at)?;
        if let Some(module) = self.known.borrow().get(&file) {
            return Ok(module.clone());
        }
        if self.open.borrow().contains(&file) {
            let fault =
                Fault::usage("import-circle", crate::msg!("engine.import-circle", file = file));
            return Err(raise(fault, at));
        }
        self.open.borrow_mut().push(file.clone());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        self.open.borrow_mut().pop();
        let mut module = module?;
        module.set_id(file.clone());
        let module = Shared::new(module);
        self.known.borrow_mut().insert(file, module.clone());
        Ok(module)
    }

    fn resolve_ast(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Option<Result<AST, Box<EvalAltResult>>> {
        Some(self.compile(engine, source, path, at).map(|(_, ast)| ast))
    }
}
