//! Everything that a playbook imports is compiled before it runs: a mistake in a module must not
//! show up in the middle of a migration, and the texts are part of what was approved.

use rhai::{AST, Engine};

use super::program::{imports, not_literal};
use crate::host::{Sources, diagnose};
use crate::model::Fault;
use crate::msg;

/// Compiles every module that `ast`, the file shown as `file`, imports, and what those import;
/// `sources` know their texts afterwards.
///
/// # Errors
/// `import-not-literal`, `import-circle`, `import-unknown` and its kin, `syntax` in a module with
/// its own file and line.
pub fn load_imports(
    engine: &Engine,
    ast: &AST,
    sources: &Sources,
    file: &str,
) -> Result<(), Fault> {
    let mut done = Vec::new();
    load(engine, ast, sources, file, &mut vec![file.to_string()], &mut done)
}

fn load(
    engine: &Engine,
    ast: &AST,
    sources: &Sources,
    file: &str,
    open: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Result<(), Fault> {
    for import in imports(ast) {
        let placed = |fault: Fault| match sources.place(Some(file), import.at) {
            Some(place) => fault.place(place),
            None => fault,
        };
        let Some(path) = &import.path else { return Err(placed(not_literal())) };
        let resolver = engine.module_resolver();
        let Some(found) = resolver.resolve_ast(engine, Some(file), path, import.at) else {
            continue;
        };
        let module = found.map_err(|error| diagnose(&error, sources, Some(file)))?;
        let name = module.source().unwrap_or(path).to_string();
        if open.contains(&name) {
            let text = msg!("engine.import-circle", file = name);
            return Err(placed(Fault::usage("import-circle", text)));
        }
        if done.contains(&name) {
            continue;
        }
        open.push(name.clone());
        load(engine, &module, sources, &name, open, done)?;
        open.pop();
        done.push(name);
    }
    Ok(())
}
