//! Folders that only this user may enter.
//!
//! Not here: what is in them, and state directories that are shared with other users (`crate::engine::state_dir`).

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum Unsuitable {
    /// An operation failed, such as "cannot create".
    Failed(&'static str, io::Error),
    /// Another user could change what is in it; the text says why.
    Unsafe(String),
}

impl Unsuitable {
    fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed(what, error)
    }
}

/// Whether the owner of a file is this user or root.
pub(crate) fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Creates a folder and its parents with mode 0700; narrows the mode of an existing one; refuses a folder of another user.
/// True: the mode was narrowed.
pub(crate) fn create_private(path: &Path) -> Result<bool, Unsuitable> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Unsuitable::failed("cannot create"))?;
    let found = fs::metadata(path).map_err(Unsuitable::failed("cannot read"))?;
    // Another user's link could redirect to a different folder.
    let link = fs::symlink_metadata(path).map_err(Unsuitable::failed("cannot read"))?;
    if link.is_symlink() && !is_trusted(link.uid()) {
        return Err(Unsuitable::Unsafe(format!("the link to the folder belongs to user {}", link.uid())));
    }
    let me = rustix::process::geteuid();
    if found.uid() != me.as_raw() && !me.is_root() {
        let detail = format!("the folder belongs to user {}, not to {}", found.uid(), me.as_raw());
        return Err(Unsuitable::Unsafe(detail));
    }
    let narrows = found.mode() & 0o077 != 0;
    if narrows {
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(path, private).map_err(Unsuitable::failed("cannot change the mode of"))?;
    }
    Ok(narrows)
}

/// Creates one folder in a place where other users may write; see [`check_guarded`] for what it refuses.
pub(crate) fn create_guarded(path: &Path) -> Result<(), Unsuitable> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Unsuitable::Failed("cannot create", error)),
        _ => check_guarded(path),
    }
}

/// Checks that a folder is not a link, belongs to this user, and that no other user can enter it.
pub(crate) fn check_guarded(path: &Path) -> Result<(), Unsuitable> {
    let found = fs::symlink_metadata(path).map_err(Unsuitable::failed("cannot read"))?;
    let me = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Err(Unsuitable::Unsafe("this is not a folder, or a link to one".to_owned()));
    }
    if found.uid() != me {
        return Err(Unsuitable::Unsafe(format!("the folder belongs to user {}, not to {me}", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        let detail = format!("the folder has mode {:o} instead of 700", found.mode() & 0o777);
        return Err(Unsuitable::Unsafe(detail));
    }
    Ok(())
}
