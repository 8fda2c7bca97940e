//! Modules joined into one script. Pure.

use std::collections::BTreeSet;

use super::squeeze::squeeze;

/// Joins `entry` and everything it imports, each module once and after those that it imports.
///
/// The modules keep to a few rules: an import is one line, `import { a, b } from './name.js';`, without other names for
/// what it imports; exports stand before declarations; no two modules declare the same name.
pub(super) fn join(entry: &str, modules: &[(&str, &str)]) -> String {
    let (mut script, mut seen) = (String::new(), BTreeSet::new());
    append(entry, modules, &mut seen, &mut script);
    squeeze(&script)
}

fn append<'m>(name: &str, modules: &[(&'m str, &'m str)], seen: &mut BTreeSet<&'m str>, script: &mut String) {
    let Some((name, source)) = modules.iter().find(|(other, _)| *other == name) else { return };
    if !seen.insert(name) {
        return;
    }
    for imported in source.lines().filter_map(import) {
        append(imported, modules, seen, script);
    }
    for line in source.lines().filter(|line| import(line).is_none()) {
        script.push_str(line.strip_prefix("export ").unwrap_or(line));
        script.push('\n');
    }
}

/// The module that a line imports from.
fn import(line: &str) -> Option<&str> {
    line.strip_prefix("import { ")?.split_once("} from './")?.1.strip_suffix("';")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_comes_once_after_what_it_imports() {
        let modules = [
            ("a.js", "import { b } from './b.js';\nimport { c } from './c.js';\n\nexport const a = b + c;\n"),
            ("b.js", "import { c } from './c.js';\nexport const b = c;\n"),
            ("c.js", "export const c = 'https://x';\nexport async function d() {\n  return c;\n}\n"),
            ("lonely.js", "export const e = 1;\n"),
        ];
        let joined = "const c='https://x';async function d(){return c}const b=c;const a=b+c;";
        assert_eq!(join("a.js", &modules), joined);
    }
}
