//! Makes the built files of the console, which stand in `console/dist`, into files of the executable, each
//! also compressed.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The most bytes of all files, compressed.
const MAX_BYTES: usize = 300 * 1024;
/// The media types of files, by their endings.
const KINDS: [(&str, &str); 7] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

/// Writes the files and the list of them, as a Rust expression.
pub(crate) fn build() -> Result<(), Box<dyn Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("console").join("dist");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let folder = out.join("console");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut files = BTreeMap::new();
    read(&dist, "", &mut files)?;
    let mut list = String::from("&[\n");
    let mut whole = 0;
    for (path, content) in &files {
        let kind = kind_of(path).ok_or_else(|| format!("console/dist/{path}: a file of an unknown kind"))?;
        let short = compressed(content)?;
        whole += short.len();
        let (plain, gzip) = (folder.join(path), folder.join(format!("{path}.gz")));
        fs::create_dir_all(plain.parent().unwrap_or(&folder))?;
        fs::write(&plain, content)?;
        fs::write(&gzip, short)?;
        let [plain, gzip] = [plain, gzip].map(|file| file.display().to_string());
        let tag = format!("{:016x}", hash(content));
        writeln!(
            list,
            "Embedded {{ path: {path:?}, kind: {kind:?}, tag: {tag:?}, bytes: include_bytes!({plain:?}), \
             gzip: include_bytes!({gzip:?}) }},"
        )?;
    }
    if whole > MAX_BYTES {
        return Err(format!("console/dist has {whole} bytes compressed, more than {MAX_BYTES}").into());
    }
    list.push(']');
    fs::write(out.join("console_files.rs"), list)?;
    Ok(())
}

/// Reads the files below a folder. Hidden ones are those of editors and systems.
fn read(dist: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    let folder = dist.join(below);
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            read(dist, &path, files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn kind_of(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    KINDS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
}

fn compressed(content: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// FNV-1a: says whether a content has changed.
fn hash(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
