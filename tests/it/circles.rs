//! Checks that files depend on each other in one direction only.
//!
//! Reads the files of `src/` and of `cluster/src/`, each crate as a graph: a file points to the files that
//! define what its code names. A circle in the graph is a set of files that can only be understood together.
//! A file and its parent may depend on each other: what they name of each other is part of no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::rust_code::{Use, code, code_below, split_uses, written_paths};

/// The source folders of the crates.
const CRATES: &[&str] = &["src", "cluster/src"];

/// Circles that still exist, each with all of its files. None may grow, and no new one may come.
const KNOWN: &[&[&str]] = &[];

#[test]
fn no_files_know_each_other_in_a_circle() {
    let mut broken = Vec::new();
    let mut standing = BTreeSet::new();
    for folder in CRATES {
        let graph = Graph::read(code_below(folder), folder);
        assert!(graph.files.len() > 50, "the files of {folder} are elsewhere");
        for circle in graph.circles() {
            let known = KNOWN
                .iter()
                .find(|known| circle.files.iter().all(|file| known.iter().any(|k| file == Path::new(k))));
            match known {
                Some(known) if known.len() == circle.files.len() => drop(standing.insert(*known)),
                Some(known) => eprintln!("a known circle of {} files is smaller now:\n{circle}", known.len()),
                None => broken.push(circle.to_string()),
            }
        }
    }
    for gone in KNOWN.iter().filter(|known| !standing.contains(*known)) {
        eprintln!("a known circle is gone or smaller, shorten the list: {gone:?}");
    }
    assert!(broken.is_empty(), "files that know each other in a circle:\n{}", broken.join("\n"));
}

/// The names of a path below a crate: `crate::hub::topic` is `["hub", "topic"]`.
type ModulePath = Vec<String>;

/// A source file, and what its code names.
struct File {
    path: PathBuf,
    module: ModulePath,
    uses: Vec<Use>,
    /// The code without `use` statements.
    code: String,
}

impl File {
    fn names(&self, word: &str) -> bool {
        self.code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|found| found == word)
    }

    /// Whether the file has an item of that name.
    fn defines(&self, item: &str) -> bool {
        const KINDS: [&str; 9] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];
        let words =
            self.code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let mut kind = "";
        words.into_iter().any(|word| {
            let is_item = word == item && KINDS.contains(&kind);
            kind = word;
            is_item
        })
    }
}

/// The files of one crate. An edge leads from a file to one that defines what it names, except between parent
/// and child.
struct Graph {
    files: Vec<File>,
    by_module: BTreeMap<ModulePath, usize>,
    edges: BTreeSet<(usize, usize)>,
}

/// Files that can all be reached from each other.
struct Circle {
    files: BTreeSet<PathBuf>,
    /// The edges between these files.
    edges: Vec<(PathBuf, PathBuf)>,
}

impl std::fmt::Display for Circle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "a circle of {} files: {:?}", self.files.len(), self.files)?;
        self.edges
            .iter()
            .try_for_each(|(from, to)| writeln!(f, "  {} names {}", from.display(), to.display()))
    }
}

impl Graph {
    /// Builds the graph from files and their code; `root` is the crate's folder.
    fn read(sources: Vec<(PathBuf, String)>, root: &str) -> Self {
        let mut files = Vec::new();
        for (path, code) in sources {
            // Nothing can name an item of `main.rs`.
            let Some(module) = module_of(&path, root).filter(|_| !path.ends_with("main.rs")) else {
                continue;
            };
            // The names in a macro's body depend on its callers; only failpoints are such macros.
            let (uses, code) = split_uses(&without_scopes(&code.replace("$crate::", "$crate_")));
            files.push(File { path, module, uses, code });
        }
        let by_module = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        let mut graph = Self { files, by_module, edges: BTreeSet::new() };
        let named = |at| graph.named_by(at).into_iter().map(move |to| (at, to));
        let all = (0..graph.files.len()).flat_map(named);
        graph.edges = all.filter(|(from, to)| !graph.is_family(*from, *to)).collect();
        graph
    }

    /// Returns the other files that define what a file names.
    fn named_by(&self, at: usize) -> BTreeSet<usize> {
        let file = &self.files[at];
        let mut found = BTreeSet::new();
        for import in &file.uses {
            let Some(path) = self.absolute(file, &import.path) else { continue };
            if import.name == "*" {
                found.extend(self.all_named(file, &path[..path.len() - 1]));
            } else if !import.is_exported || file.names(&import.name) {
                // A name that is only re-exported is no dependency.
                found.extend(self.resolve(&path, 0));
            }
        }
        for path in written_paths(&file.code) {
            found.extend(self.absolute(file, &path).and_then(|path| self.resolve(&path, 0)));
        }
        found.remove(&at);
        found
    }

    /// Returns the files behind `use module::*`: of the names there, those that the file uses.
    fn all_named(&self, file: &File, module: &[String]) -> BTreeSet<usize> {
        let Some(of) = self.resolve(module, 0) else { return BTreeSet::new() };
        let passed_on = self.files[of].uses.iter().filter(|import| file.names(&import.name));
        let targets =
            passed_on.filter_map(|import| self.resolve(&self.absolute(&self.files[of], &import.path)?, 0));
        targets.chain([of]).collect()
    }

    /// Turns a path as written in a file into one from the crate's root; `None` if it leads into another
    /// crate.
    fn absolute(&self, file: &File, path: &str) -> Option<ModulePath> {
        let mut names = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).peekable();
        let first = names.next()?;
        let mut start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => file.module.clone(),
            "super" => {
                let mut module = file.module.clone();
                module.pop()?;
                while names.next_if(|name| name == "super").is_some() {
                    module.pop()?;
                }
                module
            }
            name => {
                let child = [file.module.as_slice(), &[name.to_owned()]].concat();
                let import = file.uses.iter().find(|import| import.name == name && import.path != name);
                match import {
                    _ if self.by_module.contains_key(&child) => child,
                    Some(import) if !import.path.starts_with(&format!("{name}::")) => {
                        self.absolute(file, &import.path)?
                    }
                    _ => return None,
                }
            }
        };
        start.extend(names);
        Some(start)
    }

    /// Returns the file that defines what a path names, past the modules that only re-export it.
    fn resolve(&self, path: &[String], depth: usize) -> Option<usize> {
        let modules = (0..=path.len()).rev().find(|length| self.by_module.contains_key(&path[..*length]))?;
        let at = self.by_module[&path[..modules]];
        let (file, Some(item)) = (&self.files[at], path.get(modules)) else { return Some(at) };
        if depth > 8 || file.defines(item) {
            return Some(at);
        }
        let further = |import: &Use| {
            let mut target = self.absolute(file, &import.path)?;
            if import.name == "*" {
                target.pop();
                target.push(item.clone());
            }
            target.extend_from_slice(&path[modules + 1..]);
            self.resolve(&target, depth + 1)
        };
        if let Some(import) = file.uses.iter().find(|import| import.name == *item) {
            return further(import).or(Some(at));
        }
        let mut all =
            file.uses.iter().filter(|import| import.name == "*" && import.is_exported).filter_map(further);
        all.find(|to| self.files[*to].defines(item)).or(Some(at))
    }

    /// Returns every circle, without the edges between parents and children.
    fn circles(&self) -> Vec<Circle> {
        let reached: Vec<BTreeSet<usize>> =
            (0..self.files.len()).map(|from| self.reached_from(from)).collect();
        let mut left: BTreeSet<usize> = (0..self.files.len()).collect();
        let mut circles = Vec::new();
        while let Some(first) = left.pop_first() {
            let together = |to: &usize| reached[first].contains(to) && reached[*to].contains(&first);
            let members: BTreeSet<usize> = (0..self.files.len()).filter(together).collect();
            left.retain(|at| !members.contains(at));
            let path = |at: usize| self.files[at].path.clone();
            let inside =
                self.edges.iter().filter(|(from, to)| members.contains(from) && members.contains(to));
            let edges = inside.map(|(from, to)| (path(*from), path(*to))).collect();
            if !members.is_empty() {
                circles.push(Circle { files: members.iter().map(|at| path(*at)).collect(), edges });
            }
        }
        circles
    }

    fn reached_from(&self, from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            let new = self.edges.range((at, 0)..=(at, usize::MAX)).filter(|(_, to)| reached.insert(*to));
            next.extend(new.map(|(_, to)| *to));
        }
        reached
    }

    /// Whether one file is the parent of the other.
    fn is_family(&self, a: usize, b: usize) -> bool {
        let is_parent = |of: usize, child: usize| {
            self.files[child].module.split_last().is_some_and(|(_, parent)| parent == self.files[of].module)
        };
        is_parent(a, b) || is_parent(b, a)
    }
}

/// Returns the code without the modules in `pub(in crate::x)`: a visibility is no dependency.
fn without_scopes(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |code, part| code + "pub(in " + part.trim_start_matches(|c| c != ')'))
}

/// Returns the module that a file is.
fn module_of(file: &Path, root: &str) -> Option<ModulePath> {
    let below = file.strip_prefix(root).ok()?.with_extension("");
    let mut module: ModulePath = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    Some(module)
}

/// Returns the circles of a crate made of these files, as file names.
fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let sources =
        files.iter().map(|(path, text)| (PathBuf::from(format!("src/{path}")), code(text))).collect();
    let circles = Graph::read(sources, "src").circles().into_iter();
    circles.map(|circle| circle.files.iter().map(|file| file.display().to_string()).collect()).collect()
}

#[test]
fn circles_are_found() {
    let two = ["src/a.rs".to_owned(), "src/b.rs".to_owned()];
    let lib = ("lib.rs", "mod a;\nmod b;");
    for (what, a, b) in [
        ("by use", "use crate::b::B;", "use super::a::A;"),
        ("by use of a module", "use crate::b;", "use crate::{a as c, x};"),
        ("by a path", "fn f() { crate::b::f() }", "fn f() { let a = super::a::A::new(); }"),
    ] {
        assert_eq!(circles_of(&[lib, ("a.rs", a), ("b.rs", b)]), std::slice::from_ref(&two), "{what}");
    }
    for (what, a, b) in [
        ("one way", "use crate::b::B;", "use std::fmt;"),
        ("in tests", "use crate::b::B;", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"),
        ("in comments", "use crate::b::B;", "/// See [`crate::a::A`].\nfn f() {}"),
        ("in a visibility", "use crate::b::B;", "pub(in crate::a) struct B;"),
        ("in a macro", "use crate::b::B;", "macro_rules! m { () => { $crate::a::f() }; }"),
        ("another crate's names", "use crate::b::B;", "use a::A;"),
    ] {
        assert!(circles_of(&[lib, ("a.rs", a), ("b.rs", b)]).is_empty(), "{what}");
    }
}

#[test]
fn a_parent_and_its_children_may_depend_on_each_other() {
    let lib = ("lib.rs", "mod a;");
    let parent = ("a/mod.rs", "mod b;\nmod c;\npub use b::B;\nuse c::C;\nfn f(c: C) {}\npub struct A;");
    let b = ("a/b.rs", "use super::A;\npub struct B;");
    assert!(circles_of(&[lib, parent, b, ("a/c.rs", "use super::A;\npub struct C;")]).is_empty());
    // A parent that only re-exports a name is not part of the circle, which is b and c.
    let found = circles_of(&[lib, parent, ("a/b.rs", "use super::c::C;"), ("a/c.rs", "use super::B;")]);
    assert_eq!(found, [["src/a/b.rs", "src/a/c.rs"]]);
}

#[test]
fn names_are_followed_to_the_file_that_defines_them() {
    let lib = ("lib.rs", "mod a;\nmod d;\npub use a::A;");
    let parent = ("a/mod.rs", "mod b;\npub use b::*;\npub use b::inner as other;");
    let b = ("a/b.rs", "use crate::d::D;\npub struct A;");
    for uses in ["use crate::A;", "use crate::a::A;", "use crate::a::other;", "fn f(a: crate::a::A) {}"] {
        let found = circles_of(&[lib, parent, b, ("d.rs", uses)]);
        assert_eq!(found, [["src/a/b.rs", "src/d.rs"]], "{uses}");
    }
}
