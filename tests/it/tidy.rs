//! The shape of the source, held by a test: layers, headers, sizes, where `select!` may stand, and
//! that every cited RFC is in the README's table and the reverse.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers, lowest first. A module names only modules of lower rows.
const ROWS: [&[&str]; 12] = [
    &["model"],
    &["logs", "net", "mime", "transcript"],
    &["store", "blob", "imap", "smtp", "oauth"],
    &["diagnosis", "governor"],
    &["token", "lease"],
    &["inbound", "outbound", "events"],
    &["account", "calendar", "doctor"],
    &["supervisor"],
    &["http"],
    &["config"],
    &["daemon"],
    &["cli"],
];

/// Lines of a file, tests not counted, above which it has to be split.
const LONGEST: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files_below(&root().join("src"), "rs", &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, text)
        })
        .collect()
}

/// The source without comments, and without its test module, which may name anything.
fn product_code(text: &str) -> String {
    let code = text
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or(text);
    code.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n")
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Modules named as `crate::x`, also inside `use crate::{x::…, y}`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0usize;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.insert(word(item.trim()));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            named.insert(word(item.trim()));
        } else {
            named.insert(word(rest));
        }
    }
    named.remove("");
    named
}

#[test]
fn a_module_names_only_modules_of_lower_rows() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(module) = name
            .strip_prefix("src/")
            .and_then(|n| n.split_once('/'))
            .map(|(m, _)| m)
        else {
            continue;
        };
        let row = row_of(module).unwrap_or_else(|| panic!("{name}: module {module} is in no row"));
        for other in named_modules(&product_code(&text)) {
            match row_of(&other) {
                Some(other_row) if other == module || other_row < row => {}
                Some(_) => wrong.push(format!("{name} (row {row}) names {other}")),
                None => {}
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "upward or sideways names:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_layer_scan_sees_names_in_code_and_in_grouped_imports() {
    let code = "use crate::{model::{A, B}, store::Store, cli};\nfn f() { crate::daemon::x(); }";
    let named: Vec<String> = named_modules(code).into_iter().collect();
    assert_eq!(named, ["cli", "daemon", "model", "store"]);
}

#[test]
fn every_file_opens_with_its_job_and_every_module_with_its_promises() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let opens = text.starts_with("//! ") || text.starts_with("#![doc = include_str!");
        if !opens {
            wrong.push(format!("{name}: does not open with a //! line"));
        }
        let parts: Vec<&str> = name.split('/').collect();
        if let ["src", module, "mod.rs"] = parts[..] {
            let needed: &[&str] = if row_of(module) == Some(0) {
                &["# Promises"]
            } else {
                &["# Promises", "# When things fail"]
            };
            for heading in needed {
                if !text.contains(&format!("//! {heading}")) {
                    wrong.push(format!("{name}: no heading `{heading}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(name, text)| (name, product_code(&text).lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST} lines without tests:\n{}",
        long.join("\n")
    );
}

#[test]
fn select_stands_only_in_functions_called_wait() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let mut function = String::new();
        for line in product_code(&text).lines() {
            if let Some((_, rest)) = line.split_once("fn ") {
                function = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
            }
            if line.contains("select!") && !line.contains("tokio::select! {") {
                wrong.push(format!("{name}: {line}"));
            }
            if line.contains("select! {") && function != "wait" && !function.starts_with("wait_") {
                wrong.push(format!("{name}: select! in `{function}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_is_switched_off() {
    let mut paths = Vec::new();
    files_below(&root().join("tests"), "rs", &mut paths);
    let mut texts: Vec<(String, String)> = paths
        .into_iter()
        .map(|path| {
            (
                path.to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    texts.extend(sources());
    let ignored = concat!("#[", "ignore");
    let wrong: Vec<&String> = texts
        .iter()
        .filter(|(_, text)| text.contains(ignored))
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// `RFC 9051` and the like in a text, as numbers.
fn rfcs(text: &str) -> BTreeSet<u32> {
    text.match_indices("RFC ")
        .filter_map(|(at, _)| {
            text[at + 4..]
                .chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse()
                .ok()
        })
        .collect()
}

#[test]
fn every_cited_rfc_is_in_the_readme_table_and_the_reverse() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table: BTreeSet<u32> = readme
        .lines()
        .filter(|line| line.starts_with("| RFC"))
        .flat_map(rfcs)
        .collect();
    let cited: BTreeSet<u32> = sources().iter().flat_map(|(_, text)| rfcs(text)).collect();
    let missing: Vec<_> = cited.difference(&table).collect();
    let unused: Vec<_> = table.difference(&cited).collect();
    assert!(
        missing.is_empty(),
        "cited in src but not in the README's table of standards: {missing:?}"
    );
    assert!(
        unused.is_empty(),
        "in the README's table of standards but cited nowhere in src: {unused:?}"
    );
}

#[test]
fn the_list_of_fail_points_is_the_list_of_those_in_the_code() {
    let listed: BTreeSet<String> = motion_email::model::FAIL_POINTS
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let mut used = BTreeSet::new();
    for (_, text) in sources() {
        for (at, call) in text.match_indices("fail_point(\"") {
            let name: String = text[at + call.len()..]
                .chars()
                .take_while(|c| *c != '"')
                .collect();
            used.insert(name);
        }
    }
    assert_eq!(listed, used);
}
