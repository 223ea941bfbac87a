//! Finds the migrations of a folder, whatever tool laid them out, in the order of their numbers.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::Fault;
use crate::msg;

/// How a folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `NAME.up.sql` and `NAME.down.sql`: golang-migrate, sqlx, ours.
    Files,
    /// `NAME/up.sql` and `NAME/down.sql`: Diesel.
    Folders,
    /// `-- migrate:up` and `-- migrate:down` (dbmate), `-- +goose Up` and `-- +goose Down`.
    Sections,
    /// `NAME/migration.sql` (Prisma) or a bare `NAME.sql`: there is no down.
    UpOnly,
}

/// One direction of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its file.
    pub file: PathBuf,
    /// What stands in it, or in its section.
    pub text: String,
    /// The file says that it runs outside of a transaction.
    pub outside: bool,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its name, without the ending.
    pub name: String,
    /// How it was laid out.
    pub layout: Layout,
    /// Forward.
    pub up: Part,
    /// Back; None where none is written.
    pub down: Option<Part>,
}

/// The migrations of a folder, by number, then by name.
///
/// # Errors
/// `pairs-none` where there are none; `pairs-unreadable` with the file.
pub fn read(folder: &Path) -> Result<Vec<Pair>, Fault> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut pairs = Vec::new();
    for path in &paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            pairs.extend(of_folder(path, name)?);
        } else if let Some(stem) = name.strip_suffix(".sql") {
            pairs.extend(of_file(path, stem)?);
        }
    }
    if pairs.is_empty() {
        return Err(Fault::usage("pairs-none", msg!("pairs.none", folder = folder.display()))
            .remedy(msg!("pairs.none.remedy")));
    }
    pairs.sort_by(|a, b| number(&a.name).cmp(&number(&b.name)).then_with(|| a.name.cmp(&b.name)));
    Ok(pairs)
}

fn of_folder(path: &Path, name: &str) -> Result<Option<Pair>, Fault> {
    let up = path.join("up.sql");
    if up.is_file() {
        let down = path.join("down.sql");
        let down = if down.is_file() { Some(part(down)?) } else { None };
        let pair = Pair { name: name.into(), layout: Layout::Folders, up: part(up)?, down };
        // Diesel says so beside the files.
        let says = std::fs::read_to_string(path.join("metadata.toml")).unwrap_or_default();
        let outside = says.lines().any(|line| line.replace(' ', "") == "run_in_transaction=false");
        return Ok(Some(pair.outside(outside)));
    }
    let only = path.join("migration.sql");
    if !only.is_file() {
        return Ok(None);
    }
    Ok(Some(Pair { name: name.into(), layout: Layout::UpOnly, up: part(only)?, down: None }))
}

fn of_file(path: &Path, stem: &str) -> Result<Option<Pair>, Fault> {
    if stem.ends_with(".down") {
        return Ok(None);
    }
    if let Some(name) = stem.strip_suffix(".up") {
        let down = path.with_file_name(format!("{name}.down.sql"));
        let down = if down.is_file() { Some(part(down)?) } else { None };
        let up = part(path.to_path_buf())?;
        return Ok(Some(Pair { name: name.into(), layout: Layout::Files, up, down }));
    }
    let up = part(path.to_path_buf())?;
    if let Some((up_part, down)) = sections(&up) {
        let pair = Pair { name: stem.into(), layout: Layout::Sections, up: up_part, down };
        return Ok(Some(pair));
    }
    Ok(Some(Pair { name: stem.into(), layout: Layout::UpOnly, up, down: None }))
}

impl Pair {
    fn outside(mut self, outside: bool) -> Self {
        self.up.outside |= outside;
        if let Some(down) = &mut self.down {
            down.outside |= outside;
        }
        self
    }
}

/// What a comment that begins a section says: which one, and whether it wants no transaction.
fn heading(line: &str) -> Option<(&'static str, bool)> {
    let words: Vec<String> =
        line.trim().strip_prefix("--")?.split_whitespace().map(str::to_lowercase).collect();
    let first = words.first()?.as_str();
    let outside = words.iter().any(|word| word == "transaction:false");
    match (first, words.get(1).map(String::as_str)) {
        ("migrate:up", _) | ("+goose", Some("up")) => Some(("up", outside)),
        ("migrate:down", _) | ("+goose", Some("down")) => Some(("down", outside)),
        ("+goose", Some("no")) => Some(("", true)),
        _ => None,
    }
}

fn sections(whole: &Part) -> Option<(Part, Option<Part>)> {
    let empty = |outside| Part { file: whole.file.clone(), text: String::new(), outside };
    let (mut up, mut down): (Option<Part>, Option<Part>) = (None, None);
    let (mut at, mut all_outside) = ("", false);
    for line in whole.text.lines() {
        if let Some((name, outside)) = heading(line) {
            match name {
                "up" => drop(up.get_or_insert_with(|| empty(outside))),
                "down" => drop(down.get_or_insert_with(|| empty(outside))),
                _ => all_outside = true,
            }
            at = name;
            continue;
        }
        let part = match at {
            "up" => up.as_mut(),
            "down" => down.as_mut(),
            _ => None,
        };
        if let Some(part) = part {
            part.text.push_str(line);
            part.text.push('\n');
        }
    }
    let mut up = up?;
    up.outside |= all_outside;
    if let Some(down) = &mut down {
        down.outside |= all_outside;
    }
    Some((up, down))
}

fn part(file: PathBuf) -> Result<Part, Fault> {
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    let text = text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text);
    // golang-migrate and sqlx have words of their own for it.
    let first = text.lines().next().unwrap_or_default().trim().to_lowercase();
    let outside = first == "-- no-transaction";
    Ok(Part { file, text, outside })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::usage("pairs-unreadable", msg!("pairs.unreadable", path = path.display()))
        .detail(error.to_string())
}

/// 2 comes before 10, and both after 1.
fn number(name: &str) -> u128 {
    let digits: String = name
        .chars()
        .skip_while(|c| matches!(c, 'V' | 'v'))
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn files_come_in_the_order_of_their_numbers() {
        let folder = folder(&[
            ("10_c.up.sql", "c"),
            ("2_b.up.sql", "b"),
            ("2_b.down.sql", "-b"),
            ("1_a.up.sql", "a"),
            ("README.md", "no"),
        ]);
        let pairs = read(folder.path()).unwrap();
        let names: Vec<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
        assert_eq!(names, ["1_a", "2_b", "10_c"]);
        assert_eq!(pairs[1].down.as_ref().unwrap().text, "-b");
        assert!(pairs[2].down.is_none());
    }

    #[test]
    fn diesel_prisma_dbmate_and_goose_are_read() {
        let folder = folder(&[
            ("1_diesel/up.sql", "a"),
            ("1_diesel/down.sql", "-a"),
            ("1_diesel/metadata.toml", "run_in_transaction = false\n"),
            ("2_prisma/migration.sql", "b"),
            ("3_dbmate.sql", "-- migrate:up transaction:false\nc;\n\n-- migrate:down\n-c;\n"),
            ("4_goose.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nd;\n-- +goose Down\n-d;\n"),
            ("5_bare.sql", "e"),
            ("migration_lock.toml", "provider = 1"),
        ]);
        let pairs = read(folder.path()).unwrap();
        let layouts: Vec<Layout> = pairs.iter().map(|pair| pair.layout).collect();
        use Layout::{Folders, Sections, UpOnly};
        assert_eq!(layouts, [Folders, UpOnly, Sections, Sections, UpOnly]);
        assert!(pairs[0].up.outside && pairs[0].down.as_ref().unwrap().outside);
        let dbmate = &pairs[2];
        assert!(dbmate.up.outside && !dbmate.down.as_ref().unwrap().outside);
        assert_eq!(
            (dbmate.up.text.trim(), dbmate.down.as_ref().unwrap().text.trim()),
            ("c;", "-c;")
        );
        assert!(pairs[3].down.as_ref().unwrap().outside);
    }

    #[test]
    fn a_folder_without_migrations_is_said_to_have_none() {
        let folder = folder(&[("notes.txt", "")]);
        assert_eq!(read(folder.path()).unwrap_err().code, "pairs-none");
    }
}
