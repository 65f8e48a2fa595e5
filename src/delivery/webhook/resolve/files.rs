//! The files that the resolution of names depends on. Each is read again when it changes.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What is made from a file, made again when the file changes.
pub(super) struct Watched<T> {
    path: PathBuf,
    make: Box<dyn Fn(&Path) -> T>,
    /// The file's version when the value was made; `None` if there was no file.
    version: Option<Version>,
    value: T,
}

/// A version of a file. A file that was replaced has another inode, and one that was changed another time or
/// size.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    changed: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { changed: found.modified().ok(), bytes: found.len(), inode: found.ino() })
    }
}

impl<T> Watched<T> {
    pub(super) fn new(path: &Path, make: impl Fn(&Path) -> T + 'static) -> Self {
        let version = Version::of(path);
        let value = make(path);
        Self { path: path.to_owned(), make: Box::new(make), version, value }
    }

    /// The value for the file as it is now.
    pub(super) fn now(&mut self) -> &T {
        let version = Version::of(&self.path);
        if version != self.version {
            self.value = (self.make)(&self.path);
            self.version = version;
        }
        &self.value
    }
}

/// The contents of a hosts file.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads a hosts file. Lines without an address are ignored, and so is a file that can't be read.
    pub(super) fn read(path: &Path) -> Self {
        Self::parse(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()))
    }

    fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(ip) = words.next().and_then(|word| word.parse().ok()) else { continue };
            for name in words {
                let addresses = hosts.0.entry(plain(name)).or_default();
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
        }
        hosts
    }

    /// The addresses of a name, if the file has it.
    pub(super) fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(&plain(name)).map(Vec::as_slice)
    }
}

/// A name as it is compared: in lower case, without a final dot.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_read_as_the_system_reads_it() {
        let text = "\
# 10.0.0.9 commented
127.0.0.1\tlocalhost
10.0.0.1  Web_App web.internal.  # 10.0.0.2 other
10.0.0.3  web_app
fd00::1   web_app
fe80::1%lo0 zoned
nonsense  here
10.0.0.4
";
        let hosts = Hosts::parse(text);
        let ips = |name: &str| {
            hosts.addresses(name).map(|ips| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        let expected = ["10.0.0.1", "10.0.0.3", "fd00::1"].map(str::to_owned).to_vec();
        assert_eq!(ips("web_app"), Some(expected.clone()));
        assert_eq!(ips("WEB_APP."), Some(expected));
        assert_eq!(ips("web.internal"), Some(vec!["10.0.0.1".to_owned()]));
        for missing in ["commented", "other", "zoned", "here", ""] {
            assert_eq!(ips(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_appears_changes_is_replaced_or_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let other = folder.path().join("other");
        let mut watched = Watched::new(&path, |path| fs::read_to_string(path).unwrap_or_default());
        assert_eq!(watched.now(), "");
        fs::write(&path, "first").unwrap();
        assert_eq!(watched.now(), "first");
        fs::write(&path, "second one").unwrap();
        assert_eq!(watched.now(), "second one");
        fs::write(&other, "another on").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(watched.now(), "another on");
        fs::remove_file(&path).unwrap();
        assert_eq!(watched.now(), "");
    }
}
