//! `waypost cluster certs`: makes an authority, and certificates of nodes that it signs.
//!
//! It speaks to no node. It overwrites certificates of nodes only with `--force`, and never the authority.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::{Usage, output};

/// How long the authority is valid.
const AUTHORITY: Duration = Duration::days(3650);
/// Certificates are valid from this long before now, because the clocks of nodes may be behind.
const SLACK: Duration = Duration::hours(1);

/// The certificates to make.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory for the files; if it has an authority, that one signs
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of a node and of its files: its host name or address; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    node: Vec<String>,
    /// Further host name or address of every node, such as that of the load balancer; may be given several
    /// times
    #[arg(long, value_name = "NAME")]
    also: Vec<String>,
    /// How many days the nodes' certificates are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Replace existing certificates of nodes
    #[arg(long)]
    force: bool,
}

/// The authority that signs the certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    for name in &args.node {
        check_name(name)?;
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let out = fs::canonicalize(&args.out)?;
    if !args.force {
        let present = args.node.iter().flat_map(|name| pair(&out, name)).find(|file| file.exists());
        if let Some(file) = present {
            bail!("{} is there already: --force replaces it", file.display());
        }
    }
    let authority = Authority::in_directory(&out)?;
    for name in &args.node {
        let until = authority.make(&out, name, &args.also, args.days)?;
        print(&authority.file, &pair(&out, name), name, until)?;
    }
    Ok(())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let fine = !name.is_empty() && !name.starts_with('.') && name.chars().all(safe) && name != "ca";
    ensure!(fine, Usage(format!("--node {name}: must be a host name or an address, and not `ca`")));
    Ok(())
}

/// The files of a node's certificate and key.
fn pair(out: &Path, name: &str) -> [PathBuf; 2] {
    [out.join(format!("{name}.pem")), out.join(format!("{name}.key"))]
}

impl Authority {
    /// The authority in the directory, or a new one.
    fn in_directory(out: &Path) -> anyhow::Result<Self> {
        let file = out.join("ca.pem");
        let key_file = out.join("ca.key");
        match (file.exists(), key_file.exists()) {
            (true, true) => {
                let key = fs::read_to_string(&key_file).with_context(|| format!("{}", key_file.display()))?;
                let key = KeyPair::from_pem(&key).with_context(|| format!("{}", key_file.display()))?;
                Ok(Self { issuer: Issuer::new(authority(&key), key), file })
            }
            (false, false) => {
                let key = KeyPair::generate()?;
                let params = authority(&key);
                let certificate = params.self_signed(&key)?;
                write(&key_file, &key.serialize_pem(), 0o600, false)?;
                write(&file, &certificate.pem(), 0o644, false)?;
                output::note(format_args!(
                    "made a new authority: keep {} secret and safe",
                    key_file.display()
                ));
                Ok(Self { issuer: Issuer::new(params, key), file })
            }
            (true, false) => bail!("{} is there, but not its key {}", file.display(), key_file.display()),
            (false, true) => {
                bail!("{} is there, but not its certificate {}", key_file.display(), file.display())
            }
        }
    }

    /// Writes a node's files. Returns the end of the certificate's validity.
    fn make(&self, out: &Path, name: &str, also: &[String], days: u16) -> anyhow::Result<OffsetDateTime> {
        let names: Vec<String> =
            std::iter::once(name).chain(also.iter().map(String::as_str)).map(str::to_owned).collect();
        let mut params =
            CertificateParams::new(names).map_err(|error| Usage(format!("--node {name}: {error}")))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = OffsetDateTime::now_utc();
        params.not_before = now - SLACK;
        params.not_after = now + Duration::days(i64::from(days));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        self.check(certificate.der())?;
        let [cert_file, key_file] = pair(out, name);
        write(&key_file, &key.serialize_pem(), 0o600, true)?;
        write(&cert_file, &certificate.pem(), 0o644, true)?;
        Ok(params.not_after)
    }

    /// Checks that this command made the authority. One that another program made has another name, so that a
    /// certificate signed here would not match it.
    fn check(&self, certificate: &CertificateDer<'_>) -> anyhow::Result<()> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(&self.file)? {
            roots.add(authority?)?;
        }
        let known = crypto::ring::default_provider().signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], UnixTime::now(), known).with_context(|| {
            format!(
                "{} was not made by this command with the key beside it: sign with the program that made it",
                self.file.display()
            )
        })
    }
}

/// The parameters of an authority's certificate. Its name follows from its key, so that no two authorities
/// have the same name.
fn authority(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id = hex::encode(&Sha256::digest(key.der_bytes())[..4]);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Waypost authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SLACK;
    params.not_after = now + AUTHORITY;
    params
}

/// Writes a file as a whole or not at all. It has its mode before the first byte is written.
fn write(file: &Path, text: &str, mode: u32, replace: bool) -> anyhow::Result<()> {
    let fail = || format!("cannot write {}", file.display());
    if !replace && file.exists() {
        bail!("{} is there already", file.display());
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(fail),
        _ => {}
    }
    let mut open =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft).with_context(fail)?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).with_context(fail)?;
    fs::rename(&draft, file).with_context(fail)
}

/// Prints the settings of a node, to be copied into its configuration.
fn print(ca: &Path, [cert, key]: &[PathBuf; 2], name: &str, until: OffsetDateTime) -> anyhow::Result<()> {
    let day = until.date();
    if output::for_people(false) {
        output::line(format_args!("# {name}, until {day}"))?;
        output::line(format_args!("[peer]\ntls_ca = \"{}\"", ca.display()))?;
        output::line(format_args!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", cert.display(), key.display()))?;
    } else {
        let files = json!({"tls_ca": ca, "tls_cert": cert, "tls_key": key});
        output::line(json!({"node": name, "until": day.to_string(), "peer": files}))?;
    }
    Ok(())
}
