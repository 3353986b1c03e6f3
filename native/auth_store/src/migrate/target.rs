//! The target of a migration while it is being written, and its publication.

use std::collections::HashSet;
use std::path::Path;

use super::writer::{Unwritable, Writer};
use super::{MigrationError, Options, Result, Summary};
use crate::codec::json::SenderKeyForm;
use crate::engine::{Disk, Staging, sweep_staging};
use crate::error::Error;
use crate::format::Format;
use crate::manifest::Manifest;
use crate::survey::Finding;

pub(super) struct Target<D: Disk> {
    staging: Staging<D>,
    pub writer: Writer,
    overwrite: bool,
}

impl<D: Disk + Clone> Target<D> {
    /// `carried` is the form of sender keys in the JSON that the source came from.
    pub fn begin(
        disk: D,
        path: &Path,
        (from, to): (Format, Format),
        options: Options,
        carried: Option<SenderKeyForm>,
        now_ms: i64,
    ) -> Result<Self> {
        sweep_staging(&disk, path).map_err(MigrationError::Target)?;
        let staging = Staging::create(disk, path).map_err(MigrationError::Target)?;
        let mut manifest = Manifest::absent();
        manifest.upgrade(to);
        let sender_keys = options.sender_keys.or(carried);
        manifest.sender_keys = sender_keys;
        Ok(Target {
            staging,
            writer: Writer {
                from,
                to,
                manifest,
                summary: Summary::default(),
                now_ms,
                sender_keys: sender_keys.unwrap_or_default(),
                old_device_names: options.old_device_names,
                superseded: HashSet::new(),
            },
            overwrite: options.overwrite,
        })
    }

    /// Writes a finding. The inner error is damage of the source, the outer one concerns the
    /// target.
    pub fn put(
        &mut self,
        finding: &Finding<'_>,
        identity: Option<&[u8]>,
        raw: &[u8],
    ) -> std::result::Result<std::result::Result<(), Unwritable>, Error> {
        match self.writer.file(finding, identity, raw) {
            Ok(None) => Ok(Ok(())),
            Ok(Some(written)) => {
                self.staging.write(&written.name, &written.bytes)?;
                self.writer.summary.tally.add(finding);
                self.writer.summary.bytes_written += written.bytes.len() as u64;
                Ok(Ok(()))
            }
            Err(damage) => Ok(Err(damage)),
        }
    }

    /// Makes everything durable and publishes it as the target in one step. `found` is the form of
    /// the sender keys in the source's files.
    pub fn publish(mut self, found: Option<SenderKeyForm>) -> Result<Summary> {
        let format = self.writer.to;
        let has_sender_keys = self.writer.summary.tally.keys.contains_key("sender-key");
        let sender_keys = match format {
            Format::Etf => found.or(self.writer.manifest.sender_keys),
            Format::Json if has_sender_keys => Some(self.writer.sender_keys),
            Format::Json => self.writer.manifest.sender_keys,
        };
        self.writer.manifest.sender_keys = sender_keys;
        let manifest = self.writer.manifest.render(format);
        manifest
            .and_then(|bytes| self.staging.write(format.manifest_name(), &bytes))
            .and_then(|()| self.staging.publish(self.overwrite))
            .map_err(MigrationError::Target)?;
        Ok(Summary {
            sender_keys,
            ..self.writer.summary
        })
    }
}
