//! Playbooks (temporary).
use crate::model::Fault;
use std::path::{Path, PathBuf};
/// A playbook.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// n
    pub name: String,
    /// p
    pub path_display: String,
    /// t
    pub text: String,
    /// r
    pub root: PathBuf,
}
/// F
pub enum FileSource {
    /// d
    Disk(PathBuf),
    /// s
    Shipped(&'static [u8]),
}
impl FileSource {
    /// r
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Disk(p) => std::fs::read(p),
            Self::Shipped(b) => Ok(b.to_vec()),
        }
    }
}
/// r
pub fn resolve_sql(project: &Path, _p: &Playbook, path: &str) -> Result<FileSource, Fault> {
    Ok(FileSource::Disk(project.join(path)))
}
/// i
pub fn resolve_import(project: &Path, _from: &str, path: &str) -> Result<(String, String), Fault> {
    let f = project.join("playbooks").join(format!("{path}.rhai"));
    Ok((path.into(), std::fs::read_to_string(f).map_err(|e| Fault::usage("x", e.to_string()))?))
}
/// h
pub fn hash_bytes(b: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(b).iter().map(|b| format!("{b:02x}")).collect()
}
/// h
pub fn hash_text(t: &str) -> String {
    hash_bytes(t.as_bytes())
}
/// f
pub fn find(project: &Path, name: &str) -> Result<Playbook, Fault> {
    let shown = if name.ends_with(".rhai") { name.to_string() } else { format!("playbooks/{name}.rhai") };
    let text = std::fs::read_to_string(project.join(&shown)).map_err(|e| Fault::usage("no-playbook-file", e.to_string()))?;
    Ok(Playbook { name: name.into(), path_display: shown, text, root: project.into() })
}
