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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::rc::Rc;

    use rhai::packages::StandardPackage;

    use super::*;
    use crate::engine::build::{Limits, bare, compile};
    use crate::engine::lint::{header, outline};
    use crate::engine::resolver::Resolver;

    const MAIN: &str = "playbooks/x.rhai";

    fn loaded(text: &str, modules: &[(&str, &str)]) -> (Rc<Sources>, AST, Result<(), Fault>) {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("playbooks")).unwrap();
        for (name, text) in modules {
            let path = project.path().join("playbooks").join(format!("{name}.rhai"));
            std::fs::write(path, text).unwrap();
        }
        let sources = Rc::new(Sources::default());
        let resolver = Resolver::new(project.path(), MAIN, sources.clone());
        let mut engine = bare(Limits::default(), resolver, StandardPackage::new());
        engine.register_fn("playbook", |_: &str, map: rhai::Map| map);
        let ast = compile(&engine, &sources, MAIN, text).unwrap();
        let result = load_imports(&engine, &ast, &sources, MAIN);
        (sources, ast, result)
    }

    #[test]
    fn modules_of_modules_are_known_before_the_run() {
        let text = "import \"a\" as a;\nfn later() { import \"b\" as b; b::g() }\nlater();";
        let modules = [("a", "import \"b\" as b; fn f() { b::g() }"), ("b", "fn g() { 1 }")];
        let (sources, _, result) = loaded(text, &modules);
        result.unwrap();
        let files: Vec<String> = sources.files().into_iter().map(|(file, _)| file).collect();
        assert_eq!(files, ["playbooks/a.rhai", "playbooks/b.rhai", MAIN]);
    }

    #[test]
    fn a_module_that_does_not_compile_is_named_with_its_own_line() {
        let modules = [("a", "import \"b\" as b;"), ("b", "fn g() {\n  let = 1;\n}")];
        let fault = loaded("import \"a\" as a;", &modules).2.unwrap_err();
        assert_eq!(fault.code, "syntax");
        assert_eq!((fault.places[0].file.as_str(), fault.places[0].line), ("playbooks/b.rhai", 2));
    }

    #[test]
    fn circles_and_paths_that_are_put_together_are_refused() {
        let modules = [("a", "import \"b\" as b;"), ("b", "import \"a\" as a;")];
        let fault = loaded("import \"a\" as a;", &modules).2.unwrap_err();
        assert_eq!(fault.code, "import-circle");
        let fault = loaded("let n = \"a\";\nimport n as a;", &modules).2.unwrap_err();
        assert_eq!(fault.code, "import-not-literal");
        assert_eq!(fault.places[0].line, 2);
        assert_eq!(loaded("import \"c\" as c;", &modules).2.unwrap_err().code, "import-unknown");
    }

    #[test]
    fn the_header_and_the_outline_of_a_folded_tree_are_read() {
        let text = "import \"a\" as a;\nlet p = playbook(\"id-1\", #{ title: \"One\" });\n";
        let (sources, ast, result) = loaded(text, &[("a", "fn f() { try { 1 } catch { 2 } }")]);
        result.unwrap();
        assert_eq!(header(&ast), Some(("id-1".into(), Some("One".into()))));
        let outline = outline(&ast, &sources);
        assert_eq!(outline.title.as_deref(), Some("One"));
        assert!(outline.catches);
    }
}
