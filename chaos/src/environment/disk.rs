//! A small file system inside a file: it fills up, and it loses power. Needs root.

use super::tool;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A mounted ext4 file system.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes a file system of that size and mounts it at `mount`.
    pub fn make(mount: &Path, megabytes: u64) -> Result<Self> {
        let image = mount.with_extension("ext4");
        std::fs::create_dir_all(mount)?;
        File::create(&image)?.set_len(megabytes << 20)?;
        tool::run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)?])?;
        let disk = Self { image, mount: mount.to_owned() };
        disk.attach()?;
        Ok(disk)
    }

    fn attach(&self) -> Result<()> {
        tool::run("mount", &["-t", "ext4", "-o", "loop", text(&self.image)?, text(&self.mount)?]).map(drop)
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    /// Fills all free space.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        for chunk in [vec![0; 1 << 20], vec![0; 4 << 10]] {
            // The write ends with the free space.
            while file.write_all(&chunk).is_ok() {}
        }
        Ok(())
    }

    /// Frees that space again.
    pub fn empty(&self) -> Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// From now on nothing reaches the disk: data that was not synced is lost, as when the power fails. The
    /// file system stays in error until [`Disk::restore_power`].
    pub fn cut_power(&self) -> Result<()> {
        tool::run("xfs_io", &["-x", "-c", "shutdown", text(&self.mount)?]).map(drop)
    }

    /// Mounts what is on the disk. The processes that used it must have ended.
    pub fn restore_power(&self) -> Result<()> {
        tool::run("umount", &[text(&self.mount)?])?;
        self.attach()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The run's clean-up removes by force what fails here.
        let _ = text(&self.mount).and_then(|mount| tool::run("umount", &[mount]));
        let _ = std::fs::remove_file(&self.image);
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| path.display().to_string())
}
