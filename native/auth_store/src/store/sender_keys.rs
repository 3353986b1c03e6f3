//! Decides in which form a JSON directory keeps its sender keys: other programs that use the
//! directory can read no other form.

use std::sync::PoisonError;

use super::{Key, Store};
use crate::codec::json::SenderKeyForm;
use crate::engine::Disk;
use crate::error::Result;
use crate::layout;

const FAMILY: &str = "sender-key";

/// A file that showed the form of its directory.
#[derive(Clone)]
pub(super) struct Witness {
    name: String,
    form: SenderKeyForm,
}

impl<D: Disk> Store<D> {
    /// The form in which to write a sender key: that of its file, or else that of the directory.
    pub fn sender_key_form(&self, id: &str) -> Result<SenderKeyForm> {
        let family = FAMILY;
        if let Some(bytes) = self.bytes_of(Key::Of { family, id })?
            && let Some(form) = SenderKeyForm::of(&bytes)
        {
            return Ok(form);
        }
        Ok(match self.form_of_directory()? {
            // Only cached stores write plain text, and every version that reads lists also reads
            // Buffers.
            Some(form) if form.is_list() => SenderKeyForm::List,
            Some(form) => form,
            None => SenderKeyForm::default(),
        })
    }

    /// The form of the directory's sender keys; `None` if nothing shows it.
    pub fn form_of_directory(&self) -> Result<Option<SenderKeyForm>> {
        let known = self.sender_keys().clone();
        if let Some(Witness { name, form }) = known
            && self.form_of_file(&name)? == Some(form)
        {
            return Ok(Some(form));
        }
        let witness = self.ask_files()?;
        let form = witness.as_ref().map(|witness| witness.form);
        *self.sender_keys() = witness;
        match form {
            Some(form) => Ok(Some(form)),
            None => Ok(self.look_at_manifest()?.sender_keys),
        }
    }

    /// Looks for a file that shows the form. A single Buffer decides: a version that writes Buffers
    /// has used the directory, whatever lists are left.
    fn ask_files(&self) -> Result<Option<Witness>> {
        let mut names = Vec::new();
        self.directory.list(&mut |name| {
            if layout::parse(name, self.format)
                .into_key()
                .is_some_and(|(family, _)| family == FAMILY)
            {
                names.push(name.to_owned());
            }
        })?;
        let mut list = None;
        for name in names {
            match self.form_of_file(&name)? {
                Some(SenderKeyForm::Buffer) => {
                    let form = SenderKeyForm::Buffer;
                    return Ok(Some(Witness { name, form }));
                }
                Some(form) => list = Some(Witness { name, form }),
                None => {}
            }
        }
        Ok(list)
    }

    fn form_of_file(&self, name: &str) -> Result<Option<SenderKeyForm>> {
        let bytes = self.directory.read(name)?;
        Ok(bytes.and_then(|bytes| SenderKeyForm::of(&bytes)))
    }

    fn sender_keys(&self) -> std::sync::MutexGuard<'_, Option<Witness>> {
        self.sender_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget_sender_keys(&self) {
        *self.sender_keys() = None;
    }
}
