//! What OpenSSL must find in the process's environment.
//!
//! The TLS library makes a new context for each connection and fills it from OpenSSL's default
//! places before it looks at the roots we give it: with a system's whole bundle that is a megabyte
//! and 60 ms of CPU for each mailbox. The default places are therefore pointed at one certificate
//! and an empty directory. The environment can only be set safely before the process starts, so the
//! daemon starts itself once more with these values.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::NetSetupError;

const END: &str = "-----END CERTIFICATE-----";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Writes the small files into `dir` (which must exist and be ours) and returns the variables the
/// process must run with: name and value. Doing it again changes nothing.
///
/// # Errors
/// The bundle cannot be read or holds no certificate, or `dir` cannot be written.
pub fn tls_environment(
    ca_file: &Path,
    dir: &Path,
) -> Result<[(&'static str, OsString); 2], NetSetupError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| NetSetupError::File { path, source }
    };
    let bundle = fs::read_to_string(ca_file).map_err(file(ca_file))?;
    let one = first_certificate(&bundle).ok_or_else(|| NetSetupError::Bundle {
        path: ca_file.to_owned(),
        detail: "there is no certificate in it".to_owned(),
    })?;
    let empty: PathBuf = dir.join("tls-empty");
    fs::create_dir_all(&empty).map_err(file(&empty))?;
    let single = dir.join("tls-one-root.pem");
    if fs::read_to_string(&single).ok().as_deref() != Some(one.as_str()) {
        let fresh = dir.join("tls-one-root.pem.new");
        fs::write(&fresh, &one).map_err(file(&fresh))?;
        fs::rename(&fresh, &single).map_err(file(&single))?;
    }
    Ok([
        ("SSL_CERT_FILE", single.into_os_string()),
        ("SSL_CERT_DIR", empty.into_os_string()),
    ])
}

fn first_certificate(bundle: &str) -> Option<String> {
    let (_, rest) = bundle.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    Some(format!("{BEGIN}{body}{END}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn the_process_is_given_one_certificate_and_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("bundle.pem");
        let first = testing::Authority::new("First").pem;
        let second = testing::Authority::new("Second").pem;
        fs::write(&bundle, format!("# a comment\n{first}\n{second}")).unwrap();
        let variables = tls_environment(&bundle, dir.path()).unwrap();
        assert_eq!(variables, tls_environment(&bundle, dir.path()).unwrap());
        let [(file_name, file), (dir_name, empty)] = variables;
        assert_eq!((file_name, dir_name), ("SSL_CERT_FILE", "SSL_CERT_DIR"));
        assert_eq!(fs::read_to_string(file).unwrap().trim(), first.trim());
        assert_eq!(fs::read_dir(empty).unwrap().count(), 0);
    }
}
